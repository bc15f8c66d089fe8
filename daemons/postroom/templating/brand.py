"""Who the mail comes from: the name, address and colour every template shows.

The values come from the configuration; templates read them as `brand.name` and so on.

Source:  WCAG 2.2, "relative luminance" and "contrast ratio", for the colour of text on the brand's colour.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from postroom.templating.logo import Logo

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_TELEPHONE = re.compile(r"\+?[0-9][-0-9 ()./]{4,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Brand:
    """The organisation as its mail shows it.

    Attributes:
        name:    as people know it: "Example Books".
        url:     its web site, http or https.
        address: its postal address on one line; empty: not shown.
        support: where help is found: a mail address, a web address or a telephone number; empty: not shown.
        colour:  `#rrggbb`, the ground of buttons and of the bar on top.
        logo:    shown on top instead of the name, which is its alternative text; None: the name.

    Raises:
        ValueError: a value that cannot be shown; the text names the field and how it should look.
    """

    name: str
    url: str
    address: str
    support: str
    colour: str
    logo: Logo | None = None

    def __post_init__(self) -> None:
        for field in ("name", "url", "address", "support", "colour"):
            if _CONTROL.search(getattr(self, field)):
                raise ValueError(f"brand.{field} has a line break or another control character; write it on one line")
        if not self.name.strip():
            raise ValueError("brand.name is empty; write the name people know you by")
        if urlsplit(self.url).scheme not in {"http", "https"} or not urlsplit(self.url).hostname:
            raise ValueError("brand.url is not a web address; write it like https://www.example.org/")
        if not _COLOUR.fullmatch(self.colour):
            # It is written into CSS, so nothing but six hexadecimal digits may pass.
            raise ValueError("brand.colour is not a colour; write it like #1a5fb4")

    @property
    def support_link(self) -> str:
        """Where a click on `support` leads: mailto:, the page itself, or tel:; empty for what is none of them."""
        if _ADDRESS.fullmatch(self.support):
            return f"mailto:{self.support}"
        if urlsplit(self.support).scheme in {"http", "https"}:
            return self.support
        return f"tel:{re.sub(r'[^+0-9]', '', self.support)}" if _TELEPHONE.fullmatch(self.support) else ""

    @property
    def ink(self) -> str:
        """White or black, whichever reads better on `colour`: the contrast is 4.58:1 at the least."""
        # Equal contrast with both lies at L = sqrt(1.05 * 0.05) - 0.05, where it is 4.58:1.
        return "#000000" if _luminance(self.colour) > 0.17912 else "#ffffff"


def _luminance(colour: str) -> float:
    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
