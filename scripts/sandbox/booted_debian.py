"""scripts/fresh: boot a bare Debian and run a command in a clone of this checkout there.

The machine is a container of systemd-nspawn with systemd as its process 1, so that services, units and
policy-rc.d behave as on a real host. It shares the host's network, to reach the mirrors. Its disk is a
layer in memory over the kept base (debian.py); nothing of the run stays. A command that reboots it
(systemctl reboot) is run again when it is up; POSTROOM_FRESH tells it which boot it is.

To be started in mount and PID namespaces of its own (scripts/fresh does): when this process ends, for
whatever reason, the kernel takes the machine and all mounts with it.

Source:  systemd-nspawn(1), nsenter(1), cgroups(7)
Limits:  inside, MemoryMax=, TasksMax= and SocketBindDeny= are not enforced.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from sandbox import debian
from sandbox.process import BedError, until

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "fresh"
INSIDE = "/root/postroom"
"""Where the clone lies inside: below /root (0700), which user postfix cannot enter, as on many a server."""

BOOT_S = 60.0
"""Seconds a machine may take to boot; one is typical."""

REBOOT = 133
"""systemd-nspawn's exit where the machine asked for a reboot and its unit is the caller's (--keep-unit)."""

LAYER = Path("/run/postroom-fresh")
CGROUPS = Path("/sys/fs/cgroup")


def mount(kind: str, target: Path, options: str = "") -> None:
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", kind, *(["-o", options] if options else []), kind, target], check=True)


def layered(base: Path) -> Path:
    """A root folder whose changes stay in memory."""
    mount("tmpfs", LAYER)
    root, upper, work = LAYER / "root", LAYER / "upper", LAYER / "work"
    for path in (upper, work):
        path.mkdir()
    mount("overlay", root, f"lowerdir={base},upperdir={upper},workdir={work}")
    return root


def furnish(root: Path) -> None:
    """A host name, and the clone of HEAD."""
    (root / "etc/hostname").write_text("fresh\n", encoding="ascii")
    (root / "etc/hosts").write_text("127.0.0.1 localhost fresh\n", encoding="ascii")
    done = subprocess.run(
        ["git", "clone", "--quiet", CHECKOUT, root / INSIDE.lstrip("/")], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BedError(f"git clone of {CHECKOUT}: {done.stderr.strip()}")


@contextlib.contextmanager
def own_cgroup() -> Iterator[None]:
    """A cgroup v2 tree with us in a leaf of our own: nspawn makes the machine's beside it."""
    mount("cgroup2", CGROUPS)
    before = next(
        line.removeprefix("0::") for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::"
    )
    # No name made of our numbers: the kernel gives those again, and one that was killed has left its tree.
    tree = Path(tempfile.mkdtemp(prefix="postroom-fresh.", dir=CGROUPS))
    leaf = tree / "shell"
    leaf.mkdir()
    (leaf / "cgroup.procs").write_text("0")
    try:
        yield
    finally:
        (CGROUPS / before.lstrip("/") / "cgroup.procs").write_text("0")
        for folder, _, _ in os.walk(tree, topdown=False):
            # Busy for a moment while the kernel reaps the machine.
            until(partial(removed, folder), 5.0, f"cgroup {folder} empty")


def removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


class BootedDebian:
    """A booted container.

    Args:
        root: its root folder.
        carried: what of the host goes with it.
        boot: how often this root was booted, this time included.
    """

    def __init__(self, root: Path, carried: debian.Carried, boot: int) -> None:
        binds = [f"--bind-ro={outside}:{inside}" for outside, inside in carried.read_only.items()]
        self._environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "POSTROOM_FRESH": str(boot),
            **carried.environment,
        }
        self._console = LAYER / "console"
        options = [
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--resolv-conf=copy-host",
            "--timezone=off",
            # With a shared network nspawn would take this away: scripts/test inside could bring up no loopback.
            "--capability=CAP_NET_ADMIN",
            "--quiet",
        ]
        with self._console.open("wb") as console:
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", "-D", root, "--machine=postroom-fresh", *options, *binds],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        self._leader = 0
        self._state = ""

    def wait_booted(self) -> None:
        """Return when systemd inside says that it is up.

        Raises:
            BedError: it does not come up.
        """
        try:
            until(self._is_up, BOOT_S, "the machine booted", lambda: self._nspawn.poll() is None)
        except BedError as error:
            console = self._console.read_text(errors="replace")[-1000:]
            raise BedError(f"{error}; systemctl: {self._state or 'silent'}; console: {console or 'silent'}") from None

    def run(self, command: Sequence[str], folder: str = "/") -> int:
        """Run a command inside with our standard streams; its exit status."""
        inside = subprocess.Popen([*self._entering(self._environment, folder), *command])
        while True:
            _, status = os.waitpid(inside.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                inside.returncode = os.waitstatus_to_exitcode(status)
                return inside.returncode
            # A machine that goes down stops all inside for a moment. nsenter stops with it, and nobody inside wakes it.
            os.kill(inside.pid, signal.SIGCONT)

    def reboots(self) -> bool:
        """Whether it is going down to come up again; returns when it is down, or at once when it stays.

        Raises:
            BedError: it does not get down.
        """
        asked = [*self._entering({"PATH": self._environment["PATH"]}), "systemctl", "is-system-running"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
        # Silent: it is down already, and nobody to ask.
        if done.stdout.strip() not in ("stopping", "offline", ""):
            return False
        try:
            return self._nspawn.wait(BOOT_S) == REBOOT
        except subprocess.TimeoutExpired:
            raise BedError(f"the machine is {done.stdout.strip() or 'silent'} and does not get down") from None

    def stop(self) -> None:
        """End it at once; its disk is forgotten anyway."""
        # Its process 1 first: that takes all inside with it. nspawn's own end would leave them running.
        if self._leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
        else:
            self._nspawn.kill()
        self._nspawn.wait()

    def _entering(self, environment: Mapping[str, str], folder: str = "/") -> list[str]:
        variables = [f"{name}={value}" for name, value in environment.items()]
        namespaces = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root"]
        # env changes the folder: nsenter would look for it outside.
        return ["nsenter", f"--target={self._leader}", *namespaces, "env", "-i", f"--chdir={folder}", *variables]

    def _find_leader(self) -> bool:
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        self._leader = int(children[0]) if children else 0
        return self._leader != 0

    def _is_up(self) -> bool:
        # Looked for each time: nspawn's first child only makes process 1 (its sibling, by CLONE_PARENT) and ends.
        if not self._find_leader():
            return False
        asked = [*self._entering({"PATH": self._environment["PATH"]}), "systemctl", "is-system-running"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
        self._state = done.stdout.strip() or done.stderr.strip()
        return self._state in ("running", "degraded")


def main(arguments: Sequence[str]) -> int:
    """`SUITE PIP_CONFIG_LIST COMMAND...`, from scripts/fresh; the exit status of the command."""
    suite, pip, *command = arguments
    carried = debian.carried(os.environ, pip)
    root = layered(debian.base(CACHE, suite))
    furnish(root)
    with own_cgroup():
        for boot in itertools.count(1):
            machine = BootedDebian(root, carried, boot)
            try:
                machine.wait_booted()
                status = machine.run(command, INSIDE)
                if not machine.reboots():
                    return status
            finally:
                machine.stop()
    raise AssertionError  # count has no end


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BedError as error:
        sys.exit(f"fresh: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
