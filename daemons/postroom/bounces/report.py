"""What a mail to the return path says: bounce, delay, success, complaint, automatic reply, or none of these. Pure.

    octets -> parts -> complaint (ARF) | statuses (RFC 3464) | notification (SES) | letter (prose) | autoreply | other

Only a bounce or a complaint can suppress, and only those of its recipients for whom it gives cause.

Source:  RFC 3464, RFC 6533, RFC 5965, RFC 3834; the other modules of this room say which letters they know.
Limits:  those of mime.py; a message past them is a ParseError.
BUGS:    anybody can write such a mail. Whoever acts on it must first know, by its own token, which mail it speaks of.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from postroom.bounces import kinds, notices
from postroom.bounces.classes import Suppress
from postroom.bounces.classify import Judgement, classify
from postroom.bounces.complaints import Complaint, read_complaint, returned_recipients
from postroom.bounces.dsn import RecipientStatus, read_embedded_statuses, read_statuses
from postroom.bounces.mime import MimePart, ParseError, parts
from postroom.bounces.notifications import read_notification

Kind = Literal["bounce", "delay", "success", "complaint", "autoreply", "other"]

COMPLAINT = "complaint"
"""The class of a recipient who complained; no class of faults."""

_REPORTS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/partial")
_ACTIONS_BY_STATUS = {"4": "delayed", "2": "delivered"}
_STATES = {"delivered": "success", "relayed": "success", "expanded": "success", "delayed": "delay"}


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One recipient of a report.

    Attributes:
        address:  as the report writes it.
        action:   failed, delayed, delivered, relayed, expanded or complained.
        status:   enhanced status code, "" without one.
        fault:    name of its class (classes.py), `complaint`, or "" where nothing failed.
        suppress: what follows for it.
        original: the address the mail was sent to, where the report names it beside another.
        evidence: the words that decided, never an address (Judgement.evidence).
        rule:     id of the rule that decided, "" where none did, with its version.
    """

    address: str
    action: str
    status: str
    fault: str
    suppress: Suppress
    original: str = ""
    evidence: str = ""
    rule: str = ""
    rule_version: int = 0


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """A message to the return path, understood; `senders` are the envelope senders a complaint gives for the mail."""

    kind: Kind
    recipients: tuple[ReportedRecipient, ...] = ()
    senders: tuple[str, ...] = ()


def read_report(message: bytes) -> ReturnedMail:
    """Understand a message; any octets will do.

    Raises:
        ParseError: it is empty, or has more parts or levels than reports have.
    """
    found = parts(message)
    if (complained := read_complaint(found)) is not None:
        return _complaint(complained)
    text = _letter_text(found)
    match read_notification(text):
        case Complaint() as complained:
            return _complaint(complained)
        case list() as statuses:
            return _report(statuses, [])
    lines = notices.letter(text)
    letter = "\n".join(lines)
    returned = _reported(found, text, lines) or _prose(found, lines)
    # A challenge is no bounce, however it is dressed.
    is_challenge = returned is not None and kinds.is_challenge(letter) and not _is_proven(returned)
    if returned is not None and not is_challenge:
        return returned
    return ReturnedMail("autoreply" if kinds.is_answer(found[0]) and not is_challenge else "other")


def _complaint(complained: Complaint) -> ReturnedMail:
    suppress: Suppress = "now" if complained.is_by_a_recipient else "never"
    return ReturnedMail(
        "complaint",
        tuple(ReportedRecipient(each, "complained", "", COMPLAINT, suppress) for each in complained.recipients),
        complained.senders,
    )


def _reported(found: list[MimePart], text: str, lines: list[str]) -> ReturnedMail | None:
    """What the machine-readable part says, also where its MIME was lost; None without one."""
    statuses = [status for part in found if part.type in _REPORTS for status in read_statuses(part.decoded())]
    if not statuses and kinds.is_of_a_mail_system(found[0]):
        statuses = read_embedded_statuses(text)
    return _report(statuses, lines) if statuses else None


def _is_proven(returned: ReturnedMail) -> bool:
    return any(each.suppress == "now" for each in returned.recipients)


def _report(statuses: list[RecipientStatus], lines: list[str]) -> ReturnedMail:
    """The report of a delivery-status part; the letter beside it helps where that gives no reason."""
    letter = "\n".join(lines)
    reasons_of_letter = {each.address.lower(): each.reason for each in notices.named(lines, frozenset())}
    recipients: dict[tuple[str, str], ReportedRecipient] = {}
    # What a letter says of several recipients cannot be told apart by each.
    is_of_one = len({(each.address or each.original).lower() for each in statuses}) == 1
    for each in statuses:
        action = each.action or _ACTIONS_BY_STATUS.get(each.status[:1], "failed")
        address = each.address or each.original
        reasons = (each.diagnostic, reasons_of_letter.get(address.lower(), ""), letter if is_of_one else "")
        recipient = _recipient(address, action, each.status, reasons, each.original)
        key = (address.lower(), action)
        if key not in recipients or recipients[key].suppress != "now":
            recipients[key] = recipient
    return ReturnedMail(_kind(recipients.values()), tuple(recipients.values()))


def _recipient(address: str, action: str, status: str, reasons: Iterable[str], original: str = "") -> ReportedRecipient:
    other = original if original.lower() != address.lower() else ""
    if _STATES.get(action) == "success":
        return ReportedRecipient(address, action, status, "", "never", other)
    judgement = _judged(reasons, status)
    suppress = judgement.suppress if action == "failed" else "never"
    return ReportedRecipient(
        address,
        action,
        status,
        fault=judgement.fault.name,
        suppress=suppress,
        original=other,
        evidence=judgement.evidence,
        rule=judgement.rule,
        rule_version=judgement.version,
    )


def _judged(reasons: Iterable[str], status: str) -> Judgement:
    """The first reason that says something; where only codes speak, a text further from the recipient may say more."""
    judgement = classify("", status=status)
    for reason in filter(None, reasons):
        found = classify(reason, status=status)
        if found.is_by_words:
            return found
        judgement = judgement if judgement.rule else found
    return judgement


def _kind(recipients: Iterable[ReportedRecipient]) -> Kind:
    actions = {_STATES.get(each.action, "bounce") for each in recipients}
    return "bounce" if "bounce" in actions else "delay" if "delay" in actions else "success"


def _letter_text(found: list[MimePart]) -> str:
    """The text for people: the first plain part that is not the mail that came back, else the first HTML."""
    texts = [part for part in found if part.type.startswith("text/") and part.type not in _RETURNED]
    plain = [part.text() for part in texts if part.type != "text/html"]
    letter = "\n".join(plain[:3])
    if "@" not in letter and (pages := [part for part in texts if part.type == "text/html"]):
        letter = f"{letter}\n{pages[0].text()}"
    return letter


def _prose(found: list[MimePart], lines: list[str]) -> ReturnedMail | None:
    """What a letter for people says; None when it is none of a mail system, or names nobody."""
    head, letter = found[0], "\n".join(lines)
    is_delay, is_failure = kinds.is_delay(letter), kinds.says_undelivered(letter)
    if not kinds.is_of_a_mail_system(head) or (kinds.is_answer_by_subject(head) and not is_failure):
        return None
    # What a mail system itself signs needs no words we know; it may write in any language.
    is_failure = is_failure or kinds.is_signed_by_a_mail_system(head)
    failed = [each for value in head.all("x-failed-recipients") for each in value.replace(",", " ").split()]
    named = notices.named(lines, _parties(head)) if failed or is_failure or is_delay else []
    if failed:
        reasons = {each.address.lower(): each.reason for each in named}
        named = [notices.NamedAddress(each, reasons.get(each.lower(), "")) for each in dict.fromkeys(failed)]
    if not named:
        return _returned(found) if head.type == "multipart/report" and is_failure else None
    action = "delayed" if is_delay and not failed else "failed"
    rest = letter if len(named) == 1 else ""
    recipients = tuple(_recipient(each.address, action, "", (each.reason, rest)) for each in named)
    return ReturnedMail("delay" if action == "delayed" else "bounce", recipients)


def _parties(head: MimePart) -> frozenset[str]:
    """Who reports and to whom: no recipients of the mail that failed."""
    return frozenset(
        each.lower()
        for name in ("from", "to", "return-path", "reply-to", "sender", "errors-to")
        for value in head.all(name)
        for each in notices.addresses(value)
    )


def _returned(found: list[MimePart]) -> ReturnedMail | None:
    """A report that names nobody: the one recipient of the mail that came back, of whom it says nothing."""
    returned = returned_recipients(found)
    if len(returned) != 1:
        return None
    return ReturnedMail("bounce", (ReportedRecipient(returned[0], "failed", "", "unknown", "never"),))


__all__ = ["COMPLAINT", "ParseError", "ReportedRecipient", "ReturnedMail", "read_report"]
