"""Is this host well: the findings in a snapshot, in plain words. Pure.

A finding is a failure (mail waits or nobody knows: /healthz says 503) or a notice (someone should look).
Each says what is so, where, and how to mend it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from postroom.monitor.samples import Series
from postroom.monitor.snapshot import LATE_S, Snapshot, Unanswered

MISSING_S = 60.0
"""A daemon that was silent for so long is not only late."""
LAG_LATE_S = 60.0
"""So far behind Postfix's log, what is shown of deliveries is old."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What this host is expected to run and to keep to.

    Attributes:
        daemons:        words of the daemons that are to run.
        waiting_late_s: age from which a delivery that waits in the outbox is a failure.
        showq:          Postfix's queue, as findings name it.
    """

    daemons: Sequence[str]
    waiting_late_s: float
    showq: str


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One thing that is not as it should be."""

    what: str
    where: str
    mend: str
    is_failure: bool = True


@dataclass(frozen=True, slots=True)
class DaemonHealth:
    """The state of one daemon, judged by its beats.

    Attributes:
        age_s:     seconds since its last beat; None: none in the last hour, or the beats cannot be read.
        processes: how many of its processes live.
    """

    word: str
    state: Literal["ok", "late", "missing", "unknown"]
    age_s: float | None
    processes: int


@dataclass(frozen=True, slots=True)
class Health:
    """The daemons and all that was found, failures first."""

    daemons: Sequence[DaemonHealth]
    findings: Sequence[HealthFinding]

    @property
    def is_well(self) -> bool:
        """Whether there is no failure; notices may be there."""
        return not any(finding.is_failure for finding in self.findings)


def judge(snapshot: Snapshot, expected: Expected) -> Health:
    """Judge a snapshot by what is expected here."""
    words = dict.fromkeys([*expected.daemons, *sorted(snapshot.ages)])
    daemons = [_daemon(word, snapshot) for word in words]
    findings = [
        *_silent(daemons, expected),
        *_stores(snapshot),
        *_postfix(snapshot, expected),
        *_waiting(snapshot, expected),
        *_watcher(snapshot),
        *_waves(snapshot),
        *_last_hour(snapshot),
    ]
    return Health(daemons, sorted(findings, key=lambda finding: not finding.is_failure))


def gauge(snapshot: Snapshot, name: str) -> float:
    """A gauge without labels; 0 when no living process says it."""
    return snapshot.gauges.get(Series(name), 0.0)


def span(seconds: float) -> str:
    """A span of time as one reads it: 40 s, 12 min, 3 h, 2 d; rounded down."""
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds // length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def _daemon(word: str, snapshot: Snapshot) -> DaemonHealth:
    ages = snapshot.ages.get(word, ())
    living = sum(age_s <= LATE_S for age_s in ages)
    age_s = min(ages, default=None)
    if snapshot.shared is not None:
        return DaemonHealth(word, "unknown", None, 0)
    if age_s is None or age_s > MISSING_S:
        return DaemonHealth(word, "missing", age_s, living)
    return DaemonHealth(word, "late" if age_s > LATE_S else "ok", age_s, living)


def _silent(daemons: Sequence[DaemonHealth], expected: Expected) -> Iterator[HealthFinding]:
    for daemon in daemons:
        if daemon.word in expected.daemons and daemon.state in {"late", "missing"}:
            silent = "in the last hour" if daemon.age_s is None else f"for {span(daemon.age_s)}"
            yield HealthFinding(
                f"{daemon.word}: no heartbeat {silent}",
                f"postroom-{daemon.word}",
                f"`systemctl status postroom-{daemon.word}`; if it need not run here, remove it from `monitor.daemons`",
            )


def _stores(snapshot: Snapshot) -> Iterator[HealthFinding]:
    outcomes = snapshot.outcomes if isinstance(snapshot.outcomes, Unanswered) else None
    for store, effect, trouble in (
        ("shared.db", "the state of the daemons and the suppression list are unknown", snapshot.shared),
        ("limits.db", "each daemon counts on its own", snapshot.limits),
        ("track.db", "what became of deliveries is unknown", outcomes),
    ):
        if trouble is not None:
            reason, mend = _parted(trouble, "run `postroom store init`, and check its owner and mode")
            yield HealthFinding(f"{store} cannot be read: {effect}", reason, mend)


def _postfix(snapshot: Snapshot, expected: Expected) -> Iterator[HealthFinding]:
    if isinstance(snapshot.queue, Unanswered):
        yield HealthFinding(
            "Postfix's queue cannot be read",
            snapshot.queue.reason,
            "`postfix status`, `systemctl status postroom-showq.socket`; check `handover.showq`, best left out",
        )
    elif not snapshot.queue.is_whole:
        yield HealthFinding(
            "Postfix's queue is too large to be counted in time; the figures cover only a part of it",
            expected.showq,
            "`postqueue -p` shows all of it",
            is_failure=False,
        )
    if snapshot.gauges.get(Series("postroom_submission_handover_available")) == 0:
        yield HealthFinding(
            "Postfix does not accept mail from submission; accepted messages wait in the outbox",
            "`handover.socket`",
            "`postroom status` shows why; `postfix status`",
        )


def _waiting(snapshot: Snapshot, expected: Expected) -> Iterator[HealthFinding]:
    oldest_s = gauge(snapshot, "postroom_submission_oldest_waiting_seconds")
    if oldest_s >= expected.waiting_late_s:
        yield HealthFinding(
            f"a delivery has waited in the outbox for {span(oldest_s)}",
            "mail.db of postroom-submission",
            "`postroom status` shows why: a limit or a refusal by Postfix may be holding it (`monitor.waiting_late`)",
        )
    if doubts := gauge(snapshot, "postroom_submission_deliveries_in_doubt"):
        yield HealthFinding(
            f"{doubts:.0f} {'delivery is' if doubts == 1 else 'deliveries are'} in doubt",
            "mail.db of postroom-submission",
            "the watcher is looking into it; `postroom status` shows it (`handover.in_doubt`)",
            is_failure=False,
        )


def _watcher(snapshot: Snapshot) -> Iterator[HealthFinding]:
    lag_s = gauge(snapshot, "postroom_watcher_lag_seconds")
    if lag_s >= LAG_LATE_S:
        yield HealthFinding(
            f"the watcher is {span(lag_s)} behind Postfix's log",
            "postroom-watcher",
            "it should catch up by itself; if it does not: `journalctl -u postroom-watcher`",
        )


def _waves(snapshot: Snapshot) -> Iterator[HealthFinding]:
    if snapshot.waves:
        yield HealthFinding(
            f"{_counted(snapshot.waves, 'burst')} of suppressions held for review: "
            "mail to their recipients still goes out",
            "shared.db",
            "`postroom suppress waves`, then `postroom suppress wave accept` or `undo`",
            is_failure=False,
        )


_LAST_HOUR = "in the last hour"


def _counted(count: float, noun: str) -> str:
    return f"{count:.0f} {noun}" if count == 1 else f"{count:.0f} {noun}s"


NOTICES: tuple[tuple[str, Callable[[float], str], str, str], ...] = (
    (
        "postroom_watcher_gaps_total",
        lambda count: f"{_counted(count, 'gap')} in Postfix's log {_LAST_HOUR}: what was in doubt stays in doubt",
        "postroom-watcher",
        "`journalctl POSTROOM_EVENT=watcher.gap`; raise journald's rate limit for Postfix's unit",
    ),
    (
        "postroom_policy_unanswered_total",
        lambda count: f"{count:.0f} of Postfix's questions got no answer {_LAST_HOUR}: its default_action applied",
        "postroom-policy",
        "`journalctl POSTROOM_EVENT=policy.unanswered`",
    ),
    (
        "postroom_policy_decided_in_process_total",
        lambda count: f"the limits of {_counted(count, 'message')} were decided without the store {_LAST_HOUR}",
        "limits.db",
        "`journalctl POSTROOM_EVENT=store.unavailable`",
    ),
    (
        "postroom_milter_faults_total",
        lambda count: f"{_counted(count, 'message')} refused for now {_LAST_HOUR} because of a fault in the milter",
        "postroom-milter",
        "`journalctl POSTROOM_EVENT=milter.fault`",
    ),
)
"""Counters that should stand still: each that grew in the last hour is a notice."""


def _last_hour(snapshot: Snapshot) -> Iterator[HealthFinding]:
    for counter, what, where, mend in NOTICES:
        if count := snapshot.grown.get(counter, 0.0):
            yield HealthFinding(what(count), where, mend, is_failure=False)


def _parted(trouble: Unanswered, mend: str) -> tuple[str, str]:
    """What a store said, and how to mend it: in its words where it has some."""
    reason, _, said = trouble.reason.partition("; mend: ")
    return reason, said or mend
