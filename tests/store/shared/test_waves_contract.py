"""What every engine promises of bursts of suppressions: noticed, held, accepted, undone as one."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.event_loop import Run
from tests.store.shared.plain_suppressions import PlainWaves

from postroom.store.shared.values import WAVE_KEPT_S, Delivered, ProofRule, Refused, Suppression, WaveGuard
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store

NOW = 1_790_000_000.0
DAY = 86_400.0
RULES = {"invalid_recipient": ProofRule(3, 14 * DAY, 180 * DAY)}
GUARD = WaveGuard(3, 600.0, 20)
UNKNOWN = Refused("", "", "example.net", "j…", "invalid_recipient", "recipient.unknown", 1, "5.1.1", "no", NOW, True)


def refused(number: int, domain: str = "example.net", rule: str = "recipient.unknown", at: float = NOW) -> Refused:
    return replace(UNKNOWN, id=f"{number}", recipient_hash=f"{number:02x}", domain=domain, rule=rule, at=at)


def told(store: SharedStore, run: Run, *facts: Refused | Delivered) -> list[str]:
    return [str(what) for what in run(store.evidence.learn(facts, RULES, GUARD, now=NOW))]


def in_effect(store: SharedStore, run: Run, *numbers: int) -> list[int]:
    found = run(store.suppressions.suppressed([f"{number:02x}" for number in numbers], now=NOW))
    return sorted(int(who, 16) for who in found)


def test_a_burst_of_one_domain_is_held(shared_store: SharedStore, run: Run) -> None:
    """From the first one past the bound on; those before belong to it, and stay in effect."""
    assert told(shared_store, run, *map(refused, range(5))) == ["suppressed"] * 3 + ["wave_began", "held"]
    assert in_effect(shared_store, run, *range(5)) == [0, 1, 2]
    (wave,) = run(shared_store.waves.latest(now=NOW))
    assert (wave.subject, wave.state, wave.held, wave.in_effect) == ("domain:example.net", "open", 2, 3)
    assert [entry.is_held for entry in run(shared_store.suppressions.page(("", ""), 9, now=NOW))] == [False] * 3 + [
        True
    ] * 2
    assert told(shared_store, run, refused(9, "example.com", "other.rule")) == ["suppressed"], "another domain and rule"


def test_where_most_mail_arrives_there_is_no_burst(shared_store: SharedStore, run: Run) -> None:
    """Four of twenty is no more than 20 %; five of twenty-one is."""
    arrived = [Delivered(f"ff{number}", "example.net", NOW) for number in range(16)]
    assert told(shared_store, run, *arrived, *map(refused, range(5))) == ["nothing"] * 16 + ["suppressed"] * 4 + [
        "wave_began"
    ]


def test_a_rule_that_is_wrong_everywhere_is_noticed(shared_store: SharedStore, run: Run) -> None:
    """One in each domain."""
    facts = [refused(number, f"d{number}.example") for number in range(5)]
    assert told(shared_store, run, *facts) == ["suppressed"] * 3 + ["wave_began", "held"]
    assert [wave.subject for wave in run(shared_store.waves.latest(now=NOW))] == ["rule:recipient.unknown"]


def test_what_comes_slowly_is_no_burst(shared_store: SharedStore, run: Run) -> None:
    """Three in each span of ten minutes, for ever."""
    facts = [refused(number, at=NOW + number * 200) for number in range(30)]
    assert told(shared_store, run, *facts) == ["suppressed"] * 30


def test_an_accepted_burst_is_in_effect_and_what_comes_of_it_too(shared_store: SharedStore, run: Run) -> None:
    """Once; there is nothing to accept twice, but it can be undone."""
    told(shared_store, run, *map(refused, range(5)))
    assert run(shared_store.waves.accept(1)) == 2
    assert run(shared_store.waves.accept(1)) is None
    assert told(shared_store, run, refused(5)) == ["suppressed"]
    assert in_effect(shared_store, run, *range(6)) == [0, 1, 2, 3, 4, 5]
    assert run(shared_store.waves.undo(1, now=NOW)) == 6


def test_an_undone_burst_is_gone_as_a_whole(shared_store: SharedStore, run: Run) -> None:
    """Also what was in effect, and what was on its way; what still comes of it is held as a new one."""
    told(shared_store, run, *map(refused, range(5)))
    assert run(shared_store.waves.undo(1, now=NOW + 1)) == 5
    assert run(shared_store.waves.undo(1, now=NOW + 1)) is None
    assert run(shared_store.waves.undo(7, now=NOW + 1)) is None
    assert in_effect(shared_store, run, *range(5)) == []
    assert told(shared_store, run, *map(refused, range(5))) == ["outdated"] * 5
    assert told(shared_store, run, refused(20, at=NOW + 2), refused(21, at=NOW + 3)) == ["wave_began", "held"]
    assert in_effect(shared_store, run, 20, 21) == []
    assert told(shared_store, run, refused(30, at=NOW + 3 + 600)) == ["suppressed"], "after a pause"


def test_what_is_held_gets_mail_and_a_delivery_lifts_it(shared_store: SharedStore, run: Run) -> None:
    """So a false alarm heals by itself; what is refused again stays held."""
    told(shared_store, run, *map(refused, range(5)))
    again = replace(refused(3), id="again", at=NOW + 1)
    assert told(shared_store, run, again, Delivered("04", "example.net", NOW + 1)) == ["known", "lifted"]
    assert in_effect(shared_store, run, 3, 4) == []
    assert [wave.held for wave in run(shared_store.waves.latest(now=NOW))] == [1]
    assert run(shared_store.waves.accept(1)) == 1
    assert in_effect(shared_store, run, 3, 4) == [3]


def test_what_an_operator_says_of_one_stands_apart_from_the_burst(shared_store: SharedStore, run: Run) -> None:
    """It is in effect, whatever becomes of the burst."""
    told(shared_store, run, *map(refused, range(5)))
    manual = Suppression("04", "", "", "manual", None, "", "manual", NOW, None)
    assert run(shared_store.suppressions.suppress([manual], now=NOW)) == [True]
    assert run(shared_store.waves.undo(1, now=NOW)) == 4
    assert in_effect(shared_store, run, *range(5)) == [4]


def test_old_bursts_are_swept_when_nothing_is_left_of_them(shared_store: SharedStore, run: Run) -> None:
    """One with suppressions stays, however old."""
    told(shared_store, run, *map(refused, range(5)))
    run(shared_store.sweep(now=NOW + WAVE_KEPT_S + 1))
    assert len(run(shared_store.waves.latest(now=NOW))) == 1
    run(shared_store.waves.undo(1, now=NOW))
    run(shared_store.sweep(now=NOW + WAVE_KEPT_S + 1))
    assert run(shared_store.waves.latest(now=NOW)) == []


DOMAINS, KINDS = st.sampled_from(["a.example", "b.example"]), st.sampled_from(["one", "two"])
STEPS = st.one_of(
    st.tuples(st.just("refused"), DOMAINS, KINDS),
    st.tuples(st.just("refused"), DOMAINS, KINDS),
    st.tuples(st.just("delivered"), DOMAINS, st.just("")),
    st.tuples(st.sampled_from(["accept", "undo"]), st.sampled_from(["1", "2", "3"]), st.just("")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(STEPS, st.integers(0, 300)), max_size=40), st.sampled_from([0, 40, 100]))
def test_bursts_are_the_plain_models(
    tmp_path_factory: pytest.TempPathFactory, run: Run, steps: list[tuple[tuple[str, str, str], int]], percent: int
) -> None:
    """Who is in effect, who is held in which one, and how each stands."""
    folder = tmp_path_factory.mktemp("store") / "shared"
    init_sqlite_store(folder)
    guard = replace(GUARD, percent=percent)
    store, model, at = open_sqlite_store(folder), PlainWaves(guard), NOW
    for number, ((what, subject, rule), pause) in enumerate(steps):
        at += pause
        if what == "refused":
            fact = refused(number, subject, rule, at)
            run(store.evidence.learn([fact], RULES, guard, now=NOW))
            run(store.evidence.learn([fact], RULES, guard, now=NOW))
            model.refused(fact.recipient_hash, subject, rule, at)
        elif what == "delivered":
            run(store.evidence.learn([Delivered(f"ff{number}", subject, at)] * 2, RULES, guard, now=NOW))
            model.delivered(subject, at)
        elif what == "accept":
            run(store.waves.accept(int(subject)))
            model.accept(int(subject))
        else:
            run(store.waves.undo(int(subject), now=NOW))
            model.undo(int(subject))
    entries = run(store.suppressions.page(("", ""), 99, now=NOW))
    waves = run(store.waves.latest(now=NOW))
    run(store.close())
    assert {entry.recipient_hash: (entry.wave, entry.is_held) for entry in entries} == {
        who: (entry.wave, entry.is_held) for who, entry in model.entries.items()
    }
    assert [(wave.subject, wave.state) for wave in reversed(waves)] == [
        (wave.subject, wave.state) for wave in model.waves
    ]


COMPLAINT = Suppression("", "example.net", "j…", "complaint", None, "the recipient complained", "complaint", NOW, None)


def complained(number: int) -> Suppression:
    return replace(COMPLAINT, recipient_hash=f"{number:02x}")


def test_what_is_held_for_review_waits_in_a_wave_of_its_own(shared_store: SharedStore, run: Run) -> None:
    """Accepted, it is in effect; what comes then is looked at anew. What is known already stays as it is."""

    def hold(*numbers: int) -> list[str]:
        entries = [complained(number) for number in numbers]
        return [str(what) for what in run(shared_store.waves.hold(entries, "complaint:unsigned", now=NOW))]

    assert told(shared_store, run, refused(9)) == ["suppressed"]
    assert hold(1, 2, 9) == ["held", "held", "known"]
    assert hold(2) == ["known"]
    assert in_effect(shared_store, run, 1, 2, 9) == [9]
    (wave,) = run(shared_store.waves.latest(now=NOW))
    assert (wave.subject, wave.state, wave.held) == ("complaint:unsigned", "open", 2)
    assert run(shared_store.waves.accept(wave.number)) == 2
    assert hold(3) == ["held"]
    assert in_effect(shared_store, run, 1, 2, 3) == [1, 2]
    assert run(shared_store.waves.undo(wave.number + 1, now=NOW)) == 1
    assert run(shared_store.suppressions.suppress([complained(3)], now=NOW)) == [True]


def test_a_complaint_that_is_held_stands_in_the_way_of_nothing(shared_store: SharedStore, run: Run) -> None:
    """Neither of a proof by bounces nor of a complaint that counts; no delivery lifts it."""
    run(shared_store.waves.hold([complained(1), complained(2)], "complaint:unsigned", now=NOW))
    assert told(shared_store, run, refused(1)) == ["suppressed"]
    assert run(shared_store.suppressions.suppress([complained(2)], now=NOW)) == [True]
    assert in_effect(shared_store, run, 1, 2) == [1, 2]
    run(shared_store.waves.hold([complained(3)], "complaint:unsigned", now=NOW))
    assert told(shared_store, run, Delivered("03", "example.net", NOW)) == ["nothing"]
    assert run(shared_store.evidence.history("03", now=NOW)).entries[0].is_held
