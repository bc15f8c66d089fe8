"""The answer of /healthz: a snapshot and its findings as one JSON object. Pure."""

from collections.abc import Mapping

from postroom.monitor.figures import outbox_waits
from postroom.monitor.health import Health, HealthFinding, gauge
from postroom.monitor.snapshot import Snapshot, Unanswered


def health_document(snapshot: Snapshot, health: Health) -> Mapping[str, object]:
    """All that was queried; numbers that are unknown now are null."""
    has_submission, has_watcher = "submission" in snapshot.ages, "watcher" in snapshot.ages
    return {
        "well": health.is_well,
        "findings": [_finding(finding) for finding in health.findings],
        "daemons": {
            daemon.word: {
                "state": daemon.state,
                "last_beat_s": None if daemon.age_s is None else round(daemon.age_s, 1),
                "processes": daemon.processes,
            }
            for daemon in health.daemons
        },
        "stores": {
            "shared": snapshot.shared is None,
            "limits": snapshot.limits is None,
            "track": not isinstance(snapshot.outcomes, Unanswered),
        },
        "outbox": {
            "waiting": outbox_waits(snapshot),
            "oldest_s": gauge(snapshot, "postroom_submission_oldest_waiting_seconds") if has_submission else None,
            "in_doubt": gauge(snapshot, "postroom_submission_deliveries_in_doubt") if has_submission else None,
        },
        "watcher": {
            "lag_s": gauge(snapshot, "postroom_watcher_lag_seconds") if has_watcher else None,
            "gaps_last_hour": snapshot.grown.get("postroom_watcher_gaps_total", 0.0) if has_watcher else None,
        },
        "queue": None
        if isinstance(snapshot.queue, Unanswered)
        else {
            "messages": dict(snapshot.queue.mails),
            "oldest_s": None if snapshot.queue.oldest_at is None else round(snapshot.at - snapshot.queue.oldest_at),
            "is_whole": snapshot.queue.is_whole,
        },
    }


def _finding(finding: HealthFinding) -> dict[str, str]:
    return {
        "severity": "failure" if finding.is_failure else "notice",
        "what": finding.what,
        "where": finding.where,
        "mend": finding.mend,
    }
