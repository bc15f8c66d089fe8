"""Two verifiers that share no code with us: dkimpy as a library, OpenDKIM as a program."""

import base64
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import dkim
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sandbox.milter import ED25519_SELECTOR, RSA_SELECTOR, ed25519_pem, rsa_pem


def records() -> dict[str, str]:
    """The TXT records of the keys of sandbox.milter, put together here and not by the code under test."""
    rsa = load_pem_private_key(rsa_pem(), None).public_key()
    ed25519 = load_pem_private_key(ed25519_pem(), None).public_key()
    spki = rsa.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raw = ed25519.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {
        f"{RSA_SELECTOR}._domainkey.example.org": f"v=DKIM1; k=rsa; p={base64.b64encode(spki).decode()}",
        f"{ED25519_SELECTOR}._domainkey.example.org": f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}",
    }


def with_crlf(raw: bytes) -> bytes:
    """A mail as smtp-sink stored it, with the line ends it had on the wire."""
    return raw.replace(b"\n", b"\r\n")


def dkimpy_verdicts(octets: bytes, published: Mapping[str, str] | None = None) -> list[bool]:
    """Whether each signature holds, the topmost first."""
    txt = records() if published is None else published
    message = dkim.DKIM(octets)
    count = sum(name.lower() == b"dkim-signature" for name, _ in message.headers)
    return [_holds(message, index, txt) for index in range(count)]


def _holds(message: dkim.DKIM, index: int, txt: Mapping[str, str]) -> bool:
    try:
        return message.verify(index, dnsfunc=lambda name, timeout: txt.get(name.decode().rstrip(".")))
    except dkim.ValidationError:  # a body that was changed
        return False


def opendkim_verdicts(folder: Path, octets: bytes) -> list[str]:
    """What opendkim(8) says of each signature: "pass", or its other words; it reads keys from a file, not DNS."""
    keys, message, conf = folder / "opendkim.keys", folder / "opendkim.eml", folder / "opendkim.conf"
    keys.write_text("".join(f"{name} {record}\n" for name, record in records().items()), encoding="ascii")
    message.write_bytes(octets)
    conf.write_text(f"Mode v\nSyslog no\nTestPublicKeys {keys}\n", encoding="ascii")
    done = subprocess.run(
        ["/usr/sbin/opendkim", "-x", str(conf), "-t", str(message), "-vvv"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return re.findall(r"^\s+dkim=(\w+)", done.stdout, re.MULTILINE)
