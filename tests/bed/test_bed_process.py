"""The bed stops what it started, exactly that, and notices what died."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.process import BedError, Identity, Recorded, until

pytestmark = pytest.mark.process

STUBBORN = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


def test_a_living_process_has_an_identity_that_survives_writing_and_reading() -> None:
    """What is read from the record is the process that was recorded."""
    identity = Identity.of(os.getpid())
    assert identity is not None
    assert identity.pid == os.getpid()
    assert Identity.parse(str(identity)) == identity
    assert identity.alive()


def test_a_process_id_given_to_somebody_else_is_not_taken_for_ours() -> None:
    """Same id, other start time or other boot: not ours, so not alive, and not stopped."""
    with subprocess.Popen(["sleep", "60"]) as child:
        identity = Identity.of(child.pid)
        assert identity is not None
        for stranger in (replace(identity, started=identity.started - 1), replace(identity, boot="another")):
            assert not stranger.alive()
            stranger.stop()
            assert child.poll() is None
        identity.stop()
        assert child.wait(5) == -signal.SIGTERM


def test_a_zombie_counts_as_dead() -> None:
    """A child that ended but was not waited for has no identity."""
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Identity.of(child.pid) is None
    child.wait()


def test_a_process_with_brackets_in_its_name_is_read_right(tmp_path: Path) -> None:
    """proc_pid_stat(5) puts the name in brackets and escapes nothing."""
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        identity = Identity.of(child.pid)
        parent = Identity.of(os.getpid())
        assert identity is not None
        assert parent is not None
        assert identity.started >= parent.started
        identity.stop()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """SIGTERM first, SIGKILL when it does not help."""
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        identity = Identity.of(child.pid)
        assert identity is not None
        identity.stop(term_s=0.05)
        assert child.wait(5) == -signal.SIGKILL


@given(st.text())
def test_a_spoiled_record_is_no_identity_or_one_that_reads_back(text: str) -> None:
    """Any text: None, or a value equal to what its own text gives."""
    identity = Identity.parse(text)
    assert identity is None or Identity.parse(str(identity)) == identity


def test_a_leftover_of_a_killed_run_is_stopped_before_the_next_start(tmp_path: Path) -> None:
    """The record of the first run leads the second run to the process."""
    killed = Recorded("sleeper", tmp_path)
    killed.start(["sleep", "60"])
    first = Identity.of(killed.pid)
    again = Recorded("sleeper", tmp_path)
    again.start(["sleep", "60"])
    assert first is not None
    assert not first.alive()
    assert again.exit_status() is None
    again.stop()
    killed.stop()
    assert not again.record.exists()


def test_a_record_that_names_no_process_is_cleared_quietly(tmp_path: Path) -> None:
    """Rubbish in the record neither stops anybody nor keeps us from starting."""
    process = Recorded("sleeper", tmp_path)
    process.record.write_text("1 rubbish")
    assert not process.clear()
    assert not process.record.exists()


def test_the_last_words_of_a_process_are_kept(tmp_path: Path) -> None:
    """Standard output and error go to one file, for the message to the operator."""
    process = Recorded("speaker", tmp_path)
    process.start(["sh", "-c", "echo first; echo last >&2; exit 3"])
    until(lambda: process.exit_status() is not None, 5, "end of the speaker")
    assert process.exit_status() == 3
    assert process.last_words() == "first\nlast"
    process.stop()


def test_waiting_ends_at_the_deadline_and_says_for_what() -> None:
    """A condition that never holds is an error that names it."""
    with pytest.raises(BedError, match=r"the moon: not within 0\.02 s"):
        until(lambda: False, 0.02, "the moon")


def test_waiting_ends_at_once_when_its_cause_is_gone() -> None:
    """No deadline is waited out for a dead process."""
    with pytest.raises(BedError, match="ended before that"):
        until(lambda: False, 3600, "the moon", alive=lambda: False)
