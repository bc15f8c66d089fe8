"""The quickstart's report is aligned and not too wide, and its verdict is the table's."""

import shlex
from dataclasses import replace
from pathlib import Path

from sandbox.quickstart.judgement import Row
from sandbox.quickstart.mails import AGAIN, FIRST
from sandbox.quickstart.report import release_lines, send_lines, table, verdict

RIGHT = Row("template", "socket", "ada@example.net", "yes", "1/3", "delivered", "Grüße", ())
WRONG = Row("日本", "smtp", "b@example.net", "-", "0/3", "refused", "no", ("it is refused, not sent: no such user",))


def test_columns_stand_below_their_titles() -> None:
    """Wide characters take two columns of a terminal."""
    title, right, wrong, fault = table([RIGHT, WRONG], colour=False).splitlines()[:4]
    assert right == "ok     template  socket  ada@example.net  yes     1/3    delivered  Grüße"
    assert wrong == "WRONG  日本      smtp    b@example.net    -       0/3    refused    no"
    assert title == "       mail      door    recipient        signed  limit  state      reason"
    assert fault == "      it is refused, not sent: no such user"


def test_the_trials_table_fits_a_terminal_of_100_columns() -> None:
    """The longest reason goes on below itself."""
    longest = replace(RIGHT, reason="550 5.1.1 suppressed: invalid_recipient")
    rows = [replace(longest, title=mail.title, door=mail.door, recipient=mail.recipient) for mail in (*FIRST, *AGAIN)]
    lines = table(rows, colour=False).splitlines()
    assert max(map(len, lines)) <= 100
    first, second = lines[1:3]
    assert first.endswith("  550 5.1.1 suppressed:")
    assert second == " " * first.index("550") + "invalid_recipient"


def test_the_verdict_counts_wrong_rows() -> None:
    """One wrong row is enough."""
    assert verdict([RIGHT], colour=False) == "  All 1 as they should be."
    assert verdict([RIGHT, WRONG], colour=False) == "  1 of 2 are WRONG."


def test_colours_only_when_asked() -> None:
    """A pipe gets plain text."""
    assert "\x1b" not in table([RIGHT], colour=False) + verdict([WRONG], colour=False)
    assert "\x1b[32mok\x1b[0m" in table([RIGHT], colour=True)


def test_the_lines_to_send_with_are_whole_shell_commands() -> None:
    """Each is one command for a shell, quotes and continued lines included."""
    config, postfix = Path("postroom.yaml"), Path("postfix/conf")
    sends = send_lines(Path("run/submission.sock"), 10587, config, postfix, "sudo ")
    for line in (*sends, *release_lines(config, postfix, "sudo ")):
        words = shlex.split(line.replace("\\\n", " "))
        assert words[0] in ("curl", "scripts/postroom", "printf", "sudo")
        assert line not in sends or any("me@example.org" in word for word in words)
        assert max(map(len, line.splitlines())) <= 100
