"""What every engine promises of suppressions (store/shared/interface.py)."""

from dataclasses import replace

from tests.store.event_loop import Run

from postroom.store.shared.interface import Suppressions
from postroom.store.shared.values import Suppression
from postroom.store.shared_store import SharedStore

NOW = 1_790_000_000.0
DAY = 86_400

BOUNCED = Suppression(
    recipient_hash="0a",
    domain="example.net",
    hint="j…@example.net",
    cause="invalid_recipient",
    enhanced_status="5.1.1",
    evidence="550 5.1.1 <j…@example.net>: unknown",
    source="bounce",
    added_at=NOW,
    expires_at=NOW + 30 * DAY,
)
MANUAL = replace(BOUNCED, cause="manual", enhanced_status=None, evidence="", source="manual", expires_at=None)


def test_a_suppressed_recipient_is_found_by_its_hash(suppressions: Suppressions, run: Run) -> None:
    """All that was said of it comes back; the others asked for are not there."""
    assert run(suppressions.suppressed(["0a", "0b"], now=NOW)) == {}
    assert run(suppressions.suppress([BOUNCED], now=NOW)) == [True]
    assert run(suppressions.suppressed(["0b", "0a"], now=NOW)) == {"0a": BOUNCED}
    assert run(suppressions.suppressed([], now=NOW)) == {}


def test_suppressed_again_it_keeps_since_when_and_lasts_longer(suppressions: Suppressions, run: Run) -> None:
    """The new cause and evidence stand, from the first day on, until the later of the two ends."""
    again = replace(BOUNCED, cause="mailbox_full", added_at=NOW + DAY, expires_at=NOW + 7 * DAY)
    assert run(suppressions.suppress([BOUNCED], now=NOW)) == [True]
    assert run(suppressions.suppress([again], now=NOW + DAY)) == [False]
    found = run(suppressions.suppressed(["0a"], now=NOW + DAY))
    assert found == {"0a": replace(again, added_at=NOW, expires_at=NOW + 30 * DAY)}
    assert run(suppressions.suppress([replace(again, expires_at=None)], now=NOW + DAY)) == [False]
    assert run(suppressions.suppressed(["0a"], now=NOW + 300 * DAY))["0a"].expires_at is None


def test_what_the_operator_said_stays(suppressions: Suppressions, run: Run) -> None:
    """A bounce does not put an end to what was suppressed by hand; by hand, a bounce is overruled."""
    run(suppressions.suppress([MANUAL], now=NOW))
    assert run(suppressions.suppress([BOUNCED], now=NOW)) == [False]
    assert run(suppressions.suppressed(["0a"], now=NOW)) == {"0a": MANUAL}
    other = replace(BOUNCED, recipient_hash="0b")
    run(suppressions.suppress([other], now=NOW))
    assert run(suppressions.suppress([replace(MANUAL, recipient_hash="0b")], now=NOW)) == [False]
    assert run(suppressions.suppressed(["0b"], now=NOW))["0b"].cause == "manual"


def test_one_that_has_expired_no_longer_holds(suppressions: Suppressions, shared_store: SharedStore, run: Run) -> None:
    """Not found, not listed, and suppressed again it is new; sweep removes it."""
    end = NOW + 30 * DAY
    run(suppressions.suppress([BOUNCED], now=NOW))
    assert run(suppressions.suppressed(["0a"], now=end - 1)) == {"0a": BOUNCED}
    assert run(suppressions.suppressed(["0a"], now=end)) == {}
    assert run(suppressions.page(("", ""), 10, now=end)) == []
    fresh = replace(BOUNCED, added_at=end, expires_at=end + DAY)
    assert run(suppressions.suppress([fresh], now=end)) == [True]
    assert run(suppressions.suppressed(["0a"], now=end)) == {"0a": fresh}
    assert run(shared_store.sweep(now=end + DAY - 1)) == 0
    assert run(shared_store.sweep(now=end + DAY)) == 1


def test_a_lifted_recipient_gets_mail_again(suppressions: Suppressions, run: Run) -> None:
    """Lifted once; there is nothing to lift twice."""
    run(suppressions.suppress([MANUAL], now=NOW))
    assert run(suppressions.lift("0a", now=NOW))
    assert not run(suppressions.lift("0a", now=NOW))
    assert run(suppressions.suppressed(["0a"], now=NOW)) == {}


def test_all_are_listed_in_pages(suppressions: Suppressions, run: Run) -> None:
    """In the order of their hashes; a page begins past the last one of the page before."""
    entries = [replace(MANUAL, recipient_hash=f"{number:02x}") for number in range(25)]
    for entry in reversed(entries):
        run(suppressions.suppress([entry], now=NOW))
    after, listed = ("", ""), list[Suppression]()
    while page := run(suppressions.page(after, 10, now=NOW)):
        assert len(page) <= 10
        listed += page
        after = (page[-1].recipient_hash, page[-1].stream)
    assert listed == entries


def test_a_suppression_of_one_stream_is_about_that_stream_alone(
    suppressions: Suppressions, shared_store: SharedStore, run: Run
) -> None:
    """What is about all mail holds for each stream, and is told where both hold; each is lifted by itself."""
    news = replace(MANUAL, stream="newsletter")
    run(suppressions.suppress([news], now=NOW))
    assert run(suppressions.suppressed(["0a"], now=NOW)) == {}
    assert run(suppressions.suppressed(["0a"], "receipts", now=NOW)) == {}
    assert run(suppressions.suppressed(["0a"], "newsletter", now=NOW)) == {"0a": news}
    assert run(suppressions.suppress([BOUNCED], now=NOW)) == [True]
    for stream in ("", "receipts", "newsletter"):
        assert run(suppressions.suppressed(["0a"], stream, now=NOW)) == {"0a": BOUNCED}
    assert run(shared_store.evidence.history("0a", now=NOW)).entries == (BOUNCED, news)
    assert run(suppressions.page(("0a", ""), 9, now=NOW)) == [news]
    assert run(suppressions.lift("0a", "", now=NOW))
    assert run(suppressions.suppressed(["0a"], "newsletter", now=NOW)) == {"0a": news}
    assert run(suppressions.lift("0a", now=NOW))
    assert run(shared_store.evidence.history("0a", now=NOW)).entries == ()
