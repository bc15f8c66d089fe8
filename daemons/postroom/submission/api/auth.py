"""Who is on the other end of the socket: the kernel's word, mapped to a client of the configuration.

A client is an application or a person, known by uid or by group. Root is a
client only where the configuration says so, and nobody is an admin by uid 0.

Source:  unix(7): SO_PEERCRED; SO_PEERGROUPS (the peer's supplementary groups at connect time).
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from postroom.runtime.accounts import Accounts

SO_PEERGROUPS = 59
_UCRED = struct.Struct("iII")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Client:
    """A client by its name in the configuration. An admin may read all clients' messages."""

    name: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Peer:
    """The process on the other end."""

    uid: int
    gids: frozenset[int]


class Clients:
    """Finds the client of a peer: by uid first, then by group, in the order of the configuration."""

    def __init__(self, clients: Mapping[Client, Accounts]) -> None:
        self._by_uid = {uid: client for client, accounts in clients.items() for uid in accounts.uids}
        self._by_gid = [(gid, client) for client, accounts in clients.items() for gid in accounts.gids]

    def find(self, peer: Peer) -> Client | None:
        """The client this peer is, or None."""
        by_uid = self._by_uid.get(peer.uid)
        if by_uid is not None:
            return by_uid
        return next((client for gid, client in self._by_gid if gid in peer.gids), None)


def peer_of(sock: socket.socket) -> Peer:
    """Who connected this socket.

    Raises:
        OSError: the kernel does not say (not a Unix socket, or the peer is gone).
    """
    _pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(uid, frozenset({gid, *_peer_groups(sock.fileno())}))


def _peer_groups(fd: int) -> Iterable[int]:
    # Not socket.getsockopt: it takes 1024 octets at most, and a directory service gives people more groups than 256.
    octets = ctypes.c_uint(0)
    while True:
        gids = (ctypes.c_uint * (octets.value // 4))()
        if _libc.getsockopt(fd, socket.SOL_SOCKET, SO_PEERGROUPS, gids, ctypes.byref(octets)) == 0:
            return gids
        # ERANGE: the kernel has written how many octets there are.
        if (number := ctypes.get_errno()) != errno.ERANGE:
            raise OSError(number, os.strerror(number))
