"""Whose mail it is: the only From address."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.milter.author import MAX_OCTETS, NOBODY, AuthorUnknown, author_of
from postroom.milter.sign import Unsigned


def reason_of(*values: bytes) -> Unsigned:
    with pytest.raises(AuthorUnknown) as unknown:
        author_of([(b"From", value) for value in values])
    return unknown.value.reason


@pytest.mark.parametrize(
    "value",
    [
        b"jane@example.org",
        b" <jane@Example.ORG> ",
        b"Jane Doe <jane@example.org>",
        b'"Doe, Jane <x@evil.example>" <jane@example.org>',
        b'"quo\\"ted" <"j. d@x"@example.org>',
        b"J. R. Doe <jane@example.org.>",
        b"jane@example.org (Jane (at work) \\) Doe)",
        b'jane@example.org (an unclosed " quote)',
        b'"(Cron Daemon)" <root@example.org>',
        b"=?utf-8?q?J=C3=A4ne?= <jane@example.org>",
        b"J\xe4ne <jane@example.org>",
        "Jäne\n\tDoe <jäne@example.org>".encode(),
        b"Jane\r\n <jane@example.org>",
    ],
)
def test_one_mailbox_has_one_domain(value: bytes) -> None:
    """With a name, quotes, comments, folds, 8-bit text."""
    assert author_of([(b"X-From", b"x@example.net"), (b"FROM ", value)]).domain == "example.org"


def test_an_international_domain_is_the_one_that_dns_knows() -> None:
    """U-labels become A-labels, as in the configuration."""
    assert author_of([(b"From", "a@Bücher.example".encode())]).domain == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"Jane <Jane@Example.ORG.>", "Jane@example.org"),
        ("jane@Bücher.example".encode(), "jane@xn--bcher-kva.example"),
        (b'"jane"@example.org', f"{NOBODY}@example.org"),
        (b'Jane <"j. d@x"@example.org>', f"{NOBODY}@example.org"),
        (b"jane@example.org (joe@example.org)", "jane@example.org"),
        (b'"joe@example.org" <jane@example.org>', "jane@example.org"),
        (b"=?utf-8?q?joe?=@example.org", "=?utf-8?q?joe?=@example.org"),
    ],
)
def test_the_address_is_the_one_that_is_written(value: bytes, address: str) -> None:
    """Only its domain is brought into one form; a quoted local part stands for nobody."""
    assert author_of([(b"From", value)]).address == address


@pytest.mark.parametrize("value", [b"", b"jane@", b'"jane"@', b"jane@example.org <", b"<jane@", b"jane "])
def test_what_is_written_before_an_address_does_not_become_part_of_it(value: bytes) -> None:
    """No address is put together from two words or two pairs of brackets."""
    with suppress(AuthorUnknown):
        assert author_of([(b"From", value + b"joe@example.org")]).address == "joe@example.org"


@pytest.mark.parametrize(
    ("value", "is_cron_mail"),
    [
        (b"root@mail.example.org (Cron Daemon)", True),
        (b" root@mail.example.org (Cron Daemon)", True),
        (b'"(Cron Daemon)" <root@mail.example.org>', True),
        (b"root@mail.example.org", False),
        (b"anna@mail.example.org (Cron Daemon)", False),
        (b"Cron Daemon <root@mail.example.org>", False),
        (b"Boss (Cron Daemon) <root@mail.example.org>", False),
        (b"root@mail.example.org (Cron Daemon) (Boss)", False),
    ],
)
def test_the_form_of_crons_mail_is_known(value: bytes, is_cron_mail: bool) -> None:
    """As Debian's cron and cronie write it, once Postfix has added the domain."""
    assert author_of([(b"From", value)]).is_cron_mail is is_cron_mail


def test_no_from_and_several() -> None:
    """Fields, and addresses in one field."""
    assert reason_of() == "from_missing"
    assert reason_of(b"a@example.org", b"a@example.org") == "from_several"
    assert reason_of(b"a@example.org, b@example.org") == "from_several"
    assert reason_of(b"a@example.com <a@example.org>") == "from_several"
    assert reason_of(b"<a@example.com> <a@example.org>") == "from_several"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"<jane@example.org(boss@evil.example)>",
        b"Jane <jane (x) @example.org>",
        b"jane",
        b"Jane <>",
        b"<jane@example.org",
        b"jane@example.org>",
        b"<jane@example.org> Jane",
        b"undisclosed:;",
        b"team: jane@example.org;",
        b"<@relay.example:jane@example.org>",
        b"Doe, Jane <jane@example.org>",
        b"jane@[192.0.2.1]",
        b"jane doe@example.org",
        b"jane@exa mple.org",
        b"jane@(comment)",
        b'"jane@example.org',
        b"(jane@example.org",
        b"jane)@example.org",
        b"ja\\ne@example.org",
        b"jane@example.org\\",
        b"jane\x00@example.org",
        b"<jane@example.org\x0b>",
        b"jane@example.org" + b" " * MAX_OCTETS,
    ],
)
def test_what_programs_could_read_differently_has_no_author(value: bytes) -> None:
    """Mail without one certain author is sent unsigned."""
    assert reason_of(value) in {"from_unparseable", "from_several"}


def test_a_domain_that_only_looks_like_ours_is_another() -> None:
    """A subdomain, a parent, a homograph: the configuration knows domains exactly."""
    for domain in ("mail.example.org", "org", "example.org.example.com", "ex\u0430mple.org"):
        assert author_of([(b"From", f"a@{domain}".encode())]).domain != "example.org"


PIECES = st.sampled_from(
    [b"<", b">", b"@", b'"', b"(", b")", b"\\", b",", b":", b" ", b"a", b"example.org", b"\xff", b"\n"]
)


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_any_octets_are_a_domain_or_a_reason(value: bytes) -> None:
    """Ours is found only where it stands behind an @ as a word of its own."""
    domain = None
    with suppress(AuthorUnknown):
        domain = author_of([(b"From", value)]).domain
    assert domain != "example.org" or b"@example.org" in value


def test_the_worst_field_is_read_at_once() -> None:
    """Nothing is quadratic in what a stranger writes."""
    began = time.process_time()
    for unit in (b"(", b'"', b"\\", b"a@", b"<", b" ", b"()", b'""'):
        with pytest.raises(AuthorUnknown):
            author_of([(b"From", (unit * MAX_OCTETS)[:MAX_OCTETS])])
    assert time.process_time() - began < 1
