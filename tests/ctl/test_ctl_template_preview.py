"""`postroom template preview`: the real process, asked over its real sockets."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ctl.conftest import CHECKOUT

pytestmark = pytest.mark.process

MAIL = "template=welcome&locale=de&sample=examples"
Answer = tuple[int, dict[str, str], str]


class Running:
    """A preview that has said where it listens, and a browser's way to ask it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process, self.said = process, process.stdout.readline().strip()
        found = re.fullmatch(r"open once: http://(127\.0\.0\.1:(\d+))(/start/\S+)", self.said)
        self.host, self.port, self.start = found.groups() if found else ("", "0", "")
        self.cookie = ""

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=60)
        connection.request(method, path, body, {"Host": self.host, "Cookie": self.cookie, **headers})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8")
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def come_in(self) -> None:
        status, headers, _ = self.ask(self.start)
        assert status == 303
        self.cookie = headers["set-cookie"].split(";")[0]


@pytest.fixture
def own(config: Path, bed: Path) -> Path:
    folder = bed / "templates"
    with config.open("a", encoding="utf-8") as file:
        file.write(f"templates:\n  folder: {folder}\n")
    return folder


def started(config: Path, *options: str) -> "subprocess.Popen[str]":
    # A shell's background job ignores SIGINT, and so would all that it starts.
    heard = ("env", "--default-signal=INT")
    return subprocess.Popen(
        [*heard, str(CHECKOUT / "scripts" / "postroom"), "--config", str(config), "template", "preview", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def ended(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors, errors


@pytest.fixture
def preview(config: Path, own: Path) -> Iterator[Running]:
    assert own.name == "templates"
    process = started(config, "--send-to", "editor@example.org")
    try:
        yield Running(process)
    finally:
        ended(process)


def test_address_works_once_and_nothing_is_shown_without_its_cookie(preview: Running) -> None:
    """A second visitor, a wrong token and a bare path are refused."""
    assert preview.ask("/")[0] == 403
    assert preview.ask("/start/guess")[0] == 403
    preview.come_in()
    assert preview.ask("/")[0] == 200
    assert preview.ask(preview.start)[0] == 403
    preview.cookie = "postroom_preview=guess"
    assert preview.ask("/templates")[0] == 403


def test_other_names_and_other_pages_are_refused(preview: Running) -> None:
    """A page elsewhere that resolves to us (DNS rebinding), or that posts to us, gets nothing."""
    preview.come_in()
    assert preview.ask("/templates", Host="evil.example")[0] == 403
    assert preview.ask("/templates", Origin="http://evil.example")[0] == 403
    assert preview.ask("/send", "POST", "{}")[0] == 403
    assert preview.ask("/send", "POST", "{}", Origin="null")[0] == 403
    assert preview.ask("/send", "POST", "{}", Origin=f"http://{preview.host}")[0] == 400


def test_every_template_is_shown_in_all_its_forms(preview: Running) -> None:
    """The list, subject, text, source, and the HTML in light and dark, in a frame that may run and fetch nothing."""
    preview.come_in()
    listed = json.loads(preview.ask("/templates")[2])
    assert [template["name"] for template in listed["templates"]][-1] == "welcome"
    mail = json.loads(preview.ask(f"/mail?{MAIL}")[2])
    assert mail["subject"].startswith("Willkommen bei ")
    assert "Content-Type: multipart/alternative" in mail["source"]
    for mode, media in (("light", "@media not all"), ("dark", "@media all")):
        status, headers, html = preview.ask(f"/html?{MAIL}&mode={mode}")
        assert (status, media in html, "Willkommen, Ada" in html) == (200, True, True)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["content-security-policy"].endswith("sandbox")
    assert preview.ask("/mail?template=nobody")[0] == 404
    assert preview.ask("/logo")[0] == 404
    _, headers, page = preview.ask("/")
    assert re.search(r"script-src 'nonce-[-\w]+'", headers["content-security-policy"])
    assert "editor@example.org" in page


def test_saved_file_is_shown_and_a_broken_one_leaves_the_last_good_set(preview: Running, own: Path) -> None:
    """The page waits for changes; file, line and mend of a fault are told, and gone when it is mended."""
    preview.come_in()

    def after(generation: int, text: str) -> dict[str, object]:
        (own / "welcome/de").mkdir(parents=True, exist_ok=True)
        (own / "welcome/de/subject.txt").write_text(text, encoding="utf-8")
        found: dict[str, object] = json.loads(preview.ask(f"/changes?after={generation}")[2])
        return found

    assert after(1, "Hallo {{ first_name }}\n") == {"generation": 2, "problems": ""}
    assert json.loads(preview.ask(f"/mail?{MAIL}")[2])["subject"] == "Hallo Ada"
    broken = after(2, "Hallo\n\n{{ frist_name }}\n")
    assert str(broken["problems"]).startswith(f"{own}/welcome/de/subject.txt:3: 'frist_name' is not a variable")
    assert json.loads(preview.ask(f"/mail?{MAIL}")[2])["subject"] == "Hallo Ada"
    assert after(3, "Guten Tag, {{ first_name }}\n") == {"generation": 4, "problems": ""}


def test_test_mail_goes_only_where_it_may(preview: Running) -> None:
    """Another address is refused; without submission the page says so and goes on."""
    preview.come_in()
    asked = {"template": "welcome", "locale": "de", "sample": "examples", "to": "somebody@example.net"}
    origin = f"http://{preview.host}"
    assert preview.ask("/send", "POST", json.dumps(asked), Origin=origin)[0] == 403
    status, _, said = preview.ask("/send", "POST", json.dumps({**asked, "to": "editor@example.org"}), Origin=origin)
    assert (status, json.loads(said)["answer"]) == (502, {"detail": "submission does not answer"})
    assert preview.ask("/templates")[0] == 200


def test_unix_socket_is_for_its_owner(config: Path, own: Path, bed: Path) -> None:
    """Mode 0600, and no URL to give out."""
    assert own.name == "templates"
    path = bed / "preview.sock"
    process = started(config, "--socket", str(path))
    try:
        assert Running(process).said == f"listening on {path}"
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /templates HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.0 200 ")
    finally:
        ended(process)
