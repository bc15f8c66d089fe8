"""Histories asked for: what the watcher's file says of a message's deliveries, if this host has a watcher."""

from collections.abc import Sequence

from postroom.mail.states import State
from postroom.store.errors import StoreUnavailable
from postroom.store.outbox.messages import MessageView
from postroom.store.track.facts import LoggedDelivery
from postroom.store.track.reader import NO_STORY, TrackReader
from postroom.submission.api.history import told


class Histories:
    """Reads stories."""

    def __init__(self, track: TrackReader) -> None:
        self._track = track

    async def told(self, view: MessageView) -> Sequence[LoggedDelivery | None]:
        """For each delivery what Postfix's log says of it; None where it says nothing, or cannot be read."""
        tokens = [token for one in view.deliveries if one.state is State.QUEUED for token in one.tokens]
        try:
            story = await self._track.story(tokens)
        except StoreUnavailable:
            story = NO_STORY
        return [told(delivery, story) for delivery in view.deliveries]
