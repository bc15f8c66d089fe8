"""A client of the SMTP door, as an application would write one: Python's smtplib, one session a mail."""

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

from sandbox.process import BedError

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Reply:
    """The last word of the server: to the whole message, or to the command it refused."""

    code: int
    text: str

    @property
    def queue_id(self) -> str:
        """As what Postfix took it; empty when it did not."""
        return self.text.rpartition("queued as ")[2] if self.code == 250 else ""


def submit(port: int, sender: str, recipient: str, message: EmailMessage, client_of: str = "") -> Reply:
    """Send one mail to a server on 127.0.0.1.

    Args:
        client_of: pose as a client of this address (XFORWARD), where the server lets us.

    Raises:
        BedError: no server, or one that breaks off.
    """
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT_S) as client:
            client.ehlo()
            if client_of:
                client.docmd("XFORWARD", f"ADDR={client_of} SOURCE=REMOTE")
            code, text = client.mail(sender, ["BODY=8BITMIME"])
            if code == 250:
                code, text = client.rcpt(recipient)
            if code == 250:
                code, text = client.data(message.as_bytes(policy=SMTP))
    except (OSError, smtplib.SMTPException) as error:
        raise BedError(f"SMTP on 127.0.0.1:{port}: {error}") from error
    return Reply(code, text.decode("utf-8", "replace").replace("\n", " "))
