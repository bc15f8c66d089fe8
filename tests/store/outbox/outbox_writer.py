"""A process that works on an outbox until it is killed, and says what it was promised.

    outbox_writer.py FILE FIRST SEED

Sixteen workers at once accept letters (numbered from FIRST on) and bring their deliveries to an end
of some kind. Each step is told twice: "begin STEP …" before it is asked for, "done STEP …" after it
was acknowledged. With $POSTROOM_FAULT (and $POSTROOM_TEST_BED) it dies at that fault point.
"""

import asyncio
import itertools
import os
import random
import sys
from pathlib import Path

from tests.store.outbox.sample_messages import KEY, NOW, letter, put

from postroom.runtime.fault_points import armed_faults
from postroom.store.outbox.mail_store import MailStore

WORKERS = 16


def say(*words: object) -> None:
    # One write(2) a line: it is whole or not there, and never in a buffer that dies with us.
    os.write(1, (" ".join(map(str, words)) + "\n").encode("ascii"))


async def work(store: MailStore, numbers: "itertools.count[int]", chance: random.Random) -> None:
    while True:
        number = next(numbers)
        count = chance.randint(1, 3)
        say("begin", "accept", letter(number).id, count)
        await put(
            store,
            number,
            tuple(f"r{index}@example.net" for index in range(count)),
            key=str(number),
            body=f"body of {letter(number).id}".encode() * chance.choice((1, 1, 500)),
            max_waiting=10**6,
        )
        say("done", "accept", letter(number).id, count)
        for claimed in await store.handover.claim(2, NOW):
            token = f"t{number}.{claimed.delivery}"
            step = chance.choice(("queued", "queued", "retry", "fail", "doubt", "release"))
            say("begin", step, claimed.delivery)
            body = await store.handover.start_attempt(claimed.delivery, token, NOW)
            assert body.startswith(f"body of {claimed.message}".encode())
            match step:
                case "queued":
                    await store.handover.mark_queued(claimed.delivery, f"Q{claimed.delivery}", NOW)
                case "retry":
                    await store.handover.retry(claimed.delivery, NOW + 60, "4.3.0", "451 4.3.0 later", NOW)
                case "fail":
                    await store.handover.fail(claimed.delivery, "5.1.1", "550 5.1.1 no", NOW)
                case "doubt":
                    await store.handover.mark_in_doubt(claimed.delivery, "no answer", NOW)
                case "release":
                    await store.handover.release(claimed.delivery)
            say("done", step, claimed.delivery)


async def main(path: Path, first: int, seed: int) -> None:
    faults = armed_faults(os.environ, path.parent)
    store = MailStore.open(path, KEY, faults.reach)
    numbers, chance = itertools.count(first), random.Random(seed)
    await asyncio.gather(*(work(store, numbers, chance) for _ in range(WORKERS)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
