"""Which settings differ between two configurations: what a reload cannot take is told by name."""

from collections.abc import Iterable
from operator import attrgetter

from postroom.config.model import Config


def changed(before: Config, after: Config, settings: Iterable[str]) -> list[str]:
    """Give those of the settings, or whole sections (`policy.socket`, `log`), whose values differ."""
    return [setting for setting in settings if attrgetter(setting)(before) != attrgetter(setting)(after)]
