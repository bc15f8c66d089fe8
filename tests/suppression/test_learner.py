"""What the log says of recipients, told to a real store; what the log of ours says of that."""

import asyncio
from dataclasses import replace
from pathlib import Path

from postroom.mail.recipients import masked_recipient
from postroom.runtime.log import Field, Level, Log
from postroom.store.shared.values import Learned, ProofRule, WaveGuard
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store
from postroom.store.track.evidence import SharedFact
from postroom.suppression.learner import Learner

NOW = 1_790_000_000.0
KEY = b"k" * 32


def fact(number: int, cause: str = "invalid_recipient", at: float = NOW) -> SharedFact:
    recipient = masked_recipient(KEY, f"jane{number}@example.net")
    return SharedFact(
        f"{number}",
        number,
        "t",
        f"Q{number}",
        recipient,
        cause,
        "5.1.1",
        "no",
        "log",
        at,
        "now",
        "recipient.unknown",
        1,
    )


def test_a_burst_is_told_once_as_a_warning(tmp_path: Path) -> None:
    """Each suppression says whether it is held; a delivery that lifts one is told; no address in any line."""
    lines: list[tuple[Level, str, dict[str, Field]]] = []

    async def run() -> list[Learned]:
        init_sqlite_store(tmp_path / "shared")
        store = open_sqlite_store(tmp_path / "shared")
        log = Log("debug", lambda level, event, fields: lines.append((level, event, fields)))
        learner = Learner(
            store.evidence,
            store.suppressions,
            store.waves,
            {"invalid_recipient": ProofRule(3, 1.0, 1e9)},
            WaveGuard(2, 60.0, 20),
            log,
        )
        assert await learner.learn([]) == []
        learned = await learner.learn([*map(fact, range(4)), fact(0, cause="", at=NOW + 1)])
        await store.close()
        return learned

    assert asyncio.run(run()) == ["suppressed", "suppressed", "wave_began", "held", "lifted"]
    assert [(level, event) for level, event, _ in lines] == [
        ("info", "suppression.added"),
        ("info", "suppression.added"),
        ("warning", "suppression.wave_began"),
        ("info", "suppression.added"),
        ("info", "suppression.added"),
        ("info", "suppression.lifted"),
    ]
    assert [fields["held"] for _, event, fields in lines if event == "suppression.added"] == [False, False, True, True]
    assert lines[2][2]["rule"] == "recipient.unknown"
    assert "jane" not in str(lines)


def test_after_a_reload_facts_are_judged_by_the_new_rules(tmp_path: Path) -> None:
    """What was told before counts too."""

    async def run() -> list[Learned]:
        init_sqlite_store(tmp_path / "shared")
        store = open_sqlite_store(tmp_path / "shared")
        log = Log("debug", lambda level, event, fields: None)
        guard = WaveGuard(20, 60.0, 20)
        learner = Learner(
            store.evidence, store.suppressions, store.waves, {"mailbox_full": ProofRule(3, 0.0, 1e9)}, guard, log
        )
        full = [replace(fact(1, "mailbox_full", NOW + day), id=str(day), number=day, proof="after") for day in (1, 2)]
        learned = await learner.learn(full[:1])
        learner.use({"mailbox_full": ProofRule(2, 0.0, 1e9)}, guard)
        learned += await learner.learn(full[1:])
        await store.close()
        return learned

    assert asyncio.run(run()) == ["counted", "suppressed"]


def test_a_complaint_counts_at_once_and_no_delivery_lifts_it(tmp_path: Path) -> None:
    """It stands as what it is, for a rank above bounces; told again it is known."""

    async def run() -> tuple[list[Learned], list[str]]:
        init_sqlite_store(tmp_path / "shared")
        store = open_sqlite_store(tmp_path / "shared")
        log = Log("debug", lambda level, event, fields: None)
        learner = Learner(store.evidence, store.suppressions, store.waves, {}, WaveGuard(20, 60.0, 20), log)
        learned = await learner.learn([fact(1, "complaint")])
        learned += await learner.learn([fact(1, "", NOW + 1), fact(1, "complaint")])
        found = await store.suppressions.suppressed([fact(1).recipient.hash], now=NOW + 2)
        await store.close()
        return learned, [entry.source for entry in found.values()]

    assert asyncio.run(run()) == (["suppressed", "nothing", "known"], ["complaint"])
