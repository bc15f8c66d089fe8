"""sockets.py: which of Postfix's sockets a daemon connects to."""

import os
import socket
from pathlib import Path

import pytest

from postroom.postfix.sockets import PUBLIC_SHOWQ, probe_socket, showq_socket

HANDOVER = Path("/x/postroom-in")


@pytest.mark.process
def test_what_is_configured_comes_first_then_what_systemd_offers(bed: Path) -> None:
    """A path that is there and no socket, or that is not for us, is passed over."""
    assert showq_socket(None, bed) == PUBLIC_SHOWQ
    assert probe_socket(None, bed, HANDOVER) == HANDOVER
    (bed / "showq.sock").touch()
    assert showq_socket(None, bed) == PUBLIC_SHOWQ
    (bed / "showq.sock").unlink()
    for name in ("showq.sock", "probe.sock"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(bed / name))
    assert showq_socket(None, bed) == bed / "showq.sock"
    assert probe_socket(None, bed, HANDOVER) == bed / "probe.sock"
    assert showq_socket(Path("/y"), bed) == probe_socket(Path("/y"), bed, HANDOVER) == Path("/y")
    if os.geteuid() != 0:
        (bed / "showq.sock").chmod(0o400)
        assert showq_socket(None, bed) == PUBLIC_SHOWQ
