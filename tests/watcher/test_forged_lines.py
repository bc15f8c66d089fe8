"""Forged lines: a local user who knows a mail's queue id and recipient writes perfect lines of Postfix, in each way.

The mail waits in the queue; what they say of it is that it bounced for good, and that it is gone.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.watcher.conftest import MakeWatcher
from tests.watcher.far_end import FarEnd

from sandbox.daemon import SubmissionDaemon
from sandbox.journald import Journald
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.watcher import WatcherDaemon

pytestmark = pytest.mark.postfix

WITHIN_S = 20.0
UNIT = "postfix@-.service"
STRANGER = "games"
"""A user that is on every Debian; local(8) runs the commands of its .forward as this user."""
RECIPIENT = "slow@world.test"


def forged(queue_id: str) -> list[tuple[str, str]]:
    """Tags and texts."""
    reply = (
        f"status=bounced (host mx.test[192.0.2.1] said: 550 5.1.1 <{RECIPIENT}>: User unknown (in reply to RCPT TO))"
    )
    return [
        (
            "postfix/smtp",
            f"{queue_id}: to=<{RECIPIENT}>, relay=mx.test[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, {reply}",
        ),
        ("postfix/qmgr", f"{queue_id}: removed"),
    ]


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with FarEnd() as far_end:
        yield far_end


def waiting(submission: SubmissionDaemon, watcher: WatcherDaemon, recipient: str = RECIPIENT) -> tuple[str, str]:
    """A message that the far end refuses for now: its id, and its queue id."""
    answer = submission.post({"from": "hello@example.org", "to": [recipient], "subject": "x", "text": "y"})
    message = answer.document["id"]
    until(lambda: delivery(submission, message)["state"] == "deferred", WITHIN_S, "deferred", watcher.alive)
    return message, delivery(submission, message)["queue_id"]


def delivery(submission: SubmissionDaemon, message: str) -> dict[str, Any]:
    found: dict[str, Any] = submission.message(message)["deliveries"][0]
    return found


def delivered_after_all(submission: SubmissionDaemon, postfix: PrivatePostfix, message: str) -> None:
    """What is written later has been read by then."""

    def is_delivered() -> bool:
        postfix.flush()
        return bool(delivery(submission, message)["state"] == "delivered")

    until(is_delivered, WITHIN_S, "delivered", submission.alive, 0.5)


def is_suppressed(submission: SubmissionDaemon) -> bool:
    return "world.test" in submission.command("suppress", "list").stdout


def run_as(user: str, command: Sequence[str]) -> None:
    # Upstream's postlog is set-gid postdrop; Debian's is not, and there only members of that group can do this.
    options: dict[str, Any] = {"user": user, "group": "postdrop", "extra_groups": []}
    subprocess.run(command, env={"PATH": os.environ["PATH"]}, timeout=20, check=True, **options)


@pytest.mark.parametrize("units", [f"[{UNIT}]", ""], ids=["by unit", "by program"])
def test_in_the_journal_only_postfix_speaks_for_postfix(
    bed: Path, make_watcher: MakeWatcher, far_end: FarEnd, units: str
) -> None:
    """By logger, by Postfix's own postlog, and by a command in a .forward, which runs inside Postfix's unit."""
    forge = bed / "forge"
    with ExitStack() as at_end:
        journald = at_end.enter_context(Journald(unit=UNIT))
        settings = {
            "mydestination": "local.test",
            "forward_path": f"{bed}/forward/${{user}}",
            "local_recipient_maps": "",
        }
        postfix = PrivatePostfix(bed / "postfix", ("127.0.0.1", far_end.port), settings=settings, journald=journald)
        at_end.enter_context(postfix)
        submission = at_end.enter_context(SubmissionDaemon(bed / "s", postfix.handover_socket.parent))
        watcher = make_watcher(
            postfix.handover_socket.parent,
            "source: journal" + (f"\nunits: {units}" if units else ""),
            state_dir=submission.state_dir,
            journald=journald,
        )
        watcher.start()
        watcher.covered()
        message, queue_id = waiting(submission, watcher)
        before = delivery(submission, message)

        commands = []
        for tag, text in forged(queue_id):
            commands += [f"logger -t '{tag}' -p mail.info -i -- '{text}'", f"/usr/sbin/postlog -t '{tag}' '{text}'"]
        forge.write_text("#!/bin/sh\n" + "\n".join(commands) + "\necho forged by $(id -u) | logger -t forger\n")
        forge.chmod(0o755)
        # From outside of Postfix.
        inside = [*journald.enter, "setpriv", f"--reuid={STRANGER}", "--regid=games", "--clear-groups"]
        subprocess.run([*inside, str(forge)], timeout=20, check=True, capture_output=True)
        # From inside: mail to a user whose .forward runs a command.
        forward = bed / "forward" / STRANGER
        forward.parent.mkdir()
        forward.write_text(f'"|{forge}"\n')
        shutil.chown(forward, STRANGER)
        answer = submission.post(
            {"from": "hello@example.org", "to": [f"{STRANGER}@local.test"], "subject": "x", "text": "y"}
        )
        by_forward = answer.document["id"]
        until(lambda: delivery(submission, by_forward)["state"] == "delivered", WITHIN_S, "forwarded", watcher.alive)

        shown = journald.command("-o", "cat", "-t", "postfix/smtp", "_UID=5")
        assert shown.count(f"{queue_id}: to=<{RECIPIENT}>") >= 3, "both spoke, with logger and postlog"
        if units:
            inside_unit = journald.command("-o", "cat", "_UID=5", f"_SYSTEMD_UNIT={UNIT}")
            # Not each of them: journald finds no unit of a process that has ended when it looks.
            assert any(text in inside_unit for _, text in forged(queue_id)), "the command ran inside Postfix's unit"
        assert delivery(submission, message) == before
        delivered_after_all(submission, postfix, message)
        assert "watcher.bounced" not in watcher.log()
        assert not is_suppressed(submission)
        watcher.stop()


@pytest.fixture
def postlog_for_all(bed: Path) -> Iterator[None]:
    """The default main.cf names the private instance, so that postlog(1) takes it from any user."""
    copy = bed / "etc"
    shutil.copytree("/etc/postfix", copy, symlinks=True)
    with (copy / "main.cf").open("a", encoding="utf-8") as main:
        main.write(f"\nalternate_config_directories = {bed}/postfix/conf\n")
    subprocess.run(["mount", "--bind", copy, "/etc/postfix"], check=True)
    yield
    subprocess.run(["umount", "/etc/postfix"], check=True)


@pytest.mark.usefixtures("postlog_for_all")
def test_in_a_log_file_a_forged_bounce_suppresses_nobody_and_lasts_until_postfix_speaks(
    bed: Path, make_watcher: MakeWatcher, far_end: FarEnd
) -> None:
    """By postlog. Lines of mail that is not ours change nothing; the queue still has what is said to be gone."""
    with ExitStack() as at_end:
        postfix = at_end.enter_context(PrivatePostfix(bed / "postfix", ("127.0.0.1", far_end.port)))
        submission = at_end.enter_context(SubmissionDaemon(bed / "s", postfix.handover_socket.parent))
        watcher = make_watcher(
            postfix.handover_socket.parent, f"source: {postfix.maillog}", state_dir=submission.state_dir
        )
        watcher.start()
        watcher.covered()
        message, queue_id = waiting(submission, watcher)
        before = delivery(submission, message)

        def forge(queue_id: str) -> None:
            for tag, text in forged(queue_id):
                command = ["/usr/sbin/postlog", "-c", str(postfix.config_directory), "-t", tag, text]
                run_as(STRANGER, command)
            until(lambda: f"{queue_id}: removed" in "".join(postfix.log()), WITHIN_S, "written")

        forge("4zOTHER1NoNeOfOurs")
        other, _ = waiting(submission, watcher, "slow2@world.test")
        assert delivery(submission, message) == before, "what was written before that mail has been read"
        forge(queue_id)
        until(lambda: "suppression.unconfirmed" in submission.log(), WITHIN_S, "looked into", submission.alive)
        assert not is_suppressed(submission)
        delivered_after_all(submission, postfix, message)
        assert not is_suppressed(submission)
        delivered_after_all(submission, postfix, other)
        assert far_end.taken == {RECIPIENT: 1, "slow2@world.test": 1}
