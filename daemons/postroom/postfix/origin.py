"""Postfix's myorigin for daemons: what it appends to an address without a domain (root, from cron and daemons).

Flow:    main.py of milter and policy -> my_origin -> senders/configured.py
Limits:  asked once, at the start and at each reload.
"""

from postroom.postfix import postconf
from postroom.postfix.commands import PostfixCommandFailed
from postroom.runtime.log import Log

TIMEOUT_S = 10.0


def my_origin(log: Log) -> str | None:
    """The domain; None, with a line in the log, where Postfix does not tell it: no reason not to start."""
    try:
        return postconf.my_origin(TIMEOUT_S)
    except PostfixCommandFailed as failed:
        effect = "users of this host may use their addresses at `hostname` alone"
        log.warning("postfix.myorigin_unknown", error=str(failed), effect=effect)
        return None
