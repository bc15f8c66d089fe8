"""What a daemon tells its service manager, systemd or `postroom serve`, without ever waiting for it.

Nobody may be reading at the other end: the queue of a Unix datagram socket holds some tens of messages (or ten), and
then a send that waits would wait for ever. So nothing here does. What must arrive, such as READY=1, is kept and sent
again by the caller's loop, in order; a sign of life and a status are dropped, for the next ones replace them.

    tell_systemd ─► sent, or kept ─► deliver_kept, every RETRY_S until it returns True

systemd gives the name of a socket (NOTIFY_SOCKET), `serve` the number of an open one (NOTIFY_FD). It is opened once and
kept, so that a process without a descriptor to spare still gives signs of life.

Source:  sd_notify(3), sd_watchdog_enabled(3), unix(7) "Abstract".
Limits:  at most MOST_KEPT messages are kept, the newest. One thread, that of the event loop or the only one.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Mapping

RETRY_S = 0.5
"""How often a caller tries again to deliver what is kept."""
MOST_KEPT = 16
NOTIFY_FD = "POSTROOM_NOTIFY_FD"
"""Names the variable with the descriptor that leads to `postroom serve`."""


class Notifier:
    """The way to one service manager; where there is none nothing happens."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the null byte of a name in the abstract namespace.
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else None
        self._inherited = _inherited(environment.get(NOTIFY_FD, ""))
        self._unconnected: socket.socket | None = None
        self._kept = deque[bytes](maxlen=MOST_KEPT)

    def close(self) -> None:
        """Give up what is kept, and the socket."""
        for one in (self._inherited, self._unconnected):
            if one is not None:
                one.close()

    def tell(self, words: str) -> None:
        """Send words that must arrive, behind those that are kept."""
        self._kept.append(words.encode("utf-8"))
        self.deliver_kept()

    def mention(self, words: str) -> None:
        """Send words that may be lost."""
        if self.deliver_kept():
            self._send(words.encode("utf-8"))

    def deliver_kept(self) -> bool:
        """Send what is kept, as far as there is room; returns whether nothing is left."""
        while self._kept and self._send(self._kept[0]):
            self._kept.popleft()
        return not self._kept

    def _send(self, octets: bytes) -> bool:
        """Send one message; returns False when there is no room for it now."""
        try:
            if self._inherited is not None:
                self._inherited.send(octets)
            elif self._address is not None:
                if self._unconnected is None:
                    self._unconnected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._unconnected.sendto(octets, self._address)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a manager that is gone, or its socket, is no reason to stop the mail or not to end
        return True


def _inherited(number: str) -> socket.socket | None:
    if not number.isdecimal():
        return None
    try:
        inherited = socket.socket(fileno=int(number))
    except OSError:
        return None
    inherited.setblocking(False)
    inherited.set_inheritable(False)  # ours alone to speak with
    return inherited


_notifier = Notifier(os.environ)


def tell_systemd(words: str) -> None:
    """Send words that must arrive, such as READY=1; what has to wait is sent by `deliver_kept`."""
    _notifier.tell(words)


def deliver_kept() -> bool:
    """Send what had to wait; returns whether nothing is left."""
    return _notifier.deliver_kept()


def beat() -> None:
    """Give a sign of life."""
    _notifier.mention("WATCHDOG=1")


def show_status(text: str) -> None:
    """Say in words how it goes; nobody depends on it."""
    _notifier.mention(f"STATUS={text}")


def reloading() -> str:
    """Give the words for the begin of a reload."""
    # MONOTONIC_USEC is what systemd 253's Type=notify-reload asks for; older ones ignore it.
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def watchdog_period_s() -> float | None:
    """Give the seconds between two WATCHDOG=1, half of what systemd waits for; None when it waits for none of us."""
    try:
        period_s = int(os.environ["WATCHDOG_USEC"]) / 1_000_000 / 2
        pid = int(os.environ.get("WATCHDOG_PID") or os.getpid())
    except (KeyError, ValueError):
        return None
    # Set for another process, our parent's, it is not ours to keep (sd_watchdog_enabled(3)).
    return period_s if pid == os.getpid() and period_s > 0 else None
