"""Postfix's commands as we run them: what they are given, what is read from them, and how they fail."""

from pathlib import Path

import pytest

from postroom.postfix import commands, postconf
from postroom.postfix.commands import PostfixCommandFailed, run
from postroom.postfix.queue_commands import queued_mails, release_held, requeue_deferred

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are looked for in."""
    monkeypatch.setattr(commands, "FOLDER", tmp_path)
    return tmp_path


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_command_that_fails_says_its_last_words(folder: Path) -> None:
    """The command line, why, and how to mend: its errors, else what it printed, else its status."""
    script(folder, "postfix", "echo to be seen; echo fatal: no >&2; exit 3")
    with pytest.raises(PostfixCommandFailed, match=r"^postfix check: fatal: no; mend: see what it says when run by"):
        run("postfix", "check")
    script(folder, "postfix", "echo printed; exit 3")
    with pytest.raises(PostfixCommandFailed, match=r"^postfix check: printed; mend: as told$"):
        run("postfix", "check", mend="as told")
    script(folder, "postfix", "exit 3")
    with pytest.raises(PostfixCommandFailed, match=r"^postfix check: exit 3; mend: ") as failed:
        run("postfix", "check")
    assert failed.value.cause == "CalledProcessError"


def test_a_command_that_cannot_be_run_names_the_kind_of_fault(folder: Path) -> None:
    """Not there, or without an end."""
    with pytest.raises(PostfixCommandFailed) as failed:
        postconf.expanded("x")
    assert str(failed.value) == (
        f"{folder}/postconf -xh x: cannot be run (FileNotFoundError); "
        f"mend: install Postfix, or link its commands to {folder}"
    )
    assert failed.value.cause == "FileNotFoundError"
    script(folder, "postconf", "exec sleep 20")
    with pytest.raises(PostfixCommandFailed, match=r"cannot be run \(TimeoutExpired\); mend: run it by hand"):
        postconf.expanded("x", timeout_s=0.1)


def test_without_a_main_cf_the_built_in_defaults_are_asked(folder: Path) -> None:
    """postconf -d; where that fails too there is no Postfix."""
    script(folder, "postconf", '[ "$1" = -d ] && printf "/usr/lib/postfix/sbin\\n/usr/sbin\\n"')
    assert postconf.as_written_or_built_in(["daemon_directory", "command_directory"]) == [
        "/usr/lib/postfix/sbin",
        "/usr/sbin",
    ]
    script(folder, "postconf", "exit 1")
    with pytest.raises(PostfixCommandFailed):
        postconf.as_written_or_built_in(["daemon_directory"])


def test_what_services_set_for_themselves_is_read(folder: Path) -> None:
    """`postconf -P`, of which the other parameters are left out."""
    script(folder, "postconf", "echo 'smtp/inet/smtpd_milters = a'; echo '127.0.0.1:25/inet/x = {a} = b'")
    assert postconf.in_services("x") == {"127.0.0.1:25/inet": "{a} = b"}


def test_a_table_without_the_key_or_that_cannot_be_read_has_nothing(folder: Path) -> None:
    """postmap -q exits 1 for both."""
    script(folder, "postmap", '[ "$*" = "-q bounces.example.org hash:/x" ] && echo lmtp:unix:x')
    assert postconf.looked_up("hash:/x", "bounces.example.org") == "lmtp:unix:x"
    assert postconf.looked_up("hash:/x", "example.org") == ""


def test_postsuper_is_given_queue_ids_alone(folder: Path) -> None:
    """What is no queue id it could take for an order; what it released it says on stderr."""
    script(folder, "postsuper", f'cat >>{folder}/given; echo "postsuper: A1: released from hold" >&2')
    assert release_held(["A1", "B2", "C/3", "", "-d"]) == ["A1"]
    requeue_deferred(["D4"])
    assert (folder / "given").read_text() == "A1\nB2\nD4\n"
    script(folder, "postsuper", "echo postsuper: fatal: only root >&2; exit 1")
    with pytest.raises(PostfixCommandFailed, match=r"^postsuper -H -: postsuper: fatal: only root; mend: run this"):
        release_held(["A1"])


def test_the_queue_is_listed_one_mail_a_line(folder: Path) -> None:
    """JSON, as postqueue -j has it."""
    script(folder, "postqueue", """printf '{"queue_id": "A1"}\\n{"queue_id": "B2"}\\n'""")
    assert [mail["queue_id"] for mail in queued_mails()] == ["A1", "B2"]
