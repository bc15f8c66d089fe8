"""Users and groups of this host: from names in the configuration to numbers, and from a uid to name and groups.

Source:  passwd(5), group(5), by nsswitch.conf(5); getgrouplist(3).
"""

import grp
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass

POSTFIX_USER = "postfix"


@dataclass(frozen=True, slots=True)
class Accounts:
    """What stands for a client: uids and gids."""

    uids: frozenset[int]
    gids: frozenset[int]


class AccountUnknown(Exception):
    """The configuration names a user or group this host does not have."""


def accounts_of(users: Iterable[str], uids: Iterable[int], groups: Iterable[str]) -> Accounts:
    """The uids and gids of these accounts of this host.

    Raises:
        AccountUnknown: this host has no such user or group.
    """
    found = set(uids)
    gids = set()
    for user in users:
        try:
            found.add(pwd.getpwnam(user).pw_uid)
        except KeyError:
            raise AccountUnknown(f"this host has no user {user!r}; mend: create it, or take it out") from None
    for group in groups:
        try:
            gids.add(grp.getgrnam(group).gr_gid)
        except KeyError:
            raise AccountUnknown(f"this host has no group {group!r}; mend: create it, or take it out") from None
    return Accounts(frozenset(found), frozenset(gids))


def postfix_uid() -> int | None:
    """The uid of Postfix's unprivileged processes (mail_owner); None where there is no such user."""
    try:
        return pwd.getpwnam(POSTFIX_USER).pw_uid
    except KeyError:
        return None


def postfix_uids() -> frozenset[int]:
    """The same as a set: nobody where there is no such user."""
    uid = postfix_uid()
    return frozenset() if uid is None else frozenset({uid})


def groups_of(uid: int) -> frozenset[int]:
    """The groups of a user, as a login would have them; none of a uid without a name."""
    try:
        user = pwd.getpwuid(uid)
        return frozenset(os.getgrouplist(user.pw_name, user.pw_gid))
    except KeyError:
        return frozenset()


def name_of(uid: int) -> str:
    """The account name of a uid; "" of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
