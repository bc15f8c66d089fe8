"""What each metric counts: the HELP of the exposition, and the table in docs/operating.md. Pure.

`{state}` and `{reason}` stand for a word. A test holds the three together: these, the docs and the code that counts.
"""

import re

HELP = {
    "postroom_policy_requests_total": "questions of Postfix",
    "postroom_policy_messages_{door}_total": "messages let through at their end, by door: smtp, sendmail",
    "postroom_policy_refused_total": "recipients and messages refused, for now or for good",
    "postroom_policy_turned_away_total": "connections to the sendmail door's listener that were not Postfix's",
    "postroom_policy_decided_in_process_total": "messages whose limits were decided without the store",
    "postroom_policy_unanswered_total": "questions without an answer",
    "postroom_policy_malformed_total": "connections closed because what came was no question",
    "postroom_policy_connections": "connections open now",
    "postroom_submission_requests_total": "requests answered",
    "postroom_submission_accepted_total": "messages accepted",
    "postroom_submission_replayed_total": "requests answered by an earlier answer",
    "postroom_submission_queued_total": "deliveries Postfix accepted",
    "postroom_submission_deferred_total": "temporary refusals by Postfix",
    "postroom_submission_failed_total": "deliveries given up",
    "postroom_submission_held_{state}_total": "times a delivery was not offered to Postfix: suppressed, or deferred"
    " or failed by a limit",
    "postroom_submission_in_doubt_total": "deliveries that came into doubt while the daemon ran",
    "postroom_submission_resent_total": "deliveries in doubt that were sent again",
    "postroom_submission_handover_unavailable_total": "failed attempts to reach Postfix",
    "postroom_submission_handover_available": "1 while Postfix can be reached, else 0",
    "postroom_submission_deliveries_{state}": "deliveries in this state now",
    "postroom_submission_oldest_waiting_seconds": "age of the oldest message in the outbox; 0 when there is none",
    "postroom_milter_signed_total": "messages signed",
    "postroom_milter_unsigned_{reason}_total": "messages passed as they are, by reason",
    "postroom_milter_refused_total": "mails refused at the sendmail door, for now or for good",
    "postroom_milter_held_total": "mails put on hold because of a limit",
    "postroom_milter_faults_total": "messages refused for now because of a fault in Postroom",
    "postroom_watcher_lines_total": "lines of the log read",
    "postroom_watcher_gaps_total": "gaps in the log",
    "postroom_watcher_lines_suppressed_total": "lines of Postfix that journald says it suppressed",
    "postroom_watcher_mails_{kind}_total": "mails to the return path, by what they are: bounce, delay, success,"
    " complaint, autoreply, other, foreign, loop, unreadable",
    "postroom_watcher_reports_{effect}_total": "bounces and complaints in them, by what they changed: counted, held"
    " (for review), and nothing: repeated, waits, local, unknown",
    "postroom_watcher_{state}_total": "delivery attempts, all mail, by outcome: delivered, relayed, deferred, bounced",
    "postroom_watcher_suppressed_total": "recipients sent to the suppression list",
    "postroom_watcher_given_back_total": "mails that were refused after they were counted, and are uncounted",
    "postroom_watcher_looks_total": "looks into what is in doubt",
    "postroom_watcher_lag_seconds": "seconds the watcher is behind the log; 0 at its end",
    "postroom_monitor_requests_total": "requests answered, by path",
    "postroom_monitor_daemon_up": "1 while the beats of an expected daemon arrive, else 0",
    "postroom_monitor_findings": "findings, by kind: failure, notice",
    "postroom_monitor_store_readable": "1 while a store file can be read, else 0; by store",
    "postroom_monitor_queue_messages": "messages in Postfix's queue, by queue; absent when it cannot be read",
    "postroom_monitor_queue_oldest_seconds": "age of the oldest of them; 0 when there is none",
}

_SLOT = re.compile(r"\\\{[a-z]+\\\}")
_PATTERNS = [(re.compile(_SLOT.sub("[a-z_]+", re.escape(name))), text) for name, text in HELP.items()]


def metric_help(name: str) -> str:
    """The help of a metric by its whole name; for one of another release, that it is not described here."""
    if name in HELP:
        return HELP[name]
    return next((text for pattern, text in _PATTERNS if pattern.fullmatch(name)), "not described in this release")
