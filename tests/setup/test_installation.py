"""The first configuration, and the words of the command."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from postroom.config.load import parse
from postroom.senders.configured import senders_table
from postroom.senders.table import SenderIdentity
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


def test_the_first_configuration_says_who_may_write() -> None:
    """System users, the clients it has, machines of mynetworks and logins; ordinary users their own address only."""
    networks = "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128 192.0.2.0/24 [2001:db8::]/32 hash:/x !192.0.2.9"
    text = first_configuration(CHOICES, Host(**{**vars(HOST), "mynetworks": networks}))
    config = parse(text.encode(), "it", lambda: "")
    table = senders_table(config, "example.org")
    boss, eve = "boss@example.org", SenderIdentity(uid=1000, user="eve", address=ip_address("127.0.0.1"))
    for who in (
        SenderIdentity(uid=0, user="root"),
        SenderIdentity(uid=33, user="www-data"),
        SenderIdentity(uid=999),
        SenderIdentity(client="operators"),
        SenderIdentity(address=ip_address("192.0.2.7")),
        SenderIdentity(address=ip_address("2001:db8::7")),
        SenderIdentity(login="anna@example.org", address=ip_address("198.51.100.7")),
    ):
        assert table.may_use(who, boss)
    for who in (eve, SenderIdentity(address=ip_address("::1")), SenderIdentity(login="anna@example.com")):
        assert not table.may_use(who, boss)
    assert table.may_use(eve, "eve@example.org")
    assert {client for entry in config.senders.allow for client in entry.clients} == set(config.submission.clients)
    (entry,) = parse(first_configuration(CHOICES, HOST).encode(), "it", lambda: "").senders.allow
    assert entry.networks == ()


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
