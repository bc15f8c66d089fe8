"""What Postfix itself reads in woven files: its own distributed ones, and those of a site with lists."""

import subprocess
from pathlib import Path

import pytest
from tests.setup.test_weaving import LISTS, SUBMISSION, TEXTS

from postroom.setup.weaving import Site, weave

pytestmark = pytest.mark.postfix

SHARE = Path("/usr/share/postfix")


def asked(folder: Path, *arguments: str) -> str:
    """What postconf prints; not a word on stderr."""
    done = subprocess.run(["/usr/sbin/postconf", "-c", folder, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.rstrip("\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Debian's files, lists, a submission service, and Postroom woven in."""
    main = (SHARE / "main.cf.debian").read_text() + "compatibility_level = 3.6\n" + LISTS
    made = weave(main, (SHARE / "master.cf.dist").read_text() + SUBMISSION, TEXTS, Site("127.0.0.0/8"))
    (tmp_path / "main.cf").write_text(made.main)
    (tmp_path / "master.cf").write_text(made.master)
    return tmp_path


def test_postfix_has_nothing_to_say_against_it(site: Path) -> None:
    """No warning of an unused, unknown or overridden parameter, in all main.cf and master.cf."""
    asked(site, "-n")
    asked(site, "-Mf")
    asked(site, "-P")


def test_postfix_reads_what_was_meant(site: Path) -> None:
    """Its own word for the lists, options and services."""
    assert asked(site, "-xh", "smtpd_milters").endswith("content_timeout=30s }")
    assert asked(site, "-h", "smtpd_recipient_restrictions").startswith("$postroom_ask, permit_mynetworks")
    of_service = asked(site, "-Ph", "submission/inet/smtpd_recipient_restrictions")
    assert of_service == "$postroom_policy_smtp, permit_sasl_authenticated,reject"
    assert asked(site, "-Ph", "pickup/unix/content_filter") == "postroom-door:[127.0.0.1]:10587"
    assert asked(site, "-Fh", "postroom-in/unix/chroot") == "n"
