"""Our resolver of recipients against Postfix's own: trivial-rewrite(8) is asked about the same addresses.

One Postfix runs a trivial-rewrite for each set of settings; for each there is a main.cf that postconf(1) reads for us.
Ours may refuse what Postfix would take. What it takes must become the very address that Postfix makes of it.
"""

import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from postroom.mail.addresses import AddressInvalid
from postroom.postfix.rewriting import address_rewriting
from postroom.recipients.resolver import RecipientResolver
from sandbox.postfix import PrivatePostfix
from sandbox.trivial_rewrite import TrivialRewrite

pytestmark = pytest.mark.postfix

OURS = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.org",
    "mydomain": "example.org",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, localhost.$mydomain, localhost, example.org",
}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "usual": OURS,
    "short": OURS | {"append_dot_mydomain": "yes", "compatibility_level": "0", "smtputf8_enable": "yes"},
    "unhacked": OURS | {"allow_percent_hack": "no"},
    "unbanged": OURS | {"swap_bangpath": "no"},
    "literal": OURS | {"allow_percent_hack": "no", "swap_bangpath": "no", "resolve_dequoted_address": "no"},
    "bare": OURS | {"append_at_myorigin": "no", "mydestination": "localhost"},
    "file": OURS | {"mydestination": "!host.example.org {folder}/destinations localhost"},
    "table": OURS | {"mydestination": "localhost, static:anything"},
    "null": OURS | {"mydestination": "", "resolve_null_domain": "yes", "resolve_numeric_domain": "yes"},
}
SPELLINGS = (
    "supp",
    "supp@mail",
    "supp@example.net",
    "supp@EXAMPLE.net.",
    "supp%example.net",
    "example.net!supp",
    "supp%example.net@mail.example.org",
    "supp%example.net@EXAMPLE.ORG.",
    "supp%example.net@localhost",
    "example.net!supp@localhost",
    "supp%example.net%localhost@example.org",
    "localhost!example.net!supp@example.org",
    "supp%example.net%localhost%example.org@localhost",
    "a!b%example.net@localhost",
    "supp%example.net@host.example.org",
    "supp%example.net@example.com",
    "example.net!supp@example.com",
    "supp%mail@example.org",
    "supp%@example.org",
    "%example.net@example.org",
    "!supp@example.org",
    "supp%example.net@127.0.0.1",
    "supp%example.net@[127.0.0.1]",
    "supp%example.net@[IPv6:::1]",
    "supp%[127.0.0.1]@localhost",
    "supp@example.net@localhost",
    "@a.example,@b.example:supp@example.net",
    "supp@example.net@",
    "supp@",
    "@localhost",
    "a b%example.net@localhost",
    "jürgen%bücher.example@localhost",
    "supp%EXAMPLE.net..@localhost",
    "owner-supp+x%example.net@localhost",
)
LOCALS = ("supp", "gone+x", "a.b", "postmaster", "jürgen", "x'{y}", "a|b", "a b", 'q"', "\\q", "(c)", "-", "")
DOMAINS = (
    "example.net",
    "example.org",
    "EXAMPLE.ORG",
    "mail.example.org",
    "localhost",
    "localhost.example.org",
    "host.example.org",
    "mail",
    "127.0.0.1",
    "[127.0.0.1]",
    "[IPv6:::1]",
    "bücher.example",
    "a_b.example",
)
BETWEEN = ("%", "%", "!", "!", "@", "@", ".", "", "%@", "..", ":", ",", " ", ">")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, tuple[TrivialRewrite, Path]]]:
    """For each set of settings: Postfix's own answer, and the folder of a main.cf for postconf(1)."""
    folder = tmp_path_factory.mktemp("rewrite")
    (folder / "destinations").write_text("# ours\nexample.org, mail.example.org\nhost.example.org\n", "ascii")
    services, folders = "", {}
    for name, settings in SETTINGS.items():
        values = {key: value.replace("{folder}", str(folder)) for key, value in settings.items()}
        folders[name] = folder / name
        folders[name].mkdir()
        main = "".join(f"{key} = {value}\n" for key, value in values.items())
        (folders[name] / "main.cf").write_text(main, "ascii")
        (folders[name] / "master.cf").touch()
        services += f"rewrite-{name} unix - - n - - trivial-rewrite\n"
        services += "".join(f"    -o {{ {key} = {value} }}\n" for key, value in values.items())
    postfix = PrivatePostfix(folder / "postfix", ("127.0.0.1", 9), handover=False)
    postfix.write()
    master = postfix.config_directory / "master.cf"
    master.write_text(master.read_text("ascii") + services, "ascii")
    os.utime(master, (time.time() - 60, time.time() - 60))
    with ExitStack() as at_end:
        at_end.callback(postfix.stop)
        postfix.start()
        private = postfix.queue_directory / "private"
        yield {
            name: (at_end.enter_context(TrivialRewrite(private / f"rewrite-{name}")), folders[name])
            for name in SETTINGS
        }


def addresses(seed: str, count: int) -> Iterator[str]:
    """The spellings above, and as many as wanted that are put together at random."""
    yield from SPELLINGS
    chance = random.Random(seed)
    for _ in range(count):
        address = chance.choice(LOCALS)
        for _ in range(chance.randrange(4)):
            address += chance.choice(BETWEEN) + chance.choice((*DOMAINS, *DOMAINS, *LOCALS))
        if address:
            yield address


@pytest.mark.parametrize("name", SETTINGS)
def test_what_we_take_is_what_postfix_makes_of_it(
    asked: Mapping[str, tuple[TrivialRewrite, Path]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """For every address either we refuse it, or both have the same recipient; the settings are those postconf tells."""
    postfix, folder = asked[name]
    monkeypatch.setenv("MAIL_CONFIG", str(folder))
    resolver = RecipientResolver(bytes(32), address_rewriting())
    taken = rewritten = 0
    for address in addresses(name, 4_000):
        try:
            ours = resolver.resolve(address).address
        except AddressInvalid:
            continue
        assert ours == postfix.resolved(address), address
        taken += 1
        rewritten += ours != address
    assert taken > 400
    assert rewritten > 20


def test_what_people_write_is_taken(
    asked: Mapping[str, tuple[TrivialRewrite, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Postfix's usual settings every spelling of one mailbox is that mailbox, and not merely refused."""
    postfix, folder = asked["usual"]
    monkeypatch.setenv("MAIL_CONFIG", str(folder))
    resolver = RecipientResolver(bytes(32), address_rewriting())
    spellings = [
        "supp@example.net",
        "supp@EXAMPLE.net",
        "supp%example.net",
        "example.net!supp",
        "EXAMPLE.net.!supp",
        "supp%example.net@mail.example.org",
        "supp%example.net@localhost",
        "example.net!supp@localhost",
        "supp%example.net%localhost@example.org",
        "localhost!example.net!supp@example.org",
    ]
    assert len({resolver.resolve(address).counted for address in spellings}) == 1
    assert {(postfix.resolved(address) or "").lower() for address in spellings} == {"supp@example.net"}
    assert resolver.resolve("postmaster").address == "postmaster@example.org"
    assert resolver.resolve("supp%example.net@example.com").address == "supp%example.net@example.com"


def test_a_table_that_must_not_be_guessed_at_refuses_what_depends_on_it(
    asked: Mapping[str, tuple[TrivialRewrite, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain addresses pass; a further domain before the @ only where the listed domains decide."""
    monkeypatch.setenv("MAIL_CONFIG", str(asked["table"][1]))
    resolver = RecipientResolver(bytes(32), address_rewriting())
    assert resolver.resolve("supp@example.com").address == "supp@example.com"
    assert resolver.resolve("supp%example.com@localhost").address == "supp@example.com"
    with pytest.raises(AddressInvalid):
        resolver.resolve("supp%example.net@example.com")
