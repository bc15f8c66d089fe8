"""One mail through each door, and what became of it: accepted, signed, and where it got to.

Known from the API and from the log of Postfix and the milter, never from what this file itself did.
"""

import contextlib
import http.client
import json
import re
import secrets
import smtplib
import socket
import subprocess
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from postroom.setup.host import Host, SetupFailed, run

API = "/run/postroom/submission.sock"
SENDMAIL = "/usr/sbin/sendmail"
WAIT_S = 60.0
_ARRIVED = {"delivered", "relayed", "sent"}


@dataclass(frozen=True)
class TrialResult:
    """What became of the mail through one door."""

    door: str
    signed: str
    state: str
    reason: str

    @property
    def is_well(self) -> bool:
        return self.state == "left out" or (self.signed == "yes" and self.state in _ARRIVED)


class _RootIsNoClient(Exception):
    """The API takes no mail from root on this host."""


class TrialMail:
    """One mail through each door, from `postmaster` of a domain.

    Args:
        recipient: who gets them.
        doors:     which doors: socket, smtp, sendmail.
    """

    def __init__(self, host: Host, domain: str, recipient: str, doors: tuple[str, ...]) -> None:
        self._host = host
        self._sender = f"postmaster@{domain}"
        self._recipient = recipient
        self._since = f"@{int(time.time()) - 1}"
        self._log_offset = Path(host.log_file).stat().st_size if host.log_file else 0
        self._message_id_prefix = secrets.token_hex(8)
        self._doors = doors

    def results(self) -> list[TrialResult]:
        """Send them, and wait until each has arrived, at most WAIT_S."""
        refused = {}
        sent = {}
        for door in self._doors:
            try:
                sent[door] = getattr(self, f"_by_{door}")()
            except _RootIsNoClient as refusal:
                refused[door] = TrialResult(door, "-", "left out", f"root is not a client: {refusal}")
            except (SetupFailed, OSError, smtplib.SMTPException) as error:
                refused[door] = TrialResult(door, "no", "refused", str(error))
        until = time.monotonic() + WAIT_S
        found: dict[str, TrialResult] = {}
        while time.monotonic() < until and not all(door in found and found[door].is_well for door in sent):
            time.sleep(0.2)
            log = self._log()
            for door, sent_id in sent.items():
                found[door] = self._api_result(sent_id, log) if door == "socket" else log_result(door, sent_id, log)
        return [found[door] if door in found else refused[door] for door in self._doors]

    def _by_socket(self) -> str:
        body = {"from": self._sender, "to": self._recipient, "subject": "Postroom: socket", "text": "A test."}
        status, answer = request_api("POST", "/v1/messages", body)
        if status == HTTPStatus.FORBIDDEN:
            raise _RootIsNoClient(str(answer.get("detail")))
        if status != HTTPStatus.ACCEPTED:
            raise SetupFailed(str(answer.get("detail", answer)))
        return str(answer["id"])

    def _by_smtp(self) -> str:
        with smtplib.SMTP("127.0.0.1", 25, timeout=30) as client:
            client.sendmail(self._sender, [self._recipient], self._mail("smtp"))
        return f"{self._message_id_prefix}.smtp"

    def _by_sendmail(self) -> str:
        command = [SENDMAIL, "-i", "-f", self._sender, self._recipient]
        subprocess.run(command, input=self._mail("sendmail"), check=False, timeout=60)  # noqa: S603 - our own words
        return f"{self._message_id_prefix}.sendmail"

    def _mail(self, door: str) -> bytes:
        lines = [
            f"From: {self._sender}",
            f"To: {self._recipient}",
            f"Subject: Postroom: {door}",
            f"Message-ID: <{self._message_id_prefix}.{door}@{self._host.hostname}>",
            "",
            "A test.",
        ]
        return "\n".join([*lines, ""]).encode()

    def _log(self) -> str:
        journal = run("journalctl", "--quiet", "--no-pager", "--output=short", f"--since={self._since}")
        if not self._host.log_file:
            return journal
        with Path(self._host.log_file).open("rb") as file:
            file.seek(self._log_offset)
            return journal + file.read().decode("utf-8", "replace")

    def _api_result(self, message: str, log: str) -> TrialResult:
        with contextlib.suppress(OSError):
            delivery = request_api("GET", f"/v1/messages/{message}")[1]["deliveries"][0]
            signed = _is_signed(log, delivery.get("queue_id", "-"))
            return TrialResult("socket", signed, delivery["state"], delivery.get("reason", ""))
        return TrialResult("socket", "no", "unknown", "submission does not answer")


def log_result(door: str, message_id_prefix: str, log: str) -> TrialResult:
    """What the log says of the mail whose Message-ID is this prefix, and the host after an @."""
    ids = re.findall(rf"postfix/\S*cleanup\[\d+\]: (\w+): message-id=<{re.escape(message_id_prefix)}@", log)
    signed = "yes" if any(_is_signed(log, queue_id) == "yes" for queue_id in ids) else "no"
    for queue_id in reversed(ids):
        # A line of the sendmail door's own transport is the way to the milter, not the mail's end.
        ends = re.findall(rf"postfix/(?!postroom-door)\S+\[\d+\]: {queue_id}: to=.* status=(\w+) \((.*)\)", log)
        ends = ends or re.findall(rf"postfix/\S+\[\d+\]: {queue_id}: to=.* status=(deferred|bounced) \((.*)\)", log)
        if ends:
            return TrialResult(door, signed, *ends[-1])
    return TrialResult(door, signed, "queued" if ids else "unknown", "no end in Postfix's log yet")


def _is_signed(log: str, queue_id: str) -> str:
    return "yes" if re.search(rf"milter\.signed .*queue_id={queue_id}\b", log) else "no"


def request_api(method: str, target: str, body: object = None) -> tuple[int, Any]:
    """Make one request to submission as the user we are; returns status and answer.

    Raises:
        OSError: nobody answers.
    """
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(API)
    connection.request(method, target, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())
