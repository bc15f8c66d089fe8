"""Who a recipient is, however it is written; tests/recipients/test_spellings_postfix.py holds it to Postfix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mail.addresses import AddressInvalid
from postroom.mail.recipients import recipient_hash
from postroom.mail.spellings import AddressRewriting, DomainPattern
from postroom.recipients.resolver import RecipientResolver
from postroom.recipients.syntax import fault

KEY = bytes(32)
OURS = AddressRewriting(
    "mail.example.org",
    "example.org",
    "example.org",
    tuple(map(DomainPattern, ("mail.example.org", "localhost", "example.org"))),
    recipient_delimiter="-",
)
SEPARATE, SAME = RecipientResolver(KEY, OURS), RecipientResolver(KEY, OURS, "same")


@pytest.mark.parametrize("resolver", [SEPARATE, RecipientResolver(KEY, None)], ids=["known", "unknown"])
@pytest.mark.parametrize(
    "address", ["jane@example.net", "Jane+x@EXAMPLE.net", "jürgen@bücher.example", "jane@mail.org"]
)
def test_an_ordinary_address_stays_what_it_is(resolver: RecipientResolver, address: str) -> None:
    """Its hash too, so that suppressions of before hold."""
    who = resolver.resolve(address)
    assert who.address == address
    assert who.suppressed == (recipient_hash(KEY, address),)
    assert who.counted == f"#{recipient_hash(KEY, address)}"


@pytest.mark.parametrize(
    "spelling",
    [
        "jane%example.net",
        "example.net!jane",
        "jane%example.net@example.org",
        "Jane%EXAMPLE.net@LocalHost",
        "example.net!jane%localhost@localhost",
        "jane%example.net%localhost%localhost%localhost@localhost",
    ],
)
def test_a_routed_address_is_the_one_it_is_routed_to(spelling: str) -> None:
    """With one count, under one domain, and one entry among the suppressed."""
    if spelling.startswith("example.net!jane%"):
        # The ! binds first: the rest is the local part at example.net, which only that host may read.
        assert SEPARATE.resolve(spelling).address == "jane%localhost@example.net"
    else:
        assert SEPARATE.resolve(spelling).counted == SEPARATE.resolve("jane@example.net").counted
    assert SEPARATE.resolve(spelling).domain == "example.net"


def test_without_postfix_nothing_is_guessed() -> None:
    """Names alone stay alone; what could be routed is refused, and is itself where it was taken before."""
    unknown = RecipientResolver(KEY, None)
    assert unknown.resolve("postmaster").address == "postmaster"
    for routed in ("jane%example.net", "example.net!jane", "jane%example.net@example.org"):
        with pytest.raises(AddressInvalid, match="settings"):
            unknown.resolve(routed)
        assert unknown.resolve_or_keep(routed).address == routed


def test_a_refusal_repeats_nothing_of_the_address() -> None:
    """It goes to whoever asks, and into logs."""
    tables = AddressRewriting("mail.example.org", "example.org", "example.org", (DomainPattern(None),))
    for resolver, address in (
        (SEPARATE, "jane%@localhost"),
        (SEPARATE, "jane%[127.0.0.1]@localhost"),
        (SEPARATE, "jane%exa_mple@localhost"),
        (SEPARATE, "%localhost" * 40 + "@localhost"),
        (RecipientResolver(KEY, tables), "jane%example.net@example.org"),
    ):
        with pytest.raises(AddressInvalid) as refused:
            resolver.resolve(address)
        assert "jane" not in refused.value.reason
        assert refused.value.reason.isprintable()


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("gone+x@example.net", "gone@example.net"),
        ("gone+x+y@example.net", "gone@example.net"),
        ("gone+x%example.net@localhost", "gone@example.net"),
        ("gone-x@example.net", "gone-x@example.net"),
        ("+x@example.net", "+x@example.net"),
        ("gone-x@example.org", "gone@example.org"),
        ("gone+x@example.org", "gone+x@example.org"),
        ("gone-x", "gone@example.org"),
        ("owner-gone@example.org", "owner-gone@example.org"),
        ("gone-request@example.org", "gone-request@example.org"),
    ],
)
def test_plus_addresses_that_are_the_same(address: str, base: str) -> None:
    """Counted as the address without, and suppressed with it; an entry of its own holds as before."""
    who, plain = SAME.resolve(address), SEPARATE.resolve(base)
    assert who.counted == plain.counted
    assert set(who.suppressed) == {*SEPARATE.resolve(address).suppressed, *plain.suppressed}
    assert SEPARATE.resolve(address).suppressed == (recipient_hash(KEY, who.address),)


PIECES = st.sampled_from([*'ab%!@.+-:, "\\[]', "localhost", "example.org", "example.net", "jane"])


@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=80))
def test_any_text_is_refused_or_becomes_an_address(text: str) -> None:
    """One that has no fault of its own and is resolved already."""
    for resolver in (SEPARATE, SAME):
        try:
            who = resolver.resolve(text)
        except AddressInvalid:
            resolver.resolve_or_keep(text)
            continue
        assert fault(who.address) is None
        assert resolver.resolve(who.address) == who
