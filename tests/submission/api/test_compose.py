"""Compose: a strict reader finds in the octets exactly the parts that went in, and nothing can travel badly.

The readers are the stdlib's `email` parsers (policy.default and compat32) and
`quopri`; they share no code with what they read, apart from binascii.
"""

import quopri
import re
from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader
from email.message import EmailMessage, Message
from email.policy import compat32, default

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroom.mail.addresses import Mailbox
from postroom.submission.api.compose import Image, MailParts, PartsInvalid, compose

repeatable = settings(derandomize=True, deadline=None)

JANE = Mailbox("Jane Doe", "jane", "example.net")
PARTS = MailParts(
    from_=Mailbox("Müller GmbH", "noreply", "example.org"),
    to=(JANE,),
    cc=(),
    reply_to=(),
    subject="Welcome",
    text="Hello Jane,\n\nyour account is ready.\n",
    html=None,
    message_id="0192ab@example.org",
    date=1_790_000_000.0,
    auto_submitted=True,
)

# Any character that a body may hold; line ends of all three kinds.
body_text = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, {*range(32)} - {9, 10, 13})])
)
# What transfer encodings go wrong with: blanks and dots at line ends, "From ", lengths around 76 and 78.
awkward_text = st.lists(
    st.sampled_from(
        ["a" * 71, "a" * 72, "a" * 73, "a" * 74, "a", " ", "\t", ".", "=", "From ", "é", "\x7f", "\n", "\r", "\r\n"]
    ),
    max_size=30,
).map("".join)


def sent(body: str) -> str:
    """The body as a receiver shall have it: CRLF line ends, the last line ended."""
    body = re.sub(r"\r\n|\r|\n", "\r\n", body)
    return body if not body or body.endswith("\r\n") else body + "\r\n"


def parts_with(**changes: object) -> MailParts:
    return replace(PARTS, **changes)  # type: ignore[arg-type]  # the tests name fields and values side by side


def read_new(message: bytes) -> EmailMessage:
    parsed = message_from_bytes(message, policy=default)
    assert isinstance(parsed, EmailMessage)
    assert not any(part.defects for part in parsed.walk())
    return parsed


def bodies(message: Message) -> list[tuple[str, str]]:
    """Type and decoded content of each leaf, in order, by any of the parsers."""
    found = []
    for leaf in message.walk():
        if not leaf.is_multipart():
            octets = leaf.get_payload(decode=True)
            assert isinstance(octets, bytes)
            found.append((leaf.get_content_type(), octets.decode(str(leaf.get_param("charset")), "strict")))
    return found


def encodings(message: bytes) -> list[str]:
    return [leaf["Content-Transfer-Encoding"] for leaf in read_new(message).walk() if not leaf.is_multipart()]


def assert_travels_well(message: bytes) -> None:
    assert message.isascii()
    assert message.endswith(b"\r\n")
    lines = message.removesuffix(b"\r\n").split(b"\r\n")
    assert not re.search(rb"[\r\n\0\x7f]", b"".join(lines))
    header, _, body = message.partition(b"\r\n\r\n")
    assert all(len(line) <= 998 for line in header.split(b"\r\n"))
    assert all(len(line) <= 78 for line in body.split(b"\r\n"))
    for line in lines:
        assert line != b"."
        assert not line.startswith(b"From ")
        assert not line.endswith((b" ", b"\t"))


@repeatable
@given(text=st.none() | body_text | awkward_text, html=st.none() | body_text | awkward_text)
@example(text="", html=None)
@example(text="", html="")
@example(text=".", html="\r\n.\r\n")
@example(text="From me\nFrom From you", html="From " * 40)
@example(text="a" * 74 + " \n", html="a" * 75 + "\t\n" + "é" * 12 + " " * 3)
@example(text="\x7f", html="\x85\u2028\ufeff")
@example(text="Привет, мир\n" * 400, html="<p>é</p>" * 4000)
@example(text="a" * 3000, html=" " * 3000)
def test_bodies_arrive_as_they_were_written(text: str | None, html: str | None) -> None:
    """Any Unicode, by both parsers, in octets that no hop has a reason to touch; the text before the html."""
    parts = parts_with(text=text, html=html)
    if text is None and html is None:
        with pytest.raises(PartsInvalid, match="a mail needs a text, an html or both"):
            compose(parts)
        return
    message = compose(parts)
    assert_travels_well(message)
    expected = [("text/plain", text), ("text/html", html)]
    wanted = [(kind, sent(body)) for kind, body in expected if body is not None]
    assert bodies(read_new(message)) == wanted
    assert bodies(message_from_bytes(message, policy=compat32)) == wanted


@repeatable
@given(awkward_text)
def test_quoted_printable_keeps_the_rules_of_its_rfc(text: str) -> None:
    """Lines of 76 octets, = only before two capital hex digits or a line end (RFC 2045 §6.7); quopri reads it back."""
    message = compose(parts_with(text=text + "\x7f"))
    _, _, body = message.partition(b"\r\n\r\n")
    if encodings(message) == ["base64"]:
        return
    assert encodings(message) == ["quoted-printable"]
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    assert not re.search(rb"=(?![0-9A-F]{2}|\r\n)", body)
    assert quopri.decodestring(body).decode() == sent(text + "\x7f")


one_line = st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=120)


@repeatable
@given(subject=one_line, names=st.lists(one_line, min_size=5, max_size=5))
def test_subject_and_names_arrive_as_they_were_written(subject: str, names: list[str]) -> None:
    """Every field of the header is read back to its part."""
    boxes = [Mailbox(name, f"box{index}", "example.org") for index, name in enumerate(names)]
    parts = parts_with(subject=subject, from_=boxes[0], to=(boxes[1], boxes[2]), cc=(boxes[3],), reply_to=(boxes[4],))
    message = compose(parts)
    assert_travels_well(message)
    old, new = message_from_bytes(message, policy=compat32), read_new(message)
    assert new["Subject"] == subject
    unfolded = re.sub(r"\r?\n", "", old["Subject"])
    assert (str(make_header(decode_header(unfolded))) if subject else unfolded) == subject
    for field, expected in (("From", boxes[:1]), ("To", boxes[1:3]), ("Cc", boxes[3:4]), ("Reply-To", boxes[4:])):
        header = new[field]
        assert isinstance(header, AddressHeader)
        assert [address.addr_spec for address in header.addresses] == [box.address for box in expected]
        # Blanks aside: this parser takes the fold between two encoded-words for one before Python 3.13.
        seen = [address.display_name.replace(" ", "") for address in header.addresses]
        assert seen == [box.name.replace(" ", "") for box in expected]


def test_the_whole_message_octet_by_octet() -> None:
    """The order of the fields, the folding, the boundary: the same parts give the same octets, today and tomorrow."""
    parts = parts_with(
        subject="Grüße", html="<p>Grüße, Jane</p>", cc=(Mailbox("", "joe", "example.net"),), reply_to=(JANE,)
    )
    boundary = "=_8da455a61ddd0f551818d62db4e2ef4f"
    assert compose(parts).decode().split("\r\n") == [
        "From: =?utf-8?q?M=C3=BCller_GmbH?= <noreply@example.org>",
        "To: Jane Doe <jane@example.net>",
        "Cc: joe@example.net",
        "Reply-To: Jane Doe <jane@example.net>",
        "Subject: =?utf-8?b?R3LDvMOfZQ==?=",
        "Date: Mon, 21 Sep 2026 14:13:20 +0000",
        "Message-ID: <0192ab@example.org>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative;",
        f' boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Hello Jane,",
        "",
        "your account is ready.",
        "",
        f"--{boundary}",
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "<p>Gr=C3=BC=C3=9Fe, Jane</p>",
        "",
        f"--{boundary}--",
        "",
    ]


def test_one_body_is_sent_without_a_multipart() -> None:
    """text/plain or text/html at the top, and no boundary."""
    assert read_new(compose(PARTS)).get_content_type() == "text/plain"
    assert read_new(compose(parts_with(text=None, html="<p>Hi</p>"))).get_content_type() == "text/html"


def test_a_field_without_a_value_is_left_out_and_a_hidden_list_says_so() -> None:
    """No empty Cc or Reply-To; with nobody in To, To says that its recipients are undisclosed."""
    message = read_new(compose(parts_with(to=(), auto_submitted=False)))
    assert message["To"] == "undisclosed-recipients:;"
    assert not {"Cc", "Reply-To", "Bcc", "Auto-Submitted"} & set(message.keys())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\n", "7bit"),
        ("a" * 78 + "\n", "7bit"),
        (".profile starts with a dot\n> From me\n", "7bit"),
        ("a" * 79 + "\n", "quoted-printable"),
        ("trailing \nblank", "quoted-printable"),
        ("trailing\t\ntab", "quoted-printable"),
        ("From the start", "quoted-printable"),
        ("later\nFrom here", "quoted-printable"),
        ("lone\n.\ndot", "quoted-printable"),
        (".", "quoted-printable"),
        ("delete\x7f", "quoted-printable"),
        ("Zoë\n", "quoted-printable"),
        ("Привет, мир\n", "base64"),
        ("東京" * 100, "base64"),
        ("=" * 100, "base64"),
    ],
)
def test_the_encoding_is_the_plainest_that_passes_every_hop(text: str, expected: str) -> None:
    """7bit when nothing on the way would touch it, else the shorter of the two encodings."""
    assert encodings(compose(parts_with(text=text))) == [expected]


@repeatable
@given(body_text.filter(lambda text: not text.isascii()))
def test_the_shorter_encoding_is_taken(text: str) -> None:
    """Never longer than base64 of the same body would be."""
    _, _, body = compose(parts_with(text=text)).partition(b"\r\n\r\n")
    octets = len(sent(text).encode())
    assert len(body) <= (octets + 2) // 3 * 4 + (octets + 56) // 57 * 2


def test_a_body_that_holds_the_boundary_gets_another() -> None:
    """Even the delimiter line itself, learned from an earlier message with this Message-ID, ends no part early."""
    parts = parts_with(html="<p>Hello</p>")
    stolen: list[str] = []
    for _ in range(4):
        boundary = read_new(compose(parts)).get_boundary()
        assert boundary is not None
        assert boundary not in stolen
        stolen.append(boundary)
        text = "".join(f"--{line}\n--{line}--\n" for line in stolen)
        parts = replace(parts, text=text)
        assert bodies(read_new(compose(parts))) == [("text/plain", sent(text)), ("text/html", "<p>Hello</p>\r\n")]


def test_the_same_parts_give_the_same_octets() -> None:
    """A hand-over repeated after a crash sends what was sent before; another Message-ID has another boundary."""
    parts = parts_with(html="<p>Hello</p>")
    other = replace(parts, message_id="0192ac@example.org")
    assert compose(parts) == compose(replace(parts))
    assert read_new(compose(parts)).get_boundary() != read_new(compose(other)).get_boundary()


@pytest.mark.parametrize("part", ["text", "html"])
@pytest.mark.parametrize("control", [*map(chr, {*range(32)} - {9, 10, 13}), "\ud800"])
def test_a_body_with_a_control_character_is_refused(part: str, control: str) -> None:
    """NUL and other C0 controls stop or confuse what reads them; a lone surrogate is no character at all."""
    with pytest.raises(PartsInvalid) as refused:
        compose(parts_with(**{part: f"private é{control}words"}))
    assert refused.value.part == part
    assert f"U+{ord(control):04X}" in refused.value.reason
    assert "private" not in str(refused.value)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("subject", "Hello\r\nBcc: x@example.net"),
        ("subject", "Hello\nBcc: x@example.net"),
        ("subject", "Hello\rBcc: x@example.net"),
        ("subject", "Hello\u2028Bcc: x@example.net"),
        ("subject", "\r\n\r\nbody"),
        ("subject", "=?utf-8?q?Hello=0ABcc:_x=40example.net?="),
        ("subject", "é" * 100_000),
        ("message_id", "a@b>\r\nBcc: x@example.net"),
        ("message_id", "é@example.org"),
        ("date", float("nan")),
    ],
)
def test_no_value_begins_a_header_of_its_own(part: str, value: object) -> None:
    """The part is named, the value is not quoted. Names and addresses cannot even be made so: see Mailbox."""
    with pytest.raises(PartsInvalid) as refused:
        compose(parts_with(**{part: value}))
    assert refused.value.part == part
    assert "Bcc" not in str(refused.value)


@pytest.mark.parametrize("part", ["to", "cc", "reply_to"])
def test_a_list_too_long_for_postfix_is_refused_by_its_name(part: str) -> None:
    """Postfix would drop the end of the header; the refusal names the part as the caller knows it."""
    crowd = tuple(Mailbox("🎉" * 200, f"box{number}", "example.org") for number in range(100))
    with pytest.raises(PartsInvalid, match=f"^{part}: "):
        compose(parts_with(**{part: crowd}))


def test_only_fields_that_are_known_stand_in_the_header() -> None:
    """Bodies full of header lines stay bodies."""
    text = "Bcc: x@example.net\n\nSubject: other\n"
    message = read_new(compose(parts_with(text=text, html=text)))
    assert message.keys() == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ]


def test_an_image_travels_with_the_html_that_shows_it() -> None:
    """multipart/related around the HTML, inside the alternative; the octets arrive as they are (RFC 2387)."""
    octets = bytes(range(256)) * 3
    message = compose(
        parts_with(html='<img src="cid:a1@example.org">', images=(Image("a1@example.org", "png", octets),))
    )
    assert_travels_well(message)
    text, related = read_new(message).iter_parts()
    assert (text.get_content_type(), related.get_content_type()) == ("text/plain", "multipart/related")
    assert related.get_param("type") == "text/html"
    html, image = related.iter_parts()
    assert html.get_content().strip() == '<img src="cid:a1@example.org">'
    assert (image.get_content_type(), image["Content-ID"], image.get_content()) == (
        "image/png",
        "<a1@example.org>",
        octets,
    )
    assert image.get_content_disposition() == "inline"
    assert b"multipart" not in compose(
        parts_with(text="t", html=None, images=(Image("a1@example.org", "png", octets),))
    )
