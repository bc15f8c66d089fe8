"""A private Postfix that asks policy daemons as postfix-conf/ says, and clients that send through it."""

import smtplib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.postfix import PrivatePostfix
from sandbox.sink import free_port
from sandbox.submission_service import WORDS, service_options

PATIENT = {"smtpd_error_sleep_time": "0", "smtpd_soft_error_limit": "1001", "smtpd_hard_error_limit": "1000"}
"""Refusals are what these tests are about: they must not slow a client down or end its session."""


def asking_postfix(
    folder: Path, sink_port: int, listeners: int = 1, settings: Mapping[str, str] | None = None
) -> tuple[PrivatePostfix, list[int], list[Path]]:
    """A Postfix not started yet, the ports of its submission services, and the sockets each asks at."""
    names = ["policy.sock", *(f"policy{number}.sock" for number in range(1, listeners))]
    ports = [free_port() for _ in names]
    postfix = PrivatePostfix(
        folder,
        ("127.0.0.1", sink_port),
        handover=False,
        smtp_ports={port: service_options(name) | PATIENT for port, name in zip(ports, names, strict=True)},
        settings={**WORDS, **(settings or {})},
    )
    return postfix, ports, [postfix.queue_directory / "postroom" / name for name in names]


def send(client: smtplib.SMTP, sender: str, *recipients: str) -> str:
    """Send one message; what became of it: `250`, or the first refusal as `450 4.7.1`."""
    code, text = client.mail(sender)
    assert code == 250, text
    for recipient in recipients:
        code, text = client.rcpt(recipient)
        if code != 250:
            break
    else:
        code, text = client.data(b"Subject: hello\r\n\r\nhello\r\n")
    if code != 250:
        # Also at the end of data a refusal leaves Postfix's transaction open.
        client.rset()
    return _short(code, text)


def _short(code: int, text: bytes) -> str:
    return "250" if code == 250 else f"{code} {text.split()[0].decode('ascii')}"


def rush(ports: list[int], clients: int, messages: int, sender: str = "anna@example.org") -> Counter[str]:
    """So many clients at once, spread over the ports, send so many messages each; how often each outcome came."""

    def one(number: int) -> list[str]:
        with smtplib.SMTP("127.0.0.1", ports[number % len(ports)], timeout=60) as client:
            client.ehlo("client.example.com")
            return [send(client, sender, f"r{number}@example.net") for _ in range(messages)]

    with ThreadPoolExecutor(clients) as pool:
        return Counter(outcome for outcomes in pool.map(one, range(clients)) for outcome in outcomes)
