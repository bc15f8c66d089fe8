"""dashboard.py: what one reads, and that nothing but the page's own style can be loaded or run."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from tests.monitor.conftest import DAEMONS, EXPECTED, NOW, make_snapshot

from postroom.mail.states import State
from postroom.monitor.dashboard import NOT_KNOWN, PAGES, Dashboard, number
from postroom.monitor.health import judge
from postroom.monitor.snapshot import Snapshot, Unanswered
from postroom.store.track.history import OutcomeCount

VOID = {"meta", "line", "rect", "link", "br", "img"}


class Tags(HTMLParser):
    """Collects tags and attributes, and sees that each that opens closes in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not (self.open and self.open[-1] == "style"):
            self.text.append(data)


def rendered(snapshot: Snapshot, hostname: str = "mail.example.org") -> str:
    return Dashboard(hostname).render(snapshot, judge(snapshot, EXPECTED))


def read(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    assert tags.open == []
    return tags


def text(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(read(html).text))


ILL = make_snapshot(
    shared=Unanswered("/x/shared.db: gone; mend: `postroom store init`"),
    limits=Unanswered("no answer within 2 s"),
    outcomes=Unanswered("/x/track.db: gone"),
    queue=Unanswered("/x/showq: gone"),
    ages={},
    watched_s=0.0,
)


def test_a_host_that_is_well_says_so_first() -> None:
    """Then what waits, what became of mail, and the tables."""
    html = rendered(
        make_snapshot(
            outcomes=[OutcomeCount(3, State.DELIVERED, "2.0.0", 12_345), OutcomeCount(4, State.BOUNCED, "5.1.1", 2)]
        )
    )
    shown = text(html)
    assert "All is well" in shown
    assert "mail.example.org \N{EN DASH} Postroom" in shown
    assert "12\N{NARROW NO-BREAK SPACE}345" in html
    assert "the address" in shown
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert headings[:3] == ["All is well", "Waiting now", "What became of the API's mail"]
    assert all(word in shown for word in DAEMONS)


def test_findings_stand_at_the_top_in_plain_words() -> None:
    """What, where, how to mend; and the title tells without looking."""
    html = rendered(make_snapshot(ages={**{word: [1.0] for word in DAEMONS}, "watcher": [40.0]}))
    shown = text(html)
    assert "Something is wrong watcher: no heartbeat for 40 s Where: postroom-watcher Mend:" in shown
    assert "<code>systemctl status postroom-watcher</code>" in html
    assert "<title>! mail.example.org" in html
    assert html.index("no heartbeat for 40 s") < html.index("Waiting now")
    assert "All is well" not in shown


def test_a_notice_is_no_alarm() -> None:
    """The title stays as it is."""
    html = rendered(make_snapshot(grown={"postroom_watcher_gaps_total": 1.0}))
    assert "Worth a look" in html
    assert "<title>mail.example.org" in html


def test_with_nothing_to_read_the_page_still_comes() -> None:
    """Dashes and findings; no number is made up."""
    html = rendered(ILL)
    assert "It is not known" in text(html)
    assert "<svg" not in html
    assert set(re.findall(r'<td class="n">(.*?)</td>', html)) == {NOT_KNOWN}
    assert set(re.findall(r"<dd>(.)", html)) == {NOT_KNOWN}


def test_the_page_says_since_when_it_watches() -> None:
    """A monitor that began ten minutes ago has not seen an hour of the daemons' counts."""
    assert f"but only from {_clock(NOW - 600)} UTC on" in text(rendered(make_snapshot(watched_s=600.0)))
    assert "but only from" not in text(rendered(make_snapshot(watched_s=3_600.0)))


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600 % 24):02}:{int(seconds // 60 % 60):02}"


@pytest.mark.parametrize("snapshot", [make_snapshot(), ILL], ids=["well", "ill"])
def test_nothing_is_loaded_and_nothing_runs(snapshot: Snapshot) -> None:
    """No script, no handler, no address of elsewhere, no style but the one whose hash the policy has."""
    page = Dashboard("mail.example.org")
    html = page.render(snapshot, judge(snapshot, EXPECTED))
    for tag, attributes in read(html).seen:
        assert tag not in {"script", "link", "img", "iframe", "object", "form", "base"}
        assert not any(name.startswith("on") or name in {"style", "src"} for name in attributes)
        assert attributes.get("href") in {None, "/healthz", "/metrics"}
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    assert page.policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_words_are_words() -> None:
    """A daemon's word, a reason, a host name that are HTML are shown, not read."""
    evil = "<script>alert(1)</script>&\"'"
    snapshot = make_snapshot(queue=Unanswered(f"{evil}`{evil}`"), ages={evil: [1.0]})
    html = rendered(snapshot, hostname=evil)
    assert "<script" not in html
    assert "<code>&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39;</code>" in html
    tags = read(html)
    assert any(evil in piece for piece in tags.text)


def test_every_section_has_its_own_heading() -> None:
    """Headings are named by id once, and every section is labelled by one: a screen reader lists them."""
    tags = read(rendered(make_snapshot(outcomes=[OutcomeCount(0, State.BOUNCED, "5.1.1", 1)]))).seen
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = [attributes.get("aria-labelledby") for tag, attributes in tags if tag == "section"]
    assert labelled == ids
    assert [tag for tag, _ in tags if tag == "h1"] == ["h1"]
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_words_stand_out_from_their_ground_in_light_and_dark() -> None:
    """At least 4.5:1 for every colour of words on both grounds, 3:1 for bars (WCAG 2.2, 1.4.3 and 1.4.11)."""
    themes = re.findall(r":root \{(.*?)\}", (PAGES / "dashboard.css").read_text(encoding="utf-8"), re.DOTALL)
    assert len(themes) == 2
    for theme in themes:
        colours = {name: _luminance(value) for name, value in re.findall(r"--([a-z-]+): #([0-9a-f]+)", theme)}
        for ground in ("paper", "card"):
            for name, least in {
                **dict.fromkeys(("ink", "soft", "good", "wait", "bad"), 4.5),
                **dict.fromkeys(("bar-good", "bar-wait", "bar-bad"), 3.0),
            }.items():
                darker, lighter = sorted((colours[ground], colours[name]))
                ratio = (lighter + 0.05) / (darker + 0.05)
                assert ratio >= least, f"{name} on {ground}: {ratio:.2f}"


@pytest.mark.parametrize(("value", "shown"), [(None, NOT_KNOWN), (0, "0"), (999.4, "999"), (1_234_567, "1 234 567")])
def test_numbers_are_grouped(value: float | None, shown: str) -> None:
    """By narrow spaces, which every language reads."""
    assert number(value) == shown.replace(" ", "\N{NARROW NO-BREAK SPACE}")
