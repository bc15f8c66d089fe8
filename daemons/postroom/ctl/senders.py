"""Who may write From which address, in words, and what an operator should know of it: for `postroom check`."""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network

from postroom.config.model import Config
from postroom.config.sections.senders import SenderSection

POSTCONF_TIMEOUT_S = 10.0
NO_TABLE = (
    "senders: there is no table, so whoever may send through this host may write From every domain of ours, and it is "
    "signed; mend: say who may write what, as docs/operating.md tells under Signing"
)
_LOOPBACK = (ip_network("127.0.0.1"), ip_network("::1"))


def summary(config: Config) -> list[str]:
    """A line for each kind of address; none without a table."""
    senders = config.senders
    if not senders.is_table:
        return []
    lines = [f"{_what(entry)}: {_who(entry)}" for entry in senders.allow]
    if senders.logins == "own_domain":
        lines.append("every address of its own domain, if that is one of `domains`: a login that no entry names")
    elif senders.logins == "own_address":
        lines.append("its own address: a login that no entry names")
    lines += [
        f"its own name at {config.hostname} and at Postfix's myorigin: a user of this host",
        "every address at these two: root",
        f"nothing else: everybody; it is {'refused' if senders.others == 'refuse' else 'passed without a signature'}",
    ]
    return lines


def notes(config: Config) -> Iterator[str]:
    """What an operator should know of who may write; nothing of it keeps a daemon from starting."""
    if not config.senders.is_table:
        yield NO_TABLE
    for index, entry in enumerate(config.senders.allow):
        for network in entry.networks:
            if any(network.version == local.version and local.overlaps(network) for local in _LOOPBACK):
                yield (
                    f"senders.allow[{index}].networks: {network} names every user of this host; "
                    "mend: name those who need it under users or uids"
                )


def notes_of_postfix(config: Config) -> Iterator[str]:
    """Where Postfix does not tell the milter whose a connection is; nothing where it does not answer."""
    from postroom.postfix import postconf
    from postroom.postfix.commands import PostfixCommandFailed
    from postroom.postfix.macros import CONNECT_MACROS, NEEDED, lacks_needed

    if not config.senders.is_table:
        return
    with suppress(PostfixCommandFailed):
        places = {"main.cf": postconf.expanded(CONNECT_MACROS, POSTCONF_TIMEOUT_S)}
        places |= postconf.in_services(CONNECT_MACROS, POSTCONF_TIMEOUT_S)
        for place in (place for place, macros in places.items() if lacks_needed(macros)):
            yield (
                f"{place}: {CONNECT_MACROS} lacks one of {' '.join(NEEDED)}, so users of this host who send by SMTP "
                "are not known there; mend: run scripts/setup-postfix.sh again, or add it in "
                f"{place if place == 'main.cf' else 'master.cf'}, then `postfix reload`"
            )


def _what(entry: SenderSection) -> str:
    every = [f"every address of {', '.join(entry.domains)}"] if entry.domains else []
    return " and ".join([*every, *([", ".join(entry.addresses)] if entry.addresses else [])])


def _who(entry: SenderSection) -> str:
    uids = [str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}" for one in entry.uids]
    kinds = {
        "users": entry.users,
        "uids": uids,
        "groups": entry.groups,
        "logins": entry.logins,
        "clients": entry.clients,
        "networks": entry.networks,
    }
    return "; ".join(f"{kind} {', '.join(map(str, named))}" for kind, named in kinds.items() if named)
