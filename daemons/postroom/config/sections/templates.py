"""`templates`: the operator's own, and the brand all of them show."""

from pathlib import Path

from pydantic import Field

from postroom.config import values
from postroom.config.section import Section


class BrandSection(Section):
    """What the templates say about the sender."""

    name: values.Text = Field("", description="Name of the organisation or product; empty: the first of `domains`.")
    url: values.Url = Field("", description="Its home page; empty: the web site of the first of `domains`.")
    address: values.Text = Field("", description="Its postal address, on one line; empty: left out.")
    support: values.Text = Field(
        "", description="Where recipients find help: an address, telephone number or page; empty: left out."
    )
    colour: values.Colour = Field("#0b57d0", description="Colour of buttons and links, as #rrggbb.")
    logo: values.OptionalPath = Field(
        None,
        description="A PNG, JPEG or GIF of at most 48 kB, sent inside each mail and shown on top; "
        "null: the name stands there.",
    )


class TemplatesSection(Section):
    """Where the operator's own e-mail templates are, and the brand they show."""

    folder: values.OptionalPath = Field(
        Path("/etc/postroom/templates"),
        description="Your templates; one of the same name replaces the shipped one. null: only the shipped ones.",
    )
    brand: BrandSection = Field(BrandSection())
