"""Mail in Postfix's queue that has the sendmail door before it: requeued when the door is taken away.

A mail that came by pickup while the door stood bears the door's transport in its queue file; once that is gone it
would be stranded ("mail transport unavailable"). postsuper -r brings it back to pickup, which sends it on as if there
had never been a door.

Source:  Postfix src/global/rec_type.h (REC_TYPE_FILT), postsuper(1).
Limits:  for root. A mail that has the words in its text is requeued too, which does no harm.
"""

import re
import subprocess
from pathlib import Path

from postroom.setup.host import SPOOL, SetupFailed

FILTER = b"postroom-door:["
WAITING = ("incoming", "active", "deferred")
_QUEUE_ID = re.compile(r"[0-9A-Za-z]{1,32}")


def at_the_door(queue: str, spool: Path = SPOOL) -> list[str]:
    """Queue ids in one queue of mail that has the door before it."""
    found = []
    for path in (spool / queue).rglob("*"):
        try:
            if _QUEUE_ID.fullmatch(path.name) and path.is_file() and FILTER in path.read_bytes():
                found.append(path.name)
        except FileNotFoundError:
            continue  # it went its way meanwhile
    return found


def requeue(queue_ids: list[str]) -> None:
    """Send these of the deferred queue through pickup again.

    Raises:
        SetupFailed: postsuper refused.
    """
    asked = "".join(f"{queue_id}\n" for queue_id in queue_ids)
    done = subprocess.run(
        ["/usr/sbin/postsuper", "-r", "-", "deferred"],
        input=asked,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise SetupFailed(f"postsuper -r: {done.stderr.strip()[-300:]}; mend: run it by hand, as root")
