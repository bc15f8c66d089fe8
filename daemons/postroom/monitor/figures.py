"""The figures of the last hour, as the dashboard shows them: rows of names and numbers. Pure.

Two sources, and each table of the page says which is its own:

    track.db   what became of deliveries of the API's mail: each once, in its present state, at the time it reached
               it. Kept on the disk, so it is right across restarts of anything.
    beats      what the daemons counted in the last 60 minutes while the monitor watched (counters.py).

System-level only: no address, no message.

Source:  RFC 3463 §3 (the second number of an enhanced status code: whom or what a refusal speaks of).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postroom.mail.states import State
from postroom.monitor.health import gauge, span
from postroom.monitor.snapshot import SLOT_S, SLOTS, Snapshot, Unanswered
from postroom.store.track.history import OutcomeCount

SUBJECTS = {
    "1": "the address",
    "2": "the mailbox",
    "3": "the receiving system",
    "4": "network or routing",
    "5": "the protocol",
    "6": "the content",
    "7": "policy or security",
}

BARS = {
    State.DELIVERED: (State.DELIVERED, State.RELAYED),
    State.DEFERRED: (State.DEFERRED,),
    State.BOUNCED: (State.BOUNCED, State.EXPIRED),
}
"""What is drawn, from the ground up, and the states that count for it."""

_BECAME = {
    State.DELIVERED: "accepted by the recipient's server",
    State.RELAYED: "accepted by the relayhost; what follows is not seen",
    State.DEFERRED: "refused for now; Postfix tries again",
    State.BOUNCED: "refused for good",
    State.EXPIRED: "given up by Postfix",
    State.DISCARDED: "discarded or deleted in Postfix",
    State.UNTRACKED: "left the queue in a gap of the log",
}
_ALWAYS_SHOWN = (State.DELIVERED, State.DEFERRED, State.BOUNCED)


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A row of a table: a name, its number (None: unknown), and a note on it."""

    name: str
    number: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """Five minutes from `began_at` (Unix seconds) on: how many of each of BARS."""

    began_at: float
    counts: Mapping[State, int]


def became(outcomes: Sequence[OutcomeCount]) -> list[FigureRow]:
    """How many deliveries are in each state."""
    states: Counter[State] = Counter()
    for outcome in outcomes:
        states[outcome.state] += outcome.count
    shown = (state for state in _BECAME if states[state] or state in _ALWAYS_SHOWN)
    return [FigureRow(state, states[state], _BECAME[state]) for state in shown]


def bounces(outcomes: Sequence[OutcomeCount]) -> list[FigureRow]:
    """The bounces by what they concern, the most frequent first."""
    subjects: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.state is State.BOUNCED:
            _, _, rest = outcome.enhanced_status.partition(".")
            subject = rest.partition(".")[0]
            subjects[subject if subject in SUBJECTS else ""] += outcome.count
    ordered = sorted(subjects.items(), key=lambda entry: (-entry[1], not entry[0], entry[0]))
    return [FigureRow(SUBJECTS.get(one, "not stated"), count, f"5.{one}.x" if one else "") for one, count in ordered]


def bars(outcomes: Sequence[OutcomeCount], since: float) -> list[Bar]:
    """The hour in slots of five minutes, the oldest first."""
    slots: list[Counter[State]] = [Counter() for _ in range(SLOTS)]
    for outcome in outcomes:
        for state, counted in BARS.items():
            if outcome.state in counted:
                slots[outcome.slot][state] += outcome.count
    return [
        Bar(since + number * SLOT_S, {state: counts[state] for state in BARS}) for number, counts in enumerate(slots)
    ]


def came_in(snapshot: Snapshot) -> list[FigureRow]:
    """Messages by the door they came through; None where that daemon sent no beat."""
    return [
        FigureRow("API", _grown(snapshot, "submission", "accepted_total"), "messages accepted"),
        FigureRow("SMTP", _grown(snapshot, "policy", "messages_smtp_total"), "messages let through to Postfix"),
        FigureRow("sendmail", _grown(snapshot, "policy", "messages_sendmail_total"), "messages let through to Postfix"),
        FigureRow(
            "refused", _grown(snapshot, "policy", "refused_total"), "recipients and messages, at SMTP and sendmail"
        ),
    ]


def on_the_way(snapshot: Snapshot) -> list[FigureRow]:
    """What happened to mail before Postfix had it, and its signatures."""
    unsigned = sum(count for name, count in snapshot.grown.items() if name.startswith("postroom_milter_unsigned_"))
    return [
        FigureRow(
            "held by a limit", _grown(snapshot, "submission", "held_deferred_total"), "times a delivery had to wait"
        ),
        FigureRow("suppressed", _grown(snapshot, "submission", "held_suppressed_total"), "deliveries not sent"),
        FigureRow(
            "handed over", _grown(snapshot, "submission", "queued_total"), "deliveries Postfix accepted from the API"
        ),
        FigureRow(
            "refused for now",
            _grown(snapshot, "submission", "deferred_total"),
            "temporary refusals by Postfix",
        ),
        FigureRow("failed", _grown(snapshot, "submission", "failed_total"), "deliveries Postfix never accepted"),
        FigureRow("signed", _grown(snapshot, "milter", "signed_total"), "messages, all doors"),
        FigureRow("not signed", unsigned if "milter" in snapshot.ages else None, "inbound mail is never signed"),
    ]


def tries(snapshot: Snapshot) -> list[FigureRow]:
    """What Postfix's log says of all mail, whichever door it came through."""
    return [
        FigureRow(state, _grown(snapshot, "watcher", f"{state}_total"))
        for state in (State.DELIVERED, State.RELAYED, State.DEFERRED, State.BOUNCED)
    ]


def waiting(snapshot: Snapshot) -> list[FigureRow]:
    """What waits now, in the outbox and in Postfix's queue."""
    outbox = outbox_waits(snapshot)
    oldest_s = gauge(snapshot, "postroom_submission_oldest_waiting_seconds")
    in_doubt = gauge(snapshot, "postroom_submission_deliveries_in_doubt")
    return [
        FigureRow("in the outbox", outbox, f"deliveries; the oldest for {span(oldest_s)}" if outbox else "deliveries"),
        FigureRow("in doubt", None if outbox is None else in_doubt, "deliveries"),
        _queue(snapshot),
    ]


def _queue(snapshot: Snapshot) -> FigureRow:
    name = "in Postfix's queue"
    if isinstance(snapshot.queue, Unanswered):
        return FigureRow(name, None, "messages, of all mail")
    mails, oldest_at = snapshot.queue.mails, snapshot.queue.oldest_at
    parts = [f"{count} {queue}" for queue, count in mails.items() if count]
    if oldest_at is not None:
        parts.append(f"the oldest for {span(max(0.0, snapshot.at - oldest_at))}")
    if not snapshot.queue.is_whole:
        parts.append("and more")
    return FigureRow(name, sum(mails.values()), ", ".join(parts) or "messages, of all mail")


def outbox_waits(snapshot: Snapshot) -> float | None:
    """Deliveries in the outbox whose hand-over is to come; None when submission sent no beat."""
    if "submission" not in snapshot.ages:
        return None
    return sum(gauge(snapshot, f"postroom_submission_deliveries_{state}") for state in ("accepted", "deferred"))


def _grown(snapshot: Snapshot, word: str, counter: str) -> float | None:
    """How much a counter grew; None when its daemon sent no beat in the last hour."""
    return snapshot.grown.get(f"postroom_{word}_{counter}", 0.0) if word in snapshot.ages else None
