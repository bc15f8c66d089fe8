"""health.py: each thing that can be wrong is found, in plain words, and nothing else is."""

from typing import Any

import pytest
from tests.monitor.conftest import DAEMONS, EXPECTED, make_snapshot

from postroom.monitor.health import Expected, judge, span
from postroom.monitor.health_document import health_document
from postroom.monitor.snapshot import Unanswered
from postroom.postfix.queue import QueueCount

AGES = {word: [2.0] for word in DAEMONS}


def test_a_host_that_is_well_has_no_findings() -> None:
    """The expected daemons are ok; others that beat are shown with them."""
    health = judge(make_snapshot(ages={**AGES, "monitor": [1.0]}), EXPECTED)
    assert (health.findings, health.is_well) == ([], True)
    assert [(daemon.word, daemon.state) for daemon in health.daemons] == [
        (word, "ok") for word in (*DAEMONS, "monitor")
    ]


@pytest.mark.parametrize(
    ("changed", "found", "where"),
    [
        ({"ages": {**AGES, "watcher": [40.0]}}, "watcher: no heartbeat for 40 s", "postroom-watcher"),
        ({"ages": {**AGES, "policy": [400.0]}}, "policy: no heartbeat for 6 min", "postroom-policy"),
        (
            {"ages": {word: AGES[word] for word in DAEMONS[:3]}},
            "watcher: no heartbeat in the last hour",
            "postroom-watcher",
        ),
        (
            {"shared": Unanswered("/x/shared.db: database disk image is malformed; mend: restore it from a backup")},
            "shared.db cannot be read",
            "/x/shared.db",
        ),
        ({"limits": Unanswered("no answer within 2 s")}, "limits.db cannot be read", "no answer within 2 s"),
        ({"outcomes": Unanswered("/x/track.db: cannot be opened")}, "track.db cannot be read", "/x/track.db"),
        (
            {"queue": Unanswered("/x/showq: Connection refused")},
            "Postfix's queue cannot be read",
            "/x/showq: Connection refused",
        ),
        (
            {"gauges": {"postroom_submission_handover_available": 0.0}},
            "Postfix does not accept mail from submission",
            "handover.socket",
        ),
        (
            {"gauges": {"postroom_submission_oldest_waiting_seconds": 7_300.0}},
            "a delivery has waited in the outbox for 2 h",
            "mail.db",
        ),
        (
            {"gauges": {"postroom_watcher_lag_seconds": 61.0}},
            "the watcher is 61 s behind Postfix's log",
            "postroom-watcher",
        ),
    ],
)
def test_each_failure_is_found_alone(changed: dict[str, Any], found: str, where: str) -> None:
    """What, where and how to mend; one failure is enough not to be well."""
    health = judge(make_snapshot(**changed), EXPECTED)
    (finding,) = health.findings
    assert finding.what.startswith(found)
    assert where in finding.where
    assert finding.mend
    assert finding.is_failure
    assert not health.is_well


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"queue": QueueCount({"deferred": 9}, 1, is_whole=False)}, "Postfix's queue is too large"),
        ({"gauges": {"postroom_submission_deliveries_in_doubt": 1.0}}, "1 delivery is in doubt"),
        ({"gauges": {"postroom_submission_deliveries_in_doubt": 2.0}}, "2 deliveries are in doubt"),
        ({"waves": 1}, "1 burst of suppressions held for review"),
        ({"waves": 2}, "2 bursts of suppressions held for review"),
        ({"grown": {"postroom_watcher_gaps_total": 1.0}}, "1 gap in Postfix's log"),
        ({"grown": {"postroom_policy_unanswered_total": 3.0}}, "3 of Postfix's questions got no answer"),
        ({"grown": {"postroom_policy_decided_in_process_total": 4.0}}, "the limits of 4 messages were decided"),
        ({"grown": {"postroom_milter_faults_total": 5.0}}, "5 messages refused for now"),
    ],
)
def test_each_notice_is_found_alone(changed: dict[str, Any], found: str) -> None:
    """Someone should look; the host is well all the same."""
    health = judge(make_snapshot(**changed), EXPECTED)
    (finding,) = health.findings
    assert finding.what.startswith(found)
    assert finding.where
    assert finding.mend
    assert health.is_well


def test_what_is_not_yet_too_much_is_no_finding() -> None:
    """One missed beat, a delivery that waits, a log that is read a little behind."""
    gauges = {"postroom_submission_oldest_waiting_seconds": 3_599.0, "postroom_watcher_lag_seconds": 59.0}
    assert judge(make_snapshot(ages={word: [15.0] for word in DAEMONS}, gauges=gauges), EXPECTED).findings == []


def test_failures_stand_before_notices() -> None:
    """Whatever order they are found in."""
    found = judge(
        make_snapshot(gauges={"postroom_submission_deliveries_in_doubt": 1.0, "postroom_watcher_lag_seconds": 99.0}),
        EXPECTED,
    )
    assert [finding.is_failure for finding in found.findings] == [True, False]


def test_a_process_that_was_replaced_does_not_make_its_daemon_late() -> None:
    """A worker of the milter died and another took its place: the youngest beat counts."""
    health = judge(make_snapshot(ages={**AGES, "milter": [1.0, 4.0, 3_000.0]}), EXPECTED)
    (milter,) = [daemon for daemon in health.daemons if daemon.word == "milter"]
    assert (milter.state, milter.age_s, milter.processes) == ("ok", 1.0, 2)
    assert health.is_well


def test_daemons_nobody_expects_are_no_finding() -> None:
    """A host without an SMTP door has no policy daemon; one that stopped is shown as it is."""
    health = judge(make_snapshot(ages={"submission": [1.0], "policy": [300.0]}), Expected(("submission",), 60.0, "/x"))
    assert health.findings == []
    assert [(daemon.word, daemon.state) for daemon in health.daemons] == [("submission", "ok"), ("policy", "missing")]


def test_without_the_shared_store_no_daemon_is_blamed() -> None:
    """Their beats lie there: how they are is not known, and one finding says so."""
    health = judge(make_snapshot(shared=Unanswered("gone"), ages={}), EXPECTED)
    assert {daemon.state for daemon in health.daemons} == {"unknown"}
    (finding,) = health.findings
    assert finding.what.startswith("shared.db")


def test_the_report_has_null_for_what_nobody_can_tell() -> None:
    """Not 0, which would be an answer."""
    snapshot = make_snapshot(ages={}, queue=Unanswered("gone"))
    shown = health_document(snapshot, judge(snapshot, EXPECTED))
    assert shown["well"] is False
    assert shown["queue"] is None
    assert shown["outbox"] == {"waiting": None, "oldest_s": None, "in_doubt": None}
    assert shown["watcher"] == {"lag_s": None, "gaps_last_hour": None}
    snapshot = make_snapshot()
    shown = health_document(snapshot, judge(snapshot, EXPECTED))
    assert shown["outbox"] == {"waiting": 0, "oldest_s": 0, "in_doubt": 0}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (119.9, "120 s"), (120, "2 min"), (7_199, "119 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_a_span_is_shown_in_one_unit(seconds: float, shown: str) -> None:
    """The largest of which there are two."""
    assert span(seconds) == shown
