"""A client of the watcher's LMTP socket."""

import smtplib
from pathlib import Path

from sandbox.process import BedError

TIMEOUT_S = 30.0


def deliver(socket: Path, octets: bytes, *recipients: str, sender: str = "") -> list[str]:
    """Deliver one mail; returns the last reply for each recipient: to RCPT when it was refused there.

    Raises:
        BedError: no server, or one that breaks off.
    """
    replies: dict[int, str] = {}
    try:
        with smtplib.LMTP(str(socket), timeout=TIMEOUT_S) as client:
            client.ehlo("mail.example.org")
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
