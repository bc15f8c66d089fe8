"""The docs are part of the program: what an operator or client can meet is written down, and only that."""

import re
from pathlib import Path

import click
import pytest

from postroom.bounces.classes import CLASSES
from postroom.config.sections.suppression import SuppressionSection
from postroom.ctl.main import postroom
from postroom.mail.states import State
from postroom.milter.sign import Unsigned
from postroom.monitor.metric_help import HELP
from postroom.submission.api.problem import TITLES
from postroom.suppression.configured import proof_rules

ROOT = Path(__file__).resolve().parents[1]
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "daemons").rglob("*.py")))
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def first_column(text: str, heading: str) -> set[str]:
    """The code words in the first column of the table below a heading."""
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {
        word for row in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE) for word in re.findall(r"`(.*?)`", row)
    }


def test_every_log_event_is_documented_and_no_other() -> None:
    """The table of events in docs/operating.md is the events the code can log."""
    logged = set(re.findall(r'\b_?log\.(?:debug|info|warning|error|critical)\(\s*"([a-z_.]+)"', SOURCES))
    logged |= set(re.findall(r'_to\(level, "([a-z_.]+)"', SOURCES))
    assert first_column(OPERATING, "Log") == logged


def test_every_metric_is_documented_and_no_other() -> None:
    """The table of metrics in docs/operating.md is the metrics the code counts, and says what /metrics says of them."""
    section = OPERATING.split("## Metrics\n", 1)[1].split("\n## ", 1)[0]
    assert dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", section, re.MULTILINE)) == HELP
    room = ROOT / "daemons" / "postroom" / "monitor"
    only_reads = {*room.glob("*.py")} - {room / "server.py", room / "exposition.py"}
    counting = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "daemons").rglob("*.py") if path not in only_reads
    ).replace("{request.context}", "{door}")
    named = re.findall(
        r"""["'](postroom_(?:policy|submission|milter|watcher|monitor)_[a-z_{}]+?)(?:\{\{.*\}\})?["']""", counting
    )
    assert set(named) == set(HELP)


def test_every_reason_not_to_sign_is_documented_and_no_other() -> None:
    """The table in docs/operating.md is the reasons there are."""
    assert first_column(OPERATING, "Signing") == {str(reason) for reason in Unsigned}


def test_every_class_of_bounces_is_documented_as_it_is() -> None:
    """The table in docs/operating.md says whose fault each is, what follows, and for how long by default."""
    section = OPERATING.split("## Bounces\n", 1)[1].split("\n## ", 1)[0]
    kept = proof_rules(SuppressionSection())
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| (?:(\d+) days)? ?\|", section, re.MULTILINE)
    assert {(name, bucket, suppress, float(days or 0) * 86_400) for name, bucket, suppress, days in rows} == {
        (each.name, each.bucket, each.suppress, kept[each.name].kept_s if each.name in kept else 0.0)
        for each in CLASSES.values()
    }


def test_every_command_is_documented() -> None:
    """Each command of the tool has a row in docs/operating.md."""

    def names(command: click.Command, before: str) -> set[str]:
        if isinstance(command, click.Group):
            return {name for below in command.commands.values() for name in names(below, f"{before} {below.name}")}
        return {before}

    shown = {
        " ".join(word for word in row.split() if not word.isupper()) for row in first_column(OPERATING, "The command")
    }
    assert shown == names(postroom, "postroom")


@pytest.mark.parametrize("code", sorted(TITLES))
def test_every_problem_code_is_documented(code: str) -> None:
    """Each code of a refusal has a row in docs/api.md."""
    assert re.search(rf"^\| \d{{3}} \| `{code}` \|", API, re.MULTILINE)


def test_every_state_is_documented_and_no_other() -> None:
    """The table of states in docs/api.md is the states there are."""
    assert first_column(API, "GET /v1/messages/{id}") == {str(state) for state in State}


def test_every_link_in_the_docs_leads_somewhere() -> None:
    """Relative links in README, ARCHITECTURE, CHANGELOG and docs/ point to files that exist."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_test_that_the_docs_name_is_there() -> None:
    """What somebody cannot do is shown by a test; its path leads to one."""
    named = {
        path
        for file in (ROOT / "docs").glob("*.md")
        for path in re.findall(r"`((?:tests|scripts)/[\w/.]+)`", file.read_text())
    }
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
