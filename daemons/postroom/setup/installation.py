"""Setting up: which files are written, which commands are run, in which order.

The daemons run before Postfix is told of them, so that no mail waits for them. Whatever is there already is left as it
is; the configuration and the signing key are made once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postroom.postfix import commands
from postroom.postfix.commands import PostfixCommandFailed
from postroom.setup.host import POSTFIX, Host, SetupFailed, missing_names, run, succeeds
from postroom.setup.main_cf_edits import networks_beyond_loopback, wired_queue_readers, wired_return_domains
from postroom.setup.postfix_edits import PIECES, EditedFiles, EditOptions, edited_files, restored
from postroom.setup.record import SetupRecord, read_octets, write_whole
from postroom.setup.steps import RunCommand, Step, WriteFile

DAEMONS = ("policy", "milter", "submission", "watcher", "monitor")
SERVICES = tuple(f"postroom-{word}.service" for word in DAEMONS)
PROXY_SOCKETS = ("postroom-showq.socket", "postroom-probe.socket")
"""Sockets of Postfix's, passed on to daemons that are not in its group."""
POSTROOM = Path("/opt/postroom/bin/postroom")
CONFIG = Path("/etc/postroom/postroom.yaml")
SYSTEMD = Path("/etc/systemd/system")
MAIN_CF = POSTFIX / "main.cf"
MASTER_CF = POSTFIX / "master.cf"


@dataclass(frozen=True)
class Choices:
    """What the operator asked for."""

    checkout: Path
    domain: str
    hostname: str
    selector: str
    sendmail_door: bool
    return_path: str | None = None
    queue_readers: tuple[str, ...] | None = None
    """Users who may list Postfix's queue beside root; empty is everybody, None leaves it as it is."""


@dataclass
class WritePostfixFiles:
    """main.cf and master.cf together: both are written, then Postfix's own check decides whether they stay."""

    main: WriteFile
    master: WriteFile

    def is_needed(self) -> bool:
        return self.main.is_needed() or self.master.is_needed()

    def preview(self) -> str:
        return "\n".join(file.preview() for file in (self.main, self.master) if file.is_needed())

    def do(self) -> None:
        before = [(file.path, read_octets(file.path) or b"") for file in (self.main, self.master)]
        self.main.do()
        self.master.do()
        try:
            commands.run("postfix", "check")
        except PostfixCommandFailed as failed:
            for path, octets in before:
                write_whole(path, octets)
            raise SetupFailed(f"{failed} (main.cf and master.cf are as they were)") from None
        commands.run("postfix", "reload")


def configured_return_domains(choices: Choices, *, must_answer: bool = True) -> tuple[str, ...]:
    """The return-path domains of postroom.yaml, as the installed program reads it; before either is there, as chosen.

    Args:
        must_answer: False where the program may be about to be renewed: one too old to say counts as none.

    Raises:
        SetupFailed: the program does not say.
    """
    if not (CONFIG.exists() and POSTROOM.exists()):
        return () if choices.return_path is None else (choices.return_path,)
    try:
        return tuple(run(POSTROOM, "return-path", "domains").split())
    except SetupFailed:
        if must_answer:
            raise
        return ()


def edited_postfix_files(choices: Choices, host: Host, return_domains: tuple[str, ...]) -> EditedFiles:
    """main.cf and master.cf of this host as they are to be.

    Raises:
        CannotEdit, MarksBroken: what stands against it.
    """
    folder = choices.checkout / "postfix-conf"
    pieces = {name: (folder / name).read_text(encoding="ascii") for name in PIECES}
    readers = choices.queue_readers
    if readers is None:
        readers = wired_queue_readers(MAIN_CF.read_text(encoding="latin-1"))
    options = EditOptions(host.mynetworks, choices.sendmail_door, return_domains, readers or None)
    return edited_files(_original(MAIN_CF), _original(MASTER_CF), pieces, options)


def installation_steps(
    choices: Choices, host: Host, record: SetupRecord, *, is_new_program: bool, dry_run: bool
) -> Iterator[Step]:
    """All of it, in order; each is to be looked at when the one before is done.

    Args:
        is_new_program: the program was installed or changed just now, so daemons that run are started again.
        dry_run:        the steps are only shown, so none is done before the next.
    """
    units = choices.checkout / "systemd"
    files = [*_unit_files(units, record), *_drop_ins(host, record)]
    is_changed = any(file.is_needed() for file in files)
    yield from files
    accounts = re.findall(
        r"^[ug] (\S+)", (units / "sysusers.d" / "postroom.conf").read_text(encoding="ascii"), re.MULTILINE
    )
    yield RunCommand(["systemd-sysusers", "postroom.conf"], lambda: not missing_names("group", accounts))
    yield RunCommand(["systemd-tmpfiles", "--create", "postroom.conf"], Path("/var/lib/postroom/shared").is_dir)
    if is_changed:
        yield RunCommand(["systemctl", "daemon-reload"])
    if not CONFIG.exists():
        key = Path(f"/var/lib/postroom/dkim/{choices.selector}.{choices.domain}.pem")
        yield WriteFile(CONFIG, first_configuration(choices, host).encode(), record)
        arguments = ("--domain", choices.domain, "--selector", choices.selector)
        yield RunCommand(
            [POSTROOM, "dkim", "key", *arguments, "--out", key, "--group", "postroom-milter"],
            key.exists,
            shows_output=True,
        )
    yield RunCommand([POSTROOM, "check"], lambda: POSTROOM.exists() and succeeds(str(POSTROOM), "check"))
    # A new program may keep its store in another form, which `store init` brings about.
    made = Path("/var/lib/postroom/keys/recipient-hash.key")
    yield RunCommand([POSTROOM, "store", "init"], lambda: made.exists() and not is_new_program)
    if (is_changed or is_new_program) and any(_is_active(service) for service in SERVICES):
        yield RunCommand(["systemctl", "try-restart", *SERVICES])
    yield RunCommand(
        ["systemctl", "enable", "--now", "--quiet", "postroom.target", *PROXY_SOCKETS, *SERVICES],
        lambda: all(
            succeeds("systemctl", word, "--quiet", unit)
            for word in ("is-enabled", "is-active")
            for unit in ("postroom.target", *PROXY_SOCKETS, *SERVICES)
        ),
    )
    return_domains = configured_return_domains(choices, must_answer=not dry_run)
    wired = wired_return_domains(MAIN_CF.read_text(encoding="latin-1"))
    yield RunCommand([POSTROOM, "return-path", "dns"], lambda: wired >= set(return_domains), shows_output=True)
    edited = edited_postfix_files(choices, host, return_domains)
    yield WritePostfixFiles(
        *(
            WriteFile(path, text.encode("latin-1"), record, _original(path).encode("latin-1"))
            for path, text in ((MAIN_CF, edited.main), (MASTER_CF, edited.master))
        )
    )


def first_configuration(choices: Choices, host: Host) -> str:
    """postroom.yaml for a host that has none."""
    template = Path(__file__).with_name("first.yaml").read_text(encoding="utf-8")
    late = (
        "Late bounces go to a mailbox. To have Postroom read them: `verp bounces.@DOMAIN@`, and run set-up again."
        if choices.return_path is None
        else "Late bounces come to Postroom. DNS records: postroom return-path dns"
    )
    watcher = f"\n# Postfix logs there, not to the journal.\nwatcher:\n  source: {host.log_file}\n"
    networks = [f'"{one}"' if ":" in one else one for one in networks_beyond_loopback(host.mynetworks)]
    values = {
        "DOMAIN": choices.domain,
        "HOSTNAME": choices.hostname,
        "SELECTOR": choices.selector,
        "LATE": late.replace("@DOMAIN@", choices.domain),
        "RETURN": "none" if choices.return_path is None else f"verp {choices.return_path}",
        "NETWORKS": ""
        if not networks
        else f"\n      networks: [{', '.join(networks)}]    # and machines of mynetworks",
        "WATCHER": watcher if host.log_file else "",
    }
    text = re.sub("@([A-Z]+)@\n?", lambda found: values[found[1]] + found[0].partition("@\n")[1][1:], template)
    return text.rstrip() + "\n"


def _original(path: Path) -> str:
    """A file of Postfix's without our part, if there is one yet."""
    return restored(path.read_bytes().decode("latin-1")).text


def _is_active(unit: str) -> bool:
    return succeeds("systemctl", "is-active", "--quiet", unit)


def _unit_files(units: Path, record: SetupRecord) -> Iterator[WriteFile]:
    for path in sorted((units / "system").rglob("*")):
        if path.is_file():
            yield WriteFile(SYSTEMD / path.relative_to(units / "system"), path.read_bytes(), record)
    for kind in ("sysusers.d", "tmpfiles.d"):
        yield WriteFile(Path("/etc") / kind / "postroom.conf", (units / kind / "postroom.conf").read_bytes(), record)


def _drop_ins(host: Host, record: SetupRecord) -> Iterator[WriteFile]:
    """Where Postfix logs: all its lines, and for the watcher to read."""
    if host.log_file:
        text = "# Postfix logs to a file of this group (postconf maillog_file).\n[Service]\nSupplementaryGroups=adm\n"
        yield WriteFile(SYSTEMD / "postroom-watcher.service.d" / "10-log-file.conf", text.encode(), record)
    elif host.postfix_unit:
        # What journald drops of Postfix's lines is a gap in what Postroom knows. In force when Postfix is next started.
        text = "# For Postroom: journald drops no line of Postfix.\n[Service]\nLogRateLimitIntervalSec=0\n"
        yield WriteFile(SYSTEMD / f"{host.postfix_unit}.d" / "10-postroom.conf", text.encode(), record)
