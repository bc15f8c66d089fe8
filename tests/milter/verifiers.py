"""The verifiers of the sandbox, with the keys of sandbox.milter."""

import base64
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sandbox import verifiers
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


def dkimpy_verdicts(octets: bytes, published: Mapping[str, str] | None = None) -> list[bool]:
    """Whether each signature holds, the topmost first."""
    return verifiers.dkimpy_verdicts(octets, (records() if published is None else published).get)


def opendkim_verdicts(folder: Path, octets: bytes) -> list[str]:
    """What opendkim(8) says of each signature: "pass", or its other words; it reads keys from a file, not DNS."""
    keys = folder / "opendkim.keys"
    keys.write_text("".join(f"{name} {record}\n" for name, record in records().items()), encoding="ascii")
    return verifiers.opendkim_verdicts(folder, octets, f"TestPublicKeys {keys}")
