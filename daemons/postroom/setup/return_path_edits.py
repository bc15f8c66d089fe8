"""The return-path domains in main.cf: Postfix takes their mail from the world, and brings it to the watcher.

Pure; the pieces are watcher.main.cf and, for what a site may have besides, beside.main.cf.

Source:  postconf(5) relay_domains, relay_recipient_maps, compatibility_level; transport(5).
"""

import re
from collections.abc import Mapping, Sequence

from postroom.setup.marks import lines_of
from postroom.setup.postfix_files import Parameter, parameters, words

REGIONS = ("return", "list relay_domains")
"""The regions by which Postfix takes mail for the return-path domains from the world."""

_EXAMPLE = "bounces.example.org"


def return_domains(main: str) -> frozenset[str]:
    """The domains whose mail goes to the watcher, in a woven main.cf."""
    wired = parameters(lines_of(main)).get("postroom_return_domains")
    return frozenset() if wired is None else frozenset(words(wired.value))


def returning(set_here: Mapping[str, Parameter], pieces: Mapping[str, str], domains: Sequence[str]) -> dict[str, str]:
    """What brings the mail of these domains to the watcher, beside whatever the site relays and routes."""
    pieces = {name: _with_domains(pieces[name], domains) for name in ("watcher.main.cf", "beside.main.cf")}
    added = {name: parameter.value for name, parameter in parameters(lines_of(pieces["watcher.main.cf"])).items()}
    if "relay_domains" not in set_here and _level(set_here) < 2:
        # What Postfix has below level 2 where a site says nothing: names below those of mydestination are relayed for.
        added["relay_domains"] += ", $mydestination"
    if "relay_recipient_maps" in set_here and set_here["relay_recipient_maps"].value:
        name = "postroom_return_recipients"
        added[name] = parameters(lines_of(pieces["beside.main.cf"]))[name].value
        added["relay_recipient_maps"] = f"${name}"
    return added


def _level(set_here: Mapping[str, Parameter]) -> int:
    found = re.match(r"\d+", set_here["compatibility_level"].value) if "compatibility_level" in set_here else None
    return int(found[0]) if found else 0


def _with_domains(piece: str, domains: Sequence[str]) -> str:
    """The piece with the return-path domains in place of its example."""

    def filled(found: re.Match[str]) -> str:
        return ", ".join(found[0].replace(_EXAMPLE, domain) for domain in domains)

    return re.sub(rf"\{{ @?{_EXAMPLE} = \S+ \}}|{_EXAMPLE}", filled, piece)
