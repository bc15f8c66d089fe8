"""`postroom send` and `postroom status` where nobody answers, or badly; the daemon's start that is refused."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ctl.conftest import Postroom

LETTER = ("send", "--from", "shop@example.org", "--to", "jane@example.net")
ASKING = [("status",), (*LETTER, "--subject", "hello", "--text", "you")]


@pytest.mark.parametrize("arguments", ASKING)
def test_nobody_is_there(postroom: Postroom, bed: Path, arguments: tuple[str, ...]) -> None:
    """No socket, then one without a daemon behind it: exit 1, one line, what to start."""
    path = bed / "submission.sock"
    done = postroom(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{path}: no such socket; mend: start postroom-submission\n"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    done = postroom(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{path}: nothing listens there; mend: start postroom-submission\n"


@pytest.mark.process
def test_who_may_not_connect_is_told_which_group_to_join(postroom_process: Postroom, bed: Path) -> None:
    """The mode of the socket says who may."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bed / "submission.sock"))
        listener.listen()
        (bed / "submission.sock").chmod(0)
        done = postroom_process("status")
    assert done.returncode == 1
    assert done.stderr.endswith("permission denied; mend: join the socket's group (postroom-submit)\n")


def complete(request: bytes) -> bool:
    """Whether head and body are there: what is closed with octets unread would be cut off."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Somebody on the socket who says this to everyone; gives what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                request = b""
                while not complete(request):
                    request += connection.recv(65536)
                asked.append(request)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(10)


@pytest.mark.parametrize("answer", [b"", b"220 mail.example.org ESMTP\r\n", b"HTTP/1.1 200 OK\r\n\r\n<p>"])
def test_an_answer_that_is_none_is_told(postroom: Postroom, bed: Path, answer: bytes) -> None:
    """Something else listens there, or the daemon died meanwhile: exit 1, one line, where to look."""
    with answering(bed / "submission.sock", answer):
        done = postroom("status")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"{bed}/submission.sock: no answer (")
    assert done.stderr.endswith("); mend: look at the log of postroom-submission\n")


def response(status: str, document: object) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{json.dumps(document)}".encode()


def test_a_refusal_shows_every_fault(postroom: Postroom, bed: Path) -> None:
    """The detail, then each fault with its place; exit 1."""
    problem = {
        "detail": "2 faults",
        "errors": [
            {"pointer": "/to/0", "code": "syntax", "detail": "no domain"},
            {"pointer": "", "code": "missing", "detail": "no subject"},
        ],
    }
    with answering(bed / "submission.sock", response("422 Unprocessable Content", problem)) as asked:
        done = postroom(*LETTER, "--text", "you", "--idempotency-key", "k1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "refused: 2 faults\n  /to/0: no domain\n  /: no subject\n"
    assert asked[0].startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert b"\r\nIdempotency-Key: k1\r\n" in asked[0]


def test_an_id_is_quoted_whatever_it_is(postroom: Postroom, bed: Path) -> None:
    """A slash or a question mark asks for no other resource."""
    with answering(bed / "submission.sock", response("404 Not Found", {"detail": "no such message"})) as asked:
        done = postroom("status", "../stats?x=ü y")
    assert (done.returncode, done.stderr) == (1, "refused: no such message\n")
    assert asked[0].startswith(b"GET /v1/messages/..%2Fstats%3Fx%3D%C3%BC%20y HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (("--text", "-"), b"caf\xe9", "--text -: is not UTF-8 (octet 3)"),
        (("--html", "{bed}/latin1"), b"", "latin1: is not UTF-8 (octet 3)"),
        (("--template", "welcome", "--data", "-"), b'{"name": "caf\xe9"}', "--data -: is not JSON"),
        (("--text", "x", "-D", "name=x"), b"", "go with --template"),
    ],
)
def test_what_cannot_be_sent_is_usage(
    postroom: Postroom, bed: Path, arguments: tuple[str, ...], stdin: bytes, told: str
) -> None:
    """Exit 2, before anybody is asked; a file in another encoding is told, not thrown."""
    (bed / "latin1").write_bytes(b"caf\xe9")
    done = postroom(*LETTER, *(argument.replace("{bed}", str(bed)) for argument in arguments), stdin=stdin)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


@pytest.mark.process
def test_a_daemon_without_its_store_refuses_to_start(postroom_process: Postroom, state: Path) -> None:
    """Exit 78, which the unit does not restart, and one line with what to run."""
    done = postroom_process("submission")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert f'daemon.refused reason="{state}' in done.stderr
    assert "`postroom store init`" in done.stderr
