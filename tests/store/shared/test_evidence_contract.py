"""What every engine promises of deliveries and refusals: thresholds, lifting, and each fact once."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import rows
from tests.store.shared.plain_suppressions import PlainList

from postroom.store.shared.schema import SHARED
from postroom.store.shared.values import (
    GOOD_KEPT_S,
    MOST_REFUSALS,
    REFUSAL_KEPT_S,
    Delivered,
    Learned,
    ProofRule,
    Refused,
    Suppression,
    SuppressionSource,
    WaveGuard,
)
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite.file import open_file
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

NOW = 1_790_000_000.0
DAY = 86_400.0
RULES = {"invalid_recipient": ProofRule(3, 14 * DAY, 180 * DAY), "mailbox_full": ProofRule(3, 14 * DAY, 30 * DAY)}
NO_GUARD = WaveGuard(10**9, 60.0, 100)
FULL = Refused(
    "f0", "0a", "example.net", "j…@example.net", "mailbox_full", "mailbox.full", 2, "5.2.2", "full", NOW, False
)
UNKNOWN = replace(FULL, id="u0", cause="invalid_recipient", rule="recipient.unknown", is_proof=True)
MANUAL = Suppression("0a", "example.net", "j…@example.net", "manual", None, "", "manual", NOW, None)


def full(number: int, at: float) -> Refused:
    return replace(FULL, id=f"f{number}", at=at)


def learned(store: SharedStore, run: Run, *facts: Refused | Delivered, now: float = NOW) -> list[str]:
    return [str(what) for what in run(store.evidence.learn(facts, RULES, NO_GUARD, now=now))]


def test_proof_suppresses_at_once(shared_store: SharedStore, run: Run) -> None:
    """With class, rule, evidence, since when and until when; told again it changes nothing."""
    assert learned(shared_store, run, UNKNOWN) == ["suppressed"]
    entry = Suppression(
        recipient_hash="0a",
        domain="example.net",
        hint="j…@example.net",
        cause="invalid_recipient",
        enhanced_status="5.2.2",
        evidence="full",
        source="bounce",
        added_at=NOW,
        expires_at=NOW + 180 * DAY,
        rule="recipient.unknown",
        rule_version=2,
    )
    assert run(shared_store.suppressions.suppressed(["0a"], now=NOW)) == {"0a": entry}
    assert learned(shared_store, run, UNKNOWN, UNKNOWN) == ["outdated"] * 2
    assert run(shared_store.suppressions.suppressed(["0a"], now=NOW)) == {"0a": entry}


def test_what_must_repeat_suppresses_when_it_has_for_long_enough(shared_store: SharedStore, run: Run) -> None:
    """Three within a week do not, nor two in a month; the first that makes both true does, each fact once."""
    assert learned(shared_store, run, *(full(day, NOW + day * DAY) for day in range(7))) == ["counted"] * 7
    assert learned(shared_store, run, full(6, NOW + 20 * DAY)) == ["outdated"]
    assert learned(shared_store, run, full(14, NOW + 14 * DAY)) == ["suppressed"]
    (entry,) = run(shared_store.evidence.history("0a", now=NOW)).entries
    assert (entry.cause, entry.expires_at) == ("mailbox_full", NOW + 44 * DAY)
    other = replace(FULL, recipient_hash="0b")
    two = [replace(other, id="x"), replace(other, id="y", at=NOW + 30 * DAY)]
    assert learned(shared_store, run, *two) == ["counted"] * 2


def test_classes_are_counted_apart(shared_store: SharedStore, run: Run) -> None:
    """And one without a rule proves nothing."""
    facts = [full(1, NOW), full(2, NOW + DAY), replace(UNKNOWN, is_proof=False, at=NOW + 20 * DAY)]
    assert learned(shared_store, run, *facts) == ["counted"] * 3
    assert learned(shared_store, run, replace(UNKNOWN, id="z", cause="spam")) == ["counted"]


def test_a_delivery_lifts_what_bounces_brought_about(shared_store: SharedStore, run: Run) -> None:
    """And begins to count anew; what is later than the delivery stays."""
    learned(shared_store, run, full(1, NOW), full(2, NOW + DAY), UNKNOWN)
    assert learned(shared_store, run, Delivered("0a", "example.net", NOW + 2 * DAY)) == ["lifted"]
    assert run(shared_store.suppressions.suppressed(["0a"], now=NOW)) == {}
    assert learned(shared_store, run, full(3, NOW + 16 * DAY)) == ["counted"]
    assert learned(shared_store, run, full(2, NOW + DAY), UNKNOWN) == ["outdated"] * 2
    assert learned(shared_store, run, replace(UNKNOWN, id="u1", at=NOW + 17 * DAY)) == ["suppressed"]
    assert learned(shared_store, run, Delivered("0a", "example.net", NOW + 16.5 * DAY)) == ["nothing"]
    assert list(run(shared_store.suppressions.suppressed(["0a"], now=NOW))) == ["0a"]


@pytest.mark.parametrize("source", ["manual", "complaint", "import"])
def test_what_a_person_said_is_not_lifted(shared_store: SharedStore, run: Run, source: SuppressionSource) -> None:
    """Nor replaced by a bounce."""
    entry = replace(MANUAL, source=source)
    run(shared_store.suppressions.suppress([entry], now=NOW))
    assert learned(shared_store, run, UNKNOWN, Delivered("0a", "example.net", NOW + 1)) == ["known", "nothing"]
    assert run(shared_store.suppressions.suppressed(["0a"], now=NOW)) == {"0a": entry}


def test_lifted_by_hand_it_begins_to_count_anew(shared_store: SharedStore, run: Run) -> None:
    """What was on its way at that moment does not suppress again."""
    learned(shared_store, run, full(1, NOW), full(2, NOW + 1), UNKNOWN)
    assert run(shared_store.suppressions.lift("0a", now=NOW + 20 * DAY))
    assert learned(shared_store, run, full(3, NOW + 19 * DAY), UNKNOWN) == ["outdated"] * 2
    assert learned(shared_store, run, full(4, NOW + 21 * DAY)) == ["counted"]
    history = run(shared_store.evidence.history("0a", now=NOW))
    assert (len(history.refusals), history.good_at, history.is_suppressed) == (1, NOW + 20 * DAY, False)


def test_the_history_has_all_that_counts(shared_store: SharedStore, run: Run) -> None:
    """The first one first; of somebody unknown there is nothing."""
    learned(shared_store, run, full(1, NOW + DAY), full(2, NOW), UNKNOWN)
    history = run(shared_store.evidence.history("0a", now=NOW))
    assert [(refusal.cause, refusal.at, refusal.is_proof) for refusal in history.refusals] == [
        ("mailbox_full", NOW, False),
        ("invalid_recipient", NOW, True),
        ("mailbox_full", NOW + DAY, False),
    ]
    first = history.refusals[0]
    assert (first.rule, first.rule_version, first.enhanced_status, first.evidence) == (
        "mailbox.full",
        2,
        "5.2.2",
        "full",
    )
    assert history.is_suppressed
    nobody = run(shared_store.evidence.history("0b", now=NOW))
    assert (nobody.entries, nobody.refusals, nobody.good_at) == ((), (), None)


def test_what_is_kept_of_a_recipient_is_bounded(shared_store: SharedStore, run: Run) -> None:
    """A mailbox that is full fifty times a day: the first stays, so that the two weeks come to an end."""
    facts = [full(number, NOW + number * DAY / 50) for number in range(50 * 14)]
    assert learned(shared_store, run, *facts) == ["counted"] * len(facts)
    assert len(run(shared_store.evidence.history("0a", now=NOW)).refusals) == MOST_REFUSALS
    assert learned(shared_store, run, full(10_000, NOW + 14 * DAY)) == ["suppressed"]


def test_what_is_old_is_swept(shared_store: SharedStore, run: Run) -> None:
    """Refusals after half a year, deliveries after an hour."""
    learned(shared_store, run, FULL, Delivered("0b", "example.net", NOW))
    assert run(shared_store.sweep(now=NOW + GOOD_KEPT_S)) == 0
    assert run(shared_store.sweep(now=NOW + GOOD_KEPT_S + 1)) == 1
    assert run(shared_store.sweep(now=NOW + REFUSAL_KEPT_S)) == 0
    assert run(shared_store.sweep(now=NOW + REFUSAL_KEPT_S + 1)) == 1
    assert run(shared_store.evidence.history("0a", now=NOW)).refusals == ()


WHO = st.sampled_from(["0a", "0b"])
AT = st.integers(0, 40).map(lambda day: NOW + day * DAY)
REFUSED = st.builds(
    lambda number, who, cause, at, is_proof: replace(
        FULL, id=f"{number}", recipient_hash=who, cause=cause, at=at, is_proof=is_proof
    ),
    st.integers(0, 2**32),
    WHO,
    st.sampled_from([*RULES, "spam"]),
    AT,
    st.sampled_from([False, False, False, True]),
)
DELIVERED = st.builds(lambda who, at: Delivered(who, "example.net", at), WHO, AT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(REFUSED, max_size=12, unique_by=lambda fact: fact.id), st.lists(DELIVERED, max_size=2), st.integers(0, 99)
)
def test_in_any_order_and_told_twice_the_end_is_the_plain_models(
    tmp_path_factory: pytest.TempPathFactory, run: Run, refused: list[Refused], delivered: list[Delivered], seed: int
) -> None:
    """Who is suppressed, and, where no delivery came between, until when."""
    folder = tmp_path_factory.mktemp("store") / "shared"
    init_sqlite_store(folder)
    store, model = open_sqlite_store(folder), PlainList(RULES)
    facts: list[Refused | Delivered] = [*refused, *delivered] * 2
    Random(seed).shuffle(facts)
    for fact in facts:
        run(store.evidence.learn([fact], RULES, NO_GUARD, now=NOW))
        model.learn(fact)
    found = {entry.recipient_hash: entry.expires_at for entry in run(store.suppressions.page(("", ""), 99, now=NOW))}
    run(store.close())
    assert found.keys() == model.ends().keys()
    if not delivered:
        assert found == model.ends()


def test_a_list_of_before_rules_were_kept_is_brought_up_to_date(tmp_path: Path, run: Run) -> None:
    """Who was suppressed stays so; what a bounce had brought about a delivery lifts, what the operator said not."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "shared.db").touch()
    before = open_file(folder / "shared.db", SHARED[:2], synchronous="NORMAL")
    for who, source in (("0a", "watcher"), ("0b", "operator")):
        before.execute(
            "INSERT INTO suppressions VALUES (?, 'example.net', 'j…@example.net', 'invalid_recipient', '5.1.1', 'no',"
            " ?, ?, ?)",
            (who, source, NOW, NOW + DAY),
        )
    before.close()
    init_sqlite_store(folder)
    store = open_sqlite_store(folder)
    jane, john = run(store.suppressions.page(("", ""), 9, now=NOW))
    assert (jane.source, john.source) == ("bounce", "manual")
    assert (jane.cause, jane.evidence, jane.expires_at) == ("invalid_recipient", "no", NOW + DAY)
    assert (jane.rule, jane.rule_version, jane.stream, jane.wave, jane.is_held) == ("", 0, "", None, False)
    assert len(run(store.evidence.history("0a", now=NOW)).refusals) == 1
    good = [Delivered("0a", "example.net", NOW + 1), Delivered("0b", "example.net", NOW + 1)]
    assert run(store.evidence.learn(good, RULES, NO_GUARD, now=NOW + 1)) == [Learned.LIFTED, Learned.NOTHING]
    run(store.close())
    assert rows(folder / "shared.db", "SELECT recipient_hash FROM suppressions") == [("0b",)]
