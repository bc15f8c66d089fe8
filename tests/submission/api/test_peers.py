"""auth.py: the kernel says who is on the other end, and the configuration who that is."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from postroom.runtime.accounts import Accounts, AccountUnknown, accounts_of
from postroom.submission.api.auth import Client, Clients, Peer, peer_of

SHOP, REPORTS = Client("shop", admin=False), Client("reports", admin=True)
CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"


def peer_run_as(path: Path, *options: str) -> Peer:
    """The peer that a process started by setpriv(1) with these options is."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        path.parent.chmod(0o711)
        listener.listen()
        listener.settimeout(20)
        # By its descriptor: another user may not enter the folders above it.
        here = os.open(path.parent, os.O_PATH)
        try:
            with subprocess.Popen(
                ["setpriv", *options, "/usr/bin/python3", "-c", CONNECT, f"/proc/self/fd/{here}/{path.name}"],
                pass_fds=[here],
            ):
                connection, _ = listener.accept()
                with connection:
                    return peer_of(connection)
        finally:
            os.close(here)


def test_the_peer_of_our_own_connection_is_us() -> None:
    """uid, primary group and supplementary groups of the process that connected."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getuid(), frozenset({os.getgid(), *os.getgroups()}))


def test_a_socket_without_a_peer_is_an_error_not_a_guess() -> None:
    """TCP has no peer credentials: whoever asks learns it."""
    with socket.socket() as tcp, pytest.raises(OSError, match=r"\[Errno"):
        peer_of(tcp)


@pytest.mark.postfix
def test_a_peer_of_another_uid_is_known_by_uid_and_all_its_groups(bed: Path) -> None:
    """setpriv(1) makes the process what it is; the kernel says so."""
    options = ("--reuid=4321", "--regid=4322", "--groups=4323,4324")
    assert peer_run_as(bed / "s", *options) == Peer(4321, frozenset({4322, 4323, 4324}))


@pytest.mark.postfix
@pytest.mark.parametrize("count", [64, 65, 100, 257, 2000])
def test_a_peer_in_very_many_groups_is_known_by_the_last_of_them(bed: Path, count: int) -> None:
    """Directory services put people into hundreds of groups (NGROUPS_MAX is 65536)."""
    groups = range(10_000, 10_000 + count)
    peer = peer_run_as(bed / "s", "--reuid=4321", "--regid=4322", "--groups=" + ",".join(map(str, groups)))
    assert peer.gids == {4322, *groups}


@pytest.mark.postfix
def test_the_largest_uid_is_no_negative_number(bed: Path) -> None:
    """uid_t is unsigned; 4294967294 is `nobody` in some places."""
    assert peer_run_as(bed / "s", "--reuid=4294967294", "--regid=4294967294", "--clear-groups") == Peer(
        4294967294, frozenset({4294967294})
    )


def test_a_client_is_found_by_uid_before_group() -> None:
    """A process that is one client by its uid is not another by a group it happens to be in."""
    clients = Clients({REPORTS: Accounts(frozenset(), frozenset({50})), SHOP: Accounts(frozenset({10}), frozenset())})
    assert clients.find(Peer(10, frozenset({50}))) == SHOP
    assert clients.find(Peer(11, frozenset({1, 50}))) == REPORTS
    assert clients.find(Peer(11, frozenset({1}))) is None


def test_of_two_groups_the_first_of_the_configuration_decides() -> None:
    """The order of the configuration, not the numbers."""
    first = Accounts(frozenset(), frozenset({99}))
    clients = Clients({SHOP: first, REPORTS: Accounts(frozenset(), frozenset({1}))})
    assert clients.find(Peer(7, frozenset({1, 99}))) == SHOP


def test_root_is_nobody_unless_the_configuration_says_so() -> None:
    """uid 0 has no name here by itself."""
    assert Clients({SHOP: Accounts(frozenset({10}), frozenset())}).find(Peer(0, frozenset({0}))) is None


def test_accounts_are_looked_up_on_this_host() -> None:
    """Names become numbers; numbers need no name."""
    assert accounts_of(["root"], [4321], ["root"]) == Accounts(frozenset({0, 4321}), frozenset({0}))


@pytest.mark.parametrize(("users", "groups", "word"), [(["no-such"], [], "user"), ([], ["no-such"], "group")])
def test_an_account_this_host_lacks_is_named(users: list[str], groups: list[str], word: str) -> None:
    """The operator reads which one, and what to do."""
    with pytest.raises(AccountUnknown, match=f"no {word} 'no-such'; mend"):
        accounts_of(users, [], groups)
