"""A session of our own with Postfix, made to be found again in its log.

Postfix's processes write their lines into one socket (syslog's or postlogd's), so what was said before our session
began stands in the log before its end. Reading that end proves two things at once: that the log was read up to
that moment, and that it is the log this Postfix really writes to.

The listener is one that takes no mail (postfix-conf/probe.master.cf); where there is none, the hand-over listener.
An attempt that is in doubt was greeted, and smtpd logs a connection before it greets, so no order between the two
listeners is needed: the beginning of its session was logged before it was made.

It is known by how many NOOP commands it has: smtpd counts them in its disconnect line ("noop=17"), and submission
never sends any.

Source:  Postfix src/smtpd/smtpd.c (log_disconnect: command counts), RFC 5321 §4.1.1.9.
"""

import asyncio
from pathlib import Path

MAX_NOOPS = 40


class NoProbe(Exception):
    """No session could be had; the text says why."""


async def probe(socket: Path, hostname: str, noops: int, timeout_s: float) -> None:
    """Open a session, say NOOP so many times (1 to MAX_NOOPS), and leave.

    Raises:
        NoProbe: Postfix does not answer as it should.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                await _expect(reader, b"220")
                # One at a time: NOOP ends a group of pipelined commands (RFC 2920 §3.1).
                for command in (f"EHLO {hostname}", *["NOOP"] * noops, "QUIT"):
                    writer.write(f"{command}\r\n".encode("ascii"))
                    await _expect(reader, b"2")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise NoProbe(f"{socket}: {getattr(error, 'strerror', None) or 'no answer in time'}") from error


async def _expect(reader: asyncio.StreamReader, code: bytes) -> None:
    while True:
        line = await reader.readline()
        if not line.startswith(code):
            # The text may be anybody's, if this is not Postfix.
            raise NoProbe(
                "the listener of `watcher.probe` does not answer as Postfix does; "
                "mend: run set-up again, or append postfix-conf/probe.master.cf to master.cf and reload Postfix"
            )
        if line[3:4] != b"-":
            return
