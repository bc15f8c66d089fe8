"""The first configuration, and the words of the command."""

from pathlib import Path

import pytest

from postroom.config.load import parse
from postroom.setup.__main__ import main
from postroom.setup.host import Host
from postroom.setup.installation import Choices, first_configuration

HOST = Host("3.7.11", "mail.example.org", "127.0.0.0/8", "postfix@-.service", "", delivers_local=True)
CHOICES = Choices(Path(), "example.org", "mail.example.org", "202611", sendmail_door=True)


def test_the_first_configuration_is_a_good_one() -> None:
    """Read as a daemon reads it; nothing of the form is left in it."""
    text = first_configuration(CHOICES, HOST)
    config = parse(text.encode(), "it", lambda: "other.example.org")
    assert config.hostname == "mail.example.org"
    assert [str(key.key_file) for key in config.domains["example.org"].dkim] == [
        "/var/lib/postroom/dkim/202611.example.org.pem"
    ]
    assert config.submission.clients["operators"].admin
    assert {limit.key for limit in config.limits} == {"uid", "login"}
    assert config.watcher.source == "journal"
    assert "@" not in text
    assert text.endswith("\n")


def test_where_postfix_logs_to_a_file_the_watcher_reads_that() -> None:
    """postconf maillog_file."""
    text = first_configuration(CHOICES, Host(**{**vars(HOST), "log_file": "/var/log/mail.log"}))
    assert parse(text.encode(), "it", lambda: "").watcher.source == Path("/var/log/mail.log")


def test_a_return_path_that_is_chosen_stands_in_the_first_configuration() -> None:
    """And decides from then on."""
    text = first_configuration(Choices(**{**vars(CHOICES), "return_path": "bounces.example.org"}), HOST)
    assert parse(text.encode(), "it", lambda: "").return_domains() == {"bounces.example.org"}
    assert parse(first_configuration(CHOICES, HOST).encode(), "it", lambda: "").return_domains() == frozenset()
    assert "@" not in text


@pytest.mark.parametrize(
    "words",
    [
        ["install"],
        ["install", "--domain", "example"],
        ["install", "--domain", "a b.example"],
        ["install", "--domain", "x.org\n", "--dry-run"],
        ["install", "--domain", "x.org", "--return-path", "x.org"],
        ["install", "--domain", "x.org", "--return-path", "bounces.x.net"],
        ["check", "--domain", "x.org", "--return-path", "verp bounces.x.org"],
        ["uninstall", "--wait", "long"],
        ["remove"],
        [],
    ],
)
def test_unknown_words_are_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, before anything is asked or done."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err
