"""The HTML of one mail as a reader meets it: a tree of elements with the colours each one is shown in.

    read(html) -> Page
    page.elements()                   every element with its parents, styles worked out
    page.outline()                    headings, words, links and cells as lines of text

Mail has its styles on the tags (inline.py put them there), so an element's style is its own attribute over
what it inherits. The dark block of the layout is read as the few clients that follow it do.

Source:  WCAG 2.2, "relative luminance" and "contrast ratio".
Limits:  knows the HTML of mail: no scripts, no selectors but tags and classes, colours as #rrggbb or #rgb.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "wbr"})
_DARK = re.compile(r"@media\s*\(\s*prefers-color-scheme:\s*dark\s*\)\s*\{((?:[^{}]*\{[^{}]*\})*)\s*\}")
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_BLOCKS = frozenset({"p", "td", "th", "h1", "h2", "h3", "li", "div", "title"})


@dataclass
class Element:
    """One element: its tag, attributes, line in the HTML, what stands in it, and what it stands in."""

    tag: str
    attributes: dict[str, str]
    line: int
    parent: "Element | None" = None
    children: "list[Element | str]" = field(default_factory=list)

    @property
    def style(self) -> dict[str, str]:
        """The declarations of its style attribute."""
        pairs = (part.partition(":") for part in self.attributes.get("style", "").split(";"))
        return {name.strip().lower(): value.strip().lower() for name, _, value in pairs if value.strip()}

    @property
    def words(self) -> str:
        """All text in it, blanks as one blank each."""
        return " ".join(
            "".join(child.words if isinstance(child, Element) else child for child in self.children).split()
        )

    @property
    def is_hidden(self) -> bool:
        """Whether it, or what it stands in, is not shown."""
        return any(element.style.get("display") == "none" for element in self.and_parents())

    def and_parents(self) -> "Iterator[Element]":
        """Itself, then what it stands in, outwards."""
        element: Element | None = self
        while element is not None:
            yield element
            element = element.parent


class MailPage(HTMLParser):
    """The tree of one HTML document.

    Attributes:
        root:   stands around everything.
        sheets: the text of all <style>.
        torn:   tags that close nothing, or were never closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {}, 0)
        self.sheets = ""
        self.torn: list[str] = []
        self._at = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.getpos()[0], self._at)
        self._at.children.append(element)
        if tag not in VOID:
            self._at = element

    def handle_endtag(self, tag: str) -> None:
        if self._at.tag == tag and self._at.parent is not None:
            self._at = self._at.parent
        elif tag not in VOID:
            self.torn.append(tag)

    def handle_data(self, data: str) -> None:
        if self._at.tag == "style":
            self.sheets += data
        else:
            self._at.children.append(data)

    def finish(self) -> None:
        """Note what was left open."""
        self.torn += [element.tag for element in self._at.and_parents() if element.tag]

    def elements(self, tag: str | None = None) -> Iterator[Element]:
        """All elements in the order of the document, or those of one tag."""
        waiting = [self.root]
        while waiting:
            element = waiting.pop()
            if element is not self.root and tag in {None, element.tag}:
                yield element
            waiting += [child for child in reversed(element.children) if isinstance(child, Element)]

    def dark_rules(self) -> dict[str, dict[str, str]]:
        """What the dark block says, by selector: `.class` or a tag."""
        rules: dict[str, dict[str, str]] = {}
        for block in _DARK.findall(self.sheets):
            for selectors, body in _RULE.findall(block):
                for selector in selectors.split(","):
                    for declaration in body.split(";"):
                        name, _, value = declaration.partition(":")
                        if value:
                            value = value.replace("!important", "").strip().lower()
                            rules.setdefault(selector.strip().lower(), {})[name.strip().lower()] = value
        return rules

    def links(self) -> list[str]:
        """Where its links lead, in order, each once."""
        return list(
            dict.fromkeys(element.attributes["href"] for element in self.elements("a") if "href" in element.attributes)
        )

    def outline(self) -> str:
        """Its visible words, a block a line: `h1: ...`, links with their address, images with their text."""
        lines: list[str] = []
        for element in self.elements():
            if element.tag not in _BLOCKS or element.is_hidden:
                continue
            said = " ".join(_inline(element).split())
            if said:
                lines.append(f"{element.tag}: {said}")
        return "\n".join(lines) + "\n"


def read(html: str) -> MailPage:
    """The page of an HTML text; whatever the text is."""
    page = MailPage()
    page.feed(html)
    page.close()
    page.finish()
    return page


def shown(element: Element, name: str, dark: dict[str, dict[str, str]], fallback: str) -> str:
    """A colour as it shows at an element, its own or what lies behind: `color` or `background-color`.

    Args:
        dark:     the rules of the dark block; empty: the light page.
        fallback: where nothing says.
    """
    for one in element.and_parents():
        selectors = [f".{word}" for word in one.attributes.get("class", "").lower().split()] + [one.tag]
        for selector in selectors:
            if name in dark.get(selector, {}):
                return dark[selector][name]
        if name in one.style:
            return one.style[name]
        if name == "background-color" and "bgcolor" in one.attributes:
            return one.attributes["bgcolor"].lower()
    return fallback


def contrast(one: str, other: str) -> float | None:
    """The contrast ratio of two colours, 1 to 21; None where one of them is not written as #rrggbb or #rgb."""
    first, second = _luminance(one), _luminance(other)
    if first is None or second is None:
        return None
    darker, lighter = sorted((first, second))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float | None:
    if re.fullmatch(r"#[0-9a-f]{3}", colour):
        colour = "#" + "".join(digit * 2 for digit in colour[1:])
    if not re.fullmatch(r"#[0-9a-f]{6}", colour):
        return None
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _inline(element: Element) -> str:
    """The words of a block without those of the blocks in it."""
    out: list[str] = []
    for child in element.children:
        if isinstance(child, str):
            out.append(child)
        elif child.tag == "br":
            out.append(" / ")
        elif child.tag == "img":
            out.append(f"[{child.attributes.get('alt', '?')}]")
        elif child.tag == "a":
            out.append(f"{_inline(child)} <{child.attributes.get('href', '')}>")
        elif child.tag not in _BLOCKS and child.tag != "table":
            out.append(_inline(child))
    return "".join(out)
