"""Header fields: what a reader shows is what was written, and no value leaves its field.

The reader is the stdlib's `email` package, both its parsers: the old one
(compat32, decode_header) and the new one (policy.default). It shares no code
with what it reads.
"""

import re
from collections.abc import Callable
from email import message_from_string
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader
from email.policy import compat32, default
from email.utils import getaddresses, parsedate_to_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroom.mail.addresses import MAX_NAME_CHARS, Mailbox
from postroom.mail.headers import (
    HeaderInvalid,
    address_field,
    date_field,
    encoded_words,
    message_id_field,
    refuse_controls,
    text_field,
)

repeatable = settings(derandomize=True, deadline=None)

JANE = Mailbox("Jane Doe", "jane", "example.org")
one_line = st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200)
tricky = st.lists(
    st.sampled_from(
        ["=?", "?=", "utf-8", "q", "?", "=", "_", " ", "  ", ",", '"', "\\", "(c)", "é", "🎉", "e\u0301", "w" * 30]
    ),
    max_size=30,
).map("".join)


def unfolded(field: str) -> str:
    """The value of one raw field, checked for what every field must keep."""
    assert field.isascii()
    assert field.endswith("\r\n")
    lines = field.removesuffix("\r\n").split("\r\n")
    assert not re.search(r"[\r\n]", "".join(lines))
    assert all(line.startswith(" ") and line.strip() for line in lines[1:])
    assert all(len(line) <= 998 for line in lines)
    for line in lines:
        words = re.findall(r"=\?utf-8\?[qb]\?[^? ]*\?=", line)
        assert not words or len(line) <= 76
        assert all(len(word) <= 75 for word in words)
    return "".join(lines).partition(":")[2].removeprefix(" ")


def shown_by_old_parser(field: str) -> str:
    value = message_from_string(field + "\r\n", policy=compat32)["Subject"]
    return str(make_header(decode_header(re.sub(r"\r?\n(?=[ \t])", "", value)))) if value else ""


def shown_by_new_parser(field: str) -> str:
    return str(message_from_string(field + "\r\n", policy=default)["Subject"])


def names_by_old_parser(field: str) -> list[tuple[str, str]]:
    pairs = getaddresses([unfolded(field)])
    return [(str(make_header(decode_header(name))), address) for name, address in pairs]


def names_by_new_parser(field: str) -> list[tuple[str, str]]:
    """Before Python 3.13 this parser takes the fold between two encoded-words for a blank."""
    header = message_from_string(field + "\r\n", policy=default)["To"]
    assert isinstance(header, AddressHeader)
    return [(address.display_name, address.addr_spec) for address in header.addresses]


@pytest.mark.parametrize("shown", [shown_by_old_parser, shown_by_new_parser])
@repeatable
@given(value=one_line | tricky)
@example(value="")
@example(value=" ")
@example(value=" blanks  at the ends ")
@example(value="=?utf-8?q?shows_as_written?=")
@example(value="w" * 2000)
@example(value="ascii words " * 50 + "end")
@example(value="é" * 300)
@example(value="ab é" * 100)
@example(value="🎉" * 100)
def test_a_subject_is_shown_as_it_was_written(shown: Callable[[str], str], value: str) -> None:
    """Any Unicode, blanks and texts that look like encoded-words included, through folding and back."""
    field = text_field("Subject", value)
    unfolded(field)
    assert shown(field) == value


@pytest.mark.parametrize("read", [names_by_old_parser, names_by_new_parser])
@repeatable
@given(names=st.lists((one_line | tricky).map(lambda name: name[:MAX_NAME_CHARS]), min_size=1, max_size=6))
@example(names=["Doe, Jane", 'J "the" Doe', "back\\slash", "J. Doe", "=?utf-8?q?x?=", "Zoë", "", " spaced  out "])
@example(names=["a" * 200, "é" * 200, "🎉" * 200, "word " * 40])
@example(names=["Jane <jane@other.example>", "(comment)", "a;b:c", "@"])
def test_names_of_an_address_list_are_shown_as_written(
    read: Callable[[str], list[tuple[str, str]]], names: list[str]
) -> None:
    """Each name stays with its address, none gives birth to another address."""
    mailboxes = [Mailbox(name, f"box{index}", "example.org") for index, name in enumerate(names)]
    field = address_field("To", mailboxes)
    unfolded(field)
    seen = read(field)
    if read is names_by_new_parser:
        assert [name.replace(" ", "") for name, _ in seen] == [name.replace(" ", "") for name in names]
    else:
        assert [name for name, _ in seen] == names
    assert [address for _, address in seen] == [box.address for box in mailboxes]


def test_plain_values_go_out_as_they_are() -> None:
    """ASCII is not touched; a name is quoted only when it must be."""
    assert text_field("Subject", "Your order 17 (paid)") == "Subject: Your order 17 (paid)\r\n"
    assert text_field("Subject", "") == "Subject:\r\n"
    assert address_field("From", [JANE]) == "From: Jane Doe <jane@example.org>\r\n"
    assert address_field("To", [Mailbox("", "a", "b.example")]) == "To: a@b.example\r\n"
    assert address_field("To", [Mailbox('Doe, "J"', "a", "b.example")]) == 'To: "Doe, \\"J\\"" <a@b.example>\r\n'


def test_the_shorter_encoding_is_taken() -> None:
    """Q for a word or two that are not ASCII, B for another script."""
    assert text_field("Subject", "Willkommen in Köln") == "Subject: =?utf-8?q?Willkommen_in_K=C3=B6ln?=\r\n"
    assert text_field("Subject", "Привет") == "Subject: =?utf-8?b?0J/RgNC40LLQtdGC?=\r\n"


def test_lines_fold_at_seventy_six_octets() -> None:
    """Plain words and mailboxes are folded where they stand; nothing is folded that fits."""
    assert text_field("Subject", "w" * 67) == f"Subject: {'w' * 67}\r\n"
    assert text_field("Subject", f"{'w' * 60} second") == f"Subject: {'w' * 60} second\r\n"
    assert text_field("Subject", f"{'w' * 61} second") == f"Subject: {'w' * 61}\r\n second\r\n"
    assert address_field("Cc", [JANE] * 3) == (
        "Cc: Jane Doe <jane@example.org>, Jane Doe <jane@example.org>, Jane Doe\r\n <jane@example.org>\r\n"
    )


@pytest.mark.parametrize("shift", range(30))
@pytest.mark.parametrize(
    ("piece", "encoding"),
    [("plain words é", "q"), ("a" * 24 + "🎉", "q"), ("b" * 20 + "東", "q"), ("éa", "b"), ("東京é", "b"), ("🎉", "b")],
)
def test_no_character_is_split_over_two_encoded_words(piece: str, encoding: str, shift: int) -> None:
    """Each encoded-word decodes alone (RFC 2047 §5), fits its room, and together they are the text."""
    value = "s" * shift + piece * 20
    words = encoded_words(value, 40 + shift)
    assert "".join(str(make_header(decode_header(word))) for word in words) == value
    assert len(words[0]) <= 40 + shift
    assert all(word.startswith(f"=?utf-8?{encoding}?") and len(word) <= 75 for word in words)
    for word in words:
        octets, _ = decode_header(word)[0]
        assert isinstance(octets, bytes)
        octets.decode("utf-8", "strict")


CONTROLS = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\r\n", "\u2028", "\u2029", "\ud800", "\udfff"]


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_character_is_refused(control: str) -> None:
    """A line break would begin a header of the sender's own; TAB, NUL, C1 and lone surrogates go the same way."""
    for value in (f"Hello{control}Bcc: x@example.net", control, f"Hello{control}"):
        with pytest.raises(HeaderInvalid, match=r"^Subject: .*control character U\+"):
            text_field("Subject", value)


@pytest.mark.parametrize(
    "value",
    [
        "=?utf-8?q?Hello=0D=0ABcc:_x=40example.net?=",
        "=?UTF-8?Q?Hello=0a?=",
        "=?utf-8?b?SGVsbG8NCkJjYzogeEBleGFtcGxlLm5ldA==?=",
        "=?utf-8?B?SGVsbG8K?=",
        "=?us-ascii?q?=00?=",
        "=?utf-7?q?a+AA0ACg-b?=",
        "=?utf-16?b?//4KAA==?=",
        "=?cp037?q?=25?=",
        "=?windows-1252?q?=0A?=",
        "=?nonsense?q?=0A?=",
        "=??q?=0A?=",
        "=?utf-8?q?=E2=80=A8?=",
        "fine =?utf-8?q?fine?= =?utf-8?q?=0A?= fine",
        "=?utf-8?q?=?utf-8?q?=0A?=",
        "=?utf-8?q?unfinished=0A",
        "=?utf-8?b?Cg?=",
    ],
)
def test_an_encoded_word_that_hides_a_control_character_is_refused(value: str) -> None:
    """A reader that decodes twice must not find a line break either (CVE-2026-1299)."""
    with pytest.raises(HeaderInvalid, match="control character"):
        refuse_controls("Subject", value)


@pytest.mark.parametrize(
    "value", ["=?utf-8?q?fine?=", "=?utf-8?b?!?=", "=?q?", "a =? b ?= c", "=?rot13?q?x?=", "=?idna?q?x?="]
)
def test_a_harmless_encoded_word_is_text_like_any_other(value: str) -> None:
    """It is let through, and shown with its =? and ?=."""
    refuse_controls("Subject", value)
    assert shown_by_new_parser(text_field("Subject", value)) == value


@repeatable
@given(st.text() | tricky)
def test_any_value_is_a_field_or_refused(value: str) -> None:
    """No other error escapes, and what is let through is shown as it was written."""
    try:
        field = text_field("Subject", value)
    except HeaderInvalid:
        with pytest.raises(HeaderInvalid, match="control character"):
            refuse_controls("Subject", value)
    else:
        assert shown_by_old_parser(field) == value


def test_a_field_that_postfix_would_cut_is_refused() -> None:
    """Postfix drops what goes beyond header_size_limit; we would rather say so."""
    assert text_field("Subject", "word " * 5000 + "end")
    for value in ("w" * 100_001, "é" * 40_000):
        with pytest.raises(HeaderInvalid, match="longer than 100000 octets"):
            text_field("Subject", value)
    with pytest.raises(HeaderInvalid, match="longer than 100000 octets"):
        address_field("To", [Mailbox("🎉" * MAX_NAME_CHARS, "l" * 64, "example.org")] * 100)


def test_fifty_mailboxes_with_the_longest_names_fit() -> None:
    """A message may have 50 recipients; no names that a Mailbox allows make the field too long."""
    longest = Mailbox("🎉" * MAX_NAME_CHARS, "l" * 64, ".".join(["d" * 61] * 3) + ".www")
    assert len(names_by_old_parser(address_field("To", [longest] * 50))) == 50


def test_an_empty_list_is_no_field() -> None:
    """RFC 5322 wants at least one address; leaving the field out is the caller's decision."""
    with pytest.raises(HeaderInvalid, match=r"^To: there must be at least one mailbox"):
        address_field("To", [])


@pytest.mark.parametrize("hostile", ["=?a?q?", "=?", "=?utf-8?b?", "=?a?q?=0", "?=", "é =?x?q?y"])
def test_a_hostile_value_costs_linear_time(hostile: str) -> None:
    """Just under the limit, full of beginnings of encoded-words: decided at once, not in minutes."""
    value = hostile * (90_000 // len(hostile))
    with pytest.raises(HeaderInvalid, match="longer than 100000 octets"):
        text_field("Subject", value)


@pytest.mark.parametrize(
    ("unix_s", "expected"),
    [
        (0, "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"),
        (1_790_000_000.999, "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n"),
        (951_827_696, "Date: Tue, 29 Feb 2000 12:34:56 +0000\r\n"),
        (-0.5, "Date: Wed, 31 Dec 1969 23:59:59 +0000\r\n"),
    ],
)
def test_a_date_is_written_in_utc(unix_s: float, expected: str) -> None:
    """Whole seconds rounded down, English names whatever the locale, read back by the stdlib."""
    assert date_field(unix_s) == expected
    assert parsedate_to_datetime(expected.removeprefix("Date: ")).timestamp() == unix_s // 1


@pytest.mark.parametrize("unix_s", [float("nan"), float("inf"), -float("inf"), 1e18, -1e10])
def test_a_time_without_a_date_is_refused(unix_s: float) -> None:
    """Not a number, beyond the calendar, before the year 1900."""
    with pytest.raises(HeaderInvalid, match=r"^Date: "):
        date_field(unix_s)


def test_a_message_id_is_put_into_angle_brackets() -> None:
    """left@right, both dot-atoms."""
    assert message_id_field("0192a.b+c@mail.example.org") == "Message-ID: <0192a.b+c@mail.example.org>\r\n"


@pytest.mark.parametrize(
    "message_id",
    [
        "",
        "a",
        "@b",
        "a@",
        "a@b@c",
        "<a@b>",
        "a b@c",
        "a@b\r\nBcc: x@y",
        "a@b\n",
        "é@b",
        "a@[::1]",
        ".a@b",
        "a@" + "b" * 998,
    ],
)
def test_a_message_id_of_another_form_is_refused(message_id: str) -> None:
    """Receivers and our own witness compare it octet by octet; nothing that may be rewritten on the way goes in."""
    with pytest.raises(HeaderInvalid, match=r"^Message-ID: "):
        message_id_field(message_id)
