"""Who asks, and whether it asks too often: the kernel's word, mapped to a client of the configuration and counted.

A client is an application or a person, known by uid or by group. Root is a
client only where the configuration says so, and nobody is an admin by uid 0. Each request counts against the limits
of `requests`, so that a client that runs wild does not fill the outbox; limits of mail are asked at the hand-over.

Source:  unix(7): SO_PEERCRED; SO_PEERGROUPS (the peer's supplementary groups at connect time).
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from postroom.limits.limiter import Limiter
from postroom.limits.subject import of_request
from postroom.runtime.accounts import Accounts
from postroom.submission.api.problem import ApiProblem

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


class Admission:
    """Admits requests, or refuses them with 429."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    async def admit(self, client: Client, request_id: str) -> None:
        """Count one request of this client.

        Raises:
            ApiProblem: 429, it is over a limit; nothing was counted.
        """
        verdict = (await self._limiter.decide(request_id, "socket", of_request(client.name))).verdict
        if not verdict.allowed:
            raise ApiProblem(
                429,
                "limited",
                f"over the limit {verdict.rule}; nothing was accepted, the same request fits in "
                f"{verdict.retry_after_s:.0f} s",
                retry_after_s=max(1.0, verdict.retry_after_s),
            )


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
