"""scripts/quickstart with the real Postfix and the real daemons: works, goes away, and can be run again."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.postfix import CHECKOUT
from sandbox.process import BedError, Identity, until
from sandbox.quickstart.daemons import Person, QuickstartDaemons
from sandbox.quickstart.report import release_lines, send_lines
from sandbox.serve import ServeDaemon, children_of

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT / "scripts"), "PYTHONUNBUFFERED": "1"}


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "sandbox.quickstart.main", "--folder", str(folder), *options]


def run_once(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, "--once"), env=ENVIRONMENT, capture_output=True, text=True, timeout=90, check=False
    )


@contextmanager
def staying(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A quickstart without --once, with its report made; killed at the end if the test has not ended it."""
    process = subprocess.Popen(
        command(folder), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "until you press Ctrl-C" in line:
                break
        assert process.poll() is None, "".join(lines)
        try:
            yield process
        finally:
            process.kill()


def processes(folder: Path) -> dict[str, Identity | None]:
    """All that quickstart runs, by the records it keeps, and what its `postroom serve` runs."""
    records = {
        "serve": folder / "serve.pid",
        "dns": folder / "dns" / "dns.pid",
        "master": folder / "postfix" / "queue" / "pid" / "master.pid",
        **{f"sink {path.parent.name}": path for path in (folder / "world").rglob("sink.pid")},
    }
    pids = {name: int(record.read_text().split()[0]) for name, record in records.items()}
    daemons = children_of(pids["serve"])
    assert (len(pids), len(daemons)) == (7, 5)
    return {name: Identity.of(pid) for name, pid in {**pids, **daemons}.items()}


def submission_port(folder: Path) -> int:
    """Where Postfix takes mail by SMTP."""
    master = (folder / "postfix" / "conf" / "master.cf").read_text()
    port, _ = re.findall(r"^127\.0\.0\.1:(\d+)\tinet", master, re.MULTILINE)
    return int(port)


def shell(line: str, status: int = 0) -> str:
    """Run a line at the checkout's root, as one would type it; what it printed."""
    done = subprocess.run(line, shell=True, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def own_mails(folder: Path) -> list[str]:
    """What arrived for the recipient of the printed lines."""
    mails = [path.read_text(errors="replace") for path in (folder / "world").glob("mail.*")]
    return [mail for mail in mails if "X-Rcpt-Args: <you@example.net>" in mail]


@pytest.mark.postfix
def test_once_shows_every_mail_right_and_leaves_nothing_running(bed: Path) -> None:
    """Exit 0; nothing of it runs afterwards."""
    done = run_once(bed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 17 as they should be." in done.stdout
    assert done.stdout.count("\nok  ") == 17
    assert "\x1b" not in done.stdout
    assert "you and root may write From example.org" in done.stdout
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown = [line for line in readme.splitlines() if line.startswith(("ok  ", "    mail "))]
    assert len(shown) > 8
    assert not set(shown) - set(done.stdout.splitlines())
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(bed) not in line.read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue


@pytest.mark.postfix
def test_the_lines_it_shows_really_send(bed: Path) -> None:
    """To the API by curl and the postroom command, by SMTP and sendmail(1), whose mail is one too many and waits.

    The lines about that let it go. Ctrl-C then ends all with exit 0.
    """
    with staying(bed) as process:
        started = processes(bed)
        port = submission_port(bed)
        config, conf = bed / "postroom.yaml", bed / "postfix" / "conf"
        curl, send, smtp, sendmail = send_lines(bed / "run" / "submission.sock", port, config, conf, "")
        for line, accepted in ((curl, r'"id": ?"'), (send, r"^accepted "), (smtp, "^$")):
            assert re.search(accepted, shell(line))
        until(lambda: len(own_mails(bed)) == 3, 20, "three mails more")
        who, room, retry = release_lines(config, conf, "")
        shell(sendmail)
        until(lambda: shell(who, 1).count(": 1 wait, 0 are held, for hourly") == 2, 20, "one mail waits", every_s=0.1)
        shell(room.replace("reports@", "me@"))
        shell(retry)
        until(lambda: len(own_mails(bed)) == 4, 20, "it comes")
        assert all("DKIM-Signature: v=1" in mail for mail in own_mails(bed))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert all(identity is not None and not identity.alive() for identity in started.values())


@pytest.mark.postfix
def test_what_a_killed_run_left_behind_is_cleaned_up_by_the_next(bed: Path) -> None:
    """SIGKILL leaves all its processes; the next run stops exactly these and works.

    While the first one lives, its processes are no leftovers: a second one is refused.
    """
    with staying(bed) as process:
        left = processes(bed)
        refused = run_once(bed)
        assert refused.returncode == 1
        assert "another quickstart runs" in refused.stderr
        process.kill()
        process.wait()
    assert all(identity is not None and identity.alive() for identity in left.values())
    done = run_once(bed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not any(identity.alive() for identity in left.values() if identity)


@pytest.mark.postfix
def test_a_daemon_that_dies_comes_back_and_serve_that_dies_ends_the_quickstart(bed: Path) -> None:
    """The one is the supervisor's business; over a dead supervisor it does not stay up, and stops the rest."""
    with staying(bed) as process:
        others = processes(bed)
        serve, policy = others.pop("serve"), others.pop("policy")
        assert serve is not None
        assert policy is not None
        policy.stop(0)
        until(lambda: children_of(serve.pid).get("policy", policy.pid) != policy.pid, 20, "policy again", every_s=0.1)
        assert process.poll() is None
        serve.stop(0)
        assert process.stdout is not None
        assert "postroom serve ended by itself, exit status -9" in process.stdout.read()
        assert process.wait(30) == 1
    assert not any(identity.alive() for identity in others.values() if identity)


@pytest.mark.postfix
def test_a_daemon_that_cannot_start_is_told_in_its_own_words(bed: Path) -> None:
    """Not in those of the others, which end with it and speak last."""
    daemon = ServeDaemon(bed)
    daemon.init()
    daemon.change(str(daemon.policy_socket), str(bed / "nowhere" / "policy.sock"))
    daemons = QuickstartDaemons(bed, daemon.config, Person(os.getuid()))
    with pytest.raises(BedError, match=r"(?s)serve: .*postroom-policy.*nowhere: no such folder"), daemons.running():
        pass


@pytest.mark.postfix
def test_a_folder_too_deep_for_sockets_is_told_in_one_line(bed: Path) -> None:
    """Exit 1 and how to mend it, no traceback, nothing left running."""
    deep = bed / ("x" * 80)
    done = run_once(deep)
    assert done.returncode == 1
    assert re.fullmatch(r"quickstart: .* may have 107 bytes.* Mend: .*\n", done.stderr)
    assert not list(deep.rglob("*.pid"))


@pytest.mark.postfix
def test_the_person_has_postdrop_for_the_daemon_alone() -> None:
    """setpriv gives uid, gid and groups; the group is there only where it is asked for."""
    show = [sys.executable, "-c", "import os; print(os.getuid(), os.getgid(), sorted(os.getgroups()))"]
    nobody = Person(65534)
    plain = subprocess.run(nobody.command(show), capture_output=True, text=True, check=True).stdout
    with_postdrop = subprocess.run(
        nobody.command(show, ["postdrop"]), capture_output=True, text=True, check=True
    ).stdout
    assert plain == "65534 65534 [65534]\n"
    assert re.fullmatch(r"65534 65534 \[\d+, 65534\]\n", with_postdrop)
