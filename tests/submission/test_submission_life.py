"""The submission daemon from start to end: who is let in, restarts, reloads, limits, the last request."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.submission.api.http_bed import PLAIN, WELCOME, connected, post_head, rest, statuses
from tests.submission.conftest import MakeDaemon

from sandbox.api import Answer
from sandbox.daemon import SubmissionDaemon
from sandbox.process import until

pytestmark = pytest.mark.process

OURS = f"me: {{uids: [{os.getuid()}], admin: true}}"


def reconfigured(daemon: SubmissionDaemon, old: str, new: str) -> None:
    """Change the configuration, and restart the daemon with it."""
    daemon.stop()
    text = daemon.config.read_text(encoding="utf-8")
    assert text.count(old) == 1
    daemon.config.write_text(text.replace(old, new), encoding="utf-8")
    daemon.start()


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.document["code"]


def accepts(daemon: SubmissionDaemon) -> bool:
    """Whether a new connection can be made."""
    try:
        connected(daemon.socket).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    return True


# Who is let in


def test_a_uid_that_is_no_client_is_told_the_line_to_add(make_daemon: MakeDaemon) -> None:
    """403; root too is nobody by itself. With that line in the configuration it is one."""
    daemon = make_daemon(started=False)
    reconfigured(daemon, OURS, "other: {uids: [54321]}")
    answer = daemon.post(PLAIN)
    assert code(answer) == (403, "not_a_client")
    assert code(daemon.request("GET", "/v1/stats")) == (403, "not_a_client")
    assert daemon.request("GET", "/livez").status == 200
    line = re.search(r"add `(.*)`", answer.document["detail"])
    assert line is not None
    reconfigured(daemon, "other: {uids: [54321]}", line[1])
    assert daemon.post(PLAIN).status == 202
    assert code(daemon.request("GET", "/v1/stats")) == (403, "not_a_client"), "figures are for admins"


@pytest.mark.postfix
def test_a_process_of_another_uid_is_another_client(make_daemon: MakeDaemon, bed: Path) -> None:
    """The kernel says who it is, whatever it says itself."""
    daemon = make_daemon(submission="socket_mode: 0666")
    bed.chmod(0o711)
    for folder in (daemon.folder, daemon.socket.parent):
        folder.chmod(0o711)
    asking = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        f"s.sendall({post_head(2, 'Connection: close') + b'{}'!r}); print(s.makefile().read())"
    )
    as_other = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "/usr/bin/python3", "-c", asking]
    answer = subprocess.run(
        [*as_other, str(daemon.socket)], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert statuses(answer.encode()) == [403]
    assert "uid 54321 is not a client" in answer
    assert "{uids: [54321]}" in answer


def test_the_message_of_another_client_is_not_there(make_daemon: MakeDaemon) -> None:
    """404, as for one that does not exist; an admin sees it."""
    daemon = make_daemon(started=False)
    reconfigured(daemon, OURS, f"shop: {{uids: [{os.getuid()}]}}")
    message = daemon.post(PLAIN, "key").document["id"]
    assert daemon.request("GET", f"/v1/messages/{message}").status == 200
    reconfigured(daemon, "shop:", "reports:")
    theirs = daemon.request("GET", f"/v1/messages/{message}")
    nobodys = daemon.request("GET", "/v1/messages/0192f000-0000-7000-8000-000000000000")
    assert code(theirs) == code(nobodys) == (404, "not_found")
    assert theirs.document["detail"] == nobodys.document["detail"]
    other = daemon.post({**PLAIN, "subject": "Other"}, "key")
    assert other.status == 202, "each client has keys of its own"
    reconfigured(daemon, f"reports: {{uids: [{os.getuid()}]}}", OURS)
    assert daemon.request("GET", f"/v1/messages/{message}").status == 200


# Restarts and reloads


def test_a_key_is_remembered_over_a_restart(make_daemon: MakeDaemon) -> None:
    """Killed and started again, the daemon gives the first answer, and still one message waits."""
    daemon = make_daemon()
    first = daemon.post(WELCOME, "k")
    daemon.kill()
    daemon.start()
    again = daemon.post(WELCOME, "k")
    assert (again.status, again.document) == (202, first.document)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert code(daemon.post(PLAIN, "k")) == (422, "idempotency_mismatch")
    assert daemon.deliveries()["accepted"] == 1


def test_a_second_daemon_on_the_same_outbox_is_refused(make_daemon: MakeDaemon) -> None:
    """Exit 78 with the reason in one line; the first goes on."""
    daemon = make_daemon()
    second = daemon.command("submission")
    assert second.returncode == 78
    (line,) = second.stderr.splitlines()
    assert "another process has it open; mend: stop the other postroom-submission first" in line
    assert daemon.post(PLAIN).status == 202


def test_a_reload_with_a_broken_template_keeps_the_old_set(make_daemon: MakeDaemon, bed: Path) -> None:
    """The log names file and line; mended, the next reload takes the new set whole."""
    templates = bed / "templates"
    subject = templates / "welcome" / "en" / "subject.txt"
    subject.parent.mkdir(parents=True)
    daemon = make_daemon(
        settings="hostname: mail.example.org\ndomains: {example.org: {return_path: verp bounces.example.org}}\n"
        f"templates: {{folder: {templates}}}"
    )
    assert daemon.post(WELCOME).status == 202

    def reloaded(text: str) -> str:
        subject.write_text(text, encoding="utf-8")
        return daemon.reload()

    refused = reloaded("Hello {{ first_name\n")
    assert " daemon.reload_refused " in refused
    assert f"{subject}:1" in refused
    assert "the old state stays in use" in refused
    assert daemon.post(WELCOME).status == 202
    assert " daemon.reload_refused " in reloaded("Hello {{ first_name }} {{ login }} {{ nobody }}\n")
    assert " daemon.reloaded" in reloaded("Hello {{ first_name }}\n")
    assert daemon.post(WELCOME).status == 202


def test_a_reload_takes_clients_limits_and_domains(make_daemon: MakeDaemon) -> None:
    """All of a good configuration, and of one with a single fault nothing; what needs a restart is named."""
    daemon = make_daemon(
        settings="hostname: mail.example.org\ndomains: {example.org: {}}\n"
        "limits: [{name: few, key: client, counts: requests, rate: 100/1m}]"
    )
    elsewhere = {**PLAIN, "from": "hello@example.com"}
    assert daemon.post(elsewhere).status == 422
    daemon.change("example.org: {}", "example.org: {}, example.com: {}")
    daemon.change("rate: 100/1m", "rate: 2/1")
    refused = daemon.reload()
    assert f"{daemon.config}:5: limits[0].rate: " in refused
    assert daemon.post(elsewhere).status == 422, "a configuration with a fault is not taken in part"
    daemon.change("rate: 2/1", "rate: 2/1h")
    daemon.change("domains: ", "retention: {messages: 1d}\ndomains: ")
    assert "needs_restart" not in daemon.reload()
    assert [daemon.post(elsewhere).status for _ in range(3)] == [202, 202, 429], "a new span counts anew"
    daemon.change(OURS, "other: {uids: [54321]}")
    daemon.change("hostname: mail.", "hostname: out.")
    assert " daemon.needs_restart settings=hostname " in daemon.reload()
    assert code(daemon.post(PLAIN)) == (403, "not_a_client")


# Limits


def test_a_client_over_its_limit_is_told_when_to_come_back(make_daemon: MakeDaemon) -> None:
    """The sixth request within a minute is refused and counts nothing; asking for a message is free."""
    daemon = make_daemon(
        settings="hostname: mail.example.org\ndomains: {example.org: {return_path: verp bounces.example.org}}\n"
        "limits: [{name: few, key: client, counts: requests, rate: 5/1m}]"
    )
    answers = [daemon.post(PLAIN) for _ in range(7)]
    assert [answer.status for answer in answers] == [202] * 5 + [429] * 2
    assert code(answers[5]) == (429, "limited")
    assert "over the limit few" in answers[5].document["detail"]
    assert answers[5].document["retryable"] is True
    assert 1 <= int(answers[5].headers["Retry-After"]) <= 61
    assert daemon.request("GET", f"/v1/messages/{answers[0].document['id']}").status == 200
    assert daemon.deliveries()["accepted"] == 5


def test_an_outbox_that_is_full_takes_no_more(make_daemon: MakeDaemon) -> None:
    """503, retryable; a message with more recipients than there is room is not taken in part."""
    daemon = make_daemon(submission="max_waiting: 3")
    assert daemon.post({**PLAIN, "to": ["a@example.net", "b@example.net"]}).status == 202
    refused = daemon.post({**PLAIN, "to": ["c@example.net", "d@example.net"]}, "k")
    assert code(refused) == (503, "outbox_full")
    assert refused.document["retryable"] is True
    assert refused.headers["Retry-After"] == "30"
    assert daemon.post(PLAIN, "k").status == 202, "a refusal keeps no key"
    assert code(daemon.post(PLAIN)) == (503, "outbox_full")
    assert daemon.deliveries()["accepted"] == 3


# The end


def test_a_request_under_way_is_answered_before_the_end(make_daemon: MakeDaemon) -> None:
    """SIGTERM between head and body: the message is accepted, the answer given, and it is there after a restart."""
    daemon = make_daemon()
    body = json.dumps(PLAIN).encode()
    with connected(daemon.socket) as under_way, connected(daemon.socket) as idle:
        under_way.sendall(post_head(len(body), "Expect: 100-continue"))
        # The daemon says this when it waits for the body.
        assert under_way.recv(1000).startswith(b"HTTP/1.1 100 ")
        os.kill(daemon.pid, signal.SIGTERM)
        until(lambda: not accepts(daemon), 5, "no new connection taken", daemon.alive)
        under_way.sendall(body)
        answer = rest(under_way)
        assert statuses(answer) == [202]
        assert b"connection: close" in answer.lower()
        assert rest(idle) == b""
    assert daemon.wait(20) == 0
    daemon.start()
    message = json.loads(answer.partition(b"\r\n\r\n")[2])["id"]
    assert daemon.message(message)["states"] == {"accepted": 1}


def test_after_the_end_nothing_is_left_behind(make_daemon: MakeDaemon) -> None:
    """Exit 0, no socket file, and the log says that it ended."""
    daemon = make_daemon()
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert not daemon.socket.exists()
    assert "daemon.stopped" in daemon.last_words()
