"""What Postfix itself reads in files with our part: its own distributed ones, and those of a site with lists."""

import subprocess
from pathlib import Path

import pytest
from tests.setup.test_postfix_edits import LISTS, SUBMISSION, TEXTS

from postroom.setup.postfix_edits import EditOptions, edited_files
from postroom.setup.postfix_files import words
from postroom.setup.preflight import domain_conflicts

pytestmark = pytest.mark.postfix

SHARE = Path("/usr/share/postfix")


def asked(folder: Path, *arguments: str) -> str:
    """What postconf prints; not a word on stderr."""
    done = subprocess.run(["/usr/sbin/postconf", "-c", folder, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.rstrip("\n")


RETURN_DOMAINS = ("bounces.example.org", "returns.example.com")
RELAYING = """\
relay_domains = a.test
relay_recipient_maps = inline:{ jane@a.test=x }
transport_maps = inline:{ a.test=smtp:[192.0.2.1] }, regexp:FOLDER/transport
"""
PATTERNS = "/@returns\\.example\\.com$/ discard:\n/@mail\\.example\\.net$/ postroom-return:unix:postroom/lmtp.sock\n"


def set_up(folder: Path, main: str, master: str, options: EditOptions) -> None:
    made = edited_files(main, master, TEXTS, options)
    (folder / "main.cf").write_text(made.main)
    (folder / "master.cf").write_text(made.master)


@pytest.fixture(params=[(), RETURN_DOMAINS], ids=["", "return path"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Debian's files, lists, a submission service, and Postroom's part."""
    main = (SHARE / "main.cf.debian").read_text() + "compatibility_level = 3.6\n" + LISTS
    if request.param:
        main += RELAYING.replace(", regexp:FOLDER/transport", "")
    master = (SHARE / "master.cf.dist").read_text() + SUBMISSION
    set_up(tmp_path, main, master, EditOptions("127.0.0.0/8", return_domains=request.param))
    return tmp_path


@pytest.fixture
def relaying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site that relays and routes, before it is set up; the one that Postfix's commands are about."""
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    (tmp_path / "transport").write_text(PATTERNS)
    main = f"compatibility_level = 3.6\nmydestination = localhost, returns.example.com\n{RELAYING}"
    (tmp_path / "main.cf").write_text(main.replace("FOLDER", str(tmp_path)))
    (tmp_path / "master.cf").write_text((SHARE / "master.cf.dist").read_text())
    return tmp_path


def test_postfix_has_nothing_to_say_against_it(site: Path) -> None:
    """No warning of an unused, unknown or overridden parameter, in all main.cf and master.cf."""
    asked(site, "-n")
    asked(site, "-Mf")
    asked(site, "-P")


def test_postfix_reads_what_was_meant(site: Path) -> None:
    """Its own word for the lists, options and services."""
    assert asked(site, "-xh", "smtpd_milters").endswith("content_timeout=30s }")
    assert asked(site, "-h", "smtpd_recipient_restrictions").endswith(
        "$postroom_ask, permit_mynetworks, reject_unauth_destination"
    )
    of_service = asked(site, "-Ph", "submission/inet/smtpd_recipient_restrictions")
    assert of_service == "$postroom_policy_smtp, permit_sasl_authenticated,reject"
    assert asked(site, "-Ph", "pickup/unix/content_filter") == "postroom-door:[127.0.0.1]:10587"
    assert asked(site, "-Fh", "postroom-in/unix/chroot") == "n"


def test_mail_of_the_return_path_has_its_way_and_that_of_the_site_its_own(relaying: Path) -> None:
    """What Postfix's own look-up says, table by table; a second set-up finds nothing against it."""
    main, master = ((relaying / name).read_text() for name in ("main.cf", "master.cf"))
    set_up(relaying, main, master, EditOptions("127.0.0.0/8", return_domains=RETURN_DOMAINS[:1]))

    def answer(key: str) -> str:
        """Of the first table that has it (postmap(1) asks one)."""
        tables = words(asked(relaying, "-xh", "transport_maps"))
        lines = (
            subprocess.run(["/usr/sbin/postmap", "-q", key, table], capture_output=True, text=True, check=False).stdout
            for table in tables
        )
        return next(filter(None, lines), "").strip()

    assert answer("bounces.example.org") == "postroom-return:unix:postroom/lmtp.sock"
    assert answer("a.test") == "smtp:[192.0.2.1]"
    assert asked(relaying, "-xh", "relay_domains") == "bounces.example.org, a.test"
    assert asked(relaying, "-xh", "relay_recipient_maps").startswith(
        "inline:{ { @bounces.example.org = any } }, inline:"
    )
    assert domain_conflicts("bounces.example.org") == []


def test_a_site_that_has_the_domain_already_is_told(relaying: Path) -> None:
    """As one it has mailboxes for, or a way: by name or by a pattern. The way to the watcher is none against it."""
    assert domain_conflicts("bounces.example.org") == []
    assert domain_conflicts("mail.example.net") == []
    mailboxes, way = domain_conflicts("returns.example.com")
    assert mailboxes.startswith("main.cf: returns.example.com is in mydestination, ")
    assert way.startswith(f"main.cf: transport_maps has returns.example.com already, 'discard:' by regexp:{relaying}")
    assert [conflict.partition(";")[0] for conflict in domain_conflicts("a.test")] == [
        "main.cf: transport_maps has a.test already, 'smtp:[192.0.2.1]' by inline:{ a.test=smtp:[192.0.2.1] }"
    ]
