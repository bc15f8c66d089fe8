"""The line a bounce of our mail makes in the log: one for each, whoever told of it first."""

from postroom.runtime.log import Log
from postroom.store.track.facts import Bounce


def tell(bounce: Bounce, log: Log) -> None:
    """Log it."""
    log.info(
        "watcher.bounced",
        queue_id=bounce.queue_id,
        recipient_hash=bounce.recipient.hash,
        domain=bounce.recipient.domain,
        enhanced_status=bounce.enhanced_status,
        by=bounce.by,
        cause=bounce.cause,
    )
