"""What Postfix says in a line, as values. The words are Postfix's own (dsn, status, relay).

`queue_id` is None where Postfix writes NOQUEUE: there was none yet.

Source:  for what the status of a delivery means, Postfix src/global/sent.c, defer.c, bounce.c (also soft_bounce),
         verify.c, src/discard/discard.c.
"""

from dataclasses import dataclass

from postroom.mail.states import State


@dataclass(slots=True)
class Connected:
    """smtpd: a session began; the process (Line.pid) has one at a time."""


@dataclass(slots=True)
class Disconnected:
    """smtpd: the session ended; `commands` is what there was in it: "ehlo=1 noop=2/3 commands=3/4"."""

    commands: str

    @property
    def noops(self) -> int:
        """How many NOOP commands it had."""
        for word in self.commands.split():
            if word.startswith("noop="):
                count = word[5:].partition("/")[0]
                return int(count) if count.isascii() and count.isdecimal() and len(count) <= 9 else 0
        return 0


@dataclass(slots=True)
class ConnectionLost:
    """smtpd: the client went away, was too slow, made too many errors, or could not speak TLS."""


@dataclass(slots=True)
class TlsEstablished:
    """A TLS session was set up, with a client or a server."""


@dataclass(slots=True)
class ConnectFailed:
    """smtp: one server of a destination could not be reached; another may be tried."""


@dataclass(slots=True)
class AttemptFailed:
    """smtp: one server refused or broke off for now; another is tried, so nothing is decided yet."""

    queue_id: str


@dataclass(slots=True)
class Received:
    """smtpd: a transaction has got its queue id. Nothing is queued yet.

    Attributes:
        client: name[address], or name[address]:port.
        attributes: what else is known: orig_queue_id, orig_client, sasl_method, sasl_username, sasl_sender.
    """

    queue_id: str | None
    client: str
    attributes: dict[str, str]


@dataclass(slots=True)
class PickedUp:
    """pickup: a mail of sendmail(1), or one that postsuper(1) requeued, which was `orig_queue_id` before."""

    queue_id: str
    uid: int
    sender: str
    orig_queue_id: str | None


@dataclass(slots=True)
class MessageId:
    """cleanup: the Message-ID as it is written. It proves nothing: a client may still go away inside DATA."""

    queue_id: str
    message_id: str
    is_resent: bool


@dataclass(slots=True)
class Acted:
    """smtpd, cleanup, postscreen: what an access rule, a table or a milter did (reject, hold, warn, …).

    `sender` is that of the envelope; None where it is not written, or cannot be told from what a stranger wrote.
    """

    queue_id: str | None
    action: str
    sender: str | None


@dataclass(slots=True)
class PutOnHold:
    """cleanup: the mail goes to the hold queue."""

    queue_id: str
    action: str
    sender: str


@dataclass(slots=True)
class Active:
    """qmgr: the mail is in the active queue. Logged at every attempt."""

    queue_id: str
    sender: str
    size: int
    recipients: int


@dataclass(slots=True)
class Expired:
    """qmgr: Postfix gives up on the recipients that are left; `status` is expired or force-expired."""

    queue_id: str
    sender: str
    status: str


@dataclass(slots=True)
class Removed:
    """qmgr: the mail is gone from the queue; a short queue id may be used again."""

    queue_id: str


@dataclass(slots=True)
class Skipped:
    """qmgr: the mail is still being delivered."""

    queue_id: str


@dataclass(slots=True)
class Operated:
    """postsuper: what an operator did to a mail: removed, requeued, placed on hold, released from hold, expired."""

    queue_id: str
    action: str


_STATES = {
    "sent": State.DELIVERED,
    "deferred": State.DEFERRED,
    "bounced": State.BOUNCED,
    "SOFTBOUNCE": State.DEFERRED,  # soft_bounce = yes: the mail stays in the queue
}


@dataclass(slots=True)
class Delivery:
    """One attempt to deliver to one recipient.

    Attributes:
        orig_to:  the recipient before Postfix rewrote it (aliases), where it did.
        relay:    host[address]:port, or none, local, virtual, …
        conn_use: how many mails the connection has had; "" for the first.
        delay:    seconds since the mail arrived, as they are written.
        delays:   before the queue manager/in it/setting up the connection/sending, seconds as they are written.
        tls:      level and features, from Postfix 3.11 on.
        reason:   the reply or error, without its brackets.
        is_plain: only one ", status=" stands in the line: nobody tried to pose as Postfix.
        is_whole: the line was not cut.
        is_bracketed: the addresses stand in <…>, as Postfix writes them; other programs may have taken that away.
    """

    queue_id: str
    to: str
    orig_to: str | None
    relay: str
    conn_use: str
    delay: str
    delays: str
    tls: str | None
    dsn: str
    status: str
    reason: str
    is_plain: bool
    is_whole: bool
    is_bracketed: bool

    def state(self, daemon: str, *, is_relayhosted: bool) -> State | None:
        """The recipient's state after this attempt; None for probes of an address (deliverable, undeliverable).

        Args:
            daemon:         the program that logged it.
            is_relayhosted: whether Postfix hands its mail to a relayhost, which says "sent" for "taken".
        """
        state = _STATES.get(self.status)
        if state is State.DELIVERED:
            if daemon == "discard":
                return State.DISCARDED
            if daemon in {"smtp", "relay"} and is_relayhosted:
                return State.RELAYED
        return state


@dataclass(slots=True)
class Notified:
    """bounce: a notice was queued, as `notice`, to the sender or the postmaster."""

    queue_id: str
    to: str
    kind: str
    notice: str


@dataclass(slots=True)
class Statistics:
    """anvil, scache: what they have counted since they last logged it."""


@dataclass(slots=True)
class Logged:
    """A warning, error, fatal or panic; with the queue id it begins with, if it does."""

    severity: str
    queue_id: str | None


@dataclass(slots=True)
class CutOff:
    """The line of a delivery, cut before its outcome, or damaged."""


@dataclass(slots=True)
class Stopping:
    """postfix-script or master: this instance is being stopped, and all its processes with it."""


@dataclass(slots=True)
class Started:
    """master: this instance runs; it holds the lock, so the master before it is gone."""


Record = (
    Connected
    | Disconnected
    | ConnectionLost
    | TlsEstablished
    | ConnectFailed
    | AttemptFailed
    | Received
    | PickedUp
    | MessageId
    | Acted
    | PutOnHold
    | Active
    | Expired
    | Removed
    | Skipped
    | Operated
    | Delivery
    | Notified
    | Statistics
    | Logged
    | CutOff
    | Stopping
    | Started
)
