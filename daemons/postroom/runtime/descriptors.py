"""How many descriptors this process may have open, each connection being one.

The usual limit of 1,024 is few: each smtpd(8) keeps a connection to policy, each worker of an application one to the
API.

Source:  getrlimit(2), RLIMIT_NOFILE; systemd.exec(5), LimitNOFILE= (systemd/system/postroom-.service.d).
"""

import resource
from contextlib import suppress

MOST = 65_536
"""Where the hard limit is a billion, as in some containers, no more than this is asked for."""
RESERVED = 256
"""Not for connections of clients: the store's files, sessions with Postfix, templates, threads, the log."""


def take_descriptors() -> None:
    """Use as many descriptors as we may, the hard limit; run once, when a daemon starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError):  # a sandbox may forbid it; then it is as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def for_connections() -> int:
    """Give how many connections of clients there is room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(RESERVED // 4, (MOST if soft == resource.RLIM_INFINITY else soft) - RESERVED)
