"""Whose mail it is: the domain of the only From address."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.milter.author import MAX_OCTETS, AuthorUnknown, author_domain
from postroom.milter.sign import Unsigned


def reason_of(*values: bytes) -> Unsigned:
    with pytest.raises(AuthorUnknown) as unknown:
        author_domain([(b"From", value) for value in values])
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
    assert author_domain([(b"X-From", b"x@example.net"), (b"FROM ", value)]) == "example.org"


def test_an_international_domain_is_the_one_that_dns_knows() -> None:
    """U-labels become A-labels, as in the configuration."""
    assert author_domain([(b"From", "a@Bücher.example".encode())]) == "xn--bcher-kva.example"


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
        assert author_domain([(b"From", f"a@{domain}".encode())]) != "example.org"


PIECES = st.sampled_from(
    [b"<", b">", b"@", b'"', b"(", b")", b"\\", b",", b":", b" ", b"a", b"example.org", b"\xff", b"\n"]
)


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_any_octets_are_a_domain_or_a_reason(value: bytes) -> None:
    """Ours is found only where it stands behind an @ as a word of its own."""
    domain = None
    with suppress(AuthorUnknown):
        domain = author_domain([(b"From", value)])
    assert domain != "example.org" or b"@example.org" in value


def test_the_worst_field_is_read_at_once() -> None:
    """Nothing is quadratic in what a stranger writes."""
    began = time.process_time()
    for unit in (b"(", b'"', b"\\", b"a@", b"<", b" ", b"()", b'""'):
        with pytest.raises(AuthorUnknown):
            author_domain([(b"From", (unit * MAX_OCTETS)[:MAX_OCTETS])])
    assert time.process_time() - began < 1
