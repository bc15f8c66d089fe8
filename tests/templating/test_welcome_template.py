"""The shipped `welcome`: word for word, and the properties that make it good mail."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue, Template

GOLDEN = Path(__file__).parent / "golden"
DATA = {
    "first_name": "Ada <Lovelace> & Co",
    "action_url": "https://www.example.org/start?token=5b1c0e9a7d&next=%2F",
    "login": "ada@example.org",
}
VOID = {"br", "meta"}


class Page(HTMLParser):
    """The HTML as a mail client meets it: tags with their attributes, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.titles: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title":
            self.titles.append(data)


@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_welcome_is_rendered_word_for_word(welcome: Template, part: str) -> None:
    """Any change of the mail people get shows in golden/."""
    assert getattr(welcome.render("en", DATA), part) == (GOLDEN / f"welcome.{part}").read_text("utf-8").removesuffix(
        "\n" if part == "subject" else ""
    )


def test_optional_login_may_be_absent(welcome: Template) -> None:
    """Without a login neither part speaks of signing in as somebody, and nothing reads None."""
    mail = welcome.render("en", {name: DATA[name] for name in ("first_name", "action_url")})
    for part in (mail.text, mail.html):
        assert "sign in as" not in part
        assert "None" not in part


def test_html_is_well_formed_and_tells_language_direction_and_title(welcome: Template) -> None:
    """Screen readers need lang, dir, a title and a real heading, and must not read layout tables as data."""
    page = Page(welcome.render("en", DATA).html)
    assert page.open == []
    root = next(attributes for tag, attributes in page.tags if tag == "html")
    assert (root["lang"], root["dir"]) == ("en", "ltr")
    assert page.titles == ["Welcome to Example Books, Ada <Lovelace> & Co"]
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert all(attributes["role"] == "presentation" for tag, attributes in page.tags if tag == "table")


def test_html_fetches_nothing(welcome: Template) -> None:
    """No image, sheet, font or frame is loaded: opening the mail tells nobody (promise P7)."""
    html = welcome.render("en", DATA).html
    page = Page(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "link", "script", "iframe", "object", "video", "audio"})
    for _, attributes in page.tags:
        assert attributes.keys().isdisjoint({"src", "srcset", "background", "poster", "data", "action"})
    assert not re.search(r"url\s*\(|@import|@font-face", html)


def test_links_lead_where_they_say(welcome: Template) -> None:
    """The button, and the same address bare below it; the rest are the brand's own."""
    page = Page(welcome.render("en", DATA).html)
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links.count(DATA["action_url"]) == 2
    assert set(links) == {DATA["action_url"], "https://www.example.org/", "mailto:support@example.org"}
    assert f">{DATA['action_url'].replace('&', '&amp;')}</a>" in welcome.render("en", DATA).html
    assert DATA["action_url"] in welcome.render("en", DATA).text.splitlines()


def test_styles_stand_on_the_tags_and_dark_mode_in_the_head(welcome: Template) -> None:
    """Clients that drop <style> still show the mail; those that do not can turn it dark."""
    html = welcome.render("en", DATA).html
    page = Page(html)
    assert all(attributes.get("style") for tag, attributes in page.tags if attributes.get("class"))
    assert "@media (prefers-color-scheme: dark)" in html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "var(" not in html


def test_html_is_too_small_to_be_clipped(welcome: Template) -> None:
    """Gmail cuts a message at about 102 kB."""
    assert len(welcome.render("en", DATA).html.encode()) < 20_000


def colours(css: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for selectors, rules in re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)):
        for selector in selectors.split(","):
            for rule, colour in re.findall(r"(?:^|[\s;])(color|background-color):\s*(#[0-9a-f]{6})", rules):
                found.setdefault(selector.strip(), {})[rule] = colour
    return found


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        (".card", ".card"), ("h1", ".card"), ("h2", ".card"), (".fine", ".card"), (".link", ".card"),
        (".bare-url", ".card"), (".panel-cell", ".panel-cell"), (".masthead-link", ".page"), (".footer", ".page"),
        (".footer-link", ".page"),
    ],
)  # fmt: skip
def test_text_contrasts_with_its_ground_in_light_and_dark(basis: Path, mode: str, text: str, ground: str) -> None:
    """At least 4.5:1 (WCAG 2.2, 1.4.3), whether the client follows the dark block or not."""
    if mode == "light":
        found = colours((basis / "_layout/mail.css").read_text("utf-8"))
    else:
        layout = (basis / "_layout/layout.html").read_text("utf-8")
        found = colours(layout.split("@media (prefers-color-scheme: dark) {")[1].split("</style>")[0])
    assert contrast(found[text]["color"], found[ground]["background-color"]) >= 4.5


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#777777", "#767676", "#1a5fb4", "#ffd60a", "#00ff00"])
def test_button_can_be_read_on_any_brand_colour(basis: Path, colour: str) -> None:
    """The ink of the button is black or white, whichever contrasts with the brand at least 4.5:1."""
    brand = Brand("Example", "https://www.example.org/", "", "", colour)
    html = Catalogue.load([basis], brand).get("welcome").render("en", DATA).html
    ((style, ground),) = [
        (attributes["style"] or "", before["bgcolor"] or "")
        for (_, before), (_, attributes) in zip(Page(html).tags, Page(html).tags[1:], strict=False)
        if attributes.get("class") == "button-link"
    ]
    ink = re.findall(r"(?<![-\w])color: (#[0-9a-f]{6})", style)[0]
    assert ground == colour
    assert contrast(ink, ground) >= 4.5
