"""Amazon SES notifications that come by mail: a JSON object of bounce or complaint. Pure.

Source:  Amazon SES Developer Guide, "Amazon SNS notification contents"; SNS wraps it once more as text.
Limits:  MAX_CHARS of text.
"""

import json
import re

from postroom.bounces.complaints import Complaint
from postroom.bounces.dsn import RecipientStatus

MAX_CHARS = 200_000


def read_notification(text: str) -> list[RecipientStatus] | Complaint | None:
    """What a notification says; None when the text is none."""
    start = text.find("{")
    if start < 0 or text[:start].strip() or "otificationType" not in text[:MAX_CHARS]:
        return None
    # Mail breaks the long line; a break is neither part of a JSON text nor allowed within one.
    document = _object(text[start:MAX_CHARS])
    inner = document.get("Message")
    if isinstance(inner, str):
        document = _object(inner)
    bounce, complaint = document.get("bounce"), document.get("complaint")
    if isinstance(bounce, dict):
        is_permanent = bounce.get("bounceType") == "Permanent"
        return [
            RecipientStatus(
                address,
                "",
                "failed",
                str(each.get("status") or ("5.0.0" if is_permanent else "4.0.0")),
                str(each.get("diagnosticCode") or bounce.get("bounceSubType") or ""),
            )
            for each in _objects(bounce.get("bouncedRecipients"))
            if (address := str(each.get("emailAddress", "")))
        ]
    if isinstance(complaint, dict):
        named = [str(each.get("emailAddress", "")) for each in _objects(complaint.get("complainedRecipients"))]
        return Complaint(tuple(named), "abuse")
    return None


def _object(text: str) -> dict[str, object]:
    for attempt in (text, re.sub(r"\n ?", "", text)):
        try:
            found, _ = json.JSONDecoder(strict=False).raw_decode(attempt)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _objects(value: object) -> list[dict[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
