"""Rules between settings that stand side by side.

They look at the values as written, before each is read for itself, so that one
run shows these faults and all others. What is not a list or a mapping is passed
over here: its own reading complains.
"""

from collections.abc import Container, Iterator, Sequence

from pydantic_core import InitErrorDetails

from postroom.config.section import fault
from postroom.config.units import quoted


def claimed_twice(clients: object) -> Iterator[InitErrorDetails]:
    """Find users, uids and groups that two clients claim: whose process it is must have one answer."""
    owners: dict[tuple[str, object], str] = {}
    for client, settings in clients.items() if isinstance(clients, dict) else ():
        for claim in ("users", "uids", "groups"):
            listed = settings.get(claim) if isinstance(settings, dict) else None
            for index, who in enumerate(listed if isinstance(listed, list | tuple) else ()):
                if not isinstance(who, str | int):
                    continue
                owner = owners.setdefault((claim, who), client)
                if owner != client:
                    error = ValueError(
                        f"{quoted(str(who))} stands for client {quoted(owner)} and for client {quoted(client)}; "
                        "a process belongs to one client: delete one of the two"
                    )
                    yield fault((client, claim, index), error)


def named_twice(limits: object) -> Iterator[InitErrorDetails]:
    """Find limits with the name of an earlier one: logs and refusals tell them apart by it."""
    first: dict[str, int] = {}
    for index, limit in enumerate(limits if isinstance(limits, list | tuple) else ()):
        name = limit.get("name") if isinstance(limit, dict) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            yield fault(
                (index, "name"), ValueError(f"{quoted(name)} is also the name of limits[{first[name]}]; rename one")
            )


def unknown_clients(listed: Sequence[Sequence[str]], clients: Container[str]) -> Iterator[InitErrorDetails]:
    """Find clients that senders name and submission does not: a slip, or one that was taken out."""
    for index, names in enumerate(listed):
        for at, name in enumerate(names):
            if name not in clients:
                error = ValueError(f"{quoted(name)} is not one of submission.clients; correct it, or add it there")
                yield fault(("allow", index, "clients", at), error)


def selected_twice(keys: object) -> Iterator[InitErrorDetails]:
    """Find keys of one domain with the selector of an earlier one: DNS has one public key at that name."""
    first: dict[str, int] = {}
    for index, key in enumerate(keys if isinstance(keys, list | tuple) else ()):
        selector = key.get("selector") if isinstance(key, dict) else None
        if isinstance(selector, str) and first.setdefault(selector.lower(), index) != index:
            text = f"{quoted(selector)} is also the selector of dkim[{first[selector.lower()]}]; give each key its own"
            yield fault((index, "selector"), ValueError(text))
