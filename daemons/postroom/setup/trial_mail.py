"""One mail through each door, and what became of it: accepted, signed, and where it got to.

Read from the API and from the log of Postfix and the milter, never from what this file itself did.
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
PATIENCE_S = 60.0
_ARRIVED = {"delivered", "relayed", "sent"}


@dataclass(frozen=True)
class TrialResult:
    """What became of the mail of one door."""

    door: str
    signed: str
    state: str
    reason: str

    @property
    def is_well(self) -> bool:
        return self.state == "left out" or (self.signed == "yes" and self.state in _ARRIVED)


class _NotOurs(Exception):
    """The API does not take mail from root here."""


class TrialMail:
    """One mail for each door, from `postmaster` of a domain.

    Args:
        recipient: who gets them.
        doors: which.
    """

    def __init__(self, host: Host, domain: str, recipient: str, doors: tuple[str, ...]) -> None:
        self._host = host
        self._sender = f"postmaster@{domain}"
        self._recipient = recipient
        self._began = f"@{int(time.time()) - 1}"
        self._log_from = Path(host.log).stat().st_size if host.log else 0
        self._mark = secrets.token_hex(8)
        self._doors = doors

    def rows(self) -> list[TrialResult]:
        """Send, and wait until each has an end or the patience is over."""
        refused = {}
        sent = {}
        for door in self._doors:
            try:
                sent[door] = getattr(self, f"_by_{door}")()
            except _NotOurs as not_ours:
                refused[door] = TrialResult(door, "-", "left out", f"root is no client: {not_ours}")
            except (SetupFailed, OSError, smtplib.SMTPException) as error:
                refused[door] = TrialResult(door, "no", "refused", str(error))
        until = time.monotonic() + PATIENCE_S
        found: dict[str, TrialResult] = {}
        while time.monotonic() < until and not all(door in found and found[door].is_well for door in sent):
            time.sleep(0.2)
            log = self._log()
            for door, mark in sent.items():
                found[door] = self._api_row(mark, log) if door == "socket" else log_row(door, mark, log)
        return [found[door] if door in found else refused[door] for door in self._doors]

    def _by_socket(self) -> str:
        body = {"from": self._sender, "to": self._recipient, "subject": "Postroom: socket", "text": "A test."}
        status, answer = ask("POST", "/v1/messages", body)
        if status == HTTPStatus.FORBIDDEN:
            raise _NotOurs(str(answer.get("detail")))
        if status != HTTPStatus.ACCEPTED:
            raise SetupFailed(str(answer.get("detail", answer)))
        return str(answer["id"])

    def _by_smtp(self) -> str:
        with smtplib.SMTP("127.0.0.1", 25, timeout=30) as client:
            client.sendmail(self._sender, [self._recipient], self._mail("smtp"))
        return f"{self._mark}.smtp"

    def _by_sendmail(self) -> str:
        command = [SENDMAIL, "-i", "-f", self._sender, self._recipient]
        subprocess.run(command, input=self._mail("sendmail"), check=False, timeout=60)  # noqa: S603 - our own words
        return f"{self._mark}.sendmail"

    def _mail(self, door: str) -> bytes:
        lines = [
            f"From: {self._sender}",
            f"To: {self._recipient}",
            f"Subject: Postroom: {door}",
            f"Message-ID: <{self._mark}.{door}@{self._host.hostname}>",
            "",
            "A test.",
        ]
        return "\n".join([*lines, ""]).encode()

    def _log(self) -> str:
        journal = run("journalctl", "--quiet", "--no-pager", "--output=short", f"--since={self._began}")
        if not self._host.log:
            return journal
        with Path(self._host.log).open("rb") as file:
            file.seek(self._log_from)
            return journal + file.read().decode("utf-8", "replace")

    def _api_row(self, message: str, log: str) -> TrialResult:
        with contextlib.suppress(OSError):
            delivery = ask("GET", f"/v1/messages/{message}")[1]["deliveries"][0]
            signed = _is_signed(log, delivery.get("queue_id", "-"))
            return TrialResult("socket", signed, delivery["state"], delivery.get("reason", ""))
        return TrialResult("socket", "no", "unknown", "submission does not answer")


def log_row(door: str, mark: str, log: str) -> TrialResult:
    """What the log says of the mail whose Message-ID begins with this mark."""
    ids = re.findall(rf"postfix/\S*cleanup\[\d+\]: (\w+): message-id=<{re.escape(mark)}@", log)
    signed = "yes" if any(_is_signed(log, queue_id) == "yes" for queue_id in ids) else "no"
    for queue_id in reversed(ids):
        # What the sendmail door's own transport says is the way to the milter, not the mail's end.
        ends = re.findall(rf"postfix/(?!postroom-door)\S+\[\d+\]: {queue_id}: to=.* status=(\w+) \((.*)\)", log)
        ends = ends or re.findall(rf"postfix/\S+\[\d+\]: {queue_id}: to=.* status=(deferred|bounced) \((.*)\)", log)
        if ends:
            return TrialResult(door, signed, *ends[-1])
    return TrialResult(door, signed, "queued" if ids else "unknown", "no end in Postfix's log yet")


def _is_signed(log: str, queue_id: str) -> str:
    return "yes" if re.search(rf"milter\.signed .*queue_id={queue_id}\b", log) else "no"


def ask(method: str, target: str, body: object = None) -> tuple[int, Any]:
    """One request to submission, as whoever we are: status and answer; OSError when nobody answers."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(API)
    connection.request(method, target, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())
