"""history.py: of all that Postfix says of an attempt, what concerns its recipient."""

import pytest

from postroom.mail.recipients import MaskedRecipient, masked_recipient
from postroom.mail.states import State
from postroom.store.outbox.messages import DeliveryView
from postroom.store.track.history import LoggedDelivery, LogHistory
from postroom.submission.api.history import of_delivery

KEY = b"k" * 32
NOW = 1_800_000_000.0


def view(state: State = State.QUEUED, *tokens: str) -> DeliveryView:
    return DeliveryView(
        masked_recipient(KEY, "jane@example.net"), state, 1, "A1", None, None, None, NOW, tokens or ("t1",)
    )


def fact(
    state: State, to: str = "jane@example.net", orig_to: str | None = None, queue_id: str = "A1"
) -> LoggedDelivery:
    original = None if orig_to is None else masked_recipient(KEY, orig_to).hash
    return LoggedDelivery(queue_id, masked_recipient(KEY, to), original, state, "2.0.0", "reply", "mx", 1, NOW)


def logged_history(facts: dict[str, list[LoggedDelivery]], reconciled_at: float = 0.0) -> LogHistory:
    return LogHistory(facts, frozenset(facts), reconciled_at)


def test_the_recipient_itself_counts() -> None:
    """Not the copy a site makes of all mail, however it fares."""
    facts = [fact(State.BOUNCED, "archive@example.org"), fact(State.DELIVERED)]
    assert of_delivery(view(), logged_history({"t1": facts})) == facts[1]


def test_a_rewritten_recipient_counts_by_what_was_asked_for() -> None:
    """An alias for several: the worst of them is told."""
    facts = [
        fact(State.DELIVERED, "a@world.test", "jane@example.net"),
        fact(State.BOUNCED, "b@world.test", "jane@example.net"),
        fact(State.DELIVERED, "archive@example.org"),
    ]
    assert of_delivery(view(), logged_history({"t1": facts})) == facts[1]


def test_what_postfix_names_otherwise_is_told_all_the_same() -> None:
    """One attempt has one recipient."""
    only = fact(State.DEFERRED, "somebody@else.test")
    assert of_delivery(view(), logged_history({"t1": [only]})) == only


def test_a_mail_that_was_requeued_is_where_it_is_last() -> None:
    """Deferred under its first queue id, delivered under the second."""
    facts = [fact(State.DEFERRED), fact(State.DELIVERED, queue_id="B2")]
    assert of_delivery(view(), logged_history({"t1": facts})) == facts[1]


def test_any_of_the_attempts_may_be_the_one_that_was_queued() -> None:
    """The first was shown not to have been."""
    assert of_delivery(view(State.QUEUED, "t1", "t2"), logged_history({"t2": [fact(State.DELIVERED)]})) == fact(
        State.DELIVERED
    )


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_what_is_queued_has_a_history(state: State) -> None:
    """A delivery that waits, or is in doubt, says so itself."""
    assert of_delivery(view(state), logged_history({"t1": [fact(State.DELIVERED)]})) is None


def test_where_the_log_says_nothing_there_is_none() -> None:
    """It stays queued."""
    assert of_delivery(view(), logged_history({})) is None


def unof_delivery(queue_id: str = "A1") -> LoggedDelivery:
    """As track.db has a recipient whose name stands in lines that are missing."""
    return LoggedDelivery(queue_id, MaskedRecipient("", "", ""), None, State.UNTRACKED, "", "hidden", "", 0, NOW)


def test_one_that_the_log_hides_counts_where_ours_was_rewritten() -> None:
    """Of an alias for two one was delivered; the other one's end is missing. Named itself, ours needs no other."""
    facts = [fact(State.DELIVERED, "a@world.test", "jane@example.net"), unof_delivery()]
    assert of_delivery(view(), logged_history({"t1": facts})) == facts[1]
    facts = [fact(State.DELIVERED), unof_delivery()]
    assert of_delivery(view(), logged_history({"t1": facts})) == facts[0]


def test_what_was_queued_and_never_named_is_untracked_once_the_queue_was_asked() -> None:
    """Not what was queued since, nor what the log has named and the queue still has."""
    never = of_delivery(view(), logged_history({}, NOW + 1))
    assert never is not None
    assert (never.state, never.queue_id, never.recipient.domain) == (State.UNTRACKED, "A1", "example.net")
    assert of_delivery(view(), logged_history({}, NOW)) is None
    assert of_delivery(view(State.QUEUED, "t1", "t2"), LogHistory({}, frozenset({"t2"}), NOW + 1)) is None
