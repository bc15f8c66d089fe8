"""Configurations that load, and what they come to."""

from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from postroom.config.load import load, parse
from postroom.config.model import Config
from postroom.config.problems import ConfigInvalid
from postroom.config.return_path import ReturnPath
from postroom.config.schema import Setting, settings
from postroom.config.units import Rate

_GOOD = Path(__file__).parent / "good"


def no_name() -> str:
    raise AssertionError("the machine was asked for its name although it is configured")


def good(name: str) -> Config:
    return load(_GOOD / name, hostname=no_name)


def test_minimal_config_has_every_default() -> None:
    """A host name and a domain are enough."""
    config = good("minimal.yaml")
    assert config.domains["example.org"].return_path == ReturnPath("none", mailbox="postmaster@example.org")
    assert config.submission.socket == Path("/run/postroom/submission.sock")
    assert config.submission.socket_mode == 0o660
    assert config.submission.max_request == 10_000_000
    assert config.handover.give_up_after == 5 * 86_400
    assert config.retention.messages == 30 * 86_400
    assert config.limits == ()
    assert config.domains["example.org"].dkim == ()
    assert config.milter.socket == Path("/var/spool/postfix/postroom/milter.sock")
    assert (config.milter.socket_mode, config.milter.socket_group) == (0o660, "postfix")
    assert (config.milter.networks, config.milter.expire_after) == (None, 7 * 86_400)
    assert config.monitor.socket == Path("/run/postroom/monitor.sock")
    assert config.monitor.daemons == ("watcher", "policy", "milter", "submission")


def test_sections_left_empty_have_their_defaults() -> None:
    """A heading with everything below it commented out is as good as none."""
    assert good("sections-left-empty.yaml") == good("minimal.yaml")


def test_every_setting_arrives() -> None:
    """What is written is what the daemons get, in their units."""
    config = good("full.yaml")
    assert config.hostname == "out.example.org"
    assert {name: domain.return_path for name, domain in config.domains.items()} == {
        "example.org": ReturnPath("verp", "bounces.example.org"),
        "news.example.co.uk": ReturnPath("verp", "bounces.example.co.uk"),
        "example.net": ReturnPath("shared", "returns.example.com"),
        "example.com": ReturnPath("none", mailbox="Bounces+Shop@example.com"),
        "xn--bcher-kva.example": ReturnPath("none", mailbox="postmaster@xn--bcher-kva.example"),
    }
    assert (config.log.level, config.log.to) == ("debug", "stderr")
    assert config.submission.socket == Path("/srv/postroom/api.sock")
    assert (config.submission.socket_mode, config.submission.socket_group) == (0o600, None)
    assert config.submission.clients["shop"].uids == (1001, 0)
    assert config.submission.clients["reports"].groups == ("domain users", "cron")
    assert config.submission.clients["reports"].admin
    assert (config.submission.max_request, config.submission.request_timeout) == (512 * 1024, 90.0)
    assert (config.handover.sessions, config.handover.give_up_after) == (50, 129_600.0)
    assert [(key.selector, key.key_file) for key in config.domains["example.org"].dkim] == [
        ("2026a.mail", Path("/srv/postroom/dkim/rsa.pem")),
        ("2026e", Path("/srv/postroom/dkim/ed25519.pem")),
    ]
    assert (config.milter.workers, config.milter.drain, config.milter.expire_after) == (8, 60.0, 12 * 86_400)
    assert config.milter.networks == tuple(map(ip_network, ("192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32")))
    assert config.templates.folder is None
    assert config.templates.brand.name == "No"
    assert config.templates.brand.support == "+49 30 901820"
    assert (config.limits[0].rate, config.limits[0].burst) == (Rate(100, 3_600), 100)
    assert [limit.unknown_rate for limit in config.limits] == [None, None, Rate(7, 3_600)]
    assert config.monitor.socket == Path("/srv/postroom/monitor.sock")
    assert config.return_domains() == {"bounces.example.org", "bounces.example.co.uk", "returns.example.com"}
    assert config.monitor.daemons == ("watcher", "submission")
    assert (config.monitor.socket_mode, config.monitor.waiting_late) == (0o600, 5_400.0)
    full = config.suppression.mailbox_full
    assert (full.bounces, full.over, full.kept) == (5, 7 * 86_400.0, 10 * 86_400.0)


@pytest.mark.parametrize("setting", list(settings(Config)), ids=str)
def test_full_config_leaves_no_setting_out(setting: Setting) -> None:
    """A new setting joins full.yaml."""
    places = [yaml.safe_load((_GOOD / "full.yaml").read_text(encoding="utf-8"))]
    for step in setting.path:
        below = [
            list(place.values()) if step.startswith("<") else place if step == "[]" else [place.get(step, KeyError)]
            for place in places
            if place is not None
        ]
        places = [place for found in below for place in found if place is not KeyError]
    assert places


def test_aliases_are_followed() -> None:
    """An anchor may spare the operator to write a thing twice."""
    config = good("aliases.yaml")
    assert config.domains["example.com"].return_path == ReturnPath("shared", "returns.example.net")
    assert [limit.key for limit in config.limits] == ["client", "client"]


def test_socket_follows_the_run_dir() -> None:
    """Who moves run_dir moves the socket with it, unless it is written."""
    text = b"hostname: mail.example.org\ndomains: {example.org: }\nrun_dir: /srv/run\n"
    assert parse(text, "it", no_name).submission.socket == Path("/srv/run/submission.sock")
    text += b"submission: {max_waiting: 5}\n"
    assert parse(text, "it", no_name).submission.socket == Path("/srv/run/submission.sock")
    assert parse(text, "it", no_name).submission.max_waiting == 5


def test_hostname_is_the_machines_when_not_written() -> None:
    """The machine is asked only then; a name without a domain will not do for EHLO."""
    text = b"domains: {example.org: }\n"
    assert parse(text, "it", lambda: "Machine.example.org").hostname == "machine.example.org"
    with pytest.raises(ConfigInvalid, match=r"^it:1: hostname: 'machine' is not a full domain name; write"):
        parse(text, "it", lambda: "machine")


def test_plain_words_stay_words() -> None:
    """YAML 1.1 takes no for false, 1:30 for 90 and dates for dates; here they are what they look like."""
    for word in ("no", "on", "1:30", "2026-11-24", "0x1F", "1_000", "1e3", ".inf", "=", "y"):
        text = f"hostname: m.example.org\ndomains: {{example.org: }}\ntemplates: {{brand: {{name: {word}}}}}\n"
        assert parse(text.encode(), "it", no_name).templates.brand.name == word


def test_byte_order_mark_is_skipped() -> None:
    """Editors of another world put one before UTF-8."""
    assert parse(b"\xef\xbb\xbf" + (_GOOD / "minimal.yaml").read_bytes(), "it", no_name) == good("minimal.yaml")


def test_config_cannot_be_changed() -> None:
    """A daemon reads its configuration once; a reload makes a new one."""
    with pytest.raises(ValidationError, match="frozen"):
        good("minimal.yaml").log.level = "debug"  # type: ignore[misc]  # that it is refused is the test
