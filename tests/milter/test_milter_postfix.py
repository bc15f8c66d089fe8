"""The milter with the real Postfix: what arrives in the world is signed, whatever happens to the milter meanwhile."""

import os
import signal
import smtplib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.bed.test_bed_postfix import HandoverClient
from tests.milter.conftest import MakeMilter
from tests.milter.verifiers import dkimpy_verdicts, opendkim_verdicts

from sandbox.milter import MilterDaemon
from sandbox.postfix import PrivatePostfix
from sandbox.process import until
from sandbox.sink import Sink, free_port
from sandbox.verifiers import with_crlf

pytestmark = pytest.mark.postfix

FROM = b"From: Jane <jane@example.org>\r\n"
TO = b"To: b@example.net\r\n"


@dataclass
class MailRoom:
    """A milter, a Postfix that asks it, and the world."""

    milter: MilterDaemon
    postfix: PrivatePostfix
    sink: Sink
    port: int

    def smtp(self, address: str = "127.0.0.1") -> smtplib.SMTP:
        """A session from that address."""
        return smtplib.SMTP("127.0.0.1", self.port, source_address=(address, 0), timeout=20)

    def handover(self) -> smtplib.SMTP:
        """A session on the hand-over listener."""
        return HandoverClient(self.postfix.handover_socket)

    def arrived(self, count: int, within_s: float = 30) -> list[bytes]:
        """So many mails, as they were on the wire."""
        until(lambda: len(self.sink.messages()) >= count, within_s, f"{count} mails", every_s=0.1)
        mails = [with_crlf(mail.raw) for mail in self.sink.messages()]
        assert len(mails) == count
        return mails

    def unsigned(self) -> list[str]:
        """The reasons why mail was not signed, in the order of the log."""
        return [line.rpartition("reason=")[2] for line in self.milter.log().splitlines() if "unsigned" in line]


@pytest.fixture
def room(bed: Path, sink: Sink, make_milter: MakeMilter) -> Iterator[MailRoom]:
    milter, port = make_milter(networks=("127.0.0.1",), settings="socket_group: postfix"), free_port()
    with PrivatePostfix(
        bed / "postfix",
        ("127.0.0.1", sink.port),
        smtp_ports={port: {}},
        settings={"message_size_limit": "20000000"},
        milter=milter.socket,
    ) as postfix:
        yield MailRoom(milter, postfix, sink, port)


MESSAGES = {
    "plain": FROM + TO + b"Subject: hello\r\n\r\nhello\r\n",
    "8-bit": FROM + TO + "Subject: Grüße\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nÄÖÜ\r\n".encode(),
    "folded": FROM
    + b"To: b@example.net,\r\n\tc@example.net ,\r\n   d@example.net\r\nSubject:\r\n a  \r\n\tb \r\n\r\nx\r\n",
    "long lines": FROM + TO + b"Subject: " + b"s" * 900 + b"\r\n\r\n" + (b"x" * 990 + b"\r\n") * 50,
    "empty": FROM + TO + b"Subject: empty\r\n\r\n",
    "trailing blanks": FROM + TO + b"Subject: blanks \r\n\r\na \t \r\n \r\n b\t\r\n\r\n  \r\n\r\n\r\n",
    "dots": FROM + TO + b"\r\n.\r\n..\r\n.x\r\n",
    "list": FROM
    + TO
    + b"List-Unsubscribe: <https://example.org/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nx\r\n",
    "repeated": FROM + TO + TO + b"Subject: a\r\nSubject: b\r\nComments: x\r\n\r\nx\r\n",
    "no date, no id": FROM + b"\r\nx\r\n",
}


def test_what_arrives_verifies_by_two_verifiers(room: MailRoom, bed: Path) -> None:
    """Both signatures, through both doors, for header and body of every sort; and one of 10 MB."""
    for session in (room.smtp(), room.handover()):
        with session as client:
            for message in MESSAGES.values():
                client.sendmail("jane@example.org", ["b@example.net"], message, mail_options=["BODY=8BITMIME"])
    large = FROM + TO + b"Subject: large\r\n\r\n" + b"a line  of \xc3\xa4 text \r\n" * 500_000
    with room.smtp() as client:
        client.sendmail("jane@example.org", ["b@example.net"], large)
    mails = room.arrived(2 * len(MESSAGES) + 1)
    assert max(map(len, mails)) > 10_000_000
    for mail in mails:
        assert mail.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
        assert dkimpy_verdicts(mail) == [True, True], mail[:2000]
        assert opendkim_verdicts(bed, mail) == ["pass", "pass"], mail[:2000]
    doors = [
        line.partition("door=")[2].split()[0] for line in room.milter.log().splitlines() if "milter.signed" in line
    ]
    assert (doors.count("smtp"), doors.count("socket")) == (len(MESSAGES) + 1, len(MESSAGES))
    assert not room.postfix.warnings()


def test_a_body_that_was_changed_fails_both_verifiers(room: MailRoom, bed: Path) -> None:
    """The verifiers do look: one octet, or one more From."""
    with room.smtp() as client:
        client.sendmail("jane@example.org", ["b@example.net"], MESSAGES["plain"])
    (mail,) = room.arrived(1)
    for changed in (mail.replace(b"\r\n\r\nhello", b"\r\n\r\nHello"), mail.replace(FROM, FROM + FROM)):
        assert changed != mail
        assert dkimpy_verdicts(changed) == [False, False]
        assert "pass" not in opendkim_verdicts(bed, changed)


def test_mail_from_the_world_is_not_signed(room: MailRoom) -> None:
    """A client outside the milter's networks, though it writes a From of ours; nor what has no one author."""
    for address, message in (
        ("127.0.0.9", MESSAGES["plain"]),
        ("127.0.0.1", FROM + FROM + TO + b"\r\nx\r\n"),
        ("127.0.0.1", b"From: jane@example.org, joe@example.org\r\n\r\nx\r\n"),
        ("127.0.0.1", b"From: jane@mail.example.org\r\n\r\nx\r\n"),
    ):
        with room.smtp(address) as client:
            client.sendmail("jane@example.org", ["b@example.net"], message)
    assert not [mail for mail in room.arrived(4) if b"DKIM-Signature" in mail]
    assert sorted(room.unsigned()) == ["domain_not_ours", "from_several", "from_several", "inbound"]


def test_mail_that_comes_back_signed_is_not_signed_again(room: MailRoom, bed: Path) -> None:
    """As after a filter or a requeue; once its text was changed it is."""
    with room.smtp() as client:
        client.sendmail("jane@example.org", ["b@example.net"], MESSAGES["folded"])
    (mail,) = room.arrived(1)
    with room.smtp() as client:
        client.sendmail("jane@example.org", ["b@example.net"], mail)
    (again,) = [one for one in room.arrived(2) if one != mail]
    assert again.count(b"DKIM-Signature: ") == 2
    assert opendkim_verdicts(bed, again) == ["pass", "pass"]
    assert room.unsigned() == ["already_signed"]
    with room.smtp() as client:
        client.sendmail("jane@example.org", ["b@example.net"], mail + b"one more line\r\n")
    (changed,) = [one for one in room.arrived(3) if b"one more line" in one]
    assert dkimpy_verdicts(changed) == [True, True, False, False]


def test_while_the_milter_is_away_mail_waits_with_its_sender(room: MailRoom) -> None:
    """451, by both doors, nothing queued; when it is back, mail goes out signed."""
    room.milter.stop()
    for session in (room.smtp(), room.handover()):
        with session as client, pytest.raises(smtplib.SMTPException) as refused:
            client.sendmail("jane@example.org", ["b@example.net"], MESSAGES["plain"])
        assert "451" in str(refused.value)
    assert room.postfix.queue() == []
    room.milter.start()
    with room.smtp() as client:
        client.sendmail("jane@example.org", ["b@example.net"], MESSAGES["plain"])
    (mail,) = room.arrived(1)
    assert dkimpy_verdicts(mail) == [True, True]


def test_a_session_that_is_open_when_the_milter_is_stopped_ends_well(room: MailRoom) -> None:
    """SIGTERM in the middle of DATA: the message is taken, and signed."""
    with room.smtp() as client:
        client.ehlo("client")
        client.mail("jane@example.org")
        client.rcpt("b@example.net")
        client.docmd("DATA")
        client.send(MESSAGES["plain"])
        os.kill(room.milter.pid, signal.SIGTERM)
        until(lambda: not room.milter.socket.exists(), 10, "the end of listening", room.milter.alive)
        assert client.docmd(".")[0] == 250
        assert room.milter.alive()
    assert room.milter.wait(20) == 0
    (mail,) = room.arrived(1)
    assert dkimpy_verdicts(mail) == [True, True]


def test_a_client_that_vanishes_in_its_body_leaves_nothing(room: MailRoom) -> None:
    """Nothing queued, and the milter signs the next one."""
    for _ in range(5):
        client = room.smtp()
        client.ehlo("client")
        client.mail("jane@example.org")
        client.rcpt("b@example.net")
        client.docmd("DATA")
        client.send(MESSAGES["long lines"])
        client.close()
    with room.smtp() as client:
        client.sendmail("jane@example.org", ["b@example.net"], MESSAGES["plain"])
    (mail,) = room.arrived(1)
    assert dkimpy_verdicts(mail) == [True, True]


@dataclass
class Load:
    """Clients that send as good mail programs do: what is refused for now is sent again in a new session."""

    room: MailRoom
    clients: int
    each: int
    refused: list[str] = field(default_factory=list)
    taken: int = 0

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Send all of it; `meanwhile` runs on this thread."""
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(self.clients)]
        for thread in threads:
            thread.start()
        meanwhile()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    def _client(self, number: int) -> None:
        waiting = [f"{number}-{count}" for count in range(self.each)]
        deadline = time.monotonic() + 50
        while waiting and time.monotonic() < deadline:
            try:
                with self.room.smtp() as client:
                    # As many to a session as mail programs send: sessions begin and end all the while.
                    for name in waiting[:10]:
                        client.sendmail("jane@example.org", ["b@example.net"], self._message(name))
                        waiting.remove(name)
                        self.taken += 1
            except smtplib.SMTPException as refusal:
                self.refused.append(str(refusal))

    @staticmethod
    def _message(name: str) -> bytes:
        return FROM + TO + f"Subject: {name}\r\n\r\n".encode() + b"a line of text\r\n" * 200

    def check(self) -> None:
        """Every message came once, with two signatures that hold."""
        mails = self.room.arrived(self.clients * self.each, 60)
        subjects = {mail.partition(b"\r\nSubject: ")[2].split(b"\r\n", 1)[0].decode() for mail in mails}
        assert subjects == {f"{number}-{count}" for number in range(self.clients) for count in range(self.each)}
        assert all(mail.count(b"DKIM-Signature: ") == 2 for mail in mails)
        for mail in mails[::20]:
            assert dkimpy_verdicts(mail) == [True, True]


def test_five_reloads_under_load_lose_nothing(room: MailRoom) -> None:
    """Not one message is refused, lost, doubled or unsigned."""
    load = Load(room, clients=6, each=60)

    def reload_five_times() -> None:
        for step in range(1, 6):
            until(lambda step=step: load.taken >= 50 * step, 30, f"{50 * step} mails taken")  # type: ignore[misc]
            room.milter.reload()

    load.run(reload_five_times)
    assert load.refused == []
    load.check()
    assert room.milter.log().count(" info: daemon.reloaded\n") == 5


def test_workers_killed_under_load_lose_nothing(room: MailRoom) -> None:
    """What was under way is refused for now (4xx), never taken unsigned; new workers take over."""
    load, killed = Load(room, clients=6, each=40), set[int]()

    def kill_workers() -> None:
        for step in range(1, 5):
            until(lambda step=step: load.taken >= 40 * step, 30, f"{40 * step} mails taken")  # type: ignore[misc]
            for pid in room.milter.workers()[: 1 + step % 2]:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

    load.run(kill_workers)
    load.check()
    assert all("451" in refusal or "421" in refusal for refusal in load.refused), load.refused
    assert room.milter.log().count(" milter.worker_died ") == len(killed) >= 4
