"""The outbox agrees with a plain model after any sequence of operations, and its books always balance."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.store.outbox.sample_messages import KEY, NOW, faults_of, letter, put, rows

from postroom.mail.states import NEEDS_BODY, WAITING, State
from postroom.store.outbox.mail_store import MailStore


@dataclass
class Plain:
    """One delivery, as anybody would write it down."""

    message: str
    accepted_at: float
    state: State = State.ACCEPTED
    due_at: float | None = None
    leased: bool = False
    handing: bool = False
    attempts: int = 0

    def end(self, state: State, due_at: float | None = None) -> None:
        self.attempts += self.state is not State.IN_DOUBT
        self.state, self.due_at, self.leased, self.handing = state, due_at, False, False


class Outbox(RuleBasedStateMachine):
    """Random operations on a real file; time goes on by whole seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "submission" / "mail.db"
        self.runner = asyncio.Runner()
        MailStore.init(self.path)
        self.plain: dict[int, Plain] = {}
        self.ids = 0
        self.now = NOW
        self.tokens = 0

    @initialize()
    def start(self) -> None:
        self.store = MailStore.open(self.path, KEY)

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def leased(self) -> list[int]:
        return sorted(id_ for id_, one in self.plain.items() if one.leased)

    @rule(recipients=st.integers(1, 3), later=st.integers(0, 3))
    def accept(self, recipients: int, later: int) -> None:
        self.now += later
        self.ids += 1
        names = tuple(f"r{index}@example.net" for index in range(recipients))
        self.runner.run(put(self.store, self.ids, names, at=self.now))
        message = letter(self.ids, self.now).id
        for (id_,) in rows(self.path, f"SELECT id FROM delivery WHERE message = '{message}' ORDER BY id"):
            self.plain[id_] = Plain(message, self.now, due_at=self.now)

    @rule(most=st.integers(1, 4), later=st.integers(0, 3))
    def claim(self, most: int, later: int) -> None:
        self.now += later
        claimed = self.runner.run(self.store.handover.claim(most, self.now))
        due = sorted(
            (one.due_at, id_)
            for id_, one in self.plain.items()
            if one.due_at is not None and one.due_at <= self.now and not one.leased
        )
        assert [one.delivery for one in claimed] == [id_ for _, id_ in due[:most]]
        for one in claimed:
            assert one.attempts == self.plain[one.delivery].attempts
            siblings = [plain for plain in self.plain.values() if plain.message == one.message]
            assert one.is_counted == any(plain.attempts for plain in siblings)
            assert len(one.recipients) == sum(plain.due_at is not None for plain in siblings)
            self.plain[one.delivery].leased = True

    @precondition(lambda self: self.leased())
    @rule(data=st.data(), end=st.sampled_from(("queued", "retry", "fail", "doubt", "release", "nothing")))
    def attempt(self, data: st.DataObject, end: str) -> None:
        id_ = data.draw(st.sampled_from(self.leased()))
        one = self.plain[id_]
        self.tokens += 1
        if end != "retry" or data.draw(st.booleans(), "refused after the body"):
            self.runner.run(self.store.handover.start_attempt(id_, f"t{self.tokens}", self.now))
            one.handing = True
        match end:
            case "queued":
                self.runner.run(self.store.handover.mark_queued(id_, f"Q{id_}", self.now))
                one.end(State.QUEUED)
            case "retry":
                due_at = self.now + data.draw(st.integers(0, 5), "pause")
                self.runner.run(self.store.handover.retry(id_, due_at, "4.3.0", "451 later", self.now))
                one.end(State.DEFERRED, due_at)
            case "fail":
                self.runner.run(self.store.handover.fail(id_, "5.1.1", "550 no", self.now))
                one.end(State.FAILED)
            case "doubt":
                self.runner.run(self.store.handover.mark_in_doubt(id_, "no answer", self.now))
                one.end(State.IN_DOUBT)
            case "release":
                self.runner.run(self.store.handover.release(id_))
                one.leased = one.handing = False

    def not_offered(self) -> list[int]:
        return [id_ for id_ in self.leased() if not self.plain[id_].handing]

    @precondition(lambda self: self.not_offered())
    @rule(data=st.data(), end=st.sampled_from((State.DEFERRED, State.SUPPRESSED, State.FAILED)))
    def hold(self, data: st.DataObject, end: State) -> None:
        """Not offered to Postfix: that is no attempt."""
        id_ = data.draw(st.sampled_from(self.not_offered()))
        one = self.plain[id_]
        one.state, one.due_at, one.leased = end, None, False
        if end is State.DEFERRED:
            one.due_at = self.now + data.draw(st.integers(0, 5), "pause")
            self.runner.run(self.store.handover.hold(id_, one.due_at, "4.7.1", "over a limit", self.now))
        else:
            self.runner.run(self.store.handover.end(id_, end, "5.1.1", "suppressed", self.now))

    @rule()
    def find_doubts_in_the_queue(self) -> None:
        doubts = self.runner.run(self.store.handover.in_doubt(0, 1000))
        assert [doubt.delivery for doubt in doubts] == sorted(
            id_ for id_, one in self.plain.items() if one.state is State.IN_DOUBT
        )
        for doubt in doubts[:1]:
            self.runner.run(self.store.handover.mark_queued(doubt.delivery, "Q", self.now))
            self.plain[doubt.delivery].end(State.QUEUED)

    @rule()
    def start_again(self) -> None:
        self.runner.run(self.store.close())
        self.store = MailStore.open(self.path, KEY)
        handing = [one for one in self.plain.values() if one.handing]
        assert self.runner.run(self.store.handover.recover(self.now)) == len(handing)
        for one in handing:
            one.end(State.IN_DOUBT)
        for one in self.plain.values():
            one.leased = False

    @rule(age=st.integers(0, 6))
    def sweep(self, age: int) -> None:
        before = self.now - age
        kept = {one.message for one in self.plain.values() if one.state in NEEDS_BODY or one.accepted_at >= before}
        gone = {one.message for one in self.plain.values()} - kept
        assert self.runner.run(self.store.sweep(before, 0, 1000)) == len(gone)
        self.plain = {id_: one for id_, one in self.plain.items() if one.message in kept}

    @invariant()
    def the_file_is_what_the_model_says(self) -> None:
        query = "SELECT id, message, state, due_at, leased, handing, attempts FROM delivery ORDER BY id"
        assert rows(self.path, query) == [
            (id_, one.message, one.state, one.due_at, one.leased, one.handing, one.attempts)
            for id_, one in sorted(self.plain.items())
        ]

    @invariant()
    def the_books_balance(self) -> None:
        assert faults_of(self.path) == []

    @invariant()
    def figures_and_next_due_are_those_of_the_model(self) -> None:
        waiting = [one for one in self.plain.values() if one.state in WAITING]
        figures = self.runner.run(self.store.queries.figures())
        assert sum(figures.deliveries.values()) == len(self.plain)
        assert sum(figures.deliveries.get(state, 0) for state in WAITING) == len(waiting)
        assert figures.oldest_waiting == min((one.accepted_at for one in waiting), default=None)
        free = [one.due_at for one in waiting if one.due_at is not None and not one.leased]
        assert self.runner.run(self.store.handover.next_due()) == min(free, default=None)


Outbox.TestCase.settings = settings(max_examples=20, stateful_step_count=30, derandomize=True, deadline=None)
TestOutbox = Outbox.TestCase
