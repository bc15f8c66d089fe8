"""The quickstart's report is aligned, and its verdict is the table's."""

import shlex
from pathlib import Path

from sandbox.report import send_lines, table, verdict
from sandbox.trial import Row

RIGHT = Row("template", "ada@example.net", "queued", "AAAA1", "sent", "Grüße (plain)", ())
WRONG = Row("日本", "b@example.net", "failed", "", "", "nothing", ("the API says failed: no such user",))


def test_columns_stand_below_their_titles() -> None:
    """Wide characters take two columns of a terminal."""
    title, right, wrong, fault = table([RIGHT, WRONG], colour=False).splitlines()
    assert right == "  template  ada@example.net  queued  AAAA1     sent  Grüße (plain)  ok"
    assert wrong == "  日本      b@example.net    failed                  nothing        WRONG"
    assert title == "  mail      recipient        API     queue id  log   arrived"
    assert fault == "      the API says failed: no such user"


def test_the_verdict_counts_wrong_rows() -> None:
    """One wrong row is enough."""
    assert verdict([RIGHT], colour=False) == "  All 1 as they should be."
    assert verdict([RIGHT, WRONG], colour=False) == "  1 of 2 are WRONG."


def test_colours_only_when_asked() -> None:
    """A pipe gets plain text."""
    assert "\x1b" not in table([RIGHT, WRONG], colour=False) + verdict([WRONG], colour=False)
    assert "\x1b[32mok\x1b[0m" in table([RIGHT], colour=True)


def test_the_lines_to_send_with_are_whole_shell_commands() -> None:
    """Each is one command for a shell, quotes and continued lines included."""
    for line in send_lines(Path("run/submission.sock"), Path("postroom.yaml")):
        words = shlex.split(line.replace("\\\n", " "))
        assert words[0] in ("curl", "scripts/postroom")
        assert "me@example.org" in line
