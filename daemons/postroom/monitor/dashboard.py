"""The dashboard: HTML from a snapshot, without scripts, without anything from elsewhere.

The style sheet stands in the page, and its hash is what the Content-Security-Policy lets through; all else
the policy forbids, so that even a word that found its way in unescaped could load and run nothing.

Source:  CSP Level 3, "style-src" with hashes; WCAG 2.2 (contrast 4.5:1, tables with headings).
"""

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from postroom.monitor import figures
from postroom.monitor.chart import chart
from postroom.monitor.counters import HOUR_S
from postroom.monitor.health import Health, span
from postroom.monitor.snapshot import Snapshot, Unanswered

PAGES = Path(__file__).resolve().parent / "pages"
REFRESH_S = 60
NOT_KNOWN = "\N{EN DASH}"


class Dashboard:
    """The dashboard of one host.

    Args:
        hostname: in its title.
        folder:   the templates.
    """

    def __init__(self, hostname: str, folder: Path = PAGES) -> None:
        self._hostname = hostname
        self._css = (folder / "dashboard.css").read_text(encoding="utf-8")
        environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(number=number, clock=clock, span=span, words=words)
        self._template = environment.get_template("dashboard.html")

    @property
    def policy(self) -> str:
        """The Content-Security-Policy of the page."""
        digest = base64.b64encode(hashlib.sha256(self._css.encode("utf-8")).digest()).decode("ascii")
        return (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )

    def render(self, snapshot: Snapshot, health: Health) -> str:
        """The page, as HTML, for one snapshot and its findings."""
        outcomes = () if isinstance(snapshot.outcomes, Unanswered) else snapshot.outcomes
        bars = figures.bars(outcomes, snapshot.since)
        became = figures.became(outcomes)
        return self._template.render(
            css=self._css,
            hostname=self._hostname,
            refresh_s=REFRESH_S,
            at=snapshot.at,
            since=snapshot.since,
            watched_since=snapshot.at - snapshot.watched_s,
            is_hour_watched=snapshot.watched_s >= HOUR_S,
            health=health,
            is_track_known=not isinstance(snapshot.outcomes, Unanswered),
            bars=bars,
            chart=chart(bars),
            became=became,
            bounces=figures.bounces(outcomes),
            came_in=figures.came_in(snapshot),
            on_the_way=figures.on_the_way(snapshot),
            tries=figures.tries(snapshot),
            waiting=figures.waiting(snapshot),
        )


def number(value: float | None) -> str:
    """A count as one reads it: 12 345, with narrow spaces; a dash when it is not known."""
    return NOT_KNOWN if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def words(text: str) -> Markup:
    """A text of ours as HTML: what stands between backquotes is code, as in the docs."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in parts)


def clock(seconds: float) -> str:
    """Unix seconds as hour and minute, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M")
