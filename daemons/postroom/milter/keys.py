"""Private keys from their files, or every reason why not; and the DNS records that publish them.

A key that others can read is no proof of anything: such a file is refused, and
so is RSA below 1024 bits, which verifiers ignore (RFC 8301 §3.2).

Diagnostics: KeysUnusable, with the setting and the file of each key that cannot be used, and how to mend it.
Source:      RFC 8301 §3.2; RFC 6376 §3.6.1, RFC 8463 §4 (the record; Ed25519: the 32 octets themselves);
             RFC 1035 §3.3 (strings of 255 octets), §5.1;
             PEM as PKCS #8 or PKCS #1 (openssl genpkey, opendkim-genkey, `postroom dkim key`).
"""

import base64
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from postroom.milter.sign import SigningKey

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

MAX_OCTETS = 65_536
LEAST_RSA_BITS = 1024
GOOD_RSA_BITS = 2048
ED25519_BITS = 256
MAX_STRING_OCTETS = 255
"""Of one string in a TXT record."""


class KeyUnusable(Exception):
    """A key file cannot be used; the text says what and how to mend."""


class KeysUnusable(Exception):
    """Some keys of the configuration cannot be used; `problems` has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load_keys(files: Mapping[str, Iterable[tuple[str, Path]]]) -> dict[str, Sequence[SigningKey]]:
    """Load all keys, or none.

    Args:
        files: selector and key file of each key, by domain.

    Raises:
        KeysUnusable: with every key that cannot be used.
    """
    keys: dict[str, list[SigningKey]] = {domain: [] for domain in files}
    problems = []
    for domain, listed in files.items():
        for index, (selector, path) in enumerate(listed):
            try:
                keys[domain].append(signing_key(domain, selector, read_key(path)))
            except KeyUnusable as unusable:
                problems.append(f'domains."{domain}".dkim[{index}].key_file: {path}: {unusable}')
    if problems:
        raise KeysUnusable(problems)
    return dict(keys)


def read_key(path: Path) -> PrivateKey:
    """Read a private key.

    Raises:
        KeyUnusable: it cannot be read, others can read it, or it is not a key to sign with.
    """
    try:
        # Non-blocking: a FIFO in its place must not hold up the start.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyUnusable("is not a file; mend: name the file of the key")
            octets = file.read(MAX_OCTETS)
    except OSError as error:
        raise KeyUnusable(
            f"cannot be read ({error.strerror}); mend: `postroom dkim key` makes one, "
            "chmod 0640 and chgrp postroom-milter lets the milter read it, if it may enter the folders above"
        ) from None
    if status.st_mode & 0o007:
        raise KeyUnusable(
            f"can be read or changed by everyone (mode {stat.S_IMODE(status.st_mode):04o}); "
            "mend: chmod 0640 and chgrp postroom-milter, and make a new key if others may have seen it"
        )
    return _usable(octets)


def _usable(octets: bytes) -> PrivateKey:
    try:
        key = load_pem_private_key(octets, password=None)
    except TypeError:  # the library's word for a key with a password
        raise KeyUnusable("is protected by a password; mend: `openssl pkey -in OLD -out NEW` takes it off") from None
    except (ValueError, UnsupportedAlgorithm):  # not its words: they could quote the key
        raise KeyUnusable("contains no private key in PEM; mend: `postroom dkim key` makes one") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise KeyUnusable(
            "is neither RSA nor Ed25519, the two that DKIM signs with; mend: `postroom dkim key` makes one"
        )
    if key.key_size < LEAST_RSA_BITS:
        raise KeyUnusable(
            f"has {key.key_size} bits, and receivers ignore RSA below {LEAST_RSA_BITS}; "
            f"mend: make one of {GOOD_RSA_BITS} with `postroom dkim key`"
        )
    return key


def signing_key(domain: str, selector: str, private: PrivateKey) -> SigningKey:
    """Give the key as sign.py uses it."""
    if isinstance(private, RSAPrivateKey):
        return _rsa(domain, selector, private)
    return _ed25519(domain, selector, private)


def is_weak(key: SigningKey) -> bool:
    """Whether the key serves, but is too short to be called good today (RFC 8301 §3.2)."""
    return key.algorithm == "rsa-sha256" and key.bits < GOOD_RSA_BITS


def record_value(private: PrivateKey) -> str:
    """Give the text of the TXT record, in one piece."""
    public = private.public_key()
    if isinstance(private, RSAPrivateKey):
        kind, octets = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, octets = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode('ascii')}"


def zone_line(domain: str, selector: str, value: str) -> str:
    """Give the record as a zone file has it, its text in strings of at most 255 octets."""
    strings = [f'"{value[at : at + MAX_STRING_OCTETS]}"' for at in range(0, len(value), MAX_STRING_OCTETS)]
    text = strings[0] if len(strings) == 1 else f"( {' '.join(strings)} )"
    return f"{selector}._domainkey.{domain}. IN TXT {text}"


def _rsa(domain: str, selector: str, private: RSAPrivateKey) -> SigningKey:
    public, padding, digest = private.public_key(), PKCS1v15(), SHA256()
    return SigningKey(
        domain,
        selector,
        "rsa-sha256",
        private.key_size,
        lambda octets: private.sign(octets, padding, digest),
        _verifying(lambda signature, octets: public.verify(signature, octets, padding, digest)),
    )


def _ed25519(domain: str, selector: str, private: Ed25519PrivateKey) -> SigningKey:
    public = private.public_key()
    return SigningKey(
        domain,
        selector,
        "ed25519-sha256",
        ED25519_BITS,
        lambda octets: private.sign(_sha256(octets)),
        _verifying(lambda signature, octets: public.verify(signature, _sha256(octets))),
    )


def _verifying(verify: Callable[[bytes, bytes], None]) -> Callable[[bytes, bytes], bool]:
    def verifies(signature: bytes, octets: bytes) -> bool:
        try:
            verify(signature, octets)
        except InvalidSignature:
            return False
        return True

    return verifies


def _sha256(octets: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(octets)
    return digest.finalize()
