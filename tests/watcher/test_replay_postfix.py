"""A log of the real Postfix, in which an operator, a content filter and a hostile address had their say, read again."""

import smtplib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.watcher.far_end import FarEnd

from postroom.mail.states import State
from postroom.watcher.lines import Line, LineReader
from postroom.watcher.record_json import line_to_json
from postroom.watcher.replay import LogReplay, ReplayedMail
from sandbox.postfix import PrivatePostfix
from sandbox.process import until

pytestmark = pytest.mark.postfix

WITHIN_S = 30.0
PORT, FILTERED = 2525, 2526
HOSTILE = r'"ghost>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (\"ok)"@evil.test'


@pytest.fixture
def postfix(bed: Path) -> Iterator[PrivatePostfix]:
    """Mail through FILTERED comes in a second time through PORT, with its first queue id, as a content filter does."""
    settings = {
        "maximal_backoff_time": "1h",
        "minimal_backoff_time": "1h",
        "virtual_alias_maps": "inline:{team@example.net=one@world.test}",
        "transport_maps": "inline:{gone.test=discard:}",
        "header_checks": "regexp:{ {/^X-Hold:/ HOLD} }",
        "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
        "smtp_send_xforward_command": "yes",
    }
    ports = {PORT: {}, FILTERED: {"content_filter": f"smtp:[127.0.0.1]:{PORT}", "syslog_name": "mta/filtered"}}
    with FarEnd() as far_end:
        relay = ("127.0.0.1", far_end.port)
        with PrivatePostfix(bed / "postfix", relay, settings=settings, smtp_ports=ports) as postfix:
            yield postfix


def send(name: str, *recipients: str, port: int = PORT, header: str = "") -> str:
    """Send one mail by SMTP; its queue id."""
    with smtplib.SMTP("127.0.0.1", port) as session:
        session.ehlo()
        for command in ("MAIL FROM:<app@example.org>", *(f"RCPT TO:<{recipient}>" for recipient in recipients)):
            assert session.docmd(command)[0] == 250, command
        code, answer = session.data(f"Message-ID: <{name}@app>\r\n{header}\r\nx\r\n")
    assert code == 250, answer
    return answer.decode("ascii").rpartition(" ")[2]


def logged(postfix: PrivatePostfix, *texts: str) -> None:
    """Wait until each stands in the log."""

    def has_all() -> bool:
        log = "\n".join(postfix.log())
        return all(text in log for text in texts)

    until(has_all, WITHIN_S, f"{texts} in the log", postfix.alive, 0.05)


def operate(postfix: PrivatePostfix, option: str, queue_id: str) -> None:
    subprocess.run(["/usr/sbin/postsuper", "-c", str(postfix.config_directory), option, queue_id], check=True)


def replayed(log: list[str]) -> dict[str, list[ReplayedMail]]:
    """The mails of a log by Message-ID."""
    reader, replay = LineReader(datetime.now(UTC).astimezone()), LogReplay(is_relayhosted=False)
    for text in log:
        line = reader.line(text)
        assert isinstance(line, Line), text
        assert line_to_json(line)["kind"] != "malformed", text
        replay.take(line)
    mails: dict[str, list[ReplayedMail]] = {}
    for mail in replay.mails():
        mails.setdefault(mail.message_id or "", []).append(mail)
    return mails


def states(mail: ReplayedMail) -> dict[str, State]:
    return {address: mail.state(recipient) for address, recipient in mail.recipients.items()}


def test_every_mail_of_a_real_log_is_replayed(postfix: PrivatePostfix) -> None:
    """What the far end, a table, a transport and an operator did to it, by Message-ID."""
    many = send("many", "ok@world.test", "ghost@world.test", "team@example.net")
    hostile = send("hostile", HOSTILE)
    gone = send("gone", "jane@gone.test")
    filtered = send("filtered", "two@world.test", port=FILTERED)
    held = send("held", "jane@world.test", header="X-Hold: yes\r\n")
    expired, deleted, requeued = (send(name, "busy@world.test") for name in ("expired", "deleted", "requeued"))
    logged(postfix, *(f"{queue_id}: removed" for queue_id in (many, hostile, gone, filtered)))
    logged(postfix, *(f"{queue_id}: to=<busy@world.test>" for queue_id in (expired, deleted, requeued)))
    operate(postfix, "-d", held)
    operate(postfix, "-d", deleted)
    operate(postfix, "-e", expired)
    operate(postfix, "-r", requeued)
    postfix.flush()
    logged(postfix, f"{expired}: removed", f"orig_id={requeued}")
    again = next(line for line in postfix.log() if f"orig_id={requeued}" in line).split(": ")[1]
    logged(postfix, f"{again}: to=<busy@world.test>")

    mails = replayed(postfix.log())
    found = {name: [states(mail) for mail in mails[f"<{name}@app>"]] for name in ("many", "hostile", "gone", "expired")}
    assert found == {
        "many": [
            {"ok@world.test": State.DELIVERED, "ghost@world.test": State.BOUNCED, "one@world.test": State.DELIVERED}
        ],
        "hostile": [{HOSTILE: State.BOUNCED}],
        "gone": [{"jane@gone.test": State.DISCARDED}],
        "expired": [{"busy@world.test": State.EXPIRED}],
    }
    assert list(mails["<many@app>"][0].next.values()) == ["non-delivery notice"]

    first, second = mails["<filtered@app>"]
    assert (first.queue_id, first.next) == (filtered, {second: "re-injected"})
    assert (states(first), states(second)) == ({"two@world.test": State.DELIVERED}, {"two@world.test": State.DELIVERED})

    (never_tried,), (given_up,) = mails["<held@app>"], mails["<deleted@app>"]
    assert (never_tried.sender, states(never_tried), never_tried.is_removed) == ("app@example.org", {}, True)
    assert (states(given_up), given_up.end) == ({"busy@world.test": State.DISCARDED}, "deleted")

    before, after = mails["<requeued@app>"]
    assert (before.queue_id, before.end, before.next) == (requeued, "requeued", {after: "requeued"})
    assert (after.queue_id, states(after), after.is_removed) == (again, {"busy@world.test": State.DEFERRED}, False)
