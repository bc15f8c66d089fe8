"""Setting up: which files are written, which commands are run, in which order.

The daemons run before Postfix is told of them, so that no mail waits for them. Whatever is there already is left as it
is; the configuration and the signing key are made once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postroom.setup import host as machine
from postroom.setup.host import POSTFIX, Host, SetupFailed, run, succeeds
from postroom.setup.postfix_edits import PIECES, EditedFiles, Site, unwoven, weave
from postroom.setup.record import SetupRecord, octets_of, write
from postroom.setup.return_path_edits import return_domains as routed_here
from postroom.setup.steps import RunCommand, Step, WriteFile

DAEMONS = ("policy", "milter", "submission", "watcher", "monitor")
SERVICES = tuple(f"postroom-{word}.service" for word in DAEMONS)
POSTROOM = Path("/opt/postroom/bin/postroom")
CONFIG = Path("/etc/postroom/postroom.yaml")
SYSTEMD = Path("/etc/systemd/system")
FILES = (POSTFIX / "main.cf", POSTFIX / "master.cf")


@dataclass(frozen=True)
class Choices:
    """What the operator asked for."""

    checkout: Path
    domain: str
    hostname: str
    selector: str
    sendmail_door: bool
    return_path: str | None = None


@dataclass
class PostfixFiles:
    """main.cf and master.cf together: both are written, then Postfix's own check decides whether they stay."""

    main: WriteFile
    master: WriteFile

    def is_needed(self) -> bool:
        return self.main.is_needed() or self.master.is_needed()

    def shown(self) -> str:
        return "\n".join(file.shown() for file in (self.main, self.master) if file.is_needed())

    def do(self) -> None:
        now = [(file, octets_of(file.path) or b"") for file in (self.main, self.master)]
        for file, _ in now:
            file.do()
        try:
            run("postfix", "check")
        except SetupFailed as failed:
            for file, octets in now:
                write(file.path, octets)
            raise SetupFailed(f"{failed} (main.cf and master.cf are as they were)") from None
        run("postfix", "reload")


def return_domains(wish: Choices, surely: bool = True) -> tuple[str, ...]:
    """The return-path domains of postroom.yaml, as the installed program reads it; before that is there, as wished.

    Args:
        surely: False where the program may be about to be renewed: one too old to tell counts as none.

    Raises:
        SetupFailed: it does not tell.
    """
    if not (CONFIG.exists() and POSTROOM.exists()):
        return () if wish.return_path is None else (wish.return_path,)
    try:
        return tuple(run(POSTROOM, "return-path", "domains").split())
    except SetupFailed:
        if surely:
            raise
        return ()


def woven(wish: Choices, host: Host, returns: tuple[str, ...]) -> EditedFiles:
    """The two files as they are to be.

    Args:
        returns: the return-path domains.

    Raises:
        ValueError: what stands against it, from weaving or marks.
    """
    pieces = {name: (wish.checkout / "postfix-conf" / name).read_text(encoding="ascii") for name in PIECES}
    main, master = (unwoven(path.read_bytes().decode("latin-1")).text for path in FILES)
    return weave(main, master, pieces, Site(host.networks, wish.sendmail_door, returns))


def steps(wish: Choices, host: Host, record: SetupRecord, is_new: bool, is_shown: bool) -> Iterator[Step]:
    """All of it, in order; each is to be looked at when the one before is done.

    Args:
        is_shown: they are only shown, so that none is done before the next.
        is_new: the program was installed or changed just now, so daemons that run are started again.
    """
    units = wish.checkout / "systemd"
    files = [
        *(
            WriteFile(SYSTEMD / path.relative_to(units / "system"), path.read_bytes(), record)
            for path in sorted((units / "system").rglob("*"))
            if path.is_file()
        ),
        *(
            WriteFile(Path("/etc") / kind / "postroom.conf", (units / kind / "postroom.conf").read_bytes(), record)
            for kind in ("sysusers.d", "tmpfiles.d")
        ),
        *_drop_ins(host, record),
    ]
    changed = any(file.is_needed() for file in files)
    yield from files
    users = re.findall(
        r"^[ug] (\S+)", (units / "sysusers.d" / "postroom.conf").read_text(encoding="ascii"), re.MULTILINE
    )
    yield RunCommand(["systemd-sysusers", "postroom.conf"], lambda: not machine.missing_names("group", users))
    yield RunCommand(["systemd-tmpfiles", "--create", "postroom.conf"], Path("/var/lib/postroom/shared").is_dir)
    if changed:
        yield RunCommand(["systemctl", "daemon-reload"])
    if not CONFIG.exists():
        key = Path(f"/var/lib/postroom/dkim/{wish.selector}.{wish.domain}.pem")
        yield WriteFile(CONFIG, first_configuration(wish, host).encode(), record)
        naming = ("--domain", wish.domain, "--selector", wish.selector, "--out", key, "--group", "postroom-milter")
        yield RunCommand([POSTROOM, "dkim", "key", *naming], key.exists, say=True)
    yield RunCommand([POSTROOM, "check"], lambda: POSTROOM.exists() and succeeds(str(POSTROOM), "check"))
    # A new program may keep its store in another form, which `store init` brings about.
    made = Path("/var/lib/postroom/keys/recipient-hash.key")
    yield RunCommand([POSTROOM, "store", "init"], lambda: made.exists() and not is_new)
    if (changed or is_new) and any(succeeds("systemctl", "is-active", "--quiet", service) for service in SERVICES):
        yield RunCommand(["systemctl", "try-restart", *SERVICES])
    yield RunCommand(
        ["systemctl", "enable", "--now", "--quiet", "postroom.target", *SERVICES],
        lambda: all(
            succeeds("systemctl", word, "--quiet", unit)
            for word in ("is-enabled", "is-active")
            for unit in ("postroom.target", *SERVICES)
        ),
    )
    returns = return_domains(wish, surely=not is_shown)
    wired = routed_here(FILES[0].read_text(encoding="latin-1"))
    yield RunCommand([POSTROOM, "return-path", "dns"], lambda: wired >= set(returns), say=True)
    texts = woven(wish, host, returns)
    yield PostfixFiles(_file(FILES[0], texts.main, record), _file(FILES[1], texts.master, record))


def _file(path: Path, text: str, record: SetupRecord) -> WriteFile:
    before = unwoven(path.read_bytes().decode("latin-1")).text
    return WriteFile(path, text.encode("latin-1"), record, before.encode("latin-1"))


def first_configuration(wish: Choices, host: Host) -> str:
    """postroom.yaml for a host that has none."""
    text = Path(__file__).with_name("first.yaml").read_text(encoding="utf-8")
    watcher = f"\n# Postfix logs there, not to the journal.\nwatcher:\n  source: {host.log}\n" if host.log else ""
    late = (
        "Late bounces go to a mailbox. To have Postroom read them: `verp bounces.@DOMAIN@`, and run set-up again."
        if wish.return_path is None
        else "Late bounces come to Postroom. DNS records: postroom return-path dns"
    )
    values = {
        "DOMAIN": wish.domain,
        "HOSTNAME": wish.hostname,
        "SELECTOR": wish.selector,
        "LATE": late.replace("@DOMAIN@", wish.domain),
        "RETURN": "none" if wish.return_path is None else f"verp {wish.return_path}",
        "WATCHER": watcher,
    }
    return (
        re.sub("@([A-Z]+)@\n?", lambda found: values[found[1]] + found[0].partition("@\n")[1][1:], text).rstrip() + "\n"
    )


def _drop_ins(host: Host, record: SetupRecord) -> Iterator[WriteFile]:
    """Where Postfix logs: all its lines, and for the watcher to read."""
    if host.log:
        text = "# Postfix logs to a file of this group (postconf maillog_file).\n[Service]\nSupplementaryGroups=adm\n"
        yield WriteFile(SYSTEMD / "postroom-watcher.service.d" / "10-log-file.conf", text.encode(), record)
    elif host.unit:
        # What journald drops of Postfix's lines is a gap in what Postroom knows. In force when Postfix is next started.
        text = "# For Postroom: journald drops no line of Postfix.\n[Service]\nLogRateLimitIntervalSec=0\n"
        yield WriteFile(SYSTEMD / f"{host.unit}.d" / "10-postroom.conf", text.encode(), record)
