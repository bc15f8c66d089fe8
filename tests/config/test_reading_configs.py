"""Files that cannot be read, and what the operator is told."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postroom.config.document import MAX_OCTETS
from postroom.config.load import load, machine_name
from postroom.config.problems import ConfigInvalid


def complaint(path: Path) -> str:
    with pytest.raises(ConfigInvalid) as invalid:
        load(path, hostname=lambda: "mail.example.org")
    assert len(invalid.value.problems) == 1
    return str(invalid.value)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, who may read everything; a plain user has none to lay down."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(uid)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The path stands there as the operator gave it."""
    path = tmp_path / "postroom.yaml"
    assert complaint(path) == f"{path}: does not exist; write it, or name another file with --config"


def test_directory_is_no_file(tmp_path: Path) -> None:
    """A folder given for the file in it is a common slip."""
    assert complaint(tmp_path) == f"{tmp_path}: is a directory; name the file in it, for example postroom.yaml"


def test_file_without_the_right_to_read_says_which_modes_would_do(tmp_path: Path) -> None:
    """The daemons are users of their own: a file only root can read stops them."""
    path = tmp_path / "postroom.yaml"
    path.write_text("domains: {}\n", encoding="utf-8")
    path.chmod(0)
    with as_nobody():
        text = complaint(path)
    assert text == (
        f"{path}: may not be read by this user; chmod 0644 the file (it holds no secrets), 0755 the folders above it"
    )


def test_other_trouble_of_the_system_is_passed_on(tmp_path: Path) -> None:
    """What the kernel says, and what can be done."""
    path = tmp_path / "postroom.yaml"
    path.symlink_to(path)
    assert complaint(path).startswith(f"{path}: cannot be read: Too many levels of symbolic links; ")


def test_endless_file_is_refused_early() -> None:
    """No more than the limit is ever read, also of a device without an end."""
    assert complaint(Path("/dev/zero")).startswith(f"/dev/zero: is larger than {MAX_OCTETS} octets; ")


def test_file_of_the_largest_size_is_answered_soon(tmp_path: Path) -> None:
    """The largest file of the worst kinds costs seconds, not hours: nothing is quadratic, values are counted early."""
    path = tmp_path / "postroom.yaml"
    for line in (b"- a\n", b"[", b"{a: ", b"? ", b"a: &a [*a]\n", b"#", b"a", b"'", b'"\n', b"- - - ", b"!a "):
        path.write_bytes((line * (MAX_OCTETS // len(line) + 1))[:MAX_OCTETS])
        begin = time.process_time()
        complaint(path)
        assert time.process_time() - begin < 10, line


def test_machine_name_is_the_kernels_when_it_is_full() -> None:
    """Only a short name is taken to the resolver, which may have to wait for DNS."""
    assert machine_name(lambda: "a.example.org", lambda: "b.example.net") == "a.example.org"
    assert machine_name(lambda: "a", lambda: "a.example.net") == "a.example.net"
