"""Fault points kill for real, where they were asked to, and only in a test bed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import postroom
from postroom.runtime.fault_points import POINTS, FaultPointsRefused, armed_faults

SOURCES = Path(postroom.__file__).parent.parent
REACH = Path(__file__).with_name("reach_points.py")


def reached(bed: Path, wanted: str, *points: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(REACH), str(bed / "state"), *points],
        env={**os.environ, "PYTHONPATH": str(SOURCES), "POSTROOM_FAULT": wanted, "POSTROOM_TEST_BED": str(bed)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.process
def test_it_dies_at_the_nth_hit_and_writes_it_down_first(tmp_path: Path) -> None:
    """Other points and earlier hits are passed; the record tells that the point was really come to."""
    done = reached(tmp_path, "data.sent:2", "data.sent", "claim.committed", "data.sent", "data.sent")
    assert done.stdout.split() == ["data.sent", "claim.committed"]
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "faults.log").read_text() == "data.sent\n"
    assert (tmp_path / "faults.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.process
def test_without_a_count_the_first_hit_kills(tmp_path: Path) -> None:
    """And the next kill is written below the first."""
    for _ in range(2):
        assert reached(tmp_path, "accept.committed", "accept.committed").returncode == -signal.SIGKILL
    assert (tmp_path / "faults.log").read_text() == "accept.committed\n" * 2


@pytest.mark.process
def test_a_point_that_is_not_reached_leaves_no_trace(tmp_path: Path) -> None:
    """So a test that meant to kill there sees that it did not."""
    done = reached(tmp_path, "queued.committed", *(point for point in POINTS if point != "queued.committed"))
    assert done.returncode == 0
    assert not (tmp_path / "faults.log").exists()


def test_unset_all_points_are_passed(tmp_path: Path) -> None:
    """A real daemon's case."""
    faults = armed_faults({"POSTROOM_TEST_BED": str(tmp_path)}, tmp_path)
    for point in POINTS:
        faults.reach(point)


@pytest.mark.parametrize("bed", [None, "", "other", "state/deeper", "stat", "state/../other"])
def test_outside_of_a_test_bed_it_is_refused(tmp_path: Path, bed: str | None) -> None:
    """No bed, or one that does not hold the state: a stray variable must not kill a real daemon."""
    environment = {"POSTROOM_FAULT": "data.sent"}
    if bed is not None:
        environment["POSTROOM_TEST_BED"] = str(tmp_path / bed) if bed else ""
    with pytest.raises(FaultPointsRefused, match="not in a test bed; mend: unset POSTROOM_FAULT"):
        armed_faults(environment, tmp_path / "state")


def test_an_empty_bed_is_none_wherever_we_stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """systemd starts daemons in /, which holds every state directory."""
    monkeypatch.chdir("/")
    with pytest.raises(FaultPointsRefused):
        armed_faults({"POSTROOM_FAULT": "data.sent", "POSTROOM_TEST_BED": ""}, tmp_path)


def test_a_link_out_of_the_bed_is_no_part_of_it(tmp_path: Path) -> None:
    """Where the state really lies counts."""
    (tmp_path / "real").mkdir()
    (tmp_path / "bed").mkdir()
    (tmp_path / "bed" / "state").symlink_to(tmp_path / "real")
    with pytest.raises(FaultPointsRefused):
        armed_faults(
            {"POSTROOM_FAULT": "data.sent", "POSTROOM_TEST_BED": str(tmp_path / "bed")}, tmp_path / "bed/state"
        )


@pytest.mark.parametrize("wanted", ["", "no.such", "data", "data.sent:0", "data.sent:-1", "data.sent:x", "data.sent:²"])
def test_what_is_no_point_or_count_is_refused(tmp_path: Path, wanted: str) -> None:
    """A misspelt fault would be a test that kills nothing."""
    environment = {"POSTROOM_FAULT": wanted, "POSTROOM_TEST_BED": str(tmp_path)}
    with pytest.raises(FaultPointsRefused, match=r"^\$POSTROOM_FAULT: "):
        armed_faults(environment, tmp_path)
