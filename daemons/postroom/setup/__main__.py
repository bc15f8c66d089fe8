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

from postroom.setup import host as machine
from postroom.setup.domain_conflicts import claims
from postroom.setup.host import Host, SetupFailed
from postroom.setup.installation import CONFIG, FILES, Choices, return_domains, steps, woven
from postroom.setup.postfix_files import services
from postroom.setup.record import SetupRecord
from postroom.setup.removal import Removal
from postroom.setup.steps import perform
from postroom.setup.trial_mail import TrialMail

CHECKOUT = Path(__file__).resolve().parents[3]
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def _domain(text: str) -> str:
    if _DOMAIN.fullmatch(text.lower()) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no domain name such as example.org")
    return text.lower()


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="postroom-setup", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check", "install"):
        command = commands.add_parser(name, allow_abbrev=False)
        command.add_argument("--domain", required=True, type=_domain)
        command.add_argument("--hostname", type=_domain)
        command.add_argument("--selector", default=time.strftime("%Y%m", time.gmtime()))
        command.add_argument("--return-path", type=_domain)
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
    """The exit status."""
    given = _arguments(words)
    if given.command == "uninstall":
        removal = Removal(SetupRecord(), given.wait, _say)
        if given.dry_run:
            removal.show()
            return 0
        return removal.perform(given.purge)
    host = machine.asked()
    hostname, door = given.hostname or host.hostname, not given.no_sendmail_door
    wish = Choices(CHECKOUT, given.domain, hostname, given.selector, door, given.return_path)
    if not _nothing_against(wish, host):
        return 1
    if given.command == "check":
        return 0
    todo = steps(wish, host, SetupRecord(), given.new_program, given.dry_run)
    perform(todo, given.dry_run, "scripts/uninstall.sh")
    if given.dry_run or given.no_test_mail:
        return 0
    return _proved(wish, host, given.recipient)


def _nothing_against(wish: Choices, host: Host) -> bool:
    found = machine.findings(host, wish.sendmail_door, "# BEGIN postroom" in FILES[1].read_text(encoding="latin-1"))
    returns = return_domains(wish, surely=False)
    found += [claim for domain in returns for claim in claims(domain)]
    if wish.return_path is not None and wish.return_path not in returns:
        _say(f"note: {CONFIG} is there and decides, without --return-path; mend: return_path: verp {wish.return_path}")
    try:
        notices = woven(wish, host, returns).notices
    except ValueError as against:
        found, notices = [*found, str(against)], ()
    for text in found:
        print(f"setup-postfix.sh: {text}", file=sys.stderr)  # noqa: T201 - for the operator
    for text in notices:
        _say(f"note: {text}")
    return not found


def _proved(wish: Choices, host: Host, recipient: str | None) -> int:
    listening = services(FILES[1].read_text(encoding="latin-1").splitlines(keepends=True))
    has_port_25 = any(service.port in {"smtp", "25"} and service.kind == "inet" for service in listening)
    doors = ("socket", *(("smtp",) if has_port_25 else ()), *(("sendmail",) if wish.sendmail_door else ()))
    if recipient is None and not host.local:
        _say(
            f"no test mail: mail for {host.hostname} is not delivered on this host; name somebody: --recipient ADDRESS"
        )
        return 0
    rows = TrialMail(host, wish.domain, recipient or f"root@{host.hostname}", doors).rows()
    _say(f"\n{'door':<9} {'signed':<7} {'state':<10} reason")
    for row in rows:
        _say(f"{row.door:<9} {row.signed:<7} {row.state:<10} {row.reason[:90]}")
    if all(row.is_well for row in rows):
        _say(f"\nAll as it should be. {CONFIG} is yours to fit; publish what `postroom dkim dns` prints.")
        return 0
    _say("\nNot as it should be; see `journalctl -u 'postroom-*' -u 'postfix*'`. To go back: scripts/uninstall.sh")
    return 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - for the operator


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (SetupFailed, ValueError) as failed:
        sys.exit(f"{failed}")
