"""Keys from their files, those of openssl(1) among them."""

import os
import subprocess
from itertools import product
from pathlib import Path

import pytest

from postroom.milter.keys import KeysUnusable, KeyUnusable, is_weak, load_keys, read_key, signing_key
from sandbox.milter import ed25519_pem, rsa_pem


def openssl(*arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout


def key_file(folder: Path, octets: bytes, mode: int = 0o600) -> Path:
    path = folder / "key.pem"
    path.write_bytes(octets)
    path.chmod(mode)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(KeyUnusable) as unusable:
        read_key(path)
    return str(unusable.value)


@pytest.mark.process
def test_owner_and_group_may_read(tmp_path: Path) -> None:
    """RSA as PKCS #8 and PKCS #1, Ed25519 as PKCS #8."""
    pkcs8 = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    traditional = openssl("rsa", "-in", str(key_file(tmp_path, pkcs8)), "-traditional")
    assert b"BEGIN RSA PRIVATE KEY" in traditional
    modes = (0o400, 0o600, 0o440, 0o640, 0o660)
    for octets, mode in product((pkcs8, traditional, openssl("genpkey", "-algorithm", "ED25519")), modes):
        (tmp_path / "key.pem").unlink(missing_ok=True)
        key = signing_key("example.org", "s", read_key(key_file(tmp_path, octets, mode)))
        assert key.verifies(key.sign(b"octets"), b"octets")
        assert not key.verifies(key.sign(b"octets"), b"other octets")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o666])
def test_a_key_that_everyone_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """With its mode, and how to mend; nothing of the key."""
    assert refusal(key_file(tmp_path, rsa_pem(), mode)) == (
        f"can be read or changed by everyone (mode {mode:04o}); mend: chmod 0640 and chgrp postroom-milter, "
        "and make a new key if others may have seen it"
    )


@pytest.mark.process
def test_what_is_no_key_to_sign_with_is_refused(tmp_path: Path) -> None:
    """Short RSA, another algorithm, a public key, a password, no PEM, nothing."""
    public = subprocess.run(["openssl", "pkey", "-pubout"], input=rsa_pem(), capture_output=True, check=True).stdout
    locked = openssl("genrsa", "-aes128", "-passout", "pass:secret", "2048")
    for octets, part in (
        (openssl("genrsa", "512"), "has 512 bits, and receivers ignore RSA below 1024"),
        (openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "is neither RSA nor Ed25519"),
        (public, "contains no private key in PEM"),
        (locked, "is protected by a password"),
        (rsa_pem()[:500], "contains no private key in PEM"),
        (os.urandom(5000), "contains no private key in PEM"),
        (b"", "contains no private key in PEM"),
    ):
        text = refusal(key_file(tmp_path, octets))
        assert part in text
        assert "; mend: " in text


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Missing, a folder, a FIFO that nobody writes to: told, and never waited for."""
    assert refusal(tmp_path / "missing.pem").startswith("cannot be read (No such file or directory); mend: ")
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert refusal(tmp_path / "fifo") == "is not a file; mend: name the file of the key"
    assert refusal(tmp_path).startswith("cannot be read (Is a directory); mend: ")


@pytest.mark.process
def test_1024_bits_serve_and_are_called_weak(tmp_path: Path) -> None:
    """RFC 8301 §3.2: signers should use 2048; verifiers take 1024."""
    weak = signing_key("example.org", "s", read_key(key_file(tmp_path, openssl("genrsa", "1024"))))
    assert is_weak(weak)
    assert weak.verifies(weak.sign(b"octets"), b"octets")
    for octets in (rsa_pem(), ed25519_pem()):
        assert not is_weak(signing_key("example.org", "s", read_key(key_file(tmp_path, octets))))


def test_all_keys_are_loaded_or_every_problem_told(tmp_path: Path) -> None:
    """Each with its setting and its file."""
    good = key_file(tmp_path, rsa_pem())
    loaded = load_keys({"example.org": [("a", good), ("b", good)], "example.net": []})
    assert [(domain, [key.selector for key in keys]) for domain, keys in loaded.items()] == [
        ("example.org", ["a", "b"]),
        ("example.net", []),
    ]
    with pytest.raises(KeysUnusable) as unusable:
        load_keys({"example.org": [("a", good), ("b", tmp_path / "b")], "example.net": [("c", tmp_path / "c")]})
    first, second = unusable.value.problems
    assert first.startswith(f'domains."example.org".dkim[1].key_file: {tmp_path}/b: cannot be read ')
    assert second.startswith(f'domains."example.net".dkim[0].key_file: {tmp_path}/c: cannot be read ')
