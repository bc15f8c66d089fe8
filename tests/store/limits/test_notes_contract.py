"""What every engine promises of the recipients noted for a message."""

from tests.store.event_loop import Run

from postroom.store.limits.interface import NOTE_KEPT_S, Notes

NOW = 1_800_000_000.0


def test_a_recipient_is_noted_once_for_its_message_and_not_for_long(notes: Notes, run: Run) -> None:
    """Each hash with its domain, for this instance at this door only; after ten minutes it has lapsed."""
    run(notes.note("1.2", "smtp", "a", "example.org", now=NOW))
    run(notes.note("1.2", "smtp", "a", "example.org", now=NOW))
    run(notes.note("1.2", "smtp", "b", "example.net", now=NOW + 60))
    run(notes.note("1.3", "smtp", "c", "example.org", now=NOW))
    run(notes.note("1.2", "sendmail", "d", "example.org", now=NOW))
    assert run(notes.noted("1.2", "smtp", now=NOW + 60)) == {"a": "example.org", "b": "example.net"}
    assert run(notes.noted("1.2", "smtp", now=NOW + NOTE_KEPT_S)) == {"b": "example.net"}
    assert run(notes.noted("1.4", "smtp", now=NOW)) == {}
