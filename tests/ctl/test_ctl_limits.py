"""`postroom limits`: how the counters of one key stand."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.ctl.conftest import Postroom, Write

from postroom.limits.configured import rules
from postroom.limits.rules import demands
from postroom.limits.subject import of_mail
from postroom.mail.recipients import private
from postroom.store.sqlite_store import open_sqlite_store

LIMITS = """
limits:
  - {name: hourly, key: sender, rate: 5/1h}
  - {name: daily, key: sender, counts: recipients, rate: 2/1d}
  - {name: network, key: client_address, rate: 9/1h}
  - {name: user, key: uid, rate: 90/1h}
"""


@pytest.fixture
def counted(postroom: Postroom, also: Write, state: Path, config: Path) -> Postroom:
    """A store in which Anna has sent one message to two."""
    from postroom.config.load import load

    also(LIMITS)
    assert postroom("store", "init").returncode == 0
    anna = private((state / "keys" / "recipient-hash.key").read_bytes(), "anna@example.org")
    subject = of_mail({"sender": anna, "client_address": "2001:db8::/64"}, {}, 2)

    async def take() -> None:
        store = open_sqlite_store(state / "shared")
        assert (await store.takes.take("1", "smtp", demands(rules(load(config).limits), subject))).allowed
        await store.close()

    asyncio.run(take())
    return postroom


def test_what_is_used_is_shown_for_each_limit(counted: Postroom) -> None:
    """By the address in any of its forms; exit 1 because one limit has no room."""
    done = counted("limits", "show", "sender:Anna+news@example.org")
    hourly, daily = done.stdout.splitlines()
    assert hourly.startswith("hourly: 1 of 5 in 3600 s, room for 4, empty in ")
    assert daily.startswith("daily: 2 of 2 in 86400 s, room for 0, empty in ")
    assert done.returncode == 1
    shown = json.loads(counted("limits", "show", "sender:anna@example.org", "--json").stdout)
    assert [(usage["rule"], usage["used"]) for usage in shown] == [("hourly", 1), ("daily", 2)]
    hashed = shown[0]["key"]
    assert hashed.startswith("sender:#")
    assert counted("limits", "show", hashed).stdout.startswith("hourly: 1 of 5 ")
    ip = counted("limits", "show", "client_address:2001:db8::77")
    assert (ip.returncode, ip.stdout.startswith("network: 1 of 9 ")) == (0, True)
    for key in ("client_address:::1", "client_address:127.0.0.9"):
        assert json.loads(counted("limits", "show", key, "--json").stdout)[0]["key"] == "client_address:127.0.0.1"
    assert counted("limits", "show", "uid:0").stdout.startswith("user: 0 of 90 ")
    assert counted("limits", "show", "uid:unknown").stdout.startswith("user: 0 of 9 ")
    assert counted("limits", "show", "login:anna").stdout == "no limit counts by login\n"


def test_a_key_is_forgotten_under_all_limits(counted: Postroom) -> None:
    """Its two counters go; a second time there are none."""
    done = counted("limits", "reset", "sender:anna@example.org")
    assert (done.returncode, done.stdout) == (0, "2 counters forgotten\n")
    assert counted("limits", "show", "sender:anna@example.org").returncode == 0
    again = counted("limits", "reset", "sender:anna@example.org")
    assert (again.returncode, again.stderr) == (1, "0 counters forgotten\n")


@pytest.mark.parametrize("key", ["anna@example.org", "senders:anna@example.org", "sender:", ":x"])
def test_a_key_that_is_none_is_usage(postroom: Postroom, key: str) -> None:
    """With the kinds there are."""
    done = postroom("limits", "show", key)
    assert done.returncode == 2
    assert "write KIND:VALUE, KIND one of client, sender, " in done.stderr
