"""The first configuration, the mail before the door, and what is asked of a host."""

import json
from pathlib import Path

import pytest

from postroom.config.load import parse
from postroom.setup.__main__ import main
from postroom.setup.host import Host
from postroom.setup.installation import Choices, first_configuration
from postroom.setup.queued_mail import at_the_door, for_domains
from postroom.setup.trial_mail import TrialResult, log_result

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


QUEUE = """\
{"queue_name": "deferred", "queue_id": "A1", "recipients": [{"address": "prx@Bounces.Example.Org"}]}
{"queue_name": "deferred", "queue_id": "A2", "recipients": [{"address": "jane@example.net"}]}
{"queue_name": "active", "queue_id": "A3", "recipients": [{"address": "jane@x.test"}, {"address": "p@b.test"}]}
{"queue_name": "hold", "queue_id": "A4", "recipients": [{"address": "bounces.example.org"}]}
"""


def test_mail_to_the_return_path_is_known_by_its_recipients() -> None:
    """In whatever queue it is; an address without a domain is somebody of this host."""
    assert for_domains(map(json.loads, QUEUE.splitlines()), {"bounces.example.org", "b.test"}) == {
        "deferred": ["A1"],
        "active": ["A3"],
    }
    assert for_domains([], {"b.test"}) == {}


def test_mail_before_the_door_is_known_by_its_queue_file(tmp_path: Path) -> None:
    """In folders of hashed names as well; files that are no mail are passed over."""
    folder = tmp_path / "deferred" / "A"
    folder.mkdir(parents=True)
    (folder / "A1B2C3").write_bytes(b"C\x00L\x21postroom-door:[127.0.0.1]:10587\x00")
    (folder / "A1B2C4").write_bytes(b"C\x00 another mail")
    (folder / "no-mail").write_bytes(b"postroom-door:[127.0.0.1]:10587")
    assert at_the_door("deferred", tmp_path) == ["A1B2C3"]
    assert at_the_door("hold", tmp_path) == []


LOG = """\
Nov 24 14:00:01 mail postfix/cleanup[1]: AAA1: message-id=<feed.sendmail@mail.example.org>
Nov 24 14:00:01 mail postfix/postroom-sendmail/smtpd[2]: BBB2: client=localhost[127.0.0.1], orig_queue_id=AAA1
Nov 24 14:00:01 mail postfix/cleanup[1]: BBB2: message-id=<feed.sendmail@mail.example.org>
Nov 24 14:00:01 mail postfix/postroom-door/smtp[3]: AAA1: to=<r@x>, relay=127.0.0.1, status=sent (250 queued as BBB2)
"""


def test_the_end_of_a_mail_is_not_its_way_to_the_door() -> None:
    """`sent` by the door's own transport is not delivered; the second queue id tells."""
    assert log_result("sendmail", "feed.sendmail", LOG).state == "queued"
    signed = "Nov 24 14:00:02 mail postroom-milter[4]: milter.signed queue_id=BBB2 door=sendmail\n"
    ended = "Nov 24 14:00:02 mail postfix/local[5]: BBB2: to=<r@x>, relay=local, status=sent (delivered to mailbox)\n"
    result = log_result("sendmail", "feed.sendmail", LOG + signed + ended)
    assert result == TrialResult("sendmail", "yes", "sent", "delivered to mailbox")
    assert result.is_well
    assert not log_result("sendmail", "feed.sendmail", LOG + ended).is_well


def test_a_mail_that_waits_at_the_door_shows_its_reason() -> None:
    """The milter is away, or a limit holds it."""
    waits = LOG.replace("status=sent (250 queued as BBB2)", "status=deferred (host said: 451 4.7.1 away)")
    result = log_result("sendmail", "feed.sendmail", "".join(waits.splitlines(keepends=True)[::3]))
    assert result == TrialResult("sendmail", "no", "deferred", "host said: 451 4.7.1 away")


def test_a_mail_that_is_nowhere_is_unknown() -> None:
    """Another's mail is not taken for it, whatever its mark begins with."""
    assert log_result("smtp", "fee.smtp", LOG).state == "unknown"


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
