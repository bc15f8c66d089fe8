"""Postroom's part of master.cf: our listeners in a block at the end, and options of services that are there.

pickup gets the options that send its mail through the sendmail door, each submission service those that ask the policy
service and the milter. They are inserted after the service's own options: an option that is given again wins over the
one before (postconf -P agrees), so the site's lines stay as they are.

Pure; the services are those of the pieces in postfix-conf/, where the reasons stand.

Source:  master(5); Postfix SMTPD_POLICY_README, FILTER_README.
BUGS:    a submission service is known by its name or port, or by its own smtpd_sasl_auth_enable=yes.
"""

from collections.abc import Mapping

from postroom.setup.main_cf_edits import HEAD, LISTS, end_region
from postroom.setup.marks import ended, lines_of, region
from postroom.setup.postfix_files import Parameter, Service, services

ENTRANCE_REGION = "entrance"
"""The region by which pickup sends its mail through the sendmail door."""

_SUBMISSION = {"submission", "submissions", "smtps", "587", "465"}
_MILTER = "unix:postroom/milter.sock"


class CannotEdit(ValueError):
    """The site's files have something in the way; the text says what, where and how to mend."""


def edited_master_cf(
    master: str,
    main_parameters: Mapping[str, Parameter],
    pieces: Mapping[str, str],
    *,
    sendmail_door: bool,
    has_return_path: bool,
) -> str:
    """The master.cf with our part.

    Args:
        main_parameters: what the site sets in main.cf.
        pieces:          the files of postfix-conf/ by their names.

    Raises:
        CannotEdit: pickup's mail goes elsewhere already, or there is no pickup.
    """
    lines = lines_of(ended(master)) if master else []
    # From the end, so that the line numbers of those before stay right.
    for service in reversed(services(lines)):
        if sendmail_door and (service.name, service.command) == ("pickup", "pickup"):
            lines[service.end : service.end] = _entrance(service, pieces["sendmail.pickup.master.cf"])
        elif is_submission(service):
            options = _submission_options(service, main_parameters)
            lines[service.end : service.end] = region(f"service {service.name}", options)
    if sendmail_door and not any(service.name == "pickup" for service in services(lines)):
        raise CannotEdit("master.cf: has no pickup, so no mail of sendmail(1); mend: --no-sendmail-door")
    handover = pieces["submission.master.cf"].replace("smtpd_milters=\n", "smtpd_milters=$postroom_milter\n")
    block = [HEAD, *lines_of(handover), *lines_of(pieces["probe.master.cf"])]
    if sendmail_door:
        block += _door_services(pieces["sendmail.master.cf"], main_parameters)
    if has_return_path:
        block += lines_of(pieces["watcher.master.cf"])
    return "".join(lines + end_region(master, "services", block))


def is_submission(service: Service) -> bool:
    """Whether users submit mail to this service."""
    if service.command != "smtpd" or service.kind != "inet":
        return False
    return service.port in _SUBMISSION or service.options.get("smtpd_sasl_auth_enable") == "yes"


def _entrance(pickup: Service, piece: str) -> list[str]:
    taken = pickup.options.keys() & {"content_filter", "receive_override_options"}
    if taken:
        raise CannotEdit(
            f"master.cf: pickup has {', '.join(sorted(taken))} of its own; "
            "mend: take that out, or set up without the sendmail door (--no-sendmail-door)"
        )
    return region(ENTRANCE_REGION, [line for line in lines_of(piece) if not line.startswith("#")])


def _submission_options(service: Service, main_parameters: Mapping[str, Parameter]) -> list[str]:
    inserted = ["# These stand for options of the same name above.\n"]
    # A permit or reject of the site's list would end it: ours is asked first.
    for name in LISTS:
        of_main = main_parameters[name].value if name in main_parameters else ""
        both = [part for part in ("$postroom_policy_smtp", service.options.get(name, of_main)) if part]
        inserted.append(f"    -o {{ {name} = {', '.join(both)} }}\n")
    if "smtpd_milters" in service.options:
        both = [part for part in (service.options["smtpd_milters"], "$postroom_milter") if part]
        inserted.append(f"    -o {{ smtpd_milters = {', '.join(both)} }}\n")
    return inserted


def _door_services(piece: str, main_parameters: Mapping[str, Parameter]) -> list[str]:
    text = piece.replace(f"smtpd_milters={_MILTER}", "smtpd_milters=$postroom_milter")
    site_filter = main_parameters["content_filter"].value if "content_filter" in main_parameters else ""
    if site_filter:
        # pickup's own filter is now the door, which overrides main.cf's: the door hands on to that one.
        text = text.replace("-o content_filter=\n", f"-o {{ content_filter = {site_filter} }}\n")
    return lines_of(text)
