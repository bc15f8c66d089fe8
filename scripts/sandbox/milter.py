"""postroom-milter as a process, with a key of each kind for example.org.

The keys are made in this process; tests/milter/test_keys.py reads those of openssl(1).
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.daemon import Daemon

RSA_SELECTOR, ED25519_SELECTOR = "2026a", "2026e"


class MilterDaemon(Daemon):
    """One milter daemon.

    Args:
        folder:   as Daemon's; also holds the keys and milter.sock.
        networks: `milter.networks`.
        settings: lines of the section `milter`, below its socket and networks.
        dkim:     lines of `dkim` of example.org; by default both keys.
        state_dir: of another daemon, to share its store.
        sections: text of more YAML sections.
    """

    def __init__(
        self,
        folder: Path,
        networks: Sequence[str] = ("127.0.0.0/8",),
        settings: str = "",
        dkim: str | None = None,
        state_dir: Path | None = None,
        sections: str = "",
    ) -> None:
        self.socket = folder / "milter.sock"
        self.rsa_key, self.ed25519_key = folder / "rsa.pem", folder / "ed25519.pem"
        both = (
            f"[{{selector: {RSA_SELECTOR}, key_file: {self.rsa_key}}}, "
            f"{{selector: {ED25519_SELECTOR}, key_file: {self.ed25519_key}}}]"
        )
        text = (
            "hostname: mail.example.org\n"
            f"domains:\n  example.org:\n    dkim: {both if dkim is None else dkim}\n  example.net:\n"
            f"milter:\n  socket: {self.socket}\n  networks: [{', '.join(networks)}]\n  {settings}\n{sections}\n"
        )
        super().__init__("milter", folder, text, state_dir)

    def write(self) -> None:
        super().write()
        keys = self.state_dir / "keys"
        keys.mkdir(parents=True, exist_ok=True)
        if not (keys / "recipient-hash.key").exists():  # all that it needs of a store to start
            (keys / "recipient-hash.key").write_bytes(os.urandom(32))
            (keys / "recipient-hash.key").chmod(0o640)
        for path, octets in ((self.rsa_key, rsa_pem()), (self.ed25519_key, ed25519_pem())):
            path.write_bytes(octets)
            path.chmod(0o600)

    def workers(self) -> list[int]:
        """The processes that are the master's children now."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]


@cache
def rsa_pem() -> bytes:
    """A 2048-bit RSA key; one for all tests of a process, for making one takes a while."""
    return _pem(rsa.generate_private_key(65_537, 2_048))


@cache
def ed25519_pem() -> bytes:
    return _pem(ed25519.Ed25519PrivateKey.generate())


def _pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
