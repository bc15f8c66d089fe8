"""What Postfix is answered: recipients are checked at RCPT, mail is counted at END-OF-MESSAGE.

    context     RCPT                                      END-OF-MESSAGE
    smtp        recipient check; notes the recipient      all limits in one step, or none
    sendmail    recipient check                           DUNNO: the milter of that door counts
    inbound     550 for a return address that is not ours DUNNO
    any other   DUNNO, and a warning: the wiring names no door

At CONNECT, which only the sendmail door's listener asks about, whoever is not Postfix is told 421 (postfix_only.py).

DUNNO, not OK: OK would end Postfix's own later restrictions (access(5)). Everything is allowed by DUNNO or
refused for this recipient or message; no answer has an effect past it.

With `count_at: rcpt` each recipient is counted as it is named: the message with the first one.

Recipients are looked at as Postfix will resolve them (recipients/resolver.py), so each has one count and one answer.
A client on this host that has not logged in is the user who runs it, at whichever of the host's addresses it connects
(clients.py): the key `uid` holds here as at sendmail(1).

An envelope sender of ours that the table of `senders` gives to others counts under the client and it together, or is
refused at RCPT, which costs nothing (rights.py).

Why and since when a recipient is suppressed is told to who may write more than a user's own address; to others, and at
the sendmail door, whose answers any user of the host may read in a bounce, only that it is and whom to ask.

A return address is refused where it is named, at RCPT: once Postfix has taken such a mail it could only send it back,
to whoever the forger chose.

Source:  SMTPD_POLICY_README; RFC 3463 (4.7.1 and 5.7.1: policy; 5.1.x: the address).
BUGS:    with `count_at: rcpt` no queue id is kept, so what is refused later stays counted.
         a recipient that a later restriction of Postfix's refuses was noted all the same and is counted under
         `recipient` and `recipient_domain` if others of that message pass: wire the policy last.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from postroom.limits.limiter import Decision, Limiter
from postroom.limits.subject import Key, Subject, beyond, of_mail
from postroom.mail.recipients import private
from postroom.mail.return_addresses import ReturnAddresses
from postroom.policy.clients import SmtpClient, SmtpClients
from postroom.policy.postfix_only import PostfixOnly
from postroom.policy.protocol import PolicyRequest
from postroom.policy.recipient_notes import RecipientNotes
from postroom.policy.rights import SenderRights
from postroom.recipients.check import SUPPRESSED_IN_SHORT, RecipientCheck
from postroom.runtime.log import Log
from postroom.runtime.log_once import LogOnceEach
from postroom.store.limits.interface import Usage

DUNNO = "DUNNO"

DOORS = frozenset({"smtp", "sendmail"})
"""The contexts whose mail is ours; the word of each is its door's."""

MAX_UNKNOWN_CONTEXTS = 100
"""Contexts that are logged as unknown; the mail of more of them passes without a log line."""

CountAt = Literal["end_of_message", "rcpt"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An action, and what the log says of how it came about.

    Args:
        action: as access(5) has it.
        rule:   the stable name of what refused; None when nothing did.
        usage:  how the counter that refused stands.
        by:     who decided the limits; None where none were asked.
        uid:    the user of this host whose mail it is, or `unknown`; "" where it is none or was not asked for.
    """

    action: str
    rule: str | None = None
    usage: Usage | None = None
    by: Literal["store", "process"] | None = None
    uid: str = ""


PASSED = Answer(DUNNO)
NOT_THEIRS = Answer("550 5.7.1 You may not send with this envelope sender", "sender_not_allowed")
NOBODYS = Answer("550 5.1.1 No such return address", "return_address")


class Decisions:
    """Decides for one process.

    Args:
        check:    has the resolver that recipients are counted by as well.
        key:      hashes what is private before it is counted.
        clients:  tells whose mail it is.
        rights:   tells which senders are theirs.
        hostname: value of the key `server`.
        count_at: when mail is counted.
        returns:  the return addresses that are ours.
        postfix_only: who may connect to the sendmail door.
        clock:    Unix seconds.
    """

    def __init__(
        self,
        check: RecipientCheck,
        limiter: Limiter,
        notes: RecipientNotes,
        clients: SmtpClients,
        rights: SenderRights,
        *,
        key: bytes,
        hostname: str,
        count_at: CountAt,
        returns: ReturnAddresses,
        postfix_only: PostfixOnly,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._check = check
        self._limiter = limiter
        self._notes = notes
        self._clients = clients
        self._rights = rights
        self._key = key
        self._hostname = hostname
        self._count_at = count_at
        self._returns = returns
        self._postfix_only = postfix_only
        self._clock = clock
        self._log = log
        self._are_clients_asked_for = rights.are_limited or limiter.counts_by("uid", "client_address")
        self._are_recipients_counted = limiter.counts_by("recipient", "recipient_domain")
        self._unknown_contexts = LogOnceEach(MAX_UNKNOWN_CONTEXTS)

    async def answer(self, request: PolicyRequest) -> Answer:
        """Decide one request; raises nothing that a store can cause."""
        if request.context == "inbound":
            return self._inbound(request)
        if request.context not in DOORS:
            self._warn(request.context)
            return PASSED
        if request.context == "sendmail":
            return await self._at_sendmail_door(request)
        if request.state == "RCPT":
            return await self._recipient(request)
        if request.state == "END-OF-MESSAGE" and self._count_at == "end_of_message":
            return await self._message(request)
        return PASSED

    async def _at_sendmail_door(self, request: PolicyRequest) -> Answer:
        if request.state == "CONNECT":
            refusal = self._postfix_only.refusal(request)
            return PASSED if refusal is None else Answer(refusal, "not_postfix")
        return await self._checked(request, None) if request.state == "RCPT" else PASSED

    def _inbound(self, request: PolicyRequest) -> Answer:
        recipient = self._check.resolver.resolve_or_keep(request.recipient).address
        if (
            request.state != "RCPT"
            or not self._returns.serve(recipient)
            or self._returns.exists(recipient, self._clock())
        ):
            return PASSED
        return NOBODYS

    async def _checked(self, request: PolicyRequest, client: SmtpClient | None) -> Answer:
        """Check the recipient; None is a client that is not known here: the answer goes to a user of sendmail(1)."""
        (refusal,) = await self._check.refusals([request.recipient])
        if refusal is None:
            return PASSED
        if refusal.rule == SUPPRESSED_IN_SHORT.rule and not await self._rights.may_sign(client):
            refusal = SUPPRESSED_IN_SHORT
        return Answer(str(refusal), refusal.rule)

    async def _recipient(self, request: PolicyRequest) -> Answer:
        client = self._client(request)
        if self._rights.refuses_others and (await self._rights.sender(request.sender, client)).is_anothers:
            return replace(NOT_THEIRS, uid=client.counted_uid)
        if (answer := await self._checked(request, client)) is not PASSED:
            return replace(answer, uid=client.counted_uid)
        who = self._check.resolver.resolve_or_keep(request.recipient)
        recipient, domain = who.counted, who.domain
        if self._count_at == "rcpt":
            return await self._one_more(request, client, recipient, domain)
        if self._are_recipients_counted:
            await self._notes.add(request.instance, "smtp", recipient, domain)
        return PASSED

    def _client(self, request: PolicyRequest) -> SmtpClient:
        if not self._are_clients_asked_for:
            return SmtpClient(request.login)
        is_counted_now = request.state == "END-OF-MESSAGE" or self._count_at == "rcpt"
        return self._clients.client_of(request, ask_again=is_counted_now)

    async def _message(self, request: PolicyRequest) -> Answer:
        client = self._client(request)
        if request.recipient:
            who = self._check.resolver.resolve_or_keep(request.recipient)
            recipients = {who.counted: who.domain}
        elif self._are_recipients_counted:
            recipients = dict(await self._notes.of(request.instance, "smtp"))
        else:
            recipients = {}
        singles = await self._singles(request, client)
        subject = of_mail(singles, recipients, max(1, request.recipient_count))
        # A client that is refused at the end may go on in the same transaction, with other recipients: Postfix tells
        # that by another queue id alone. What is asked again after a lost reply has the same.
        instance = f"{request.instance}/{request.queue_id}"
        return _answer(await self._limiter.decide(instance, "smtp", subject, request.queue_id or None), client)

    async def _one_more(self, request: PolicyRequest, client: SmtpClient, recipient: str, domain: str) -> Answer:
        counted = dict(await self._notes.of(request.instance, "smtp"))
        if recipient in counted:
            return PASSED
        singles, all_of_them = await self._singles(request, client), {**counted, recipient: domain}
        before: Subject = of_mail(singles, counted, len(counted)) if counted else {}
        subject = beyond(before, of_mail(singles, all_of_them, len(all_of_them)))
        # An instance of its own for each recipient: asked again after a lost reply, it is not counted again.
        decision = await self._limiter.decide(f"{request.instance}/{recipient}", "smtp", subject)
        if decision.verdict.allowed:
            await self._notes.add(request.instance, "smtp", recipient, domain)
        return _answer(decision, client)

    async def _singles(self, request: PolicyRequest, client: SmtpClient) -> dict[Key, str]:
        sender = await self._rights.sender(request.sender, client)
        return {
            "sender": private(self._key, sender.counted),
            "login": private(self._key, request.login),
            "uid": client.counted_uid,
            "client_address": client.network,
            "server": self._hostname,
        }

    def _warn(self, context: str) -> None:
        # Once for each: the word is Postfix's configuration, not the client's.
        if self._unknown_contexts.is_new(context):
            self._log.warning(
                "policy.context_unknown",
                context=context,
                effect="its mail passes unchecked",
                mend="set policy_context to smtp, sendmail or inbound where Postfix asks (postfix-conf/policy.main.cf)",
            )


def _answer(decision: Decision, client: SmtpClient) -> Answer:
    verdict = decision.verdict
    if verdict.allowed:
        return Answer(DUNNO, by=decision.by, uid=client.counted_uid)
    usage = next((usage for usage in verdict.usages if (usage.rule, usage.key) == (verdict.rule, verdict.key)), None)
    if verdict.never_fits:
        action = f"550 5.7.1 More recipients than the limit {verdict.rule} allows at once"
    else:
        action = f"450 4.7.1 Over the limit {verdict.rule}, try again later"
    return Answer(action, verdict.rule, usage, decision.by, client.counted_uid)
