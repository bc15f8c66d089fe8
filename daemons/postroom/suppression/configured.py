"""When bounces are proof, and when they are a burst, as the configuration says; the same for every daemon."""

from collections.abc import Mapping

from postroom.config.sections.suppression import SuppressionSection
from postroom.store.shared.suppression import ProofRule, WaveGuard


def proof_of_classes(settings: SuppressionSection) -> Mapping[str, ProofRule]:
    """For each class of faults that suppresses, what is proof."""
    return {
        name: ProofRule(one.bounces, one.over, one.kept)
        for name, one in (
            ("invalid_recipient", settings.invalid_recipient),
            ("invalid_domain", settings.invalid_domain),
            ("inactive", settings.inactive),
            ("mailbox_full", settings.mailbox_full),
        )
    }


def guard(settings: SuppressionSection) -> WaveGuard:
    """When suppressions are held for review."""
    return WaveGuard(settings.wave.suppressions, settings.wave.within, settings.wave.percent)
