"""scripts/quickstart with the real Postfix and the real daemon: works, goes away, and can be run again."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.postfix import CHECKOUT
from sandbox.process import Identity, until
from sandbox.quickstart import Person
from sandbox.report import send_lines

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT / "scripts"), "PYTHONUNBUFFERED": "1"}


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "sandbox.quickstart", "--folder", str(folder), *options]


def run_once(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, "--once"), env=ENVIRONMENT, capture_output=True, text=True, timeout=90, check=False
    )


@contextmanager
def staying(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A quickstart without --once, with its report made; killed at the end if the test has not ended it."""
    process = subprocess.Popen(
        command(folder), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "until you press Ctrl-C" in line:
                break
        assert process.poll() is None, "".join(lines)
        try:
            yield process
        finally:
            process.kill()


def processes(folder: Path) -> dict[str, Identity | None]:
    """The three that quickstart runs, by the records they keep."""
    records = {
        "daemon": folder / "submission.pid",
        "sink": folder / "world" / "sink.pid",
        "master": folder / "postfix" / "queue" / "pid" / "master.pid",
    }
    return {name: Identity.of(int(record.read_text().split()[0])) for name, record in records.items()}


@pytest.mark.postfix
def test_once_shows_every_mail_right_and_leaves_nothing_running(bed: Path) -> None:
    """Exit 0; nothing of it runs afterwards."""
    done = run_once(bed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 5 as they should be." in done.stdout
    assert done.stdout.count("  ok") == 5
    assert "\x1b" not in done.stdout
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(bed) not in line.read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue


@pytest.mark.postfix
def test_the_lines_it_shows_really_send(bed: Path) -> None:
    """curl and the postroom command, as printed, are accepted; Ctrl-C then ends all with exit 0."""
    with staying(bed) as process:
        started = processes(bed)
        curl, send = send_lines(bed / "run" / "submission.sock", bed / "postroom.yaml")
        for line, accepted in ((curl, r'"id": ?"'), (send, r"^accepted ")):
            done = subprocess.run(line, shell=True, cwd=CHECKOUT, capture_output=True, text=True, check=False)
            assert re.search(accepted, done.stdout), done.stdout + done.stderr
        arrived = bed / "world"
        until(lambda: len(list(arrived.glob("mail.*"))) == 6, 10, "two more mails")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert all(identity is not None and not identity.alive() for identity in started.values())


@pytest.mark.postfix
def test_what_a_killed_run_left_behind_is_cleaned_up_by_the_next(bed: Path) -> None:
    """SIGKILL leaves three processes; the next run stops exactly these and works."""
    with staying(bed) as process:
        left = processes(bed)
        process.kill()
        process.wait()
    assert all(identity is not None and identity.alive() for identity in left.values())
    done = run_once(bed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not any(identity.alive() for identity in left.values() if identity)


@pytest.mark.postfix
def test_a_second_one_beside_the_first_is_refused(bed: Path) -> None:
    """It must not take the first one's processes for leftovers."""
    with staying(bed) as process:
        done = run_once(bed)
        assert done.returncode == 1
        assert "another quickstart runs" in done.stderr
        assert all(identity is not None and identity.alive() for identity in processes(bed).values())
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.postfix
def test_a_daemon_that_dies_ends_the_quickstart_with_its_words(bed: Path) -> None:
    """It does not stay up over a dead daemon, and stops the rest."""
    with staying(bed) as process:
        others = processes(bed)
        daemon = others.pop("daemon")
        assert daemon is not None
        daemon.stop()
        assert process.stdout is not None
        assert "submission ended by itself" in process.stdout.read()
        assert process.wait(30) == 1
    assert not any(identity.alive() for identity in others.values() if identity)


@pytest.mark.postfix
def test_a_folder_too_deep_for_sockets_is_told_in_one_line(bed: Path) -> None:
    """Exit 1 and how to mend it, no traceback, nothing left running."""
    deep = bed / ("x" * 80)
    done = run_once(deep)
    assert done.returncode == 1
    assert re.fullmatch(r"quickstart: .* may have 107 bytes.* Mend: .*\n", done.stderr)
    assert not (deep / "world" / "sink.pid").exists()


@pytest.mark.postfix
def test_the_daemons_person_has_postdrop_for_the_daemon_alone() -> None:
    """setpriv gives uid, gid and groups; the group is there only where it is asked for."""
    show = [sys.executable, "-c", "import os; print(os.getuid(), os.getgid(), sorted(os.getgroups()))"]
    nobody = Person(65534)
    plain = subprocess.run(nobody.command(show), capture_output=True, text=True, check=True).stdout
    with_postdrop = subprocess.run(
        nobody.command(show, ["postdrop"]), capture_output=True, text=True, check=True
    ).stdout
    assert plain == "65534 65534 [65534]\n"
    assert re.fullmatch(r"65534 65534 \[\d+, 65534\]\n", with_postdrop)
