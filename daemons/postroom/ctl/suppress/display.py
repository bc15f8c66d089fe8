"""What the command shows of suppressed recipients: lines for people, documents for programs."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postroom.store.shared.suppression import KeptRefusal, RecipientHistory, Suppression, Wave
    from postroom.store.shared_store import SharedStore

PAGE = 500
_TIMES = ("added_at", "expires_at", "at", "began_at", "last_at")


async def all_suppressions(store: "SharedStore") -> "list[Suppression]":
    """Read all suppressions that have not expired."""
    after, found = ("", ""), list["Suppression"]()
    while page := await store.suppressions.page(after, PAGE):
        found += page
        after = page[-1].recipient_hash, page[-1].stream
    return found


def in_a_line(each: "Suppression") -> str:
    """An entry, without its hash."""
    until = "for ever" if each.expires_at is None else f"until {date_text(each.expires_at)}"
    status = f" {each.enhanced_status}" if each.enhanced_status else ""
    wave = "" if each.wave is None else f", {'held in ' if each.is_held else ''}wave {each.wave}"
    since = f"since {date_text(each.added_at)} {until}"
    stream = f"  of {each.stream}" if each.stream else ""
    return f"{each.hint or '(by its hash)'}  {each.cause}{status}{stream}  {since}  by {each.source}{wave}"


def story_text(recipient_hash: str, story: "RecipientHistory") -> str:
    """All that is kept about a recipient, for people."""
    lines = [f"#{recipient_hash}: {'suppressed' if story.is_suppressed else 'not suppressed'}"]
    for entry in story.entries:
        lines += [f"  {in_a_line(entry)}", *_judged(entry)]
    if story.refusals:
        lines.append("what counts against it:")
    for refusal in story.refusals:
        proof = "is proof" if refusal.is_proof else "counts"
        lines += [f"  {time_text(refusal.at)}  {refusal.cause} {refusal.enhanced_status}  {proof}", *_judged(refusal)]
    if story.good_at is not None:
        lines.append(f"{time_text(story.good_at)}: it got mail, or its suppression was lifted; nothing earlier counts")
    return "\n".join(lines)


def story_json(recipient_hash: str, story: "RecipientHistory") -> str:
    """All that is kept about a recipient, as JSON for programs."""
    return json.dumps(
        {
            "recipient_hash": recipient_hash,
            "suppressed": story.is_suppressed,
            "entries": [document(entry) for entry in story.entries],
            "refusals": [document(refusal) for refusal in story.refusals],
            "good_at": None if story.good_at is None else time_text(story.good_at),
        },
        indent=2,
        ensure_ascii=False,
    )


def document(each: "Suppression | KeptRefusal | Wave") -> dict[str, object]:
    """A value with its times in UTC."""
    fields: dict[str, object] = asdict(each)
    for name in _TIMES:
        if isinstance(seconds := fields.get(name), float):
            fields[name] = time_text(seconds)
    return fields


def time_text(seconds: float) -> str:
    """A moment in UTC (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def date_text(seconds: float) -> str:
    """A moment's day in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _judged(each: "Suppression | KeptRefusal") -> list[str]:
    judged = f"rule {each.rule} version {each.rule_version}: " if each.rule else ""
    return [f"    {judged}{each.evidence}"] if judged or each.evidence else []
