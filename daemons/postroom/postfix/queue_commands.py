"""Postfix's queue by its own commands, for root: list it, try mail again now, release what is held, requeue.

The daemons, which are not root, ask showq(8) instead (showq.py).

Source:  postqueue(1) -j, -i; postsuper(1) -H, -r.
Limits:  standard library alone: uninstallation needs it. Mail that was held longer than maximal_queue_lifetime is
         tried once after its release and then bounces; `postsuper -r` makes it young again.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from postroom.postfix.commands import run

POSTSUPER_TIMEOUT_S = 600.0
"""postsuper renames a file for each mail; a large queue takes its time."""

_QUEUE_ID = re.compile(r"[0-9A-Za-z]{1,32}")
_RELEASED = re.compile(r"([0-9A-Za-z]{1,32}): released from hold")


def queued_mails() -> Iterator[dict[str, Any]]:
    """The mails in Postfix's queue: `queue_name`, `queue_id`, `recipients` (each with its `address`), and so on.

    Raises:
        PostfixCommandFailed: postqueue does not answer.
    """
    return map(json.loads, run("postqueue", "-j").stdout.splitlines())


def deliver_now(queue_id: str) -> None:
    """Have Postfix try this mail of the deferred queue at once.

    Raises:
        PostfixCommandFailed: postqueue refused.
    """
    run("postqueue", "-i", queue_id)


def release_held(queue_ids: Sequence[str]) -> list[str]:
    """Release those of these that are held; returns their queue ids.

    They are in the deferred queue then, and Postfix tries them at its next look there (queue_run_delay, 300 s).

    Raises:
        PostfixCommandFailed: postsuper cannot be run, or refused.
    """
    done = run("postsuper", "-H", "-", stdin=_typed(queue_ids), timeout_s=POSTSUPER_TIMEOUT_S, mend="run this as root")
    return _RELEASED.findall(done.stderr)


def requeue_deferred(queue_ids: Sequence[str]) -> None:
    """Send these of the deferred queue through pickup again.

    Raises:
        PostfixCommandFailed: postsuper refused.
    """
    run(
        *("postsuper", "-r", "-", "deferred"),
        stdin=_typed(queue_ids),
        timeout_s=POSTSUPER_TIMEOUT_S,
        mend="run it by hand, as root",
    )


def _typed(queue_ids: Sequence[str]) -> str:
    return "".join(f"{queue_id}\n" for queue_id in queue_ids if _QUEUE_ID.fullmatch(queue_id))
