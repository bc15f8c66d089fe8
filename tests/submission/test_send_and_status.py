"""`postroom send` and `postroom status`: clients like any other, with exit codes for scripts."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.submission.conftest import assert_private

from sandbox.daemon import SubmissionDaemon

pytestmark = pytest.mark.process

TO = ("--from", "shop@example.org", "--to", "zaphod@example.net")


@pytest.fixture(scope="module")
def daemon() -> Iterator[SubmissionDaemon]:
    """A daemon without a Postfix."""
    with tempfile.TemporaryDirectory(prefix="bed-") as folder:
        with SubmissionDaemon(Path(folder) / "d", Path(folder)) as daemon:
            yield daemon
        assert_private(daemon.log())


def test_a_message_of_ones_own_is_sent(daemon: SubmissionDaemon) -> None:
    """The id is printed; `status` knows it."""
    sent = daemon.command("send", *TO, "--subject", "Quokka", "--text", "-", stdin="The Quokka is well.\n")
    assert (sent.returncode, sent.stdout.split()[0]) == (0, "accepted")
    message = sent.stdout.split()[1]
    status = daemon.command("status", message)
    assert status.returncode == 0
    assert message in status.stdout
    assert "z…@example.net  accepted" in status.stdout
    assert "zaphod@" not in status.stdout


def test_a_template_is_sent_with_variables_from_file_and_command_line(daemon: SubmissionDaemon, bed: Path) -> None:
    """-D wins over --data; with a key it stays one message."""
    data = bed / "data.json"
    data.write_text('{"first_name": "nobody", "action_url": "https://example.org/"}', encoding="utf-8")
    options = ("--template", "welcome", "--data", str(data), "-D", "first_name=Zaphod", "--locale", "en")
    first = daemon.command("send", *TO, *options, "--idempotency-key", "k", "--json")
    again = daemon.command("send", *TO, *options, "--idempotency-key", "k", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == json.loads(again.stdout)


def test_a_refusal_is_exit_1_with_each_fault_on_a_line(daemon: SubmissionDaemon) -> None:
    """On stderr, with its pointer."""
    refused = daemon.command("send", "--from", "bad", "--to", "a@example.net", "--template", "welcome")
    assert (refused.returncode, refused.stdout) == (1, "")
    lines = refused.stderr.splitlines()
    assert lines[0].startswith("refused: 3 faults")
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "/from",
        "/template/data/first_name",
        "/template/data/action_url",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "shop@example.org", "--to", "a@example.net", "-D", "a=b"),
        ("--from", "shop@example.org", "--to", "a@example.net", "--template", "welcome", "-D", "novalue"),
        ("--to", "a@example.net"),
    ],
)
def test_wrong_options_are_exit_2(daemon: SubmissionDaemon, arguments: tuple[str, ...]) -> None:
    """Before anything is sent."""
    assert daemon.command("send", *arguments).returncode == 2


@pytest.mark.parametrize("message", ["nonsense", "../../livez", "0192f000-0000-7000-8000-000000000000"])
def test_a_message_that_is_not_there_is_exit_1(daemon: SubmissionDaemon, message: str) -> None:
    """Whatever stands for its id, only that id is asked for."""
    status = daemon.command("status", message)
    assert (status.returncode, status.stdout) == (1, "")
    assert "refused: you have no message" in status.stderr


def test_without_a_daemon_the_command_says_what_to_start(bed: Path) -> None:
    """Exit 1 and one line."""
    stopped = SubmissionDaemon(bed / "d", bed)
    stopped.init()
    status = stopped.command("status")
    assert status.returncode == 1
    assert status.stderr.strip() == f"{stopped.socket}: no such socket; mend: start postroom-submission"
