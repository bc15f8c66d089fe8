"""MIME taken apart: what programs get wrong is read, what is made to hurt is refused or cut, in bounded time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.bounces.mime import MAX_DEPTH, MAX_PARTS, ParseError, decoded_words, parts

CRLF = "\r\n"


def message(*lines: str) -> bytes:
    return CRLF.join(lines).encode()


def test_a_multipart_is_taken_apart() -> None:
    """Preamble and epilogue are nobody's; headers are unfolded."""
    found = parts(
        message(
            "Subject: a",
            "\tb",
            'Content-Type: multipart/mixed; boundary="x y"',
            "",
            "preamble",
            "--x y",
            "",
            "one",
            "--x y",
            "Content-Type: message/rfc822",
            "",
            "Subject: returned",
            "--x y--",
            "epilogue",
        )
    )
    assert [(part.type, part.body.strip()) for part in found[1:]] == [
        ("text/plain", b"one"),
        ("message/rfc822", b"Subject: returned"),
    ]
    assert found[0].first("subject") == "a b"


@pytest.mark.parametrize(
    "header", ["multipart/mixed", "multipart/mixed; boundary=", 'multipart/report; boundary="never-used"']
)
def test_a_multipart_without_its_boundary_is_one_part(header: str) -> None:
    """Some programs announce parts and write none."""
    (_, part) = parts(message(f"Content-Type: {header}", "", "Unknown user: jane@example.net"))
    assert (part.type, part.text().strip()) == ("text/plain", "Unknown user: jane@example.net")


def test_a_boundary_that_is_never_closed_ends_with_the_message() -> None:
    """Reports are cut."""
    found = parts(message("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "--b", "", "two"))
    assert [part.text().strip() for part in found[1:]] == ["one", "two"]


@pytest.mark.parametrize(
    ("encoding", "charset", "body", "text"),
    [
        ("base64", "utf-8", "w6RiYw==", "äbc"),
        ("base64", "utf-8", "w6RiYw", "äbc"),
        ("base64", "utf-8", "w6RiY!w=*=x", "äbc"),
        ("quoted-printable", "iso-8859-1", "=E4bc=", "äbc"),
        ("x-unknown", "no-such-charset", "abc", "abc"),
        ("7bit", "unicode_escape", "\\x41", "\\x41"),
        ("7bit", "punycode", "abc-", "abc-"),
        ("7bit", "iso-2022-jp", "\x1b$B%\x1b(B", None),
    ],
)
def test_a_text_is_decoded_as_far_as_it_can_be(encoding: str, charset: str, body: str, text: str | None) -> None:
    """Broken base64, charsets nobody knows, and codecs that are no charsets."""
    (part,) = parts(
        message(f"Content-Type: text/plain; charset={charset}", f"Content-Transfer-Encoding: {encoding}", "", body)
    )
    found = part.text()
    assert text is None or found.startswith(text)


def test_html_loses_its_tags() -> None:
    """Each line break stays one, so that an address begins its line; styles and scripts are no text."""
    (part,) = parts(
        message(
            "Content-Type: text/html",
            "",
            "<style>p { x: y@z.example }</style><p>Hi<br>&lt;jane@example.net&gt;&nbsp;unknown",
        )
    )
    assert [line.strip() for line in part.text().split("\n")][1:] == ["Hi", "<jane@example.net> unknown"]


def test_an_encoded_word_is_opened() -> None:
    """In Subject and From; one that is broken stays."""
    assert decoded_words("=?utf-8?Q?caf=C3=A9?= =?utf-8?B?w6Q=?= x") == "caféä x"
    assert decoded_words("=?utf-8?B?====?=") in {"", "=?utf-8?B?====?="}


@pytest.mark.parametrize("octets", [b"", b"\r\n\r\n", b"   ", b"From mailer Mon Jan 1\n"])
def test_nothing_is_no_message(octets: bytes) -> None:
    """An empty file says so."""
    with pytest.raises(ParseError, match="empty"):
        parts(octets)


def nested(depth: int) -> bytes:
    lines = []
    for level in range(depth):
        lines += [f"Content-Type: multipart/mixed; boundary=b{level}", "", f"--b{level}"]
    return message(*lines, "", "deep")


def test_nesting_is_bounded() -> None:
    """One level less is read."""
    assert parts(nested(MAX_DEPTH))[-1].text().strip() == "deep"
    with pytest.raises(ParseError, match="deeper"):
        parts(nested(MAX_DEPTH + 1))
    with pytest.raises(ParseError, match="deeper"):
        parts(nested(5_000))


def test_the_number_of_parts_is_bounded() -> None:
    """A thousand parts are no report."""
    bomb = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * (MAX_PARTS + 1)
    with pytest.raises(ParseError, match="more than"):
        parts(bomb)


BOMBS = {
    "headers": b"X-A: b\n" * 200_000,
    "one header": b"X-A: " + b"b" * 2_000_000,
    "folded header": b"X-A: b\n" + b" c\n" * 400_000,
    "body": b"A: b\n\n" + b"x\n" * 1_000_000,
    "dashes": b"Content-Type: multipart/mixed; boundary=-\n\n" + b"-" * 1_000_000,
    "boundary": b"Content-Type: multipart/mixed; boundary=" + b"b" * 300_000 + b"\n\n--b",
    "parameters": b"Content-Type: a/b" + b"; c=d" * 200_000 + b"\n\n",
    "open quote": b'Content-Type: a/b; c="' + b'\\"' * 300_000 + b"\n\n",
    "tags": b"Content-Type: text/html\n\n" + b"<" * 1_000_000,
    "styles": b"Content-Type: text/html\n\n" + b"<style>" * 150_000,
    "styles, not too many": b"Content-Type: text/html\n\n" + b"<style>" * 19_000,
    "comments": b"Content-Type: text/html\n\n" + b"<a " * 300_000,
    "quoted-printable": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * 1_000_000,
    "base64": b"Content-Transfer-Encoding: base64\n\n" + b"A" * 1_000_001,
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 80_000 + b"\n\n",
    "entities": b"Content-Type: text/html\n\n" + b"&" * 1_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_bounded_time(name: str) -> None:
    """Here under 0.3 s each; quadratic time would be minutes."""
    began = time.process_time()
    try:
        for part in parts(BOMBS[name]):
            part.text()
            decoded_words(part.first("subject"))
    except ParseError:
        pass
    assert time.process_time() - began < 5


@given(st.binary(max_size=400))
def test_any_octets_are_parts_or_an_error(octets: bytes) -> None:
    """Never another exception."""
    try:
        for part in parts(octets):
            part.text()
    except ParseError:
        pass


LINES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Type: multipart/report; boundary=c",
        b"Content-Type: text/html; charset=utf-16",
        b"Content-Type: message/delivery-status",
        b"Content-Transfer-Encoding: base64",
        b"--b",
        b"--b--",
        b"--c",
        b"",
        b" ",
        b"\xff\xfe",
        b"a@example.net",
    ]
)


@given(st.lists(LINES, max_size=40))
def test_any_lines_are_parts_or_an_error(lines: list[bytes]) -> None:
    """Lines that mean something, in any order."""
    test_any_octets_are_parts_or_an_error.hypothesis.inner_test(b"\n".join(lines))  # type: ignore[attr-defined]
