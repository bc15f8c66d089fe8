"""Mail that came into Postfix's queue by another way than the hand-over, by its queue ids. Pure.

A token is an envelope sender, and anybody on this host can read it in the queue and send mail of his own with it; what
becomes of that says nothing of ours. The log names the way of a mail before it names its sender:

    smtpd, at any listener but the hand-over      foreign; with orig_queue_id as the mail it was before
    pickup                                        foreign; with orig_id (postsuper(1) requeued it) likewise
    neither: cleanup alone                        local(8) has forwarded it: as foreign as what it forwarded, which
                                                  local(8) says afterwards (facts.MailForwarded)

Limits:  MAX_ARRIVALS queue ids, those that left the queue taken out; past that the oldest are forgotten.
BUGS:    what arrived before this process began, and was first taken up after that, is not known as foreign.
"""

from postroom.watcher.records.types import PickedUp

MAX_ARRIVALS = 50_000

_ORIGINAL = ", orig_queue_id="


class ForeignArrivals:
    """The queue ids of mail that may still be in the queue, and is foreign."""

    def __init__(self) -> None:
        self._queue_ids: dict[str, str] = {}
        """In the order in which they came; with the queue id of which each came, "" where it came from outside."""

    def came_of(self, queue_id: str) -> str | None:
        """ "" where this mail is foreign; else the queue id that it had before: it is foreign where that is.

        None where it is neither.
        """
        return self._queue_ids.get(queue_id)

    def by_smtpd(self, text: str) -> None:
        """Note the mail in a line of smtpd's, if one begins there; of another listener than the hand-over."""
        # Not parsed as a record: that is most lines of a host that receives mail.
        queue_id, found, rest = text.partition(": client=")
        if found and queue_id.isalnum() and queue_id != "NOQUEUE":
            self._add(queue_id, rest.partition(_ORIGINAL)[2].partition(",")[0])

    def by_pickup(self, picked_up: PickedUp) -> None:
        """Note a mail of sendmail(1), or one that was requeued."""
        self._add(picked_up.queue_id, picked_up.orig_queue_id or "")

    def forget(self, queue_id: str) -> None:
        """This mail has left the queue, or its queue id was given to a mail of ours."""
        self._queue_ids.pop(queue_id, None)

    def _add(self, queue_id: str, before: str) -> None:
        self.forget(queue_id)
        self._queue_ids[queue_id] = "" if self._queue_ids.get(before) == "" else before
        if len(self._queue_ids) > MAX_ARRIVALS:
            del self._queue_ids[next(iter(self._queue_ids))]
