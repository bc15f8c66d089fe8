"""Postroom's part of main.cf and master.cf, woven into what a site has there, and taken out again.

    main.cf     a block at the end; a list that the site has already is edited in its place, the original kept above it
    master.cf   a block with our services at the end; options behind those of pickup and of each submission service

An option that is written again wins over the one before (postconf -P agrees), so the site's own lines in master.cf stay
as they are. Pure; the pieces are the files of postfix-conf/.

Source:  Postfix SMTPD_POLICY_README, MILTER_README; WHY each line is there stands in the pieces.
BUGS:    a submission service is known by its name, or by its own smtpd_sasl_auth_enable=yes.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postroom.setup.marks import Unmarked, lines_of, region, unmarked
from postroom.setup.postfix_files import Parameter, Service, logical_lines, parameters, services
from postroom.setup.return_path_edits import REGIONS, returning

PIECES = (
    "policy.main.cf",
    "beside.main.cf",
    "sendmail.main.cf",
    "watcher.main.cf",
    "submission.master.cf",
    "sendmail.master.cf",
    "sendmail.pickup.master.cf",
)
"""The files of postfix-conf/ that are woven."""

ENTRANCE = "entrance"
"""The region by which pickup sends its mail through the sendmail door."""

_OURS = re.compile(r"[ \t]*,?[ \t]*\$?postroom_\w+")
_BY_HAND = re.compile(r"\bpostroom(-in|-door|_\w+|/(policy|milter|lmtp)\.sock)\b")
_LISTS = ("smtpd_recipient_restrictions", "smtpd_end_of_data_restrictions")
_SUBMISSION = {"submission", "submissions", "smtps", "587", "465"}
_MILTER = "unix:postroom/milter.sock"
_FILLED = ("127.0.0.0/8", "[::1]/128")
_SIGNERS = re.compile(r"dkim|:8891\b|:12301\b|rspamd|:11332\b", re.IGNORECASE)


class CannotEdit(ValueError):
    """The site's files have something in the way; the text says what, where and how to mend."""


@dataclass(frozen=True)
class Site:
    """What of a host decides how it is woven.

    Attributes:
        networks:      `postconf -h mynetworks`, as written there.
        sendmail_door: whether sendmail(1)'s mail goes through the door.
        returns:       the return-path domains, whose mail goes to the watcher.
    """

    networks: str
    sendmail_door: bool = True
    returns: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditedFiles:
    """The files as they are to be, and what the operator should know."""

    main: str
    master: str
    notices: tuple[str, ...]


def weave(main: str, master: str, pieces: Mapping[str, str], site: Site) -> EditedFiles:
    """Weave into files that have nothing of ours (see `unwoven`).

    Raises:
        CannotEdit: they name Postroom already, or pickup's mail goes elsewhere.
    """
    for name, text in (("main.cf", main), ("master.cf", master)):
        for first, _, line in logical_lines(lines_of(text)):
            if _BY_HAND.search(line):
                raise CannotEdit(
                    f"{name}: line {first + 1} is of a Postroom that was set up by hand; mend: take out what it added"
                )
    set_here = parameters(lines_of(main))
    woven_main = _main(main, set_here, pieces, site)
    woven_master = _master(master, set_here, pieces, site.sendmail_door)
    return EditedFiles(woven_main, woven_master, tuple(_notices(set_here, services(lines_of(master)), site)))


def unwoven(text: str, only: Sequence[str] | None = None) -> Unmarked:
    """What a main.cf or master.cf is without us; of a list that was edited since, all but our words stays.

    Raises:
        MarksBroken: somebody deleted one of our marks.
    """
    return unmarked(text, _without_ours, only)


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
    return tuple(found) or _FILLED


def _main(main: str, set_here: Mapping[str, Parameter], pieces: Mapping[str, str], site: Site) -> str:
    networks = own_networks(site.networks)
    policy, beside = (_with_networks(pieces[name], networks) for name in ("policy.main.cf", "beside.main.cf"))
    # As the piece has it, unless there is a list it would end, or people log in at port 25 from anywhere.
    alone = not any(name in set_here and set_here[name].value for name in _LISTS) and not _logs_in(set_here)
    wanted = {name: parameter.value for name, parameter in parameters(lines_of(policy)).items()}
    extra = {name: parameter.value for name, parameter in parameters(lines_of(beside)).items()}
    added = {"postroom_milter": extra["postroom_milter"], "smtpd_milters": "$postroom_milter", **wanted}
    if not alone:
        asks = {"postroom_own": extra["postroom_own"], "postroom_ask": extra["postroom_ask"]}
        added |= {**asks, "smtpd_restriction_classes": extra["smtpd_restriction_classes"]}
        added |= dict.fromkeys(_LISTS, "$postroom_ask")
        if site.returns:
            # The world is asked about too, and first: what is no address there is refused at RCPT.
            added["smtpd_recipient_restrictions"] = "$postroom_policy_inbound, $postroom_ask"
        # postconf(1) warns of words that nothing uses. Here those who log in are of postroom_own.
        for name in ("postroom_logged_in", "postroom_of_login"):
            added.pop(name, None)
        used = " ".join(added.values())
        added = {name: value for name, value in added.items() if not name.startswith("postroom_") or name in used}
    if site.sendmail_door:
        added |= {name: found.value for name, found in parameters(lines_of(pieces["sendmail.main.cf"])).items()}
    if site.returns:
        added |= returning(set_here, pieces, site.returns)
    edits = {set_here[name]: value for name, value in added.items() if name in set_here}
    lines = _ended(main)
    for parameter, value in sorted(edits.items(), key=lambda edit: -edit[0].first):
        # Ours is the last milter, for what changes a message after it breaks the signature; in lists it stands first.
        both = (
            (parameter.value, value)
            if parameter.name in {"smtpd_milters", "smtpd_restriction_classes"}
            else (
                value,
                parameter.value,
            )
        )
        live = f"{parameter.name} = {', '.join(part.strip(', ') for part in both if part)}\n"
        kept = lines[parameter.first : parameter.end]
        lines[parameter.first : parameter.end] = region(f"list {parameter.name}", [live], kept)
    if site.returns and "relay_domains" not in set_here:
        # By itself: uninstallation takes it out before the rest.
        lines += region(REGIONS[0], [f"relay_domains = {added.pop('relay_domains')}\n"])
    block = [f"{name} = {value}\n" for name, value in added.items() if name not in set_here]
    return _with_block(lines, main, "settings", [*_HEAD, *block])


_HEAD = ("# Written by scripts/setup-postfix.sh, taken out by scripts/uninstall.sh; postfix-conf/ has the reasons.\n",)


def _master(master: str, set_here: Mapping[str, Parameter], pieces: Mapping[str, str], door: bool) -> str:
    lines = _ended(master)
    entrance = [line for line in lines_of(pieces["sendmail.pickup.master.cf"]) if not line.startswith("#")]
    for service in reversed(services(lines)):
        if door and (service.name, service.command) == ("pickup", "pickup"):
            taken = service.options.keys() & {"content_filter", "receive_override_options"}
            if taken:
                raise CannotEdit(
                    f"master.cf: pickup has {', '.join(sorted(taken))} of its own; "
                    "mend: take that out, or set up without the sendmail door (--no-sendmail-door)"
                )
            lines[service.end : service.end] = region(ENTRANCE, entrance)
        elif _is_submission(service):
            options = _submission_options(service, set_here)
            lines[service.end : service.end] = region(f"service {service.name}", options)
    if door and not any(service.name == "pickup" for service in services(lines)):
        raise CannotEdit("master.cf: has no pickup, so no mail of sendmail(1); mend: --no-sendmail-door")
    handover = pieces["submission.master.cf"].replace("smtpd_milters=\n", "smtpd_milters=$postroom_milter\n")
    block = [*_HEAD, *lines_of(handover)]
    if door:
        text = pieces["sendmail.master.cf"].replace(f"smtpd_milters={_MILTER}", "smtpd_milters=$postroom_milter")
        site_filter = set_here["content_filter"].value if "content_filter" in set_here else ""
        if site_filter:
            text = text.replace("-o content_filter=\n", f"-o {{ content_filter = {site_filter} }}\n")
        block += lines_of(text)
    return _with_block(lines, master, "services", block)


def _submission_options(service: Service, set_here: Mapping[str, Parameter]) -> list[str]:
    live = ["# These stand for options of the same name above.\n"]
    # A permit or reject of the site's list would end it: ours is asked first.
    for name in _LISTS:
        site = service.options.get(name, set_here[name].value if name in set_here else "")
        live.append(f"    -o {{ {name} = {', '.join(part for part in ('$postroom_policy_smtp', site) if part)} }}\n")
    if "smtpd_milters" in service.options:
        both = [part for part in (service.options["smtpd_milters"], "$postroom_milter") if part]
        live.append(f"    -o {{ smtpd_milters = {', '.join(both)} }}\n")
    return live


def _ended(text: str) -> list[str]:
    return lines_of(text if not text or text.endswith("\n") else f"{text}\n")


def _with_block(lines: Sequence[str], original: str, name: str, live: Sequence[str]) -> str:
    return "".join([*lines, *region(name, live, unended=bool(original) and not original.endswith("\n"))])


def _with_networks(piece: str, networks: Sequence[str]) -> str:
    """The piece with the site's networks in place of its example."""

    def filled(found: re.Match[str]) -> str:
        return ", ".join(f"{{ {network} {found[1]} }}" for network in networks)

    return re.sub(r"\{ 127\.0\.0\.0/8 (\w+) \}, \{ \[::1\]/128 \1 \}", filled, piece)


def _without_ours(line: str) -> str:
    return re.sub(r"(=[ \t]*),[ \t]*", r"\1", _OURS.sub("", line))


def _is_submission(service: Service) -> bool:
    if service.command != "smtpd" or service.kind != "inet":
        return False
    return service.port in _SUBMISSION or service.options.get("smtpd_sasl_auth_enable") == "yes"


def _logs_in(set_here: Mapping[str, Parameter]) -> bool:
    return "smtpd_sasl_auth_enable" in set_here and set_here["smtpd_sasl_auth_enable"].value != "no"


def _notices(set_here: Mapping[str, Parameter], found: Sequence[Service], site: Site) -> list[str]:
    values = {name: parameter.value for name, parameter in set_here.items()}
    signers = [name for name in ("smtpd_milters", "non_smtpd_milters") if _SIGNERS.search(values.get(name, ""))]
    notices = [f"main.cf: {name} may have another DKIM signer; mail would bear two signatures" for name in signers]
    if values.get("content_filter"):
        notices.append("main.cf: content_filter: what it changes in a mail breaks the signature made before it")
    notices += [
        f"mynetworks: {word} cannot be put into the list of port 25; its mail is not counted there"
        for word in re.split(r"[\s,]+", site.networks)
        if word and own_networks(word) == _FILLED and "::ffff:" not in word
    ]
    for service in found:
        if service.command != "smtpd" or _is_submission(service):
            continue
        own = [name for name in (*_LISTS, "smtpd_milters") if name in service.options]
        if service.port in {"smtp", "25", "smtpd"}:
            if own:
                notices.append(f"master.cf: {service.name} sets {', '.join(own)} itself: not counted or signed there")
        elif len(own) <= len(_LISTS):
            notices.append(f"master.cf: {service.name} meets the lists and milters of main.cf where it sets none")
    return notices
