"""When bounces are proof, and when they are a burst, as the configuration says; the same for every daemon."""

from collections.abc import Mapping

from postroom.config.model import Suppression
from postroom.store.shared.suppression import Enough, Guard


def proof_of_classes(settings: Suppression) -> Mapping[str, Enough]:
    """For each class of faults that suppresses, what is proof."""
    return {
        name: Enough(one.bounces, one.over, one.kept)
        for name, one in (
            ("invalid_recipient", settings.invalid_recipient),
            ("invalid_domain", settings.invalid_domain),
            ("inactive", settings.inactive),
            ("mailbox_full", settings.mailbox_full),
        )
    }


def guard(settings: Suppression) -> Guard:
    """When suppressions are held for review."""
    return Guard(settings.wave.suppressions, settings.wave.within, settings.wave.percent)
