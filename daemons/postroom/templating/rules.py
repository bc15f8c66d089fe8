"""The rules of lint for one rendered mail: one rule, one function.

Each is given a mail and says what is wrong and how to mend it, once for each place. MAIL_RULES names them,
with the file that is most likely at fault.

Source:  WCAG 2.2 (1.1.1 alt, 1.3.1 headings and tables, 1.4.3 contrast, 1.4.10 reflow at 320 CSS pixels,
         3.1.1 language); Gmail cuts HTML at about 102 kB.
Limits:  a colour that is no #rrggbb or #rgb is not judged.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from postroom.templating import page as pages
from postroom.templating.page import MailPage
from postroom.templating.render import Rendered

HTML_BYTES = 100_000
NARROW_PX = 320
SMALLEST_PX = 12
CONTRAST = 4.5
SUBJECT_CHARS = 120

Said = Iterator[tuple[str, str]]
"""What is wrong, and how to mend it."""

_GIVEN = {"lang": "locale", "dir": "dir"}
_FETCHED = ("src", "srcset", "background", "poster", "data")


@dataclass(frozen=True)
class RenderedTrial:
    """One rendered trial of a template, and its HTML as a page."""

    trial: str
    rendered: Rendered
    page: MailPage


def short(text: str) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= 60 else text[:57] + "..."


def _language(mail: RenderedTrial) -> Said:
    html = next(mail.page.elements("html"), None)
    for name, wanted in (("lang", mail.rendered.locale), ("dir", None)):
        value = html.attributes.get(name, "") if html else ""
        if not value or (wanted and value != wanted):
            yield (
                f"<html> has no {name}{f'={wanted}' if wanted else ''}",
                f'write <html {name}="{{{{ {_GIVEN[name]} }}}}">',
            )


def _title(mail: RenderedTrial) -> Said:
    title = next(mail.page.elements("title"), None)
    if title is None or not title.words:
        yield "there is no <title>", "write <title>{{ subject }}</title>"


def _tables(mail: RenderedTrial) -> Said:
    for table in mail.page.elements("table"):
        cells = [element for element in mail.page.elements("th") if table in element.and_parents()]
        if table.attributes.get("role") == "presentation":
            continue
        if not any(cell.attributes.get("scope") for cell in cells):
            yield (
                "a table for layout is read out as data",
                'write role="presentation", or give a table of data <th scope="...">',
            )


def _headings(mail: RenderedTrial) -> Said:
    levels = [int(element.tag[1]) for element in mail.page.elements() if re.fullmatch("h[1-6]", element.tag)]
    if levels.count(1) != 1:
        yield f"there are {levels.count(1)} <h1>", "write one, that says what the mail is about"
    if any(later > earlier + 1 for earlier, later in pairwise(levels)):
        yield "a heading skips a level", "go down one level at a time"


def _alternatives(mail: RenderedTrial) -> Said:
    for image in mail.page.elements("img"):
        if "alt" not in image.attributes:
            yield "an image has no alt", 'write alt="..."; alt="" for one that only decorates'


def _contrast(mail: RenderedTrial) -> Said:
    for mode, dark in (("light", {}), ("dark", mail.page.dark_rules())):
        if mode == "dark" and not dark:
            continue
        for element in mail.page.elements():
            if element.is_hidden or not any(isinstance(child, str) and child.strip() for child in element.children):
                continue
            if element.tag in {"title", "html", "head"}:
                continue
            ink = pages.shown(element, "color", dark, "#000000")
            ground = pages.shown(element, "background-color", dark, "#ffffff")
            ratio = pages.contrast(ink, ground)
            if ratio is not None and ratio < CONTRAST:
                named = element.attributes.get("class") or element.tag
                yield (
                    f"'{named}' has a contrast of {ratio:.1f}:1 in {mode}: {ink} on {ground}",
                    f"choose colours with at least {CONTRAST}:1",
                )


def _colour_schemes(mail: RenderedTrial) -> Said:
    metas = {
        element.attributes.get("name"): element.attributes.get("content") for element in mail.page.elements("meta")
    }
    if metas.get("color-scheme") != "light dark":
        yield "the meta color-scheme is missing", '<meta name="color-scheme" content="light dark"> in <head>'
    if not mail.page.dark_rules():
        yield "there is no dark block", "keep @media (prefers-color-scheme: dark) in the <style> of the layout"


def _bare_address(mail: RenderedTrial) -> Said:
    words = mail.page.root.words
    for link in mail.page.elements("a"):
        address = link.attributes.get("href", "")
        if "button" in link.attributes.get("class", "") and address not in words:
            yield "the address of a button is not written below it", "write it out, for programs that show no buttons"


def _nothing_remote(mail: RenderedTrial) -> Said:
    for element in mail.page.elements():
        source = next((element.attributes[name] for name in _FETCHED if name in element.attributes), "cid:")
        if element.tag in {"link", "iframe", "object", "embed", "video", "audio"} or not source.startswith("cid:"):
            yield (
                f"<{element.tag}> fetches something when the mail is opened",
                "send it inside the mail (brand.logo), or leave it out: fetching tells who reads",
            )
    if re.search(r"url\s*\(|@import|@font-face", mail.rendered.html):
        yield "a style fetches something when the mail is opened", "remove url(), @import and @font-face"


def _small_enough(mail: RenderedTrial) -> Said:
    if len(mail.rendered.html.encode()) > HTML_BYTES:
        yield f"the HTML is larger than {HTML_BYTES} bytes", "shorten it; Gmail cuts it off"


def _narrow_enough(mail: RenderedTrial) -> Said:
    for element in mail.page.elements():
        wanted = [
            element.style.get("width", ""),
            element.style.get("min-width", ""),
            element.attributes.get("width", ""),
        ]
        if any(size and int(size[1]) > NARROW_PX for size in (re.fullmatch(r"(\d+)(?:px)?", text) for text in wanted)):
            yield f"<{element.tag}> is wider than a telephone", "give it width 100% and a max-width"


def _large_enough(mail: RenderedTrial) -> Said:
    for element in mail.page.elements():
        size = re.fullmatch(r"(\d+)px", element.style.get("font-size", ""))
        if size and 0 < int(size[1]) < SMALLEST_PX and element.words and not element.is_hidden:
            yield f"<{element.tag}> has letters of {size[1]} pixels", f"make them at least {SMALLEST_PX}"


def _well_formed(mail: RenderedTrial) -> Said:
    for tag in mail.page.torn:
        yield f"<{tag}> is opened or closed in the wrong place", "close every tag where it belongs"


def _same_links(mail: RenderedTrial) -> Said:
    ours = {link for link in mail.page.links() if link.startswith(("http://", "https://"))}
    written = {word.rstrip(".,;:)>") for word in re.findall(r"https?://\S+", mail.rendered.text)}
    for link in sorted(ours - {other for other in ours if other in mail.rendered.text}):
        yield f"the HTML has a link that the text lacks: {short(link)}", "write it in body.txt too"
    for link in sorted(written - ours):
        yield f"the text has a link that the HTML lacks: {short(link)}", "write it in body.html too"


def _subject_length(mail: RenderedTrial) -> Said:
    if len(mail.rendered.subject) > SUBJECT_CHARS:
        yield f"the subject has more than {SUBJECT_CHARS} characters", "shorten it; mail programs cut it off"


MAIL_RULES: dict[str, tuple[str, Callable[[RenderedTrial], Said]]] = {
    "language": ("body.html", _language),
    "title": ("body.html", _title),
    "table-role": ("body.html", _tables),
    "headings": ("body.html", _headings),
    "alt-text": ("body.html", _alternatives),
    "contrast": ("body.html", _contrast),
    "color-scheme": ("body.html", _colour_schemes),
    "bare-url": ("body.html", _bare_address),
    "remote-content": ("body.html", _nothing_remote),
    "size": ("body.html", _small_enough),
    "too-wide": ("body.html", _narrow_enough),
    "too-small": ("body.html", _large_enough),
    "well-formed": ("body.html", _well_formed),
    "links-differ": ("body.txt", _same_links),
    "subject-length": ("subject.txt", _subject_length),
}
