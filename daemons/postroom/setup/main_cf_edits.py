"""Postroom's part of main.cf: limits and signing at port 25, the sendmail door, the return path, who lists the queue.

    a parameter the site does not set    into a block at the end
    a list the site sets already         edited in its place, the original kept above it as a comment

Pure; the values are those of the pieces in postfix-conf/, where the reasons stand.

Source:  Postfix SMTPD_POLICY_README, MILTER_README; postconf(5) relay_domains, relay_recipient_maps,
         compatibility_level, authorized_mailq_users; transport(5).
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence

from postroom.postfix.macros import CONNECT_MACROS, lacks_needed
from postroom.setup.marks import ended, lines_of, region
from postroom.setup.postfix_files import Parameter, parameters, words

LISTS = ("smtpd_recipient_restrictions", "smtpd_end_of_data_restrictions")
"""The lists of smtpd in which Postroom's policy service is asked."""

QUEUE_READERS = "authorized_mailq_users"

RETURN_PATH_REGIONS = ("return", "list relay_domains")
"""The regions by which Postfix takes mail for the return-path domains from the world."""

HEAD = "# Written by scripts/setup-postfix.sh, taken out by scripts/uninstall.sh; postfix-conf/ has the reasons.\n"
"""The first line of our block in main.cf and in master.cf."""

LOOPBACK = ("127.0.0.0/8", "[::1]/128")
"""The networks that the pieces have as an example, and that count where a site names none we can use."""

_EXAMPLE_DOMAIN = "bounces.example.org"
_OURS_LAST = {"smtpd_milters", "smtpd_restriction_classes", CONNECT_MACROS}


def edited_main_cf(
    main: str,
    pieces: Mapping[str, str],
    mynetworks: str,
    return_domains: Sequence[str],
    *,
    sendmail_door: bool,
    queue_readers: Sequence[str] | None = None,
) -> str:
    """The main.cf with our part.

    Args:
        pieces:        the files of postfix-conf/ by their names.
        mynetworks:    `postconf -xh mynetworks`.
        queue_readers: users who may list the queue beside root and Postfix; None leaves it to the site.
    """
    present = parameters(lines_of(main))
    ours = _policy_and_milter(present, pieces, mynetworks, has_return_path=bool(return_domains))
    if sendmail_door:
        ours |= _values(pieces["sendmail.main.cf"])
    if return_domains:
        ours |= _return_path(present, pieces, return_domains)
    if queue_readers:
        ours[QUEUE_READERS] = ", ".join(queue_readers)
    lines = lines_of(ended(main)) if main else []
    # From the end, so that the line numbers of those before stay right.
    for parameter in sorted((present[name] for name in ours if name in present), key=lambda found: -found.first):
        lines[parameter.first : parameter.end] = _edited_list(parameter, ours[parameter.name], lines)
    if return_domains and "relay_domains" not in present:
        # In a region of its own: uninstallation removes it before the rest.
        lines += region(RETURN_PATH_REGIONS[0], [f"relay_domains = {ours.pop('relay_domains')}\n"])
    block = [f"{name} = {value}\n" for name, value in ours.items() if name not in present]
    return "".join(lines + end_region(main, "settings", [HEAD, *block]))


def end_region(original: str, name: str, inserted: Sequence[str]) -> list[str]:
    """The region at the end of a file that was `original`."""
    return region(name, inserted, unended=bool(original) and not original.endswith("\n"))


def own_networks(mynetworks: str) -> tuple[str, ...]:
    """The networks of a mynetworks value that a cidr table can hold; tables, names and exclusions are left out."""
    found = []
    for word in re.split(r"[\s,]+", mynetworks):
        try:
            network = ipaddress.ip_network(word.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            continue
        # Clients of mapped addresses are seen by their IPv4 address.
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
            continue
        address, length = str(network).split("/")
        found.append(f"[{address}]/{length}" if network.version == 6 else str(network))
    return tuple(found) or LOOPBACK


def networks_beyond_loopback(mynetworks: str) -> tuple[str, ...]:
    """The networks of a mynetworks value that other machines are in, as the configuration writes them."""
    networks = (ipaddress.ip_network(re.sub(r"[\[\]]", "", network)) for network in own_networks(mynetworks))
    return tuple(str(network) for network in networks if not network.is_loopback)


def wired_return_domains(main: str) -> frozenset[str]:
    """The return-path domains in our part of a main.cf: those whose mail goes to the watcher."""
    parameter = parameters(lines_of(main)).get("postroom_return_domains")
    return frozenset() if parameter is None else frozenset(words(parameter.value))


def wired_queue_readers(main: str) -> tuple[str, ...] | None:
    """Who may list the queue by our part of a main.cf; None where it says nothing of that."""
    regions = re.findall(r"^# BEGIN postroom .*?^# END postroom", main, re.MULTILINE | re.DOTALL)
    ours = [parameters(lines_of(text)).get(QUEUE_READERS) for text in regions]
    return next((tuple(re.split(r"[,\s]+", one.value)) for one in ours if one is not None), None)


def _policy_and_milter(
    present: Mapping[str, Parameter], pieces: Mapping[str, str], mynetworks: str, *, has_return_path: bool
) -> dict[str, str]:
    networks = own_networks(mynetworks)
    policy, beside = (_values(_with_networks(pieces[name], networks)) for name in ("policy.main.cf", "beside.main.cf"))
    ours = {"postroom_milter": beside["postroom_milter"], "smtpd_milters": "$postroom_milter", **policy}
    if CONNECT_MACROS not in present:
        ours[CONNECT_MACROS] = _values(pieces["milter.main.cf"])[CONNECT_MACROS]
    elif lacks_needed(present[CONNECT_MACROS].value):
        ours |= {"postroom_macros": beside["postroom_macros"], CONNECT_MACROS: "$postroom_macros"}
    if not any(_is_set(present, name) for name in LISTS) and not _has_logins(present):
        return ours
    # Lists as the piece has them would end the site's own, and count no login from outside: beside.main.cf is for that.
    ours |= {name: beside[name] for name in ("postroom_own", "postroom_ask", "smtpd_restriction_classes")}
    ours |= dict.fromkeys(LISTS, "$postroom_ask")
    if has_return_path:
        # Policy is asked about the world's mail too, and first: what is no address there is refused at RCPT.
        ours["smtpd_recipient_restrictions"] = "$postroom_policy_inbound, $postroom_ask"
    # postconf(1) warns of parameters that nothing uses. Here those who log in are in postroom_own.
    for name in ("postroom_logged_in", "postroom_of_login"):
        ours.pop(name, None)
    used = " ".join(ours.values())
    return {name: value for name, value in ours.items() if not name.startswith("postroom_") or name in used}


def _return_path(
    present: Mapping[str, Parameter], pieces: Mapping[str, str], return_domains: Sequence[str]
) -> dict[str, str]:
    """What brings the mail of these domains to the watcher, beside whatever the site relays and routes."""
    ours = _values(_with_domains(pieces["watcher.main.cf"], return_domains))
    if "relay_domains" not in present and _compatibility_level(present) < 2:
        # Postfix's default below level 2, which ours replaces: it relays for subdomains of those in mydestination.
        ours["relay_domains"] += ", $mydestination"
    if _is_set(present, "relay_recipient_maps"):
        name = "postroom_return_recipients"
        ours[name] = _values(_with_domains(pieces["beside.main.cf"], return_domains))[name]
        ours["relay_recipient_maps"] = f"${name}"
    return ours


def _edited_list(parameter: Parameter, ours: str, lines: Sequence[str]) -> list[str]:
    """The region that replaces a list of the site."""
    if parameter.name == QUEUE_READERS:
        # Beside those of the site, all of whom may, ours would change nothing.
        line = f"{parameter.name} = {ours}\n"
        return region(f"list {parameter.name}", [line], lines[parameter.first : parameter.end])
    # Last among milters, for what changes a mail after ours breaks the signature; first where a permit ends the list.
    both = (parameter.value, ours) if parameter.name in _OURS_LAST else (ours, parameter.value)
    line = f"{parameter.name} = {', '.join(part.strip(', ') for part in both if part)}\n"
    return region(f"list {parameter.name}", [line], lines[parameter.first : parameter.end])


def _values(piece: str) -> dict[str, str]:
    return {name: parameter.value for name, parameter in parameters(lines_of(piece)).items()}


def _is_set(present: Mapping[str, Parameter], name: str) -> bool:
    return name in present and bool(present[name].value)


def _has_logins(present: Mapping[str, Parameter]) -> bool:
    return "smtpd_sasl_auth_enable" in present and present["smtpd_sasl_auth_enable"].value != "no"


def _compatibility_level(present: Mapping[str, Parameter]) -> int:
    found = re.match(r"\d+", present["compatibility_level"].value) if "compatibility_level" in present else None
    return int(found[0]) if found else 0


def _with_networks(piece: str, networks: Sequence[str]) -> str:
    """The piece with the site's networks in place of its example."""

    def entries(example: re.Match[str]) -> str:
        return ", ".join(f"{{ {network} {example[1]} }}" for network in networks)

    return re.sub(r"\{ 127\.0\.0\.0/8 (\w+) \}, \{ \[::1\]/128 \1 \}", entries, piece)


def _with_domains(piece: str, domains: Sequence[str]) -> str:
    """The piece with the return-path domains in place of its example."""

    def entries(example: re.Match[str]) -> str:
        return ", ".join(example[0].replace(_EXAMPLE_DOMAIN, domain) for domain in domains)

    return re.sub(rf"\{{ @?{_EXAMPLE_DOMAIN} = \S+ \}}|{_EXAMPLE_DOMAIN}", entries, piece)
