"""Secrets as daemons read them: from the file, or from the credential systemd made of it."""

from pathlib import Path

import pytest

from postroom.runtime.keys import read_key
from postroom.runtime.lifecycle import StartRefused


def test_a_credential_of_the_files_name_goes_first(tmp_path: Path) -> None:
    """The file itself may be out of the daemon's reach; a credential of another name is no key."""
    file, credentials = tmp_path / "keys" / "return-path.key", tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "other.key").write_bytes(b"o" * 32)
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    with pytest.raises(StartRefused, match=r"keys/return-path\.key: cannot be read .*; mend: `postroom store init`"):
        read_key(file, environment)
    (credentials / "return-path.key").write_bytes(b"c" * 32)
    assert read_key(file, environment) == b"c" * 32
    file.parent.mkdir()
    file.write_bytes(b"f" * 32)
    assert read_key(file, environment) == b"c" * 32
    assert read_key(file, {}) == b"f" * 32


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    """Cut short, it would sign and hash all the same."""
    (tmp_path / "k").write_bytes(b"f" * 31)
    with pytest.raises(StartRefused, match="is not a key of 32 octets; mend: restore it from a backup"):
        read_key(tmp_path / "k", {})
