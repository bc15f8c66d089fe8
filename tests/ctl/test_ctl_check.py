"""`postroom check`: is the configuration good?"""

from pathlib import Path

import pytest
from tests.ctl.conftest import Postroom, Write

TABLE = """
senders:
  logins: own_domain
  others: refuse
  allow:
    - {domains: [example.org], uids: [0-999, 1000], users: [root], clients: [shop]}
    - {addresses: [news@example.org], logins: [anna], networks: [192.0.2.0/24, 127.0.0.0/8]}
submission: {clients: {shop: {users: [root]}}}
"""


def test_a_good_configuration_is_told_so(postroom: Postroom, config: Path, state: Path) -> None:
    """Exit 0, and a word where everybody may write everything; nothing is made by looking."""
    done = postroom("check")
    good, note = done.stdout.splitlines()
    assert (done.returncode, good, done.stderr) == (0, f"{config}: good", "")
    assert note.startswith("note: senders: there is no table, so whoever may send through this host may write From ")
    assert not state.exists()


def test_who_may_write_what_is_said_in_words(
    postroom: Postroom, config: Path, also: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each entry and for each rule; and where an entry names every user of the host, or none is known."""
    also(TABLE)
    told = "j {daemon_name} {daemon_addr}"
    listeners = {"smtp/inet": told, "10025/inet": f"{told}, {{daemon_port}}"}
    monkeypatch.setattr("postroom.postfix.postconf.expanded", lambda *_: told)
    monkeypatch.setattr("postroom.postfix.postconf.in_services", lambda *_: listeners)
    done = postroom("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:-3] == [
        f"{config}: good",
        "Who may write From which address:",
        "  every address of example.org: users root; uids 0-999, 1000; clients shop",
        "  news@example.org: logins anna; networks 192.0.2.0/24, 127.0.0.0/8",
        "  every address of its own domain, if that is one of `domains`: a login that no entry names",
        "  its own name at mail.example.org and at Postfix's myorigin: a user of this host",
        "  every address at these two: root",
        "  nothing else: everybody; it is refused",
    ]
    loopback, main, smtp = done.stdout.splitlines()[-3:]
    assert loopback.startswith("note: senders.allow[1].networks: 127.0.0.0/8 names every user of this host; mend: ")
    assert main.startswith("note: main.cf: milter_connect_macros lacks one of ")
    assert smtp.startswith("note: smtp/inet: milter_connect_macros lacks one of ")


def test_a_bad_one_has_every_problem_on_a_line(postroom: Postroom, config: Path, also: Write) -> None:
    """Exit 78, on stderr, each with its line and what to write instead."""
    also("submision: {}\nlog:\n  level: loud\n")
    done = postroom("check")
    assert (done.returncode, done.stdout) == (78, "")
    unknown, level = done.stderr.splitlines()
    assert unknown == f"{config}:6: submision: is not a setting; did you mean 'submission'?"
    assert level.startswith(f"{config}:8: log.level: 'loud' is not one of ")


def test_an_account_this_host_lacks_is_a_problem(postroom: Postroom, config: Path, also: Write) -> None:
    """Read well, and still no configuration to start with."""
    also("submission:\n  clients:\n    shop:\n      users: [no-such-user]\n")
    done = postroom("check")
    assert done.returncode == 78
    assert done.stderr.startswith(f"{config}: submission.clients.shop: ")
    assert "no-such-user" in done.stderr


def test_a_broken_template_is_a_problem(postroom: Postroom, bed: Path, also: Write) -> None:
    """Found before the daemon is restarted with it."""
    (bed / "templates" / "welcome" / "en").mkdir(parents=True)
    (bed / "templates" / "welcome" / "en" / "body.txt").write_text("{% if %}")
    also(f"templates:\n  folder: {bed}/templates\n")
    done = postroom("check")
    assert done.returncode == 78
    assert "welcome/en/body.txt" in done.stderr


def test_all_that_would_keep_the_daemon_from_starting_is_shown_at_once(
    postroom: Postroom, bed: Path, config: Path, also: Write
) -> None:
    """Accounts of several clients and several templates: each finding on a line of its own."""
    (bed / "templates" / "welcome" / "en").mkdir(parents=True)
    (bed / "templates" / "welcome" / "en" / "body.txt").write_text("{% if %}")
    (bed / "templates" / "welcome" / "en" / "body.html").write_text("{{ nobody }}")
    clients = "submission:\n  clients:\n    shop: {users: [no-such-user]}\n    post: {groups: [no-such-group]}\n"
    also(f"{clients}templates:\n  folder: {bed}/templates\n")
    done = postroom("check")
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"{config}: ") for line in lines)
    for part in ("no-such-user", "no-such-group", "welcome/en/body.txt", "welcome/en/body.html"):
        assert sum(part in line for line in lines) == 1


@pytest.mark.process
def test_a_missing_or_unreadable_configuration_is_one_line(postroom_process: Postroom, config: Path) -> None:
    """Exit 78, for a daemon as for a command."""
    config.chmod(0)
    done = postroom_process("submission")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert done.stderr.startswith(f"{config}: may not be read by this user; ")
    config.unlink()
    done = postroom_process("status")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert done.stderr.startswith(f"{config}: does not exist; ")


def test_a_misspelt_command_is_usage(postroom: Postroom) -> None:
    """Exit 2, and help is an option away."""
    done = postroom("chek")
    assert (done.returncode, done.stdout) == (2, "")
    done = postroom("-h")
    assert done.returncode == 0
    assert {"check", "send", "status", "store", "submission"} <= set(done.stdout.split())
