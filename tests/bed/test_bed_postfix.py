"""The private Postfix is the real one, apart from the host's, and gone when it is stopped."""

import smtplib
import socket
import subprocess
import time
from pathlib import Path

import pytest

from sandbox.postfix import MASTER_DIST, PrivatePostfix, QueuedMail, master_services, parse_queue
from sandbox.process import BedError, until
from sandbox.sink import Sink, free_port

DIST = """\
# comment
smtp      inet  n       -       y       -       -       smtpd
#submission inet n       -       y       -       -       smtpd
#  -o syslog_name=postfix/submission
pickup    unix  n       -       y       60      1       pickup
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
"""


class HandoverClient(smtplib.SMTP):
    """smtplib over the hand-over listener's Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__("localhost", 1)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        handover = socket.socket(socket.AF_UNIX)
        handover.settimeout(10)
        handover.connect(str(self._path))
        return handover


def tcp_listeners() -> list[str]:
    """Every listening TCP socket of this network namespace (proc_net_tcp(5), state 0A)."""
    lines = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    return sorted(line.split()[1] for line in lines if " 0A " in line)


def test_services_lose_chroot_tcp_and_pipes() -> None:
    """What stays are Postfix's own unix services, outside a chroot."""
    services = [line.split() for line in master_services(DIST, {}).splitlines()]
    assert [(columns[0], columns[4], columns[7]) for columns in services] == [
        ("pickup", "n", "pickup"),
        ("relay", "n", "smtp"),
    ]


def test_an_smtp_port_listens_on_loopback_only() -> None:
    """Asked for, smtpd gets one address, and settings of its own whatever they hold."""
    services = master_services(DIST, {2525: {"smtpd_end_of_data_restrictions": "permit, reject"}}).splitlines()
    assert services[-2:] == [
        "127.0.0.1:2525\tinet\tn\t-\tn\t-\t-\tsmtpd",
        "    -o { smtpd_end_of_data_restrictions = permit, reject }",
    ]


def test_a_path_too_long_for_a_socket_is_told_before_anything_is_written(tmp_path: Path) -> None:
    """The operator reads which path, and what to do."""
    deep = tmp_path / ("x" * 100)
    with pytest.raises(BedError, match=r"may have 107 bytes.*Mend"):
        PrivatePostfix(deep, ("127.0.0.1", 25)).write()
    assert not deep.exists()


def test_the_queue_is_read_with_its_reasons() -> None:
    """One JSON object a line; the null sender is the empty one."""
    line = (
        '{"queue_name": "deferred", "queue_id": "7B21D20C85D", "arrival_time": 1795491012, "message_size": 176, '
        '"forced_expire": false, "sender": "MAILER-DAEMON", "recipients": [{"address": "b@example.net", '
        '"delay_reason": "connect to 127.0.0.1[127.0.0.1]:2525: Connection refused"}, {"address": "c@example.net"}]}'
    )
    assert parse_queue(line + "\n") == [
        QueuedMail(
            queue_id="7B21D20C85D",
            queue_name="deferred",
            sender="",
            recipients=("b@example.net", "c@example.net"),
            reasons=("connect to 127.0.0.1[127.0.0.1]:2525: Connection refused", ""),
        )
    ]


@pytest.mark.postfix
def test_mail_handed_over_reaches_the_world(postfix: PrivatePostfix, sink: Sink) -> None:
    """Queued by the hand-over listener, sent as plain `status=sent`, stored as it was handed over."""
    with HandoverClient(postfix.handover_socket) as client:
        client.sendmail("v.1@example.org", ["b@example.net"], b"Subject: hello\r\n\r\nbody\r\n")
    until(lambda: any("status=sent" in line for line in postfix.log()), 10, "the mail sent")
    (mail,) = sink.messages()
    assert (mail.sender, mail.recipients) == ("v.1@example.org", ("b@example.net",))
    assert mail.message()["Subject"] == "hello"
    (queued,) = [line for line in postfix.log() if "queue active" in line]
    queue_id = queued.split("]: ")[1].split(":")[0]
    assert postfix.statuses(queue_id) == ["sent"]
    assert any("postfix/postroom-in/smtpd" in line and queue_id in line for line in postfix.log())
    assert postfix.queue() == []


@pytest.mark.postfix
def test_a_world_that_defers_keeps_mail_in_the_queue_with_its_reason(bed: Path) -> None:
    """What the far end said is in the queue; once the world takes it, a flush sends it."""
    port = free_port()
    with PrivatePostfix(bed / "postfix", ("127.0.0.1", port)) as postfix:
        with Sink(bed / "world", port=port, options=("-r", "RCPT")), HandoverClient(postfix.handover_socket) as client:
            client.sendmail("a@example.org", ["b@example.net"], b"Subject: later\r\n\r\n")
            until(lambda: any(mail.queue_name == "deferred" for mail in postfix.queue()), 10, "the mail deferred")
        (mail,) = postfix.queue()
        assert mail.recipients == ("b@example.net",)
        assert "450" in mail.reasons[0]
        assert postfix.statuses(mail.queue_id) == ["deferred"]
        with Sink(bed / "world", port=port) as sink:
            postfix.flush()
            until(lambda: postfix.queue() == [], 10, "the queue empty")
            assert [stored.recipients for stored in sink.messages()] == [("b@example.net",)]


@pytest.mark.postfix
def test_forty_refused_recipients_cost_a_session_nothing(bed: Path) -> None:
    """With Postfix's defaults each refused RCPT from the 11th on would cost 1 s, and the 20th end the session."""
    only_b = {"relay_domains": "example.net", "relay_recipient_maps": "inline:{b@example.net=x}"}
    with (
        PrivatePostfix(bed / "postfix", ("127.0.0.1", 9), settings=only_b) as postfix,
        HandoverClient(postfix.handover_socket) as client,
    ):
        client.ehlo("test")
        client.mail("a@example.org")
        began = time.monotonic()
        assert {client.rcpt("nobody@example.net")[0] for _ in range(40)} == {550}
        assert time.monotonic() - began < 15
        assert client.rcpt("b@example.net")[0] == 250


@pytest.mark.postfix
def test_handover_is_for_group_postdrop(postfix: PrivatePostfix) -> None:
    """Another user gets no connection: the folder of the socket is 2710 postfix:postdrop."""
    public = postfix.handover_socket.parent.stat()
    assert (public.st_mode & 0o007, public.st_mode & 0o070) == (0, 0o010)
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect({'public/postroom-in'!r})"
    for groups, status in (("--clear-groups", 1), ("--groups=postdrop", 0)):
        done = subprocess.run(
            ["setpriv", "--reuid=nobody", "--regid=nogroup", groups, "/usr/bin/python3", "-c", connect],
            cwd=postfix.queue_directory,
            check=False,
            capture_output=True,
        )
        assert (done.returncode, b"PermissionError" in done.stderr) == (status, status == 1), done.stderr


@pytest.mark.postfix
def test_no_tcp_listener_unless_asked(bed: Path) -> None:
    """Only Unix sockets; with smtp_ports one more listener, gone after the stop."""
    before = tcp_listeners()
    with PrivatePostfix(bed / "quiet", ("127.0.0.1", 9)):
        assert tcp_listeners() == before
    port = free_port()
    with (
        PrivatePostfix(bed / "open", ("127.0.0.1", 9), smtp_ports={port: {}}),
        smtplib.SMTP("127.0.0.1", port) as client,
    ):
        assert client.noop()[0] == 250
        assert len(tcp_listeners()) == len(before) + 1
    assert tcp_listeners() == before


@pytest.mark.postfix
def test_it_works_under_a_folder_postfix_cannot_enter(bed: Path, sink: Sink) -> None:
    """A checkout under /root (0700): master, its children and the log all get along."""
    closed = bed / "closed"
    closed.mkdir(mode=0o700)
    with PrivatePostfix(closed / "postfix", ("127.0.0.1", sink.port)) as postfix:
        with HandoverClient(postfix.handover_socket) as client:
            client.sendmail("a@example.org", ["b@example.net"], b"Subject: x\r\n\r\n")
        until(lambda: len(sink.messages()) == 1, 10, "the mail stored")
        until(lambda: any("status=sent" in line for line in postfix.log()), 10, "the mail logged")
        assert not any("fatal" in line or "error" in line for line in postfix.log())


@pytest.mark.postfix
def test_it_stops_and_starts_again(postfix: PrivatePostfix) -> None:
    """Stopped twice is stopped; the queue and the folder serve the next start."""
    assert postfix.alive()
    postfix.stop()
    postfix.stop()
    assert not postfix.alive()
    postfix.start()
    assert postfix.alive()


@pytest.mark.postfix
def test_settings_win_over_ours(bed: Path) -> None:
    """Postfix itself reads back what was asked for, and complains about nothing."""
    postfix = PrivatePostfix(
        bed / "set", ("127.0.0.1", 9), settings={"minimal_backoff_time": "7s", "mydestination": "x"}
    )
    postfix.write()
    done = subprocess.run(
        ["postconf", "-c", postfix.config_directory, "-h", "minimal_backoff_time", "mydestination"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("7s\nx\n", "")


@pytest.mark.postfix
def test_a_config_postfix_refuses_is_an_error_with_its_words(bed: Path) -> None:
    """No Postfix runs after that."""
    postfix = PrivatePostfix(bed / "bad", ("127.0.0.1", 9), settings={"inet_interfaces": "not.an.address.invalid"})
    postfix.write()
    with pytest.raises(BedError, match="did not start"):
        postfix.start()
    assert not postfix.alive()


@pytest.mark.postfix
def test_every_service_of_the_installed_master_is_understood() -> None:
    """The file of the installed Postfix, whichever version, keeps the services mail needs."""
    names = {line.split()[0] for line in master_services(MASTER_DIST.read_text(), {}).splitlines()}
    assert {"pickup", "cleanup", "qmgr", "rewrite", "bounce", "smtp", "showq", "postlog"} <= names
