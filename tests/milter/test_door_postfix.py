"""The sendmail door with the real Postfix, and sendmail(1) run by real users: each mail once, whatever happens."""

import os
import signal
import smtplib
import socket
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from tests.bed.test_bed_postfix import HandoverClient
from tests.milter.door_bed import BACKUP, MAIL, DoorBed, door_bed, signatures

from sandbox.process import until
from sandbox.sink import Sink, free_port, parse_stored

pytestmark = pytest.mark.postfix

MAILS = int(os.environ.get("POSTROOM_DOOR_MAILS", "500"))
"""Of the script that runs wild; scripts/soak has more than Postfix's active queue takes (20,000)."""
PER_UID = "  - {{name: per-uid, key: uid, rate: {}/1h}}"
ONLY_POSTFIX = (
    b"421 4.7.1 <localhost[127.0.0.1]>: Client host rejected: "
    b"Only Postfix may use this port; hand your mail to sendmail(1)\r\n"
)
STAMPED = (
    'printf "From: www@example.org\\nX-Sent: $(date +%s.%N)\\n\\nhello\\n" | /usr/sbin/sendmail -i -f www@example.org'
)


def test_a_script_that_runs_wild_stops_at_its_limit_and_others_pass(
    bed: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 mails of www-data, limit 150: the rest waits or is held; 100 of another user take less than a minute."""
    with door_bed(bed, sink, PER_UID.format(150), "hold_above: 100") as room:
        script = threading.Thread(target=room.send, args=(MAILS,), kwargs={"recipient": "wild@example.net"})
        script.start()
        room.send(100, BACKUP, "calm@example.net", STAMPED)
        script.join()
        room.arrived(250, 60 + MAILS / 20)
        until(
            lambda: len(room.outcomes()) >= MAILS + 100, 60 + MAILS / 20, "every mail decided", room.postfix.alive, 0.5
        )
        assert room.used("uid:www-data") == 150
        assert Counter(room.outcomes())["pass"] == 250
        (queue,) = room.milter.command("limits", "show").stdout.splitlines()
        assert queue.startswith(f"uid:33: 100 wait, {MAILS - 250} are held, for per-uid, since ")
        waiting = [mail for mail in room.postfix.queue() if mail.queue_name == "deferred"]
        assert "450 4.7.1 Over the limit per-uid for uid:33, not before 20" in waiting[0].reasons[0]
        assert p95_s(sink) < 60

        room.change("rate: 150/1h", f"rate: {MAILS}/1h")
        monkeypatch.setenv("MAIL_CONFIG", str(room.postfix.config_directory))
        released = room.milter.command("limits", "release", "uid:www-data")
        assert released.stdout == f"{MAILS - 250} released\n"
        mails = room.delivered(MAILS + 100, 60 + MAILS / 20)
        assert len({mail.message()["Message-ID"] for mail in mails}) == MAILS + 100
        assert {signatures(mail) for mail in mails} == {2}
        assert room.used("uid:www-data") == 250  # what was released is not counted
        assert room.milter.command("limits", "show").stdout == "nobody waits\n"


def are_decided(room: DoorBed, count: int) -> bool:
    return len(room.outcomes()) >= count


def came_back(room: DoorBed, count: int) -> bool:
    return room.milter.log().count("requeued=yes") >= count


def p95_s(sink: Sink) -> float:
    """Seconds from sendmail(1) to the sink, of the mails that say when they were sent."""
    took = []
    for path in sink.folder.glob("mail.*"):
        stored = parse_stored(path.read_bytes())
        if stored is not None and (sent := stored.message()["X-Sent"]):
            took.append(path.stat().st_mtime - float(sent))
    assert len(took) == 100
    found = sorted(took)[94]
    print(f"p95 from sendmail(1) to the sink: {found:.2f} s")
    return found


def test_each_mail_is_counted_signed_and_delivered_once(bed: Path, sink: Sink) -> None:
    """Forged fields, the null sender, an alias to three, always_bcc, canonical maps, an endless header, a NUL;
    a suppressed recipient is refused, the others of its mail are not; who may not use the domain is not signed."""
    settings = {
        "always_bcc": "archive@example.net",
        "virtual_alias_maps": "inline:{ { three@example.org = a@example.net, b@example.net, c@example.net } }",
        "canonical_maps": "inline:{ { old@example.net = new@example.net } }",
    }
    send = "/usr/sbin/sendmail -i -f www@example.org"
    passed = (
        "Received: by mail.example.org (Postfix)\\n\\tid F; x\\n"
        "Received: from x (x [192.0.2.1])\\n\\tby mail.example.org (Postfix) with ESMTP id F; x\\n"
    )
    forged = (
        f"printf 'Received: by mail.example.org (Postfix, from userid 0)\\n\\tid F; x\\n{MAIL}' | {send}",
        f"printf '{passed}{MAIL}' | {send}",
    )
    null = f"printf '{MAIL}' | /usr/sbin/sendmail -i -f '<>'"
    many = f'{{ for i in $(seq 2000); do printf "X-Field: $i\\n"; done; printf "{MAIL}"; }} | {send}'
    nul = f"printf 'X-Nul: a\\0b\\n{MAIL}' | {send}"
    senders = "senders: {allow: [{domains: [example.org], users: [www-data]}]}"
    with door_bed(bed, sink, PER_UID.format(50), sections=senders, settings=settings) as room:
        for command in (*forged, null, many, nul):
            room.send(1, command=command)
        room.send(1, recipient="three@example.org")
        room.send(1, recipient="old@example.net")
        mails = room.arrived(7)  # each with all its recipients, for all go to one host
        room.queued("none", 0)
        recipients = Counter(recipient for mail in mails for recipient in mail.recipients)
        assert recipients == {
            "archive@example.net": 7,
            "b@example.net": 6,
            "a@example.net": 1,
            "c@example.net": 1,
            "new@example.net": 1,
        }
        assert {signatures(mail) for mail in mails} == {2}
        assert (room.used("uid:33"), room.used("uid:0")) == (7, 0)
        assert room.outcomes() == ["pass"] * 7

        assert room.milter.command("suppress", "add", "jane@example.net", "--cause", "asked_not_to").returncode == 0
        room.send(1, recipient="jane@example.net,d@example.net")
        rest = [mail for mail in room.arrived(9) if mail.raw not in {mail.raw for mail in mails}]
        assert {to for mail in rest for to in mail.recipients} == {
            "archive@example.net",
            "d@example.net",
            "www@example.org",
        }
        (notice,) = [mail.raw for mail in rest if mail.sender == ""]
        # Any user of the host may read it: with a table of senders not since when and by what.
        assert b"5.1.1" in notice
        assert b"recipient gets no mail from here" in notice
        assert b"asked_not_to" not in notice

        room.send(1, BACKUP)  # nothing else than its user is different
        (unsigned,) = [mail for mail in room.arrived(10) if signatures(mail) == 0 and mail.sender]
        assert b"Received: by mail.example.org (Postfix, from userid 34)" in unsigned.raw
        assert "reason=sender_not_allowed" in room.milter.log()
        assert not [line for line in room.postfix.log() if "warning" in line]


def test_no_way_leads_past_the_door(bed: Path, sink: Sink) -> None:
    """Its listener takes mail from nobody but Postfix; when it is down mail waits, with a fallback relay as without."""
    with Sink(bed / "aside") as aside:
        settings = {"smtp_fallback_relay": f"[127.0.0.1]:{aside.port}"}
        with door_bed(bed, sink, PER_UID.format(50), settings=settings) as room:
            words = "EHLO x\\r\\nMAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.net>\\r\\nDATA\\r\\nQUIT\\r\\n"
            talk = f"exec 3<>/dev/tcp/127.0.0.1/{room.port}; printf '{words}' >&3; cat <&3"
            said = room.postfix.as_user(BACKUP, talk).stdout
            assert said == ONLY_POSTFIX
            with pytest.raises(smtplib.SMTPConnectError, match="421"):
                smtplib.SMTP("127.0.0.1", room.port, timeout=20)
            # As while policy is away, were it not for its other question: the milter refuses them too.
            room.postfix_command("postconf", "-P", f"127.0.0.1:{room.port}/inet/smtpd_client_restrictions=")
            room.postfix_command("postfix", "reload")
            said = room.postfix.as_user(BACKUP, talk).stdout
            assert b"\r\n550 5.7.1 Only Postfix may use this port; hand your mail to sendmail(1)\r\n221 " in said
            with (
                smtplib.SMTP("127.0.0.1", room.port, timeout=20) as root,
                pytest.raises(smtplib.SMTPDataError, match="550"),
            ):
                root.sendmail("a@example.org", ["b@example.net"], MAIL)
            with socket.create_connection(("127.0.0.1", room.port)) as hasty:  # perhaps gone before it is asked for
                hasty.sendall(words.replace("\\r\\n", "\r\n").replace("QUIT", "Subject: x\r\n\r\nx\r\n.").encode())
            until(lambda: room.milter.log().count("milter.turned_away") == 3, 20, "three turned away")
            assert "uid=34" in room.milter.log()
            assert room.postfix.queue() == []

            room.postfix_command("postconf", "-M#", f"127.0.0.1:{room.port}/inet")
            room.postfix_command("postfix", "reload")
            room.send(3)
            (reason,) = {mail.reasons[0] for mail in room.queued("deferred", 3)}
            assert "Connection refused" in reason
            assert aside.messages() == sink.messages() == []
            room.postfix.write()
            room.postfix_command("postfix", "reload")
            room.delivered(3)
            assert aside.messages() == []
            assert room.used("uid:33") == 3


def test_requeued_mail_of_all_doors_is_counted_and_signed_once(bed: Path, sink: Sink) -> None:
    """`postsuper -r ALL`, twice, with 100 mails: waiting, held, passed, submitted, handed over, and the world's."""
    port = free_port()
    settings = {"defer_transports": "smtp"}
    with door_bed(
        bed,
        sink,
        "  - {name: per-uid, key: uid, rate: 20/1h, unknown_rate: 20/1h}",
        "hold_above: 10",
        settings=settings,
        smtp_ports={port: {}},
    ) as room:
        room.send(40)
        with HandoverClient(room.postfix.handover_socket) as client:
            for _ in range(20):
                client.sendmail("api@example.org", ["api@example.net"], MAIL.replace("\\n", "\r\n"))
        for address, sender in (("127.0.0.1", "own@example.org"), ("127.0.0.9", "world@example.org")):
            with smtplib.SMTP("127.0.0.1", port, source_address=(address, 0), timeout=20) as client:
                for _ in range(20):
                    client.sendmail(sender, ["b@example.net"], MAIL.replace("\\n", "\r\n"))
        until(lambda: Counter(room.outcomes()) == {"pass": 20, "wait": 10, "hold": 10}, 20, "all decided")
        for turn in (1, 2):
            room.requeue_all()
            # The mails of other doors pass uncounted, for their signatures hold; the world's are `unknown`.
            until(partial(came_back, room, 100 * turn), 40, "all came back", every_s=0.2)
        assert room.used("uid:33") == 20
        room.change("rate: 20/1h", "rate: 100/1h")
        room.postfix_command("postconf", "-e", "defer_transports=")
        room.postfix_command("postfix", "reload")
        room.requeue_all()
        mails = room.delivered(100)
        room.queued("none", 0)
        signed = Counter((mail.sender, signatures(mail)) for mail in mails)
        assert signed == {
            ("www@example.org", 2): 40,
            ("api@example.org", 2): 20,
            ("own@example.org", 2): 20,
            ("world@example.org", 0): 20,
        }
        assert room.used("uid:33") == 40


def test_a_milter_that_dies_costs_no_mail_and_no_count(bed: Path, sink: Sink) -> None:
    """Workers killed and the whole restarted while 100 mails pass: each arrives once and is counted once."""
    with door_bed(bed, sink, PER_UID.format(1000)) as room:
        script = threading.Thread(target=room.send, args=(100,))
        script.start()
        for at in (20, 50):
            until(partial(are_decided, room, at), 30, f"{at} mails", every_s=0.02)
            for worker in room.milter.workers():
                os.kill(worker, signal.SIGKILL)
            until(lambda: len(room.milter.workers()) == 2, 20, "two workers", every_s=0.05)
            room.postfix.flush()
        room.milter.stop()
        room.milter.start()
        script.join()
        mails = room.delivered(100)
        assert len({mail.message()["Message-ID"] for mail in mails}) == 100
        assert room.used("uid:www-data") == 100


def test_the_spellings_of_a_recipient_have_one_count(bed: Path, sink: Sink) -> None:
    """As sendmail(1) is given them: two of the limit of 2 pass, the third waits; a name alone is completed before."""
    per_recipient = "  - {name: per-recipient, key: recipient, rate: 2/1h}"
    ours = {"mydestination": "localhost", "myorigin": "example.com"}
    with door_bed(bed, sink, per_recipient, settings=ours) as room:
        for recipient in ("b@example.net", "b%example.net@localhost"):
            room.send(1, recipient=recipient)
        assert {mail.recipients for mail in room.arrived(2)} == {("b@example.net",)}
        for recipient in ("example.net!b@localhost", "b%example.net"):
            room.send(1, recipient=recipient)
        queue = room.queued("deferred", 2)
        assert all("450 4.7.1 Over the limit per-recipient" in mail.reasons[0] for mail in queue)
        room.send(1, recipient="root")
        assert ("root@example.com",) in {mail.recipients for mail in room.arrived(3)}
        assert room.used("recipient:b@example.net") == 2
        assert room.used("recipient:root@example.com") == 1
