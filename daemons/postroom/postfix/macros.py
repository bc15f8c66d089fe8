"""What Postfix tells a milter at a connection (milter_connect_macros), and whether that is enough for ours. Pure.

The milter must know which listener it is, and both ends of the connection, to tell whose it is. {daemon_port} is not
among what Postfix tells by default.

Source:  postconf(5), milter_connect_macros.
Limits:  standard library alone: set-up asks before anything is installed.
"""

import re

CONNECT_MACROS = "milter_connect_macros"
NEEDED = ("{daemon_name}", "{daemon_addr}", "{daemon_port}")


def lacks_needed(macros: str) -> bool:
    """Whether a list of macros leaves out one that is needed."""
    return not set(NEEDED) <= set(re.split(r"[\s,]+", macros))
