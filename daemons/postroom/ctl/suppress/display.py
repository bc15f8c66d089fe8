"""What the command shows of suppressed recipients: lines for people, documents for programs."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from postroom.store.track.bounce_report import LOCAL_REPORT

if TYPE_CHECKING:
    from postroom.store.shared.values import KeptRefusal, RecipientHistory, Suppression, Wave

_TIMES = ("added_at", "expires_at", "at", "began_at", "last_at")


def entry_text(entry: "Suppression") -> str:
    """An entry in a line, without its hash."""
    until = "for ever" if entry.expires_at is None else f"until {date_text(entry.expires_at)}"
    status = f" {entry.enhanced_status}" if entry.enhanced_status else ""
    wave = "" if entry.wave is None else f", {'held in ' if entry.is_held else ''}wave {entry.wave}"
    since = f"since {date_text(entry.added_at)} {until}"
    stream = f"  of {entry.stream}" if entry.stream else ""
    return f"{entry.hint or '(by its hash)'}  {entry.cause}{status}{stream}  {since}  by {entry.source}{wave}"


def history_text(recipient_hash: str, history: "RecipientHistory") -> str:
    """All that is kept about a recipient, for people."""
    lines = [f"#{recipient_hash}: {'suppressed' if history.is_suppressed else 'not suppressed'}"]
    for entry in history.entries:
        lines += [f"  {entry_text(entry)}", *_evidence_lines(entry)]
    counting = [refusal for refusal in history.refusals if refusal.cause != LOCAL_REPORT]
    local = [refusal for refusal in history.refusals if refusal.cause == LOCAL_REPORT]
    if counting:
        lines.append("what counts against it:")
    for refusal in counting:
        proof = "is proof" if refusal.is_proof else "counts"
        lines += [
            f"  {time_text(refusal.at)}  {refusal.cause} {refusal.enhanced_status}  {proof}",
            *_evidence_lines(refusal),
        ]
    if local:
        lines.append("what anybody on this host could write, and counts for nothing:")
    for refusal in local:
        lines += [
            f"  {time_text(refusal.at)}  {' '.join(filter(None, (refusal.cause, refusal.enhanced_status)))}",
            *_evidence_lines(refusal),
        ]
    if history.good_at is not None:
        lines.append(
            f"{time_text(history.good_at)}: it got mail, or its suppression was lifted; nothing earlier counts"
        )
    return "\n".join(lines)


def history_json(recipient_hash: str, history: "RecipientHistory") -> str:
    """All that is kept about a recipient, for programs."""
    return json.dumps(
        {
            "recipient_hash": recipient_hash,
            "suppressed": history.is_suppressed,
            **history_document(history),
        },
        indent=2,
        ensure_ascii=False,
    )


def history_document(history: "RecipientHistory") -> dict[str, object]:
    """A history for programs, without whose it is."""
    return {
        "entries": [document(entry) for entry in history.entries],
        "refusals": [document(refusal) for refusal in history.refusals],
        "good_at": None if history.good_at is None else time_text(history.good_at),
    }


def document(value: "Suppression | KeptRefusal | Wave") -> dict[str, object]:
    """A value for programs, with its times in UTC."""
    fields: dict[str, object] = asdict(value)
    for name in _TIMES:
        if isinstance(seconds := fields.get(name), float):
            fields[name] = time_text(seconds)
    return fields


def time_text(seconds: float) -> str:
    """A moment in UTC (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def date_text(seconds: float) -> str:
    """The day of a moment, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _evidence_lines(entry: "Suppression | KeptRefusal") -> list[str]:
    rule = f"rule {entry.rule} version {entry.rule_version}: " if entry.rule else ""
    return [f"    {rule}{entry.evidence}"] if rule or entry.evidence else []
