"""Mails to the return path to reports: what they say, tied to the mail they speak of, with recipients hashed. Pure.

    mail ─► bounces.report: what it is ─► for each address it came to: the token ─► one report for each recipient

Only bounces and complaints are reports; delay notices, automatic replies and all else change nothing. Which of them has
an effect is not decided here: track.db knows what became of the mail (store/track/reports.py).

Only the address it came to tells which mail a bounce speaks of: what stands in it may have been written by anybody. A
complaint that came to the address for complaints names that mail itself, by a token that only it bore.

A complaint that names neither its recipient nor the token waits for review even when it is signed: whoever has such a
report of his own could send it once more, to any token.

Limits:  MAX_RECIPIENTS recipients of a mail: a token's mail has one, a report names it and perhaps what it became.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from postroom.bounces.mime import ParseError
from postroom.bounces.report import COMPLAINT, Kind, ReportedRecipient, ReturnedMail, read_report
from postroom.mail.recipients import recipient_hash
from postroom.mail.return_addresses import ReturnAddresses
from postroom.store.track.bounce_report import BounceReport
from postroom.store.track.evidence import RecipientFault
from postroom.watcher.lmtp import ReceivedMail

MAX_RECIPIENTS = 10
MAX_HOPS = 30
"""Received fields past which a mail goes round in circles; Postfix itself allows 50 (hopcount_limit)."""

_HOP = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)

MailKind = Kind | Literal["foreign", "loop", "unreadable"]
"""What a mail is: a report's kind; none of ours to read (`foreign`); mail of ours (`loop`); not to be taken apart."""


@dataclass(frozen=True, slots=True)
class ReadMail:
    """What a mail is, and the reports in it."""

    kind: MailKind
    reports: tuple[BounceReport, ...] = ()


class MailReader:
    """Finds out which mail of ours a mail to the return path speaks of, and what it says.

    Args:
        returns: the return addresses that are ours.
        key:     recipients are hashed with it.
    """

    def __init__(self, returns: ReturnAddresses, key: bytes) -> None:
        self._returns = returns
        self._key = key

    def read(self, mail: ReceivedMail, now: float) -> ReadMail:
        """Read a mail, whatever octets it consists of. `now` is Unix seconds."""
        tokens = [token for each in mail.recipients if (token := self._returns.token(each, now)) is not None]
        takes_complaints = any(map(self._returns.takes_complaints, mail.recipients))
        if not tokens and not takes_complaints:
            return ReadMail("foreign")
        if self._is_loop(mail):
            return ReadMail("loop")
        try:
            returned = read_report(mail.octets)
        except ParseError:
            return ReadMail("unreadable")
        named = [token for each in returned.senders if (token := self._returns.token(each, now)) is not None]
        if returned.kind == "complaint" and takes_complaints:
            tokens += named
        made = [
            one
            for token in dict.fromkeys(tokens)
            for one in self._reports(returned, token, mail.octets, now, is_named=token in named)
        ]
        return ReadMail(returned.kind, tuple(made))

    def _is_loop(self, mail: ReceivedMail) -> bool:
        """Whether it is mail of ours, or goes round: nobody of ours writes to these addresses."""
        head = mail.octets.partition(b"\r\n\r\n")[0]
        return self._returns.serve(mail.sender) or len(_HOP.findall(head)) > MAX_HOPS

    def _reports(
        self, returned: ReturnedMail, token: str, octets: bytes, now: float, *, is_named: bool
    ) -> Iterable[BounceReport]:
        digest = hashlib.sha256(token.encode("ascii") + octets).hexdigest()[:32]
        if returned.kind == "complaint":
            # One even where nobody is named: providers hide who complained (RFC 6590).
            if not returned.recipients or any(each.suppress == "now" for each in returned.recipients):
                named = tuple(self._hash(each.address) for each in returned.recipients[:MAX_RECIPIENTS])
                fault = RecipientFault(COMPLAINT, "now" if named or is_named else "review", "", 0)
                yield BounceReport(
                    digest,
                    token,
                    "complaint",
                    named,
                    enhanced_status="",
                    reason="the recipient complained",
                    at=now,
                    fault=fault,
                )
        elif returned.kind == "bounce":
            failed = [each for each in returned.recipients if each.action == "failed" and each.address]
            for number, each in enumerate(failed[:MAX_RECIPIENTS]):
                yield self._bounce(f"{digest}-{number}", token, each, now)

    def _bounce(self, number: str, token: str, failed: ReportedRecipient, now: float) -> BounceReport:
        fault = _fault(failed)
        named = tuple(self._hash(address) for address in (failed.address, failed.original) if address)
        reason = f"reported after it was taken: {failed.evidence}" if failed.evidence else "reported after it was taken"
        return BounceReport(
            number, token, "bounce", named, enhanced_status=failed.status, reason=reason, at=now, fault=fault
        )

    def _hash(self, address: str) -> str:
        return recipient_hash(self._key, address)


def as_signed(read: ReadMail, signer: str | None) -> ReadMail:
    """Complaints as they count: signed by a reporter that is believed, or for an operator to look at."""
    by = "signed by no reporter that is believed" if signer is None else f"reported by {signer}"
    return replace(read, reports=tuple(_as_signed(report, signer, by) for report in read.reports))


def _as_signed(report: BounceReport, signer: str | None, by: str) -> BounceReport:
    fault = report.fault
    if fault is not None and signer is None:
        fault = replace(fault, proof="review")
    return replace(report, fault=fault, reason=f"{report.reason}, {by}")


def _fault(failed: ReportedRecipient) -> RecipientFault | None:
    if failed.suppress == "never":
        return None
    return RecipientFault(failed.fault, failed.suppress, failed.rule, failed.rule_version)
