"""Postfix's hold queue: mail that is held goes on its way again, by postsuper(1).

What is released is in the deferred queue then, and Postfix tries it at its next look there (queue_run_delay, 300 s).

Source:  postsuper(1), -H.
Limits:  for root only. Mail that was held longer than maximal_queue_lifetime is tried once and then bounces;
         `postsuper -r` makes it young again.
"""

import re
import subprocess
from collections.abc import Sequence

POSTSUPER = "/usr/sbin/postsuper"
TIMEOUT_S = 600.0

_QUEUE_ID = re.compile(r"[0-9A-Za-z]{1,32}")
_RELEASED = re.compile(r"([0-9A-Za-z]{1,32}): released from hold")


class HoldingFailed(Exception):
    """postsuper did not do it; the text says why and how to mend."""


def release_held(queue_ids: Sequence[str]) -> list[str]:
    """Release those of these that are held; returns their queue ids.

    Raises:
        HoldingFailed: postsuper cannot be run, or refused.
    """
    asked = "".join(f"{queue_id}\n" for queue_id in queue_ids if _QUEUE_ID.fullmatch(queue_id))
    try:
        done = subprocess.run(  # noqa: S603 - a program of Postfix's, and what it reads was checked
            [POSTSUPER, "-H", "-"], input=asked, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HoldingFailed(f"{POSTSUPER} does not answer ({type(error).__name__}); mend: run it by hand") from None
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise HoldingFailed(f"{words[0]}; mend: run this as root")
    return _RELEASED.findall(done.stderr)
