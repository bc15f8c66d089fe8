"""A client of the watcher's LMTP socket."""

import smtplib
from dataclasses import dataclass
from pathlib import Path

from sandbox.process import BedError

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Arrival:
    """How a mail came to Postfix, as its lmtp(8) tells: the words of XFORWARD, and the field it put on top."""

    told: str
    received: bytes


def by_smtp(address: str, protocol: str = "ESMTP", queue_id: str = "4CAB11F00D") -> Arrival:
    """From a client of this address."""
    return Arrival(
        f"ADDR={address} IDENT={queue_id} SOURCE=REMOTE",
        f"Received: from mx.world.test (unknown [{address}])\r\n"
        f"\tby mail.example.org (Postfix) with {protocol} id {queue_id};\r\n\t{_DATE}\r\n".encode("ascii"),
    )


def by_bounce(queue_id: str) -> Arrival:
    """From bounce(8)."""
    return Arrival(
        "SOURCE=LOCAL", f"Received: by mail.example.org (Postfix)\r\n\tid {queue_id}; {_DATE}\r\n".encode("ascii")
    )


_DATE = "Wed, 25 Nov 2026 01:31:13 +0000 (UTC)"
REMOTE = by_smtp("203.0.113.25")
LOOPBACK = by_smtp("127.0.0.1")
BY_SENDMAIL = Arrival(
    "SOURCE=LOCAL",
    f"Received: by mail.example.org (Postfix, from userid 1001)\r\n\tid 4CAB11F00D; {_DATE}\r\n".encode("ascii"),
)


def deliver(
    socket: Path, octets: bytes, *recipients: str, sender: str = "", arrival: Arrival | None = REMOTE
) -> list[str]:
    """Deliver one mail; returns the last reply for each recipient: to RCPT when it was refused there.

    Raises:
        BedError: no server, or one that breaks off.
    """
    replies: dict[int, str] = {}
    try:
        with smtplib.LMTP(str(socket), timeout=TIMEOUT_S) as client:
            client.ehlo("mail.example.org")
            if arrival is not None:
                client.docmd(f"XFORWARD {arrival.told}")
                octets = arrival.received + octets
            client.docmd(f"MAIL FROM:<{sender}>")
            for number, recipient in enumerate(recipients):
                code, text = client.docmd(f"RCPT TO:<{recipient}>")
                if code != 250:
                    replies[number] = f"{code} {text.decode('ascii')}"
            if len(replies) < len(recipients):
                answers = [client.data(octets)]
                taken = [number for number in range(len(recipients)) if number not in replies]
                answers += [client.getreply() for _ in taken[1:]]
                for number, (code, text) in zip(taken, answers, strict=True):
                    replies[number] = f"{code} {text.decode('ascii')}"
    except (OSError, smtplib.SMTPException) as error:
        raise BedError(f"LMTP on {socket}: {error}") from error
    return [replies[number] for number in range(len(recipients))]
