"""What the outbox keeps, for how long, and what it costs to ask about it."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import NOW, faults_of, letter, put, rows

from postroom.mail.states import State
from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.messages import Accepted, Repeated


def test_figures_tell_states_and_the_oldest_that_waits(mail_store: MailStore, run: Run) -> None:
    """One that is leased still waits; one in doubt or ended does not."""
    assert run(mail_store.queries.figures()).oldest_waiting is None
    for number in range(3):
        run(put(mail_store, number, at=NOW + number))
    oldest, second, _ = run(mail_store.handover.claim(3, NOW + 9))
    assert run(mail_store.queries.figures()).oldest_waiting == NOW
    run(mail_store.handover.mark_queued(oldest.delivery, "4XyZ", NOW + 9))
    run(mail_store.handover.mark_in_doubt(second.delivery, "no answer", NOW + 9))
    figures = run(mail_store.queries.figures())
    assert figures.oldest_waiting == NOW + 2
    assert {state: count for state, count in figures.deliveries.items() if count} == {
        State.ACCEPTED: 1,
        State.QUEUED: 1,
        State.IN_DOUBT: 1,
    }


def test_sweeping_deletes_what_has_ended_and_never_what_waits(mail_db: Path, mail_store: MailStore, run: Run) -> None:
    """Old and ended goes, with deliveries and attempts; old and waiting, deferred or in doubt stays; young stays."""
    for number in range(6):
        run(put(mail_store, number, at=NOW if number < 5 else NOW + 100, key=str(number)))
    waiting, deferred, doubted, queued, failed, young = run(mail_store.handover.claim(9, NOW + 100))
    run(mail_store.handover.release(waiting.delivery))
    run(mail_store.handover.retry(deferred.delivery, NOW + 999, None, "451", NOW))
    run(mail_store.handover.start_attempt(doubted.delivery, "t1", NOW))
    run(mail_store.handover.mark_in_doubt(doubted.delivery, "no answer", NOW))
    run(mail_store.handover.start_attempt(queued.delivery, "t2", NOW))
    run(mail_store.handover.mark_queued(queued.delivery, "4XyZ", NOW))
    run(mail_store.handover.fail(failed.delivery, None, "550", NOW))
    run(mail_store.handover.mark_queued(young.delivery, "4XyZ2", NOW + 100))

    assert run(mail_store.sweep(NOW + 50, NOW + 50, 100)) == 5 + 2
    assert {id_ for (id_,) in rows(mail_db, "SELECT id FROM message")} == {
        one.message for one in (waiting, deferred, doubted, young)
    }
    assert rows(mail_db, "SELECT token FROM attempt") == [("t1",)]
    assert rows(mail_db, "SELECT key FROM idem") == [("5",)]
    assert faults_of(mail_db) == []
    assert run(mail_store.sweep(NOW + 50, NOW + 50, 100)) == 0


def test_sweeping_keeps_to_its_budget(mail_store: MailStore, run: Run) -> None:
    """Keys and messages share it; a full one says that there is more."""
    for number in range(5):
        run(put(mail_store, number, key=str(number)))
    for claimed in run(mail_store.handover.claim(9, NOW)):
        run(mail_store.handover.fail(claimed.delivery, None, "550", NOW))
    assert [run(mail_store.sweep(NOW + 1, NOW + 1, 3)) for _ in range(5)] == [3, 3, 3, 1, 0]


def test_a_swept_key_may_be_used_again(mail_store: MailStore, run: Run) -> None:
    """After its time the key is new, and only then."""
    run(put(mail_store, 1, key="k"))
    run(mail_store.sweep(0, NOW, 100))
    assert run(put(mail_store, 2, key="k")) == Repeated("answer 1")
    run(mail_store.sweep(0, NOW + 1, 100))
    assert run(put(mail_store, 3, key="k")) == Accepted()


ALL_THE_TIME: dict[str, Callable[[MailStore], Coroutine[Any, Any, Any]]] = {
    "figures": lambda store: store.queries.figures(),
    "next_due": lambda store: store.handover.next_due(),
    "claim": lambda store: store.handover.claim(10, NOW),
    "doubts": lambda store: store.handover.in_doubt(0, 10),
    "sweep": lambda store: store.sweep(NOW - 1, NOW - 1, 10),
    "accept": lambda store: put(store, 2**31, key="k"),
}


@pytest.mark.parametrize("operation", ALL_THE_TIME)
def test_what_has_ended_costs_those_who_ask_nothing(mail_store: MailStore, run: Run, operation: str) -> None:
    """With two thousand ended messages kept, what is asked all the time takes as many steps of SQLite as with ten."""

    def end(first: int, last: int) -> None:
        def fill(connection: apsw.Connection) -> None:
            for number in range(first, last):
                row = letter(number)
                connection.execute(
                    "INSERT INTO message VALUES (?, 'shop', ?, '*@x', ?, 1, NULL, NULL, '', '')", (row.id, row.id, NOW)
                )
                connection.execute(
                    "INSERT INTO delivery (message, state, changed_at) VALUES (?, 'queued', ?)",
                    (row.id, NOW),
                )
                connection.execute("INSERT INTO idem VALUES ('shop', ?, x'00', '', ?)", (row.id, NOW))

        run(mail_store._thread.run(fill))

    def steps() -> int:
        """Instructions of SQLite's machine, counted by tens."""
        ten_steps = 0

        def count() -> bool:
            nonlocal ten_steps
            ten_steps += 1
            return False

        run(mail_store.queries.figures())
        connection = mail_store._thread._connection
        assert connection is not None
        connection.set_progress_handler(count, 10)
        try:
            run(ALL_THE_TIME[operation](mail_store))
        finally:
            connection.set_progress_handler(None)
        return ten_steps

    end(0, 10)
    run(put(mail_store, 2**30, key="other"))
    few = steps()
    run(mail_store.handover.recover(NOW))
    end(10, 2000)
    assert steps() <= few + 5
