"""When bounces are proof, and when suppressions are a wave, as the configuration says; the same for every daemon."""

from collections.abc import Mapping

from postroom.config.sections.suppression import SuppressionSection
from postroom.store.shared.values import ProofRule, WaveGuard


def proof_rules(settings: SuppressionSection) -> Mapping[str, ProofRule]:
    """For each class of faults that suppresses, what is proof."""
    return {
        name: ProofRule(proof.bounces, proof.over, proof.kept)
        for name, proof in (
            ("invalid_recipient", settings.invalid_recipient),
            ("invalid_domain", settings.invalid_domain),
            ("inactive", settings.inactive),
            ("mailbox_full", settings.mailbox_full),
        )
    }


def wave_guard(settings: SuppressionSection) -> WaveGuard:
    """When suppressions are held for review."""
    return WaveGuard(settings.wave.suppressions, settings.wave.within, settings.wave.percent)
