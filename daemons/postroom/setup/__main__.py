"""Set-up and uninstallation, behind scripts/setup-postfix.sh and scripts/uninstall.sh.

    python3 -m postroom.setup check|install|uninstall …

Runs with the standard library alone, from a checkout: before anything is installed, and after it is gone.
Exit: 0 all well, 1 a finding, 2 usage.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from postroom.postfix.commands import PostfixCommandFailed
from postroom.setup.host import Host, SetupFailed, inspect, run
from postroom.setup.installation import (
    CONFIG,
    MASTER_CF,
    POSTROOM,
    Choices,
    configured_return_domains,
    edited_postfix_files,
    installation_steps,
)
from postroom.setup.postfix_files import services
from postroom.setup.preflight import domain_conflicts, host_problems
from postroom.setup.record import SetupRecord
from postroom.setup.removal import Removal
from postroom.setup.steps import perform
from postroom.setup.trial_mail import TrialMail

CHECKOUT = Path(__file__).resolve().parents[3]
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def _domain(text: str) -> str:
    if _DOMAIN.fullmatch(text.lower()) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a domain name; write, for example, example.org")
    return text.lower()


def _queue_readers(text: str) -> tuple[str, ...]:
    """Users, parted by commas; `everybody` is none in particular."""
    users = tuple(dict.fromkeys(filter(None, re.split(r"[,\s]+", text))))
    if users == ("everybody",):
        return ()
    if not users or not all(map(_USER.fullmatch, users)):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of users; write for example root,anna, or everybody")
    return users


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="postroom-setup", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check", "install"):
        command = commands.add_parser(name, allow_abbrev=False)
        command.add_argument("--domain", required=True, type=_domain)
        command.add_argument("--hostname", type=_domain)
        command.add_argument("--selector", default=time.strftime("%Y%m", time.gmtime()))
        command.add_argument("--return-path", type=_domain)
        command.add_argument("--queue-readers", type=_queue_readers)
        command.add_argument("--recipient")
        command.add_argument("--no-sendmail-door", action="store_true")
        command.add_argument("--no-test-mail", action="store_true")
        command.add_argument("--new-program", action="store_true")
        command.add_argument("--dry-run", action="store_true")
    command = commands.add_parser("uninstall", allow_abbrev=False)
    command.add_argument("--dry-run", action="store_true")
    command.add_argument("--purge", action="store_true")
    command.add_argument("--wait", type=float, default=300.0)
    given = parser.parse_args(words)
    returns = given.return_path if given.command != "uninstall" else None
    if returns is not None and (returns == given.domain or returns.split(".")[-2:] != given.domain.split(".")[-2:]):
        parser.error(f"--return-path {returns} is not below {given.domain}; write for example bounces.{given.domain}")
    return given


def main(words: Sequence[str]) -> int:
    """Run the command that was named; returns the exit status."""
    given = _arguments(words)
    if given.command == "uninstall":
        removal = Removal(SetupRecord(), given.wait, _say)
        if given.dry_run:
            removal.preview()
            return 0
        return removal.perform(given.purge)
    host = inspect()
    hostname, door = given.hostname or host.hostname, not given.no_sendmail_door
    choices = Choices(CHECKOUT, given.domain, hostname, given.selector, door, given.return_path, given.queue_readers)
    if not _may_set_up(choices, host):
        return 1
    if given.command == "check":
        return 0
    steps = installation_steps(choices, host, SetupRecord(), is_new_program=given.new_program, dry_run=given.dry_run)
    perform(steps, dry_run=given.dry_run, undo="scripts/uninstall.sh")
    if given.dry_run:
        return 0
    _say(run(POSTROOM, "check").rstrip())
    return 0 if given.no_test_mail else _send_trial_mails(choices, host, given.recipient)


def _may_set_up(choices: Choices, host: Host) -> bool:
    """Whether nothing stands against it; what does is printed, and what the operator should know."""
    is_set_up = "# BEGIN postroom" in MASTER_CF.read_text(encoding="latin-1")
    problems = host_problems(host, sendmail_door=choices.sendmail_door, is_set_up=is_set_up)
    return_domains = configured_return_domains(choices, must_answer=False)
    problems += [conflict for domain in return_domains for conflict in domain_conflicts(domain)]
    if choices.return_path is not None and choices.return_path not in return_domains:
        _say(
            f"note: {CONFIG} is there and decides, without --return-path; mend: return_path: verp {choices.return_path}"
        )
    notices: tuple[str, ...] = ()
    try:
        notices = edited_postfix_files(choices, host, return_domains).notices
    except ValueError as cannot_edit:
        problems.append(str(cannot_edit))
    for text in problems:
        print(f"setup-postfix.sh: {text}", file=sys.stderr)  # noqa: T201 - for the operator
    for text in notices:
        _say(f"note: {text}")
    return not problems


def _send_trial_mails(choices: Choices, host: Host, recipient: str | None) -> int:
    """One through each door, and a table of what became of them; the exit status."""
    listening = services(MASTER_CF.read_text(encoding="latin-1").splitlines(keepends=True))
    has_port_25 = any(service.port in {"smtp", "25"} and service.kind == "inet" for service in listening)
    doors = ("socket", *(("smtp",) if has_port_25 else ()), *(("sendmail",) if choices.sendmail_door else ()))
    if recipient is None and not host.delivers_local:
        _say(
            f"no test mail: mail for {host.hostname} is not delivered on this host; name somebody: --recipient ADDRESS"
        )
        return 0
    results = TrialMail(host, choices.domain, recipient or f"root@{host.hostname}", doors).results()
    _say(f"\n{'door':<9} {'signed':<7} {'state':<10} reason")
    for result in results:
        _say(f"{result.door:<9} {result.signed:<7} {result.state:<10} {result.reason[:90]}")
    if all(result.is_well for result in results):
        _say(f"\nAll as it should be. {CONFIG} is yours to fit; publish what `postroom dkim dns` prints.")
        return 0
    _say("\nNot as it should be; see `journalctl -u 'postroom-*' -u 'postfix*'`. To go back: scripts/uninstall.sh")
    return 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - for the operator


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (SetupFailed, PostfixCommandFailed, ValueError) as failed:
        sys.exit(f"{failed}")
