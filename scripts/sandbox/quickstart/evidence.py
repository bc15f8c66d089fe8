"""The mails sent, and what became of each: by the API, Postfix's log, the recipients' servers and the limits.

Flow:    mails.py (mails) -> evidence.py -> judgement.py (rows)
"""

import email
import email.policy
import json
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.api import Answer, ask
from sandbox.bounce_mails import dsn
from sandbox.maillog import LoggedDelivery, deliveries, refusals, trail
from sandbox.nameserver import NameServer
from sandbox.postfix import PrivatePostfix
from sandbox.process import BedError, until
from sandbox.quickstart.daemons import QuickstartDaemons
from sandbox.quickstart.judgement import Copy, Row, Seen, judge, judge_rest
from sandbox.quickstart.mails import AGAIN, FIRST, RETURNED_LATER, SUPPRESSED, WAITING, Mail
from sandbox.recipient_servers import RecipientServers
from sandbox.sink import StoredMail
from sandbox.smtp import Reply, submit
from sandbox.verifiers import dkimpy_verdicts, dns_keys, opendkim_dns, opendkim_verdicts, with_crlf

OTHER_HOST = "203.0.113.25"
"""Whose mail a late bounce poses as: what comes from this host counts for nothing."""
SETTLED_S = 20.0
"""Seconds until every mail has had its first try and that is known everywhere; they take under two on an idle host."""

LOOK_S = 0.1


@dataclass(frozen=True)
class Evidence:
    """Sends mails and gathers what is known of each.

    Args:
        api:       the submission socket.
        smtp_port: of Postfix's submission service.
        inbound_port: where Postfix takes mail of other servers.
        folder:    for what OpenDKIM reads.
    """

    api: Path
    smtp_port: int
    inbound_port: int
    daemons: QuickstartDaemons
    postfix: PrivatePostfix
    recipients: RecipientServers
    dns: NameServer
    folder: Path

    def try_mails(self) -> list[Row]:
        """Send all mails and judge what became of each."""
        rows = self._judged(FIRST)
        with suppress(BedError):  # what did not come in time is a fault in the rows that need it
            until(self._is_suppressed, SETTLED_S, "the suppression", every_s=LOOK_S)
        rows += self._judged(AGAIN)
        return rows + judge_rest((*FIRST, *AGAIN), self.recipients.messages())

    def _judged(self, mails: Sequence[Mail]) -> list[Row]:
        sent = [self._send(mail) for mail in mails]
        with suppress(BedError):
            until(lambda: all(map(self._is_settled, mails, sent)), SETTLED_S, "all mails tried", every_s=LOOK_S)
            if RETURNED_LATER in mails:
                self._return(RETURNED_LATER, sent[mails.index(RETURNED_LATER)])
        stored = self.recipients.messages()
        with ThreadPoolExecutor(4) as pool:
            seen = pool.map(lambda mail, said: self._seen(mail, said, stored), mails, sent)
            return list(map(judge, mails, seen))

    def _return(self, mail: Mail, sent: Seen) -> None:
        """As the server that took it: write to the return path that there is no such user, and see that told."""
        report = email.message_from_bytes(
            dsn(mail.recipient, said="550 5.1.1 User unknown"), policy=email.policy.default
        )
        for copy in self.recipients.messages():
            if copy.recipients == (mail.recipient,):
                submit(self.inbound_port, "", copy.sender, report, client_of=OTHER_HOST)
        until(lambda: self._states(sent) == [mail.outcome.state], SETTLED_S, "the late bounce", every_s=LOOK_S)

    def _send(self, mail: Mail) -> Seen:
        if mail.door == "socket":
            body = mail.request()
            return Seen([ask(self.api, "POST", "/v1/messages", body, mail.key) for _ in range(mail.posts)])
        letter = mail.letter(datetime.now().astimezone())
        if mail.door == "sendmail":
            return Seen([self._by_sendmail(mail, letter.as_bytes())])
        reply = submit(self.smtp_port, mail.sender, mail.recipient, letter)
        # Read at once: one mail more of this sender may follow.
        return Seen([reply], used=self._used(mail.sender))

    def _by_sendmail(self, mail: Mail, letter: bytes) -> subprocess.CompletedProcess[bytes]:
        """As the person, like a script of theirs."""
        run, options = 'exec /usr/sbin/sendmail "$@"', ("-i", "-f", mail.sender, mail.recipient)
        return self.postfix.as_user(self.daemons.person.uid, run, *options, stdin=letter)

    def _is_settled(self, mail: Mail, sent: Seen) -> bool:
        """Whether its first try is over, and told."""
        message = self._message(sent)
        if message is None:
            queue_ids = self._queue_ids(mail, sent)
            # What sendmail(1) took is in the log a moment later.
            return bool(queue_ids or mail.door != "sendmail") and all(map(self._logged, queue_ids))
        return all("queue_id" in one and one["state"] != "queued" for one in message.get("deliveries", ()))

    def _states(self, sent: Seen) -> list[str]:
        message = self._message(sent) or {}
        return [one["state"] for one in message.get("deliveries", ())]

    def _seen(self, mail: Mail, sent: Seen, stored: Sequence[StoredMail]) -> Seen:
        message = self._message(sent)
        message_id = mail.message_id if message is None else message.get("message_id")
        told = () if message is None else message.get("deliveries", ())
        queue_ids = self._queue_ids(mail, sent) + [one["queue_id"] for one in told if "queue_id" in one]
        return replace(
            sent,
            message=message,
            logged=[one for queue_id in queue_ids for one in self._logged(queue_id)],
            refused=refusals(self.postfix.log(), mail.recipient),
            copies=[self._verified(copy) for copy in stored if copy.message()["Message-ID"] == message_id],
            used=sent.used if mail.door == "smtp" else self._used(mail.sender),
            waiting=self._waiting() if mail.outcome is WAITING else 0,
        )

    def _message(self, sent: Seen) -> Mapping[str, Any] | None:
        first = sent.said[0]
        if not isinstance(first, Answer) or first.status != 202:
            return None
        message: Mapping[str, Any] = ask(self.api, "GET", f"/v1/messages/{first.document['id']}").document
        return message

    def _queue_ids(self, mail: Mail, sent: Seen) -> list[str]:
        """Those of a mail that the API does not know: of SMTP by its reply, of sendmail(1) by the log."""
        if mail.door == "sendmail":
            return trail(self.postfix.log(), mail.message_id)
        return [said.queue_id for said in sent.said if isinstance(said, Reply) and said.queue_id]

    def _logged(self, queue_id: str) -> list[LoggedDelivery]:
        return deliveries(self.postfix.log(), queue_id)

    def _used(self, sender: str) -> tuple[int, int]:
        # Exit 1: there is no room left.
        (usage,) = json.loads(self.daemons.command("limits", "show", "--json", f"sender:{sender}", fine=(0, 1)))
        return usage["used"], usage["limit"]

    def _waiting(self) -> int:
        """How many mails of sendmail(1) wait for room."""
        return sum(one["waiting"] for one in json.loads(self.daemons.command("limits", "show", "--json", fine=(0, 1))))

    def _verified(self, stored: StoredMail) -> Copy:
        octets = with_crlf(stored.raw)
        folder = self.folder / stored.message()["Message-ID"].strip("<>").partition("@")[0]
        folder.mkdir(parents=True, exist_ok=True)
        return Copy(
            stored,
            dkimpy_verdicts(octets, dns_keys(self.dns.port)),
            opendkim_verdicts(folder, octets, opendkim_dns(self.dns.port)),
        )

    def _is_suppressed(self) -> bool:
        listed = json.loads(self.daemons.command("suppress", "list", "--json"))
        local, _, domain = SUPPRESSED.partition("@")
        return any(one["hint"] == f"{local[0]}…@{domain}" for one in listed)
