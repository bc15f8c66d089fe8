"""`postroom serve` as docs/containers.md has it, beside the installed Postfix of the machine of test_installed.py.

python -m tests.systemd.container, after scenario.py. For want of a container engine, serve is process 1 of namespaces
of its own; the user, its groups, the folders and the configuration are those of the document.
"""

import grp
import os
import pwd
import re
import signal
from pathlib import Path

from tests.systemd.asking import API, POSTROOM, SPOOL, asked, deliver, run, world

from sandbox.process import until

DOCUMENT = Path("docs/containers.md")
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
CONFIG = Path("/etc/postroom/postroom.yaml")
BESIDE = "hostname: mail.example.org\ndomains:\n  example.org:\n    return_path: verp bounces.example.org\n"


def block(kind: str, number: int = 0) -> str:
    """The text of a code block in the document."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return str(blocks[number])


def journal() -> str:
    return run("journalctl", "--quiet", "--output=cat", "--no-pager", "--unit=container")


def main() -> None:
    run(
        "systemctl",
        "disable",
        "--now",
        "--quiet",
        "postroom.target",
        *[f"postroom-{word}.socket" for word in ("policy", "milter", "submission", "monitor")],
    )
    until(lambda: not API.exists(), 60, "the units' socket gone", every_s=0.2)
    run("rm", "-r", "/var/lib/postroom", SPOOL / "postroom", "/run/postroom")
    run("bash", "-eux", "-c", block("sh"))
    ada = pwd.getpwnam("ada").pw_uid
    CONFIG.write_text(BESIDE + block("yaml").replace("[1000]", f"[{ada}]"))
    run("systemctl", "restart", "postfix")

    groups = ",".join(str(grp.getgrnam(name).gr_gid) for name in ("postdrop", "postfix"))
    person = ("setpriv", "--reuid=9000", "--regid=9000", f"--groups={groups}", "--no-new-privs", "--bounding-set=-all")
    run(*person, POSTROOM, "store", "init")
    run("systemd-run", "--quiet", "--unit=container", *NAMESPACES, *person, POSTROOM, "serve")
    until(lambda: "postroom-serve[1]" in journal() and "daemon.ready pid=1\n" in journal(), 60, "ready", every_s=0.2)
    assert (SPOOL / "postroom/policy.sock").group() == "postfix"
    assert asked("c1") == "action=DUNNO"
    deliver()

    outer = int(run("systemctl", "show", "--value", "--property=MainPID", "container"))
    inner = int(Path(f"/proc/{outer}/task/{outer}/children").read_text())
    os.kill(inner, signal.SIGTERM)
    state = ("systemctl", "show", "--value", "--property=ActiveState", "container")
    until(lambda: run(*state).strip() in {"inactive", "failed"}, 60, "ended", every_s=0.2)
    assert "daemon.stopped pid=1\n" in journal()
    assert run(*state).strip() == "inactive", journal()


if __name__ == "__main__":
    with world():
        main()
    print("All as it should be.")
