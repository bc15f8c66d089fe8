"""`postroom return-path`: the domains, and what DNS is to say of them."""

from pathlib import Path

from tests.ctl.conftest import Postroom

DOMAINS = """\
domains:
  example.org: {return_path: verp bounces.example.org}
  example.net: {return_path: shared bounces.example.org}
  example.com: {return_path: verp b.example.com}
  example.edu: {}
"""


def test_without_a_return_path_there_is_no_domain_and_no_record(postroom: Postroom) -> None:
    """Set-up asks; an operator who asks for records is told."""
    done = postroom("return-path", "domains")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = postroom("return-path", "dns")
    assert (done.returncode, done.stdout) == (1, "")
    assert "; mend: give a domain return_path: verp " in done.stderr


def test_each_domain_is_told_once_with_its_records(postroom: Postroom, config: Path) -> None:
    """Whichever From domains share it; the MX is this host."""
    text = config.read_text()
    config.write_text(
        "\n".join(line for line in text.splitlines() if "example.org: {}" not in line).replace("domains:\n", DOMAINS)
    )
    done = postroom("return-path", "domains")
    assert (done.returncode, done.stdout) == (0, "b.example.com\nbounces.example.org\n")
    done = postroom("return-path", "dns")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "b.example.com. IN MX 10 mail.example.org.",
            'b.example.com. IN TXT "v=spf1 mx -all"',
            "bounces.example.org. IN MX 10 mail.example.org.",
            'bounces.example.org. IN TXT "v=spf1 mx -all"',
        ],
    )
