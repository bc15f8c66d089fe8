"""Carrying deliveries over one session, one behind the other.

    envelope(1) ─► 3 replies ─► store: start_attempt(1) ─► body(1) dot envelope(2)
                     ─► answer(1), 3 replies ─► store: queued(1) and start_attempt(2) ─► body(2) dot envelope(3) ─► …

The envelope of the next delivery rides behind the dot of this one. That its
body is about to go out is stored only when it is, in one commit with the
outcome of the one before: a kill leaves at most one delivery a session in doubt.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from postroom.mail import tokens
from postroom.runtime.fault_points import FaultPoints
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.handover import OutboxHandover
from postroom.store.outbox.messages import ClaimedDelivery
from postroom.submission.handover import smtp
from postroom.submission.handover.outcomes import Outcomes
from postroom.submission.handover.session import SessionLost, SmtpSession

DOT_FACTOR = 10
"""The answer to the final dot may take so many times longer than others: milters and an fsync are in it (RFC 5321
§4.5.3.2.6 asks for ten minutes)."""
LARGE_BODY = 128 * 1024
"""From this size on the final dot waits until the kernel took the body, so that a break before it is no doubt."""


@dataclass(frozen=True, slots=True)
class Carried:
    """How carrying ended: whether the session may be used again, and the delivery that is to have a fresh one."""

    is_usable: bool
    again: ClaimedDelivery | None = None


@dataclass(frozen=True, slots=True)
class _UnderWay:
    claimed: ClaimedDelivery
    token: str


class Carrier:
    """Hands over deliveries.

    Args:
        key: signs the attempt tokens.
        reply_timeout_s: how long Postfix may take for a reply, in seconds.
        next_ready: the next delivery at hand; None when there is none now.
    """

    def __init__(
        self,
        store: OutboxHandover,
        outcomes: Outcomes,
        next_ready: Callable[[], ClaimedDelivery | None],
        *,
        key: bytes,
        reply_timeout_s: float,
        faults: FaultPoints,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._outcomes = outcomes
        self._key = key
        self._reply_timeout_s = reply_timeout_s
        self._next_ready = next_ready
        self._faults = faults
        self._clock = clock

    async def carry(self, session: SmtpSession, claimed: ClaimedDelivery) -> Carried:
        """Carry this delivery and those that are at hand, until there is none or the session is spent.

        Every delivery begun has its outcome stored or is given back, but for the one in `Carried.again`. A session
        that is not usable is the caller's to abort.
        """
        under_way: _UnderWay | None = self._begin(session, claimed)
        is_fresh = session.carried == 1
        while under_way is not None:
            try:
                refusal, expects_body = await self._envelope_answered(session)
                if refusal is not None:
                    if refusal.reply.is_temporary and not is_fresh:
                        # A restarted milter poisons the sessions that were open: only a fresh session's word counts.
                        return Carried(is_usable=False, again=under_way.claimed)
                    is_usable = await self._refused(under_way, refusal, is_fresh) and not expects_body
                    if not is_usable or not await self._reset(session):
                        return Carried(is_usable=False)
                    following = self._begin_next(session)
                else:
                    body = await self._store.start_attempt(
                        under_way.claimed.delivery, under_way.token, session.opened_at
                    )
                    following = await self._send_body(session, body)
                    if not await self._body_answered(session, under_way, is_fresh):
                        if following is not None:
                            await self._outcomes.give_back(following.claimed)
                        return Carried(is_usable=False)
                    following = following or self._begin_next(session)
            except SessionLost as error:
                # The final dot has not gone out, so Postfix cannot have queued it. A pooled session may be closed at
                # any time; one that is lost at once is an attempt, or a Postfix that dies at each MAIL would be
                # connected to without a pause.
                if is_fresh:
                    await self._outcomes.lost(under_way.claimed, str(error))
                else:
                    await self._outcomes.give_back(under_way.claimed)
                return Carried(is_usable=False)
            except StoreUnavailable as error:
                await self._outcomes.store_away(error)
                await self._outcomes.give_back(under_way.claimed)
                return Carried(is_usable=False)
            under_way, is_fresh = following, False
        return Carried(is_usable=True)

    def _begin(self, session: SmtpSession, claimed: ClaimedDelivery, *before: bytes) -> _UnderWay:
        """Send the envelope of a delivery behind `before`."""
        token = tokens.mint(self._key, secrets.token_bytes(tokens.NAME_OCTETS), self._clock())
        sender = claimed.return_path.replace("*", token)
        session.carried += 1
        session.send(*before, smtp.envelope(sender, claimed.recipient, claimed.message, dsn=session.dsn))
        return _UnderWay(claimed, token)

    def _begin_next(self, session: SmtpSession, *before: bytes) -> _UnderWay | None:
        """Begin the delivery at hand behind `before`; with none, or a spent session, send only `before`."""
        claimed = None if session.is_spent else self._next_ready()
        if claimed is not None:
            return self._begin(session, claimed, *before)
        session.send(*before)
        return None

    async def _envelope_answered(self, session: SmtpSession) -> tuple[smtp.PeerRefusal | None, bool]:
        """The refusal, if any, and whether Postfix waits for a body all the same."""
        mail, rcpt, data = [await session.reply(self._reply_timeout_s) for _ in range(3)]
        return smtp.refusal_of_envelope(mail, rcpt, data), data.code == 354

    async def _send_body(self, session: SmtpSession, body: bytes) -> _UnderWay | None:
        """Send the body and its final dot, and behind it the envelope of the next delivery, which is returned.

        Raises:
            SessionLost: before the final dot went out.
        """
        # Lost already: then nothing of it goes out, and there is no doubt.
        await session.written(self._reply_timeout_s)
        octets = smtp.stuffed(body)
        if len(octets) < LARGE_BODY:
            following = self._begin_next(session, octets, smtp.END_OF_DATA)
        else:
            session.send(octets)
            await session.written(self._reply_timeout_s)
            self._faults.reach("data.sent")
            following = self._begin_next(session, smtp.END_OF_DATA)
        self._faults.reach("data.dot_sent")
        return following

    async def _body_answered(self, session: SmtpSession, under_way: _UnderWay, is_fresh: bool) -> bool:
        """Wait for the answer to the final dot; returns whether the session may be used again."""
        try:
            answer = await session.reply(self._reply_timeout_s * DOT_FACTOR)
        except SessionLost as error:
            await self._outcomes.in_doubt(under_way.claimed, str(error))
            return False
        if answer.is_intermediate:
            await self._outcomes.in_doubt(under_way.claimed, f"{answer.code} is not an answer to a body")
            return False
        refusal = smtp.refusal_of_body(answer)
        if refusal is not None:
            return await self._refused(under_way, refusal, is_fresh)
        self._outcomes.queued(under_way.claimed, answer)
        return True

    async def _reset(self, session: SmtpSession) -> bool:
        """End the refused transaction: MAIL inside it would be out of order (RFC 5321 §4.1.4).

        Returns:
            Whether the session may be used again.
        """
        session.send(smtp.RESET)
        try:
            return (await session.reply(self._reply_timeout_s)).is_success
        except SessionLost:
            return False

    async def _refused(self, under_way: _UnderWay, refusal: smtp.PeerRefusal, is_fresh: bool) -> bool:
        """Returns whether the session may be used again."""
        if refusal.reply.is_temporary and not is_fresh:
            # A restarted milter poisons the sessions that were open: only a fresh session's word counts.
            await self._outcomes.give_back(under_way.claimed)
            return False
        await self._outcomes.refused(under_way.claimed, refusal)
        # After a reply that does not fit (a 250 to DATA) replies and commands no longer belong together.
        return refusal.reply.is_permanent
