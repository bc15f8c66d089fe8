"""The templates in a real browser: nothing is fetched, nothing overflows, axe-core and tidy(1) have nothing to say.

Each template once here, in one language; scripts/screenshots looks at all of them.
"""

from collections.abc import Iterator

import pytest

from postroom.templating import Catalogue
from sandbox.chromium import Chromium
from sandbox.screenshots import AXE, BRAND, CHECKOUT, Shot, examine, shots, tidied

pytestmark = pytest.mark.browser

SHOTS = list(shots(Catalogue.load([CHECKOUT / "templates"], BRAND), samples=True))
CHOSEN = [shot for number, shot in enumerate(SHOTS) if number % 9 == 0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as running:
        yield running


@pytest.fixture(scope="module")
def axe() -> str:
    return AXE.read_text(encoding="utf-8")


@pytest.mark.parametrize("shot", CHOSEN, ids=lambda shot: shot.name)
def test_template_is_whole_on_a_telephone_in_the_dark_and_on_a_desk(browser: Chromium, axe: str, shot: Shot) -> None:
    """320 pixels dark, 600 pixels light: the two that differ most."""
    for width, dark in ((320, True), (600, False)):
        png, findings = examine(browser, shot, width, dark=dark, axe=axe)
        assert findings == []
        assert png.startswith(b"\x89PNG")


def test_every_template_language_and_sample_is_chosen_from() -> None:
    """The chosen few are of all families and languages."""
    assert {shot.mail.name for shot in CHOSEN} == {shot.mail.name for shot in SHOTS}
    assert {shot.mail.locale for shot in CHOSEN} == {"de", "en", "es", "fr"}


def test_html_of_every_mail_is_tidy() -> None:
    """Debian's tidy(1) has no errors and no warnings but about the attributes that mail needs."""
    assert [(shot.name, line) for shot in SHOTS for line in tidied(shot.mail.html)] == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ('<img src="https://evil.example/open.gif" alt="">', "asks for https://evil.example/open.gif"),
        ("<style>@import url(https://evil.example/x.css);</style>", "asks for https://evil.example/x.css"),
        ('<p style="color: #bbbbbb; background-color: #ffffff">Pale</p>', "axe: color-contrast: p"),
        ('<table width="700" role="presentation"><tr><td>Wide</td></tr></table>', "pixels wider than the window"),
    ],
)
def test_browser_notices_what_is_wrong(browser: Chromium, axe: str, fault: str, told: str) -> None:
    """A check that cannot fail would prove nothing."""
    mail = SHOTS[0].mail._replace(html=SHOTS[0].mail.html.replace("</h1>", f"</h1>{fault}"))
    _, findings = examine(browser, Shot("broken", mail), 600, dark=False, axe=axe)
    assert [finding for finding in findings if told in finding]
    assert tidied("<!doctype html><html lang=en><title>t</title><p><b>x</p></html>") != []
