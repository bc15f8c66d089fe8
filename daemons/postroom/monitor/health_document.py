"""The answer of /healthz: the survey and what was found in it, as a document. Pure."""

from collections.abc import Mapping

from postroom.monitor.figures import outbox_waits
from postroom.monitor.health import Health, HealthFinding, gauge
from postroom.monitor.snapshot import Snapshot, Unanswered


def report(survey: Snapshot, health: Health) -> Mapping[str, object]:
    """Everything that was looked at; numbers nobody can tell now are null."""
    is_submission_heard, is_watcher_heard = "submission" in survey.ages, "watcher" in survey.ages
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
            "shared": survey.shared is None,
            "limits": survey.limits is None,
            "track": not isinstance(survey.outcomes, Unanswered),
        },
        "outbox": {
            "waiting": outbox_waits(survey),
            "oldest_s": gauge(survey, "postroom_submission_oldest_waiting_seconds") if is_submission_heard else None,
            "in_doubt": gauge(survey, "postroom_submission_deliveries_in_doubt") if is_submission_heard else None,
        },
        "watcher": {
            "lag_s": gauge(survey, "postroom_watcher_lag_seconds") if is_watcher_heard else None,
            "gaps_last_hour": survey.grown.get("postroom_watcher_gaps_total", 0.0) if is_watcher_heard else None,
        },
        "queue": None
        if isinstance(survey.queue, Unanswered)
        else {
            "messages": dict(survey.queue.mails),
            "oldest_s": None if survey.queue.oldest_at is None else round(survey.at - survey.queue.oldest_at),
            "is_whole": survey.queue.is_whole,
        },
    }


def _finding(finding: HealthFinding) -> dict[str, str]:
    return {
        "severity": "failure" if finding.is_failure else "notice",
        "what": finding.what,
        "where": finding.where,
        "mend": finding.mend,
    }
