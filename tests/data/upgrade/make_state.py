"""Write beside this file what an older Postroom leaves on the disk of a host, made by running that Postroom.

    mkdir /tmp/older && tar --extract --directory /tmp/older --file tests/data/upgrade/postroom-18a9f36.tar.xz
    PYTHONPATH=/tmp/older/postroom/daemons:scripts:. .venv/bin/python tests/data/upgrade/make_state.py

Its imports are those of that Postroom, so neither mypy nor anybody else reads this with the present one.
"""

import asyncio
import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path

from postroom.setup.weaving import PIECES, Site, weave
from postroom.store.local import facts
from postroom.store.local.mail import MailStore
from postroom.store.local.messages import Idempotency, Message, Unsent
from postroom.store.local.track import TrackStore
from postroom.store.local.track_reader import TrackReader
from postroom.store.local.wish import wish
from postroom.store.shared.clock import TimeSources
from postroom.store.shared.sqlite import SqliteSharedStore
from tests.setup.older_state import DATA, REQUEST, REQUESTED_AT, OlderState

import postroom
from postroom.mail.hashes import private
from postroom.mail.ids import RANDOM_OCTETS, new_id
from postroom.mail.recipients import masked_recipient
from postroom.mail.states import State
from postroom.mail.tokens import NAME_OCTETS, mint
from postroom.setup.record import Record
from postroom.store.shared.interface import Demand
from postroom.store.shared.values import (Delivered, Enough, Guard, Refused, Suppression)
from sandbox import daemon as sandbox_daemon

OLDER = Path(postroom.__file__).parents[2]
T0 = 4_102_444_800.0
"""2100-01-01. What lies in the future does not age: no limit runs out and nothing is swept, whenever the test runs."""
DAY_S = 86_400.0
KEYS = {
    "recipient-hash.key": b"recipient-hash-key of the tests\n",
    "return-path.key": b"return-path key of the tests...\n",
}
BOOT = TimeSources(lambda: int(T0 * 1000), lambda: 5_000, lambda: "00000000-0000-4000-8000-000000000001")

ENOUGH = {"invalid_recipient": Enough(1, 0.0, 3650 * DAY_S), "mailbox_full": Enough(5, 7 * DAY_S, 30 * DAY_S)}
GUARD = Guard(3, 3600.0, 20)
LIMITS = {
    "login": ("per-login", 500, 3600),
    "uid": ("per-user", 1000, 3600),
    "client": ("per-client", 100, 31 * 86_400),
}


def token(number: int) -> str:
    return mint(KEYS["return-path.key"], number.to_bytes(NAME_OCTETS, "big"), T0)


def message_id(number: int) -> str:
    return new_id(T0 + number, number.to_bytes(RANDOM_OCTETS, "big"))


def recipient(name: str):
    return masked_recipient(KEYS["recipient-hash.key"], name)


def message(number: int, **more: str) -> Message:
    at = T0 + number
    name = message_id(number)
    sender = private(KEYS["recipient-hash.key"], "app@example.org")
    return Message(name, "shop", f"{name}@example.org", "*@bounces.example.org", at, sender=sender, **more)


async def fill_outbox(store: MailStore) -> None:
    """A message for each state that a delivery can be in while Postroom has it."""

    async def put(number: int, *recipients: str, suppressed=None, key: str | None = None, **more: str) -> None:
        idempotency = None if key is None else Idempotency(key, store.fingerprint(REQUEST))
        body = f"Subject: message {number}\r\n\r\nHello.\r\n".encode()
        answer = json.dumps({"id": message_id(number)})
        await store.accept(message(number, **more), recipients, body, answer, idempotency, 1000, suppressed)

    async def claimed(number: int) -> list[int]:
        found = [each for each in await store.claim(50, T0 + 999) if each.message == message_id(number)]
        return [each.delivery for each in found]

    async def queued(number: int, *, delivery: int, attempt: int, queue_id: str) -> None:
        await store.handing(delivery, token(attempt), T0 + number)
        await store.queued(delivery, queue_id, T0 + number + 1)

    await put(1, "jane@example.net", key="order-1", template="welcome", template_version="v1", stream="news")
    await queued(1, delivery=(await claimed(1))[0], attempt=1, queue_id="4Delivered1")
    unsent = {"off@example.net": Unsent("5.7.1", "suppressed: manual")}
    await put(2, "gone@example.net", "full@example.net", "off@example.net", "late@example.net", suppressed=unsent)
    for delivery, attempt, queue_id in zip(
        await claimed(2), (2, 3, 4), ("4Bounced002", "4Deferred03", "4BouncedLate"), strict=True
    ):
        await queued(2, delivery=delivery, attempt=attempt, queue_id=queue_id)
    await put(3, "refused@example.net")
    await store.fail((await claimed(3))[0], "5.1.1", "Postfix: 550 5.1.1 User unknown", T0 + 4)
    await put(4, "off@example.net")
    await store.end((await claimed(4))[0], State.SUPPRESSED, "5.7.1", "suppressed: manual", T0 + 5)
    await put(5, "later@example.net", key="order-5")
    await store.retry((await claimed(5))[0], T0 + 600, "4.3.2", "Postfix: 451 4.3.2 Try again later", T0 + 6)
    await put(6, "limited@example.net")
    await store.hold((await claimed(6))[0], T0 + 900, "4.7.1", "Over the limit per-client", T0 + 7)
    await put(7, "doubt@example.net")
    (delivery,) = await claimed(7)
    await store.handing(delivery, token(7), T0 + 7)
    await store.doubt(delivery, "Postfix closed the connection after the body was sent", T0 + 8)
    await put(8, "gap@example.net")
    await queued(8, delivery=(await claimed(8))[0], attempt=8, queue_id="4Untracked8")
    await put(9, "operator@example.net")
    await queued(9, delivery=(await claimed(9))[0], attempt=9, queue_id="4Discarded9")
    await put(10, "expired@example.net")
    await queued(10, delivery=(await claimed(10))[0], attempt=10, queue_id="4Expired010")
    await store.set_confirmed(3)
    # A daemon that was killed: one delivery was leased, and of another the body may have gone out.
    await put(11, "leased@example.net")
    await put(12, "handed@example.net")
    both = {each.message: each.delivery for each in await store.claim(2, T0 + 999)}
    await store.handing(both[message_id(12)], token(12), T0 + 12)
    await put(13, "waits@example.net", "waits-too@example.net", key="order-13")


def tried(queue_id: str, name: str, state: State, status: str, reason: str, **more: object) -> facts.Tried:
    relay = "mx.example.net[192.0.2.25]:25"
    return facts.Tried(queue_id, recipient(name), None, state, status, reason, relay, T0 + 20, **more)


async def fill_tracking(store: TrackStore) -> None:
    """What Postfix's log said of them, what mails to the return path did, and what the witness has found out."""
    unknown = facts.Fault("invalid_recipient", "now", "recipient.unknown", 1)
    full = facts.Fault("mailbox_full", "after", "recipient.full", 2)
    first = [
        facts.SessionOpened(101),
        facts.SessionOpened(102),
        *(facts.Seen(token(n), q, "postfix") for n, q in ((1, "4Delivered1"), (2, "4Bounced002"), (3, "4Deferred03"))),
        facts.SessionEnded(101),
        tried("4Delivered1", "jane@example.net", State.DELIVERED, "2.0.0", "250 2.0.0 Ok"),
        facts.Left("4Delivered1", T0 + 21),
        tried("4Bounced002", "gone@example.net", State.BOUNCED, "5.1.1", "550 5.1.1 User unknown", fault=unknown),
        facts.Left("4Bounced002", T0 + 21),
        tried("4Deferred03", "full@example.net", State.DEFERRED, "4.2.2", "452 4.2.2 Mailbox full", fault=full),
        facts.Gap("rotated away", 12),
    ]
    await store.begin("journal", "boot-1")
    await store.apply("journal", None, "cursor-1", first, T0 + 30, proven=True)
    _, gaps = await store.coverage()
    await store.covered(T0 + 31, gaps)
    second = [
        *(facts.Seen(token(n), q, "postfix") for n, q in ((4, "4BouncedLate"), (8, "4Untracked8"), (9, "4Discarded9"))),
        facts.Seen(token(10), "4Expired010", "postfix"),
        tried("4BouncedLate", "late@example.net", State.DELIVERED, "2.0.0", "250 2.0.0 Ok"),
        facts.Left("4BouncedLate", T0 + 33),
        facts.Left("4Untracked8", T0 + 33),
        facts.Left("4Discarded9", T0 + 33, State.DISCARDED),
        tried("4Expired010", "expired@example.net", State.DEFERRED, "4.2.2", "452 4.2.2 Mailbox full", fault=full),
        facts.GaveUp("4Expired010", T0 + 34),
        facts.Left("4Expired010", T0 + 34),
        facts.InstanceStopping("postfix"),
    ]
    await store.apply("journal", "cursor-1", "cursor-2", second, T0 + 40, proven=True)
    hashes = (recipient("late@example.net").hash,)
    reports = [
        facts.Report("r-1", token(4), "bounce", hashes, "5.1.1", "550 5.1.1 User unknown", T0 + 41, unknown),
        facts.Report("r-2", token(3), "bounce", (), "5.2.2", "552 5.2.2 Mailbox full", T0 + 42, full),
        facts.Report("r-3", token(1), "complaint", (), "", "abuse", T0 + 43, facts.Fault("complaint", "now", "arf", 1)),
    ]
    await store.report(reports, "journal", proven=True)
    await store.reconcile(T0 + 45, gaps, {token(3): "4Deferred03"}, T0 + 46)
    await store.checkpoint(T0 + 47, T0 + 48, 0.0, {token(3): "4Deferred03"}, T0 + 49)
    shared = await store.to_share(2)
    await store.shared([fact.number for fact in shared], T0 + 50)
    # A log file proves nothing by itself: submission confirms what stands there.
    third = [
        facts.Seen(token(14), "4FromAFile1", "postfix"),
        tried("4FromAFile1", "file@example.net", State.BOUNCED, "5.1.1", "550 5.1.1 User unknown", fault=unknown),
    ]
    await store.apply("/var/log/mail.log", None, "file-1", third, T0 + 51, proven=False)


async def fill_shared(store: SqliteSharedStore) -> None:
    """Takes, notes, what waits and is held; suppressions of each source, refusals, waves; beats."""
    key = KEYS["recipient-hash.key"]
    demands = {
        kind: Demand(rule, f"{kind}:{value}", 1, limit, window_s)
        for (kind, (rule, limit, window_s)), value in zip(
            LIMITS.items(), (private(key, "anna@example.org"), "33", "shop"), strict=True
        )
    }
    for number in range(7):
        demand = dataclasses.replace(demands["login"], cost=3)
        await store.take(f"smtp-{number}", "smtp", [demand], f"4Smtp{number}", T0 + number)
    for number in range(5):
        await store.take(f"sendmail-{number}", "sendmail", [demands["uid"]], f"4Pickup{number}", T0 + number)
    await store.take(message_id(1), "socket", [dataclasses.replace(demands["client"], cost=40, burst=60)], None, T0 + 9)
    await store.note("smtp-9", "smtp", recipient("jane@example.net").hash, "example.net", T0 + 9)
    for number in range(3):
        await store.wait(f"over-{number}", "sendmail", "per-user", "uid:33", "uid:33", 1000, T0 + 10 + number)
    await store.hold("over-2", "sendmail", "4Held000002", T0 + 14)

    def entry(name: str, source: str, **more: object) -> Suppression:
        who = recipient(name)
        made = Suppression(who.hash, who.domain, who.hint, source, None, "", source, T0 + 60, None)
        return dataclasses.replace(made, **more)

    await store.suppress([entry("off@example.net", "manual"), entry("listed@example.net", "import")], T0 + 60)
    await store.suppress([entry("no-news@example.net", "complaint", stream="news")], T0 + 61)
    await store.suppress([entry("back@example.net", "manual")], T0 + 62)
    await store.lift(recipient("back@example.net").hash, None, T0 + 63)

    def refused(number: int, name: str, cause: str, **more: object) -> Refused:
        who = recipient(name)
        made = Refused(
            f"fact-{number}", who.hash, who.domain, who.hint, cause, "recipient.unknown", 1, "5.1.1",
            "550 5.1.1 User unknown", T0 + 70 + number, True,
        )  # fmt: skip
        return dataclasses.replace(made, **more)

    full = {
        "rule": "recipient.full",
        "enhanced_status": "5.2.2",
        "evidence": "552 5.2.2 Mailbox full",
        "is_proof": False,
    }
    jane = recipient("jane@example.net")
    learnt = [
        refused(1, "gone@example.net", "invalid_recipient"),
        refused(2, "full@example.net", "mailbox_full", **full),
        refused(3, "full@example.net", "mailbox_full", **full),
        Delivered(jane.hash, jane.domain, T0 + 75),
    ]
    await store.learn(learnt, ENOUGH, GUARD, T0 + 80)
    # Three waves: one that waits for review, one accepted, one undone.
    for domain, apart in (("open.example", 100), ("accepted.example", 5_000), ("undone.example", 10_000)):
        burst = [refused(apart + n, f"user{n}@{domain}", "invalid_recipient", rule=f"rule.{domain}") for n in range(5)]
        await store.learn(burst, ENOUGH, GUARD, T0 + 80 + apart)
    waves = {wave.subject: wave.number for wave in await store.waves(now=T0 + 20_000)}
    await store.accept_wave(waves["domain:accepted.example"])
    await store.undo_wave(waves["domain:undone.example"], T0 + 20_000)
    for number, word in enumerate(("policy", "milter", "submission", "watcher", "monitor")):
        await store.beat(word, "mail.example.org", 1000 + number, {f"postroom_{word}_up": 1.0}, T0 + 90)


def set_up_postfix(folder: Path) -> None:
    """main.cf and master.cf of two sites before and after set-up, and the record of the second."""
    shutil.rmtree(folder / "postfix", ignore_errors=True)
    shutil.rmtree(folder / "setup", ignore_errors=True)
    share = Path("/usr/share/postfix")
    master = (share / "master.cf.dist").read_text()
    debian = (share / "main.cf.debian").read_text() + "compatibility_level = 3.6\nmyhostname = mail.example.org\n"
    sites = {
        "plain": (debian, master, Site("127.0.0.0/8 [::1]/128", True, ("bounces.example.org",))),
        # Lists, milters and relaying of its own, a submission service, octets that are no UTF-8, no newline at the end.
        "busy": (debian + BUSY_MAIN, master + BUSY_MASTER, Site("192.0.2.0/24", True, ("bounces.example.org",))),
    }
    pieces = {name: (OLDER / "postfix-conf" / name).read_text(encoding="ascii") for name in PIECES}
    for name, (main, master, site) in sites.items():
        made = weave(main, master, pieces, site)
        place = folder / "postfix" / name
        place.mkdir(parents=True)
        for file, before, after in (("main.cf", main, made.main), ("master.cf", master, made.master)):
            (place / f"{file}.before").write_bytes(before.encode("latin-1"))
            (place / file).write_bytes(after.encode("latin-1"))
    record = Record(folder / "setup")
    for file in ("main.cf", "master.cf"):
        before, after = ((folder / "postfix" / "busy" / name).read_bytes() for name in (f"{file}.before", file))
        record.note(Path("/etc/postfix") / file, before, after)
    unit = OLDER / "systemd" / "system" / "postroom-policy.service"
    record.note(Path("/etc/systemd/system/postroom-policy.service"), None, unit.read_bytes())
    record.note(Path("/etc/postroom/postroom.yaml"), None, (folder / "postroom.yaml").read_bytes())


BUSY_MAIN = """\
# Gr\xfc\xdfe vom Postmaster
mynetworks = 192.0.2.0/24
smtpd_recipient_restrictions =
\tpermit_mynetworks,
# why
   reject_unauth_destination
smtpd_milters=inet:127.0.0.1:8891 , unix:other
smtpd_restriction_classes = greylist
greylist = permit
relay_domains = partner.example
relay_recipient_maps = inline:{ { jane@partner.example = x } }
transport_maps = inline:{ { partner.example = discard: } }
content_filter ="""
BUSY_MASTER = """\
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
# a comment in between
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
  -o { smtpd_milters = inet:127.0.0.1:8891 }
"""

ANSWERED = (*range(1, 11), 13)
"""The messages the API is asked for: all but those that a killed daemon had."""


async def fill(state: Path) -> None:
    for name, octets in KEYS.items():
        assert len(octets) == 32
        (state / "keys").mkdir(parents=True, exist_ok=True)
        (state / "keys" / name).write_bytes(octets)
    mail_db, track_db = state / "submission" / "mail.db", state / "watcher" / "track.db"
    MailStore.init(mail_db)
    TrackStore.init(track_db)
    SqliteSharedStore.init(state / "shared")
    outbox, track = MailStore.open(mail_db, KEYS["recipient-hash.key"]), TrackStore.open(track_db)
    shared = SqliteSharedStore(state / "shared", BOOT)
    await fill_outbox(outbox)
    await fill_tracking(track)
    await fill_shared(shared)
    wish(state / "shared" / "witness.wish", REQUESTED_AT)
    assert isinstance(await TrackReader(track_db).witness(f"{token(7)}@x", T0 + 7, T0 + 8), facts.Unknown)
    for store in (outbox, track, shared):
        await store.close()


def main() -> None:
    os.umask(0o022)
    sandbox_daemon.CHECKOUT = OLDER  # whose program the bed runs
    with tempfile.TemporaryDirectory(prefix="older-") as name:
        older = OlderState(Path(name))
        asyncio.run(fill(older.state))
        older.save()
        said = older.say(map(message_id, ANSWERED), map(message_id, (11, 12)))
    (DATA / "answers.json").write_text(f"{json.dumps(said, indent=1, ensure_ascii=False)}\n")
    set_up_postfix(DATA)


if __name__ == "__main__":
    main()
