"""The relaxed form of header and body."""

import hashlib
import time
import tracemalloc

from dkim.canonicalization import Relaxed
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.milter import canonical
from postroom.milter.canonical import BodyHash

BODIES = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"\xc3\xa4", b"  \r\n", b"\x00"])).map(
    b"".join
)


def relaxed_hash(*pieces: bytes) -> bytes:
    body = BodyHash()
    for piece in pieces:
        body.update(piece)
    return body.digest()


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def test_the_example_of_the_rfc() -> None:
    """RFC 6376 §3.4.5: header "A: X" and a folded "B", a body with blanks and empty lines."""
    assert canonical.field(b"A", b" X\r\n") == b"a:X"
    assert canonical.field(b"B ", b" Y\t\r\n\tZ  \r\n") == b"b:Y Z"
    assert relaxed_hash(b" C \r\nD \t E\r\n\r\n\r\n") == sha256(b" C\r\nD E\r\n")


def test_the_hash_of_an_empty_body_is_that_of_no_octets() -> None:
    """RFC 6376 §3.4.4, errata 1377: no CRLF is added to a body without text."""
    for body in (b"", b"\r\n", b"\r\n\r\n", b"  \r\n\t\r\n", b" "):
        assert relaxed_hash(body) == sha256(b"")


def test_a_last_line_without_its_line_end_is_given_one() -> None:
    """RFC 6376 §3.4.4; a blank or CR that waited for what follows is judged then."""
    assert relaxed_hash(b"a") == sha256(b"a\r\n")
    assert relaxed_hash(b"a  ") == sha256(b"a\r\n")
    assert relaxed_hash(b"a \r") == sha256(b"a \r\r\n")


@given(BODIES)
@example(b"a \r\r\n")
@example(b"\n\r\n\r\r\n")
def test_every_body_has_the_form_that_another_implementation_gives_it(body: bytes) -> None:
    """dkimpy, over whatever blanks, line ends and halves of them; bodies end as SMTP ends them."""
    whole = body + b"\r\n"
    assert relaxed_hash(whole) == sha256(Relaxed.canonicalize_body(whole))


@given(BODIES)
def test_where_a_body_is_cut_does_not_matter(body: bytes) -> None:
    """Whole, and octet by octet."""
    assert relaxed_hash(body) == relaxed_hash(*(body[at : at + 1] for at in range(len(body))))


@given(st.text(alphabet=" \tab\r\nä").map(str.encode))
def test_every_header_value_has_the_form_that_another_implementation_gives_it(value: bytes) -> None:
    """dkimpy; a bare CR at an end is its only other reading (bytes.strip), so the values have text there."""
    ours = canonical.field(b"Subject", b"x" + value + b"x")
    assert [tuple(ours.split(b":", 1))] == [
        (name, text.removesuffix(b"\r\n"))
        for name, text in Relaxed.canonicalize_headers([(b"Subject", b"x" + value + b"x")])
    ]


def test_a_folded_value_is_the_same_however_it_comes() -> None:
    """On the wire: CRLF and the blank after the colon. From libmilter: a bare LF, and that blank eaten."""
    assert canonical.field(b"Subject", b" a\r\n\t b") == canonical.field(b"subject", b"a\n\t b") == b"subject:a b"


def test_time_and_memory_do_not_grow_with_what_is_held_back() -> None:
    """4 MB of blanks, of empty lines, of CRs: one pass, with the memory that one piece needs."""
    piece = 65_535
    for unit in (b" ", b"\t ", b"\r\n", b"\r", b"\n", b" \r\n", b"a "):
        octets = (unit * piece)[:piece]
        began = time.process_time()
        relaxed_hash(b"x", *[octets] * 60, b"x\r\n")
        assert time.process_time() - began < 2, unit
        peaks = []
        for count in (2, 16):
            tracemalloc.start()
            relaxed_hash(b"x", *[octets] * count, b"x\r\n")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < peaks[0] + 2 * piece, unit
