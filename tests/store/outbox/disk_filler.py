"""A process that fills the disk below its outbox, and says what became of what it asked for.

disk_filler.py FOLDER       (a small file system of its own)
"""

import asyncio
import itertools
import sys
from pathlib import Path

from tests.store.outbox.sample_messages import KEY, NOW, faults_of, letter, put, rows

from postroom.store.errors import StoreFull, StoreUnavailable
from postroom.store.outbox.mail_store import MailStore
from postroom.store.outbox.messages import Accepted

BATCH = 8


async def main(folder: Path) -> None:
    path, ballast = folder / "submission" / "mail.db", folder / "ballast"
    ballast.write_bytes(bytes(512 * 1024))
    MailStore.init(path)
    store = MailStore.open(path, KEY)
    acknowledged: set[str] = set()
    results: list[object] = []
    for batch in itertools.count():
        numbers = range(batch * BATCH, (batch + 1) * BATCH)
        results = list(
            await asyncio.gather(
                *(put(store, number, body=bytes(10_000)) for number in numbers), return_exceptions=True
            )
        )
        acknowledged |= {
            letter(number).id for number, result in zip(numbers, results, strict=True) if result == Accepted()
        }
        if any(result != Accepted() for result in results):
            break
    print(f"the last batch: {sum(isinstance(result, StoreFull) for result in results)} of {BATCH} StoreFull")

    def stored() -> set[str]:
        return {id_ for (id_,) in rows(path, "SELECT id FROM message")}

    print(f"stored what was acknowledged: {stored() == acknowledged and len(acknowledged) >= BATCH}")
    print(f"faults: {faults_of(path)}")
    with (folder / "rest").open("wb", buffering=0) as rest:
        try:
            while True:
                rest.write(bytes(4096))
        except OSError:
            pass
    try:
        # Small changes find room in the WAL for a while: ask until it is used up.
        for _ in range(10_000):
            await store.handover.retry(1, NOW, None, "451 later", NOW)
        print("it was never full")
    except StoreUnavailable as error:
        print(f"no change fits any more: {type(error).__name__}")
    ballast.unlink()
    print(f"with space again: {type(await put(store, 1_000_000)).__name__}")
    acknowledged.add(letter(1_000_000).id)
    claimed = {one.message for one in await store.handover.claim(10_000, NOW)}
    print(f"all that was acknowledged can be claimed: {claimed == acknowledged}")
    print(f"faults: {faults_of(path)}")
    await store.close()


asyncio.run(main(Path(sys.argv[1])))
