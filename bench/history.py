"""A made log of Postfix, for benches: mail of ours through the hand-over listener, and of others.

Deliveries are sent, deferred and tried again, bounced, given up; between them are refusals, TLS and statistics.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from postroom.mail.tokens import KEY_OCTETS, NAME_OCTETS, mint
from postroom.watcher.correlate import HANDOVER_LISTENER

KEY = b"k" * KEY_OCTETS
BEGAN = datetime(2026, 11, 24, 2, tzinfo=UTC)
REPLIES = (
    ("2.0.0", "sent", "250 2.0.0 Ok: queued as {0}"),
    ("2.0.0", "sent", "250 2.0.0 OK  1790000000 {0}-20020a05600c1d9300b004 - gsmtp"),
    ("2.6.0", "sent", "250 2.6.0 <{0}@mx.example.net> [InternalId=1234567890, Hostname=MX.example.net] Queued mail"),
    ("4.2.0", "deferred", ("host {1}[192.0.2.9] said: 450 4.2.0 <{2}>: Recipient address rejected: Greylisted, see "
     "http://postgrey.example/help/{1}.html (in reply to RCPT TO command)")),
    ("4.4.1", "deferred", "connect to {1}[192.0.2.9]:25: Connection timed out"),
    ("5.1.1", "bounced", ("host {1}[192.0.2.9] said: 550 5.1.1 <{2}>: Recipient address rejected: User unknown in "
     "virtual mailbox table (in reply to RCPT TO command)")),
    ("5.7.1", "bounced", ("host {1}[192.0.2.9] said: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked "
     "using bl.example (in reply to MAIL FROM command)")),
)  # fmt: skip
WEIGHTS = (50, 25, 10, 6, 3, 4, 2)


def history(lines: int) -> Iterator[tuple[float, str]]:
    """So many lines and a few more: seconds since BEGAN, and the line without time and host."""
    random, written, number = Random(5), 0, 0
    while written < lines:
        number += 1
        for text in _mail(random, number):
            written += 1
            yield number / 20, text


def _mail(random: Random, number: int) -> Iterator[str]:
    queue_id = _queue_id(random)
    smtpd = f"{HANDOVER_LISTENER}/smtpd[{500 + number % 4}]"
    token = mint(KEY, number.to_bytes(NAME_OCTETS, "big"), BEGAN.timestamp())
    sender = f"{token}@bounces.example.org"
    is_ours = random.random() < 0.6
    client = "localhost[127.0.0.1]"
    if not is_ours:
        smtpd, client = f"postfix/smtpd[{900 + number % 9}]", f"mx{number % 99}.example.com[198.51.100.{number % 250}]"
        sender = f"news+{number}@example.com"
    if not is_ours or number % 100 == 0:
        yield f"{smtpd}: connect from {client}"
    if not is_ours and random.random() < 0.1:
        yield (
            f"{smtpd}: NOQUEUE: reject: RCPT from {client}: 554 5.7.1 <x@example.net>: Relay access denied; "
            f"from=<{sender}> to=<x@example.net> proto=ESMTP helo=<mx{number % 99}.example.com>"
        )
        yield f"{smtpd}: lost connection after RCPT from {client}"
    yield f"{smtpd}: {queue_id}: client={client}"
    yield f"postfix/cleanup[{700 + number % 3}]: {queue_id}: message-id=<{number:032x}@example.org>"
    yield _active(queue_id, sender)
    if not is_ours or number % 100 == 99:
        yield f"{smtpd}: disconnect from {client} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
    yield from _deliveries(random, number, queue_id, sender)
    if number % 200 == 0:
        yield "postfix/anvil[77]: statistics: max connection rate 4/60s for (smtp:198.51.100.7) at Nov 24 02:00:00"


def _deliveries(random: Random, number: int, queue_id: str, sender: str) -> Iterator[str]:
    for recipient in range(1 if random.random() < 0.9 else 3):
        to, mx = f"user{number}.{recipient}@example.net", f"mx{number % 7}.example.net"
        for attempt in range(4):
            if attempt:
                yield _active(queue_id, sender)
            if random.random() < 0.3:
                yield (
                    f"postfix/smtp[{600 + number % 20}]: Trusted TLS connection established to {mx}[192.0.2.9]:25: "
                    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"
                )
            ((dsn, status, reply),) = random.choices(REPLIES, WEIGHTS)
            yield (
                f"postfix/smtp[{600 + number % 20}]: {queue_id}: to=<{to}>, relay={mx}[192.0.2.9]:25, "
                f"delay={random.randint(1, 99) / 10}, delays=0.02/0.01/0.7/0.9, dsn={dsn}, status={status} "
                f"({reply.format(_queue_id(random), mx, to)})"
            )
            if status != "deferred":
                break
        else:
            yield f"postfix/qmgr[446]: {queue_id}: from=<{sender}>, status=expired, returned to sender"
            status = "bounced"
        if status == "bounced":
            yield f"postfix/bounce[88]: {queue_id}: sender non-delivery notification: {_queue_id(random)}"
    yield f"postfix/qmgr[446]: {queue_id}: removed"


def _active(queue_id: str, sender: str) -> str:
    return f"postfix/qmgr[446]: {queue_id}: from=<{sender}>, size={len(queue_id) * 1017}, nrcpt=1 (queue active)"


def _queue_id(random: Random) -> str:
    return "4j" + "".join(random.choices("0123456789BCDFGHJKLMNPQRSTVWXYbcdfghjklmnpqrstvwxy", k=8)) + "z1Kdw"
