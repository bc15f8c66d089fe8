"""What a log file says of recipients, confirmed by what we saw ourselves.

Any local user can write lines into Postfix's log file, so a bounce that stands only there suppresses nobody. It
does when the mail was ours: handed over under that token, taken by Postfix as that queue id, to that recipient.
So it is with a delivery, which lifts a suppression. The watcher leaves such facts (TrackReader.unproven).

BUGS:    a local user who knows token and queue id of a mail of ours, as its recipient does, can still write its
         bounce. Whoever must not trust local users lets Postfix log to the journal.
"""

import asyncio

from postroom.mail.hashes import recipient_hash
from postroom.recipients.learning import Learner
from postroom.runtime.log import Log
from postroom.store.errors import StoreUnavailable
from postroom.store.local.mail import MailStore
from postroom.store.local.track_reader import TrackReader

EVERY_S = 2.0
MOST = 100


async def confirm_forever(store: MailStore, track: TrackReader, learner: Learner, key: bytes, log: Log) -> None:
    """Look into what waits, every EVERY_S seconds, until cancelled. What cannot be read or written now waits.

    Args:
        key: recipients are hashed with it.
    """
    while True:
        try:
            await confirm(store, track, learner, key, log)
        except StoreUnavailable as error:
            log.debug("suppression.waits", error=str(error))
        await asyncio.sleep(EVERY_S)


async def confirm(store: MailStore, track: TrackReader, learner: Learner, key: bytes, log: Log) -> None:
    """Look into what waits.

    Raises:
        StoreUnavailable: a store cannot be used; what is left waits.
    """
    while facts := await track.unproven(await store.confirmed(), MOST):
        confirmed = []
        for fact in facts:
            recipient = await store.recipient_of(fact.token, fact.queue_id)
            if recipient is not None and recipient_hash(key, recipient) == fact.recipient.hash:
                confirmed.append(fact)
            elif fact.cause:
                # A delivery to whom an alias names is no surprise, and as frequent as mail.
                log.warning("suppression.unconfirmed", queue_id=fact.queue_id, domain=fact.recipient.domain)
        await learner.learn(confirmed)
        # After a crash before this they are looked into again, and count once.
        await store.set_confirmed(facts[-1].number)
