"""The templates the configuration asks for: the brand, the folders, the catalogue of both."""

from pathlib import Path
from urllib.parse import urlsplit

from postroom.config import paths
from postroom.config.model import Config
from postroom.templating.brand import Brand
from postroom.templating.catalogue import Catalogue
from postroom.templating.logo import Logo


def brand(config: Config) -> Brand:
    """Who the mail comes from; what is not set is taken from the first of `domains`.

    Raises:
        ValueError: a setting that cannot be used; the text begins with its name.
    """
    settings, first_domain = config.templates.brand, next(iter(config.domains))
    url = settings.url or f"https://{first_domain}/"
    logo = None
    if settings.logo is not None:
        try:
            logo = Logo.read(settings.logo, urlsplit(url).hostname or first_domain)
        except ValueError as error:
            raise ValueError(f"templates.brand.logo: {error}") from None
    try:
        return Brand(settings.name or first_domain, url, settings.address, settings.support, settings.colour, logo)
    except ValueError as error:
        raise ValueError(f"templates.{error}") from None


def folders(config: Config) -> list[Path]:
    """Where templates are looked for: the operator's folder, then the shipped one.

    Raises:
        ShippedMissing: Postroom's own are not where they should be.
    """
    return [folder for folder in (config.templates.folder, paths.templates_dir()) if folder is not None]


def catalogue(config: Config) -> Catalogue:
    """The templates in effect; takes a fraction of a second.

    Raises:
        ValueError, ShippedMissing: see `brand` and `folders`.
        TemplatesBroken: with every fault of every template.
    """
    return Catalogue.load(folders(config), brand(config))
