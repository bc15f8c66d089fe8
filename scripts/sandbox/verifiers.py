"""Two verifiers of DKIM that share no code with Postroom: dkimpy as a library, OpenDKIM as a program.

Where the keys come from is the caller's: a real DNS server (dns_keys, opendkim_dns) or what a test made up.

Source:  RFC 6376 §6.1; opendkim(8), -t; opendkim.conf(5), Nameservers (libunbound takes ADDRESS@PORT).
BUGS:    needs .venv, for dkimpy and dnspython, unlike the rest of the sandbox.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import dkim
import dns.exception
import dns.resolver

from sandbox.process import BedError

OPENDKIM = "/usr/sbin/opendkim"
DNS_S = 5.0

AskKey = Callable[[str], bytes | str | None]
"""Gives the TXT record at a name; None when there is none."""


def with_crlf(raw: bytes) -> bytes:
    """A mail as smtp-sink stored it, with the line ends it had on the wire."""
    return raw.replace(b"\n", b"\r\n")


def dns_keys(port: int) -> AskKey:
    """Keys asked for at the DNS server on that port of 127.0.0.1."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, DNS_S

    def ask(name: str) -> bytes | None:
        try:
            (record, *_) = resolver.resolve(name, "TXT")
        except dns.exception.DNSException:
            return None
        return b"".join(record.strings)

    return ask


def opendkim_dns(port: int) -> str:
    """The line of opendkim.conf that asks the DNS server on that port of 127.0.0.1."""
    return f"Nameservers 127.0.0.1@{port}"


def dkimpy_verdicts(octets: bytes, ask: AskKey) -> list[bool]:
    """Whether each signature holds, the topmost first."""
    message = dkim.DKIM(octets)
    count = sum(name.lower() == b"dkim-signature" for name, _ in message.headers)
    return [_holds(message, index, ask) for index in range(count)]


def _holds(message: dkim.DKIM, index: int, ask: AskKey) -> bool:
    try:
        return message.verify(index, dnsfunc=lambda name, timeout: ask(name.decode().rstrip(".")))
    except dkim.ValidationError:  # a body that was changed, or a key that is not there
        return False


def opendkim_verdicts(folder: Path, octets: bytes, keys: str) -> list[str]:
    """What opendkim(8) says of each signature: "pass", or its other words.

    Args:
        folder: for its configuration and the message.
        keys:   the line of opendkim.conf that says where keys are found.

    Raises:
        BedError: opendkim does not work.
    """
    message, conf = folder / "opendkim.eml", folder / "opendkim.conf"
    message.write_bytes(octets)
    conf.write_text(f"Mode v\nSyslog no\n{keys}\n", encoding="ascii")
    done = subprocess.run(
        [OPENDKIM, "-x", str(conf), "-t", str(message), "-vvv"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise BedError(f"opendkim ended with {done.returncode}: {done.stderr[-200:]}")
    return re.findall(r"^\s+dkim=(\w+)", done.stdout, re.MULTILINE)
