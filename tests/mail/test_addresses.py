"""Addresses: what is one mailbox, and what is refused before anybody else sees it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroom.mail import addresses
from postroom.mail.addresses import AddressInvalid, Mailbox, domain_of, masked, normalised, parse_mailbox
from postroom.mail.headers import address_field

repeatable = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jane@example.org", Mailbox("", "jane", "example.org")),
        ("  jane@example.org  ", Mailbox("", "jane", "example.org")),
        ("<jane@example.org>", Mailbox("", "jane", "example.org")),
        ("Jane Doe <jane@example.org>", Mailbox("Jane Doe", "jane", "example.org")),
        ("Jane   Doe<jane@example.org>", Mailbox("Jane Doe", "jane", "example.org")),
        ("J. R. Doe <jane@example.org>", Mailbox("J. R. Doe", "jane", "example.org")),
        ('"Doe, Jane" <jane@example.org>', Mailbox("Doe, Jane", "jane", "example.org")),
        (r'"Jane \"JD\" \\ Doe" <jane@example.org>', Mailbox(r'Jane "JD" \ Doe', "jane", "example.org")),
        ('"jane@other.example" <jane@example.org>', Mailbox("jane@other.example", "jane", "example.org")),
        ("Zoë Müller <zoe@example.org>", Mailbox("Zoë Müller", "zoe", "example.org")),
        ("Jane.O'Doe+tag@Example.ORG", Mailbox("", "Jane.O'Doe+tag", "example.org")),
        ("Info@example.org", Mailbox("", "Info", "example.org")),
        ("x@sink.test", Mailbox("", "x", "sink.test")),
        ("root@localhost", Mailbox("", "root", "localhost")),
        ("x@host.corp.local", Mailbox("", "x", "host.corp.local")),
        ("x@BÜCHER.example", Mailbox("", "x", "xn--bcher-kva.example")),
        ("x@faß.example", Mailbox("", "x", "xn--fa-hia.example")),
    ],
)
def test_one_mailbox_is_read_as_people_write_it(text: str, expected: Mailbox) -> None:
    """Name as plain text, local part as written, domain as lower-case A-labels; a lab's and a site's domains too."""
    assert parse_mailbox(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no address"),
        ("<>", "there is no address"),
        ("jane", "has no @"),
        ("@example.org", "before the @"),
        ("jane@", "after the @"),
        ("jane@example.org>", "has no <"),
        ("a@example.org, b@example.org", "more than one @"),
        ("a@example.org, <b@example.org>", "double quotes"),
        ("Team: a@example.org;", "before the @"),
        ("Team: a@example.org, b@example.org;", "more than one @"),
        ("Jane (work) <jane@example.org>", "double quotes"),
        ("jane(work)@example.org", "before the @"),
        ("<@relay.example,@other.example:jane@example.org>", "more than one @"),
        ("Doe, Jane <jane@example.org>", "double quotes"),
        ('"Jane" Doe <jane@example.org>', "one quoted string"),
        ('"Jane <jane@example.org>', "one quoted string"),
        ('"jane doe"@example.org', "quoted part before the @"),
        (r"jane\@doe@example.org", "quoted part before the @"),
        ("jane doe@example.org", "before the @"),
        ("jane@exam ple.org", "after the @"),
        (".jane@example.org", "period"),
        ("jane..doe@example.org", "periods"),
        ("-f@example.org", "hyphen"),
        ("zoë@example.org", "needs SMTPUTF8, which the hand-over does not use"),
        ("jane@[192.0.2.1]", "in brackets"),
        ("jane@192.0.2.1", "number"),
        ("jane@exa_mple.org", "after the @"),
        ("jane@-example.org", "hyphen"),
        ("jane@example..org", "periods"),
        ("jane@☃.example", "after the @"),
        ("l" * 65 + "@example.org", "longer than 64"),
        ("jane@" + "l" * 64 + ".example", "too many"),
        ("jane@" + "label." * 41 + "example", "too long"),
        ("l" * 64 + "@" + "label." * 32 + "org", "too long"),
        ("n" * 201 + " <jane@example.org>", "longer than 200"),
        ("n" * 1001, "longer than 1000"),
    ],
)
def test_all_else_is_refused_with_a_reason_that_does_not_quote_the_address(text: str, reason: str) -> None:
    """The sentence says what is wrong; no whole address and no whole local part stands in it."""
    with pytest.raises(AddressInvalid) as refused:
        parse_mailbox(text)
    assert reason in refused.value.reason
    for private in ("jane", "doe@", "example.org", "zoë"):
        assert private not in refused.value.reason.lower()


def test_the_longest_legal_address_passes() -> None:
    """64 octets before the @ and 254 in all: a path of 256 with < and > (RFC 5321 §4.5.3.1.3)."""
    domain = ".".join(["d" * 61] * 3) + ".www"
    longest = "l" * (254 - 1 - len(domain)) + "@" + domain
    assert len(longest) == 254
    assert parse_mailbox(longest).address == longest
    with pytest.raises(AddressInvalid):
        parse_mailbox("l" + longest)


@pytest.mark.parametrize(
    "control", ["\0", "\r", "\n", "\r\n", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]
)
@pytest.mark.parametrize(
    "template",
    [
        "{}jane@example.org",
        "Jane{} <jane@example.org>",
        '"Jane{}" <jane@example.org>',
        "jane{}@example.org",
        "jane@exam{}ple.org",
        "jane@example.org{}",
        "Jane <jane@example.org>{}",
        "jane@example.org{}Bcc: x@example.net",
    ],
)
def test_a_control_character_is_refused_wherever_it_stands(control: str, template: str) -> None:
    """Line breaks, NUL, TAB, C1, Unicode line separators and lone surrogates, in every place of a mailbox."""
    with pytest.raises(AddressInvalid, match=r"control character U\+[0-9A-F]{4}"):
        parse_mailbox(template.format(control))


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?q?Jane=0ABcc:_x=40example.net?=",
        "=?UTF-8?B?SmFuZQ0KQmNjOiB4QGV4YW1wbGUubmV0?=",
        "=?utf-7?q?Jane+AAo-Bcc?=",
        "=?utf-16-be?b?AAoAYQ==?=",
        "=?x-unknown?q?=0D?=",
        "=?iso-8859-1?q?=85?=",
        "=?utf-8*en?q?=0A?=",
        "=?utf-8?q?=?utf-8?q?=0A?=",
        "Jane =?utf-8?q?Doe?= =?utf-8?b?Cg?=",
    ],
)
def test_a_name_whose_encoded_word_hides_a_line_break_is_refused(name: str) -> None:
    """As in CVE-2026-1299: quoted or not, in B or Q, whatever charset is claimed; made directly as well."""
    with pytest.raises(AddressInvalid, match="control character"):
        parse_mailbox(f'"{name}" <jane@example.org>')
    with pytest.raises(AddressInvalid, match="control character"):
        Mailbox(name, "jane", "example.org")


@pytest.mark.parametrize(
    ("name", "local", "domain"),
    [
        ("Jane\r\nBcc: x@example.net", "jane", "example.org"),
        ("", "jane\r\nRCPT TO:<x@example.net>", "example.org"),
        ("", "jane", "example.org\n"),
        ("", "jane> x", "example.org"),
        ("", "jane", "example.org> <x@example.net"),
        ("", "jane", "Example.org"),
        ("", "jane", "bücher.example"),
        ("", "jane", "example.org."),
        ("", "jane", ""),
        ("", "", "example.org"),
        ("", "l" * 65, "example.org"),
        ("", "jane", ".".join(["d" * 63] * 4)),
    ],
)
def test_a_mailbox_cannot_even_be_made_unfit(name: str, local: str, domain: str) -> None:
    """Whoever holds a Mailbox may put it into a header or an SMTP path without looking."""
    with pytest.raises(AddressInvalid):
        Mailbox(name, local, domain)


@repeatable
@given(st.text(max_size=300) | st.text(alphabet='jaé<>@."\\ ,:;()=?utf-8q0A\r\n\0', max_size=60))
@example("x@" + "\u0661" * 250)
def test_any_text_is_a_mailbox_or_refused(text: str) -> None:
    """No other error escapes, and what is read can be written and read again to the same."""
    try:
        mailbox = parse_mailbox(text)
    except AddressInvalid:
        return
    assert parse_mailbox(mailbox.address if not mailbox.name else _written(mailbox)) == mailbox
    assert mailbox.address.isascii()
    assert address_field("To", (mailbox,)).isascii()


def _written(mailbox: Mailbox) -> str:
    name = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{mailbox.address}>'


@pytest.mark.parametrize(
    ("address", "domain", "key", "shown"),
    [
        ("Jane@Example.ORG", "example.org", "Jane@example.org", "J…@example.org"),
        ("j@example.org", "example.org", "j@example.org", "j…@example.org"),
        ("jane@example.org.", "example.org", "jane@example.org", "j…@example.org"),
        ("jane@Bücher.example", "xn--bcher-kva.example", "jane@xn--bcher-kva.example", "j…@xn--bcher-kva.example"),
        ("jane@☃.example", "☃.example", "jane@☃.example", "j…@☃.example"),
        ('"jane doe"@example.org', "example.org", '"jane doe"@example.org', "…@example.org"),
        ('"a@b"@example.org', "example.org", '"a@b"@example.org', "…@example.org"),
        ("zoë@example.org", "example.org", "zoë@example.org", "z…@example.org"),
        ("MAILER-DAEMON", "", "MAILER-DAEMON", "M…"),
        ("", "", "", "…"),
    ],
)
def test_domain_key_and_mask_of_an_address(address: str, domain: str, key: str, shown: str) -> None:
    """They take what logs and peers say, valid or not, and the null sender; the mask has one length for all."""
    assert domain_of(address) == domain
    assert normalised(address) == key
    assert masked(address) == shown


@repeatable
@given(st.text(max_size=100))
def test_keys_of_any_text_are_stable(text: str) -> None:
    """A key made twice is the same key, and the mask tells no more than one character and the domain."""
    assert normalised(text) == normalised(normalised(text))
    assert domain_of(text) == domain_of(normalised(text))
    assert len(masked(text)) <= len("j…@") + len(domain_of(text))


@settings(max_examples=1_000)
@given(
    st.text("abZ9!#$%&'*+/=?^_`{|}~-.", min_size=1, max_size=64),
    st.lists(st.text("abzAZ019-", min_size=1, max_size=64), min_size=1, max_size=5).map(".".join),
)
@example("a", ".".join(["a" * 63] * 3 + ["b" * 60]))
@example("a", "a.xn--")
def test_a_plain_address_is_one_to_the_library_too(local: str, domain: str) -> None:
    """What is read without asking it is what it would have said."""
    if addresses._is_plain(local, domain):
        assert addresses._valid(f"{local}@{domain}").ascii_domain == domain.lower()
