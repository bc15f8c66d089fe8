"""The outbox at work in this process: a real mail store, a clock the test sets, a scripted Postfix."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from tests.submission.handover.scripted_postfix import Script, ScriptedPostfix

from postroom.limits.fallback import LocalLimiter
from postroom.limits.limiter import Limiter
from postroom.limits.rules import LimitRule
from postroom.mail.ids import RANDOM_OCTETS, new_id
from postroom.mail.recipients import recipient_hash
from postroom.recipients.check import RecipientCheck
from postroom.recipients.resolver import RecipientResolver
from postroom.runtime.circuit_breaker import CircuitBreaker
from postroom.runtime.fault_points import FaultPoints
from postroom.runtime.log import Field, Level, Log
from postroom.runtime.metrics import Metrics
from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.messages import Accepted, DeliveryView, MessageView, StoredMessage
from postroom.store.shared.values import Suppression
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store
from postroom.store.track.reader import TrackReader
from postroom.submission.handover.carrier import Carrier
from postroom.submission.handover.connector import Connector
from postroom.submission.handover.doubts import Doubts, WatcherWitness
from postroom.submission.handover.gate import HandoverGate
from postroom.submission.handover.outbox import Outbox, ReadyQueue
from postroom.submission.handover.outcomes import Outcomes
from postroom.submission.handover_status import HandoverStatus
from postroom.submission.socket_door import SocketDoor

WITHIN_S = 3.0
KEY = b"k" * 32
PLAIN_BODY = b"Subject: hello\r\n\r\nbody\r\n"


@dataclass
class Clock:
    """Unix seconds as the test says."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


async def reached(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds.

    Raises:
        TimeoutError: not within WITHIN_S.
    """
    try:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise TimeoutError(f"not within {WITHIN_S:g} s: {what}") from None


@dataclass
class OutboxBed:
    """An outbox that runs, and what it meets."""

    store: MailStore
    postfix: ScriptedPostfix
    clock: Clock
    shared: SharedStore
    status: HandoverStatus
    stopping: asyncio.Event
    running: "asyncio.Task[None]"
    events: list[tuple[str, dict[str, Field]]]

    async def accept(self, *recipients: str, body: bytes = PLAIN_BODY, stream: str = "") -> str:
        """Accept a message as the API does, and wake the outbox."""
        message = await stored(self.store, self.clock.now, recipients or ("a@example.net",), body, stream)
        self.status.due.set()
        return message

    async def suppress(self, recipient: str, stream: str = "") -> None:
        """Let no mail (of this stream) go to this recipient any more."""
        await self.shared.suppressions.suppress(
            [
                Suppression(
                    recipient_hash(KEY, recipient),
                    "",
                    "",
                    "manual",
                    None,
                    "",
                    "manual",
                    self.clock.now,
                    None,
                    stream=stream,
                )
            ]
        )

    async def deliveries(self, message: str) -> Sequence[DeliveryView]:
        view = await self.store.queries.message(message)
        assert view is not None
        return view.deliveries

    async def settled(self, message: str, *states: str) -> Sequence[DeliveryView]:
        """The deliveries of a message, once they are in these states, in the order of its recipients."""
        view: MessageView | None = None
        try:
            async with asyncio.timeout(WITHIN_S):
                while view is None or tuple(delivery.state for delivery in view.deliveries) != states:
                    view = await self.store.queries.message(message)
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise TimeoutError(f"not {states} within {WITHIN_S:g} s: {view and view.deliveries}") from None
        assert view is not None
        return view.deliveries

    def pass_time(self, seconds: float) -> None:
        """Set the clock on, and wake the outbox to see it."""
        self.clock.now += seconds
        self.status.due.set()

    def logged(self, event: str) -> list[dict[str, Field]]:
        """The fields of each line of this event."""
        return [fields for name, fields in self.events if name == event]


async def stored(
    store: MailStore, now: float, recipients: Sequence[str], body: bytes = PLAIN_BODY, stream: str = ""
) -> str:
    """Put a message into the store; returns its id."""
    _count[0] += 1
    message = new_id(now, _count[0].to_bytes(RANDOM_OCTETS, "big"))
    parts = StoredMessage(
        message, "shop", f"{message}@example.org", "*@bounces.example.org", now, sender="#anna", stream=stream
    )
    assert isinstance(await store.acceptance.accept(parts, recipients, body, "{}", None, 1_000_000), Accepted)
    return message


async def one(bed: OutboxBed, state: str, body: bytes = b"Subject: x\r\n\r\n") -> DeliveryView:
    """Accept one message with one recipient; its delivery once it is in this state."""
    (delivery,) = await bed.settled(await bed.accept(body=body), state)
    return delivery


_count = [0]


@asynccontextmanager
async def outbox_at(
    folder: Path,
    script: Script = lambda _seen, _command: None,
    *,
    sessions: int = 1,
    reply_timeout_s: float = 5.0,
    break_body_at: int = 0,
    limits: Sequence[LimitRule] = (),
    witness_wait_s: float = 1e9,
    in_doubt: Literal["wait", "resend"] = "wait",
    before: Callable[[MailStore, float], Awaitable[None]] | None = None,
) -> AsyncIterator[OutboxBed]:
    """An outbox that hands over to a scripted Postfix; stopped at the end, which must not fail.

    Args:
        limits: of mail; counted by the system's clock, not by the test's.
        before: run with the store and the time before the outbox starts.
    """
    MailStore.init(folder / "state" / "mail.db")
    store = MailStore.open(folder / "state" / "mail.db", KEY)
    init_sqlite_store(folder / "shared")
    shared = open_sqlite_store(folder / "shared")
    clock, stopping = Clock(), asyncio.Event()
    events: list[tuple[str, dict[str, Field]]] = []

    def write(_level: Level, event: str, fields: dict[str, Field]) -> None:
        events.append((event, fields))

    log = Log("debug", write)
    limiter = Limiter(shared.takes, limits, LocalLimiter(clock), CircuitBreaker("limits", "", log), 1.0)
    check = RecipientCheck(shared.suppressions, RecipientResolver(KEY, None), CircuitBreaker("shared", "", log), 1.0)
    async with ScriptedPostfix(folder / "in", script, break_body_at) as postfix:
        metrics, random, status = Metrics(), Random(1), HandoverStatus()
        ready = ReadyQueue(status)
        outcomes = Outcomes(
            store.handover,
            status,
            retry_first_s=10,
            retry_max_s=100,
            give_up_after_s=1000,
            log=log,
            metrics=metrics,
            clock=clock,
            random=random,
        )
        connector = Connector(
            postfix.path,
            "mail.example.org",
            status,
            reply_timeout_s=reply_timeout_s,
            retry_max_s=0.02,
            log=log,
            metrics=metrics,
            clock=clock,
            random=random,
        )
        carrier = Carrier(
            store.handover,
            outcomes,
            ready.next_now,
            key=KEY,
            reply_timeout_s=reply_timeout_s,
            faults=FaultPoints(),
            clock=clock,
        )
        doubts = Doubts(
            store.handover,
            WatcherWitness(TrackReader(folder / "track.db"), folder / "witness.wish"),
            status,
            showq=folder / "showq",
            timeout_s=reply_timeout_s,
            witness_wait_s=witness_wait_s,
            rule=in_doubt,
            log=log,
            metrics=metrics,
            clock=clock,
            random=random,
        )
        outbox = Outbox(
            store.handover,
            HandoverGate(SocketDoor(check, limiter, KEY, "mail.example.org"), clock),
            ready,
            connector,
            carrier,
            outcomes,
            doubts,
            status,
            sessions=sessions,
            log=log,
            clock=clock,
        )
        if before is not None:
            await before(store, clock.now)
        running = asyncio.create_task(outbox.run(stopping))
        try:
            yield OutboxBed(store, postfix, clock, shared, status, stopping, running, events)
        finally:
            stopping.set()
            await running
            await store.close()
            await shared.close()
