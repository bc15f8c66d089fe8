"""What a user of this host can bring about at a return address that he has read in the queue: nothing.

Real users, by every way a mail comes to Postfix; the watcher reads the journal, as on a host with systemd.
"""

import json
import shutil
import socketserver
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.far_end import FarEnd
from tests.watcher.intake_bed import WITHIN_S, Host, wired_host

from sandbox.another_host import HERE, HERE_IPV6
from sandbox.bounce_mails import VACATION, complaint, dsn
from sandbox.process import until

pytestmark = pytest.mark.postfix

EVE = 5
"""games"""
ADA = "ada@world.test"

_CLIENT = """
import json, smtplib, sys
server, sender, recipient, options, login = sys.argv[1:]
with smtplib.SMTP(server, 2525, timeout=30) as client:
    client.ehlo()
    if login:
        client.login(*login.split(":"))
    client.docmd(f"MAIL FROM:<{sender}>")
    code, text = client.docmd(f"RCPT TO:<{recipient}> {options}".strip())
    if code == 250:
        code, text = client.data(sys.stdin.buffer.read())
print(json.dumps([code, text.decode()]))
"""


def by_smtp(server: str, octets: bytes, recipient: str, sender: str = "", options: str = "", login: str = "") -> None:
    """As eve, by SMTP to an address of this host."""
    as_eve = ["setpriv", f"--reuid={EVE}", f"--regid={EVE}", "--clear-groups", sys.executable, "-c", _CLIENT]
    done = subprocess.run(
        [*as_eve, server, sender, recipient, options, login], input=octets, capture_output=True, timeout=60, check=True
    )
    code, text = json.loads(done.stdout)
    assert code == 250, text


def by_sendmail(host: Host, octets: bytes, recipient: str, sender: str = "") -> None:
    """As eve, by sendmail(1)."""
    script = 'exec /usr/sbin/sendmail -i -f "$1" "$2"'
    done = host.postfix.as_user(EVE, script, sender or "<>", recipient, stdin=octets.replace(b"\r\n", b"\n"))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with FarEnd() as far_end:
        yield far_end


def with_mailboxes(bed: Path) -> dict[str, str]:
    """Settings of a Postfix that delivers to users of this host, who may have a .forward."""
    return {
        "mydestination": "local.test",
        "local_recipient_maps": "",
        "forward_path": f"{bed}/forward/${{user}}",
        "transport_maps": "$postroom_return_way, inline:{ { local.test = local: } }",
    }


def forwards(bed: Path, to: str) -> None:
    """Have eve's mailbox forward its mail."""
    forward = bed / "forward" / "games"
    forward.parent.mkdir(exist_ok=True)
    forward.write_text(f"{to}\n")
    shutil.chown(forward, EVE)


def unharmed(host: Host, number: str) -> None:
    """The delivery is what it was, its recipient gets mail, and nothing counts against it."""
    assert host.state(number) == "delivered"
    why = host.submission.command("suppress", "why", ADA)
    assert why.returncode == 1
    assert "what counts against it" not in why.stdout
    assert not host.suppressed(ADA)
    assert set(host.shared()) <= {"local"}
    assert "watcher.bounced" not in host.watcher.log()


def test_what_a_user_of_this_host_writes_changes_nothing(bed: Path, make_watcher: MakeWatcher, far_end: FarEnd) -> None:
    """A made-up bounce and complaint, by sendmail(1), loopback and the host's own addresses, and through an alias of
    his own: taken, kept as evidence, told to the operator. A vacation reply is taken as ever."""
    with wired_host(bed, make_watcher, far_end, is_by_journal=True, settings=with_mailboxes(bed)) as host:
        number, token = host.sent(ADA)
        forwards(bed, token)
        ways: list[Callable[[bytes], None]] = [
            lambda octets: by_sendmail(host, octets, token),
            *(
                lambda octets, server=server: by_smtp(server, octets, token)
                for server in ("127.0.0.1", "::1", HERE, HERE_IPV6)
            ),
            lambda octets: by_sendmail(host, octets, "games@local.test"),
        ]
        for count, way in enumerate(ways, start=1):
            way(dsn(ADA, said=f"550 5.1.1 {count} User unknown"))
            way(complaint(ADA, token))
            way(VACATION)
            host.taken("kind=autoreply effect=nothing origin=local", count)
        assert host.watcher.log().count("kind=bounce effect=local origin=local") == len(ways)
        assert host.watcher.log().count("kind=complaint effect=local origin=local") == len(ways)
        until(lambda: "local 5.1.1" in host.submission.command("suppress", "why", ADA).stdout, WITHIN_S, "told")
        why = host.submission.command("suppress", "why", ADA).stdout
        assert "what anybody on this host could write, and counts for nothing:" in why
        assert f"reports {2 * len(ways)}" in host.submission.command("status", number).stdout
        unharmed(host, number)
        # From outside it counts.
        assert host.mail(dsn(ADA), token)[0] == 250
        host.comes_to(number, "bounced")
        host.comes_to_be_suppressed(ADA)


def test_a_mail_of_his_own_with_that_sender_changes_nothing(
    bed: Path, make_watcher: MakeWatcher, far_end: FarEnd
) -> None:
    """What Postfix really says of it, in its log and by bounce(8), says nothing of our mail: not of another recipient
    under the victim's name (ORCPT), not of the victim, and not of what his .forward makes of it."""
    with wired_host(bed, make_watcher, far_end, is_by_journal=True, settings=with_mailboxes(bed)) as host:
        number, token = host.sent(ADA)
        posing = f"ORCPT=rfc822;{ADA} NOTIFY=FAILURE"
        by_smtp("127.0.0.1", b"Subject: x\r\n\r\ny\r\n", "ghost@evil.test", token, posing)
        host.taken("kind=bounce")
        # Refused for good, as the log says: it is larger than the far end takes.
        by_sendmail(host, b"Subject: x\r\n\r\ny\r\n", "policy@world.test", token)
        host.taken("kind=bounce", 2)
        by_sendmail(host, b"Received: by x\r\n" * 60 + b"Subject: x\r\n\r\ny\r\n", ADA, token)
        host.taken("kind=bounce", 3)
        forwards(bed, "ghost@evil.test")
        by_sendmail(host, b"Subject: x\r\n\r\ny\r\n", "games@local.test", token)
        host.taken("kind=bounce", 4)
        until(lambda: host.postfix.queue() == [], WITHIN_S, "queue empty")
        _, seen = host.sent("bob@world.test")
        assert seen, "the log was read past all that"
        assert host.watcher.log().count("kind=bounce effect=waits origin=notice") == 4
        unharmed(host, number)


def test_what_bounce_writes_is_known_by_the_journal(bed: Path, make_watcher: MakeWatcher, far_end: FarEnd) -> None:
    """It waits until the log says whose it is; then it says what the log has said, and counts once."""
    with wired_host(bed, make_watcher, far_end, is_by_journal=True) as host:
        host.sent("ghost@world.test", "bounced")
        host.taken("kind=bounce")
        track = host.watcher.state_dir / "watcher" / "track.db"
        reports = "SELECT origin, waits FROM report"
        until(lambda: rows(track, reports) == [("notice", 0)], WITHIN_S, "settled")
        until(lambda: host.postfix.queue() == [], WITHIN_S, "queue empty")
        assert host.watcher.log().count("watcher.bounced") == 1
        assert host.shared() == ["invalid_recipient"]


class _Dovecot(socketserver.StreamRequestHandler):
    """As much of Dovecot's authentication protocol as Postfix speaks; everybody is anna."""

    def handle(self) -> None:
        self.wfile.write(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n")
        for line in self.rfile:
            words = line.decode("ascii").rstrip("\n").split("\t")
            if words[0] == "AUTH":
                self.wfile.write(f"OK\t{words[1]}\tuser=anna\n".encode("ascii"))


@contextmanager
def logins(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socketserver.ThreadingUnixStreamServer(str(path), _Dovecot) as server:
        path.chmod(0o666)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_who_logs_in_from_elsewhere_changes_nothing(bed: Path, make_watcher: MakeWatcher, far_end: FarEnd) -> None:
    """A password opens no way to suppress recipients: a login is as good as a user of this host."""
    options = {
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": "auth",
        "smtpd_sasl_security_options": "",
    }
    with (
        logins(bed / "postfix" / "queue" / "auth"),
        wired_host(bed, make_watcher, far_end, is_by_journal=True, options=options) as host,
    ):
        number, token = host.sent(ADA)
        words = [sys.executable, "-c", _CLIENT, HERE, "", token, "", "anna:secret"]
        code, text = json.loads(host.world.run(words, dsn(ADA)))
        assert code == 250, text
        host.taken("kind=bounce effect=local origin=local by=login")
        unharmed(host, number)


@contextmanager
def reporter_key() -> Iterator[tuple[bytes, str]]:
    """A key, and the record of fbl.example.net with its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode("ascii")
    halves = f'"v=DKIM1; k=rsa; p={public[:200]}" "{public[200:]}"'
    yield pem, f"s1._domainkey.fbl.example.net. IN TXT {halves}"


def test_a_complaint_suppresses_by_itself_when_a_reporter_has_signed_it(
    bed: Path, make_watcher: MakeWatcher, far_end: FarEnd
) -> None:
    """With keys of a real DNS server. One by another domain, or changed on the way, waits for review."""
    reporters = "suppression:\n  complaint_reporters: [fbl.example.net]\n"
    with reporter_key() as (pem, record):
        other = record.replace("fbl.example.net", "world.test")
        with wired_host(
            bed, make_watcher, far_end, is_by_journal=True, records=(record, other), watcher_settings=reporters
        ) as host:
            number, token = host.sent(ADA)
            _, other_token = host.sent("bob@world.test")

            def report(recipient: str, sender: str, domain: bytes) -> bytes:
                octets = complaint(recipient, sender)
                return dkim.sign(octets, b"s1", domain, pem, include_headers=[b"From", b"To", b"Subject"]) + octets

            address = "complaints@bounces.example.org"
            assert host.mail(report("bob@world.test", other_token, b"world.test"), address)[0] == 250
            changed = report("bob@world.test", other_token, b"fbl.example.net").replace(b"\r\nHello", b"\r\nHello!")
            assert host.mail(changed, address)[0] == 250
            assert host.mail(report(ADA, token, b"fbl.example.net"), address)[0] == 250
            host.taken("kind=complaint effect=counted origin=remote")
            host.comes_to_be_suppressed(ADA)
            assert host.state(number) == "delivered"
            assert "reported by fbl.example.net" in host.submission.command("suppress", "why", ADA).stdout
            assert not host.suppressed("bob@world.test")
            assert host.watcher.log().count("kind=complaint effect=held origin=remote") == 1
            assert host.watcher.log().count("kind=complaint effect=repeated origin=remote") == 1
