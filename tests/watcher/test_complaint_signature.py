"""Which complaints are signed by whom, and what a stranger's mail cannot do to the verifier."""

import time
from base64 import b64encode

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from postroom.watcher.complaint_signature import KeyUnavailable, signer_of
from postroom.watcher.lmtp import MAX_OCTETS, ReceivedMail
from sandbox.bounce_mails import complaint

_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = _KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
PUBLIC = b64encode(_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
RECORD = b"v=DKIM1; k=rsa; p=" + PUBLIC
REPORTERS = ("fbl.example.net", "abusedesk@world.test")
MAIL = complaint("jane@world.test")


def signed(
    domain: str = "fbl.example.net", octets: bytes = MAIL, form: bytes = b"relaxed", length: bool = False
) -> bytes:
    canonicalize = (form, form)
    header = dkim.sign(  # type: ignore[call-arg]
        octets, b"s1", domain.encode(), PEM, canonicalize=canonicalize, include_headers=[b"From", b"To"], length=length
    )
    return header + octets


def signer(octets: bytes, record: bytes | None = RECORD) -> str | None:
    asked: list[str] = []

    def ask(name: str) -> bytes | None:
        asked.append(name)
        return record

    found = signer_of(ReceivedMail("", (), octets), REPORTERS, ask)
    assert all(name.endswith(("fbl.example.net", "world.test")) for name in asked)
    return found


@pytest.mark.parametrize(
    ("octets", "reporter"),
    [
        (signed(), "fbl.example.net"),
        (signed(form=b"simple"), "fbl.example.net"),
        (signed("eu.fbl.example.net"), "fbl.example.net"),
        (signed("world.test"), "abusedesk@world.test"),
        (signed("other.test", signed()), "fbl.example.net"),
        (MAIL, None),
        (signed("other.test"), None),
        (signed("evilfbl.example.net"), None),
        (signed("world.test", MAIL.replace(b"abusedesk@", b"jane@")), None),
        (signed("sub.world.test"), None),
        (signed().replace(b"jane@world.test", b"joe@world.test"), None),
        (signed().replace(b"To: complaints", b"To: others"), None),
        (signed(length=True), None),
        (b"From: abusedesk@world.test\r\n" + signed("world.test"), None),
    ],
)
def test_a_reporter_is_known_by_a_signature_that_holds(octets: bytes, reporter: str | None) -> None:
    """Of its domain or one below; where users' mail is signed too, of the very address in From."""
    assert signer(octets) == reporter


def test_without_a_key_there_is_no_signer_and_without_an_answer_nobody_knows() -> None:
    """The one is for review, the other comes again."""
    assert signer(signed(), None) is None
    assert signer(signed(), b"v=DKIM1; p=") is None

    def unavailable(name: str) -> bytes | None:
        raise KeyUnavailable(name)

    with pytest.raises(KeyUnavailable):
        signer_of(ReceivedMail("", (), signed()), REPORTERS, unavailable)
    assert signer_of(ReceivedMail("", (), signed("other.test")), REPORTERS, unavailable) is None


@pytest.mark.parametrize("filler", [b" ", b"\t ", b"\r\n", b" \r\n", b"x ", b"=\r\n"])
def test_hostile_bodies_take_no_time(filler: bytes) -> None:
    """A megabyte of blanks or line ends; dkimpy alone would take hours."""
    head, _, body = signed().partition(b"\r\n\r\n")
    for form in (b"c=relaxed/relaxed", b"c=relaxed/simple", b"c=simple/simple"):
        octets = head.replace(b"c=relaxed/relaxed", form) + b"\r\n\r\n" + filler * 400_000 + body
        started = time.process_time()
        assert signer(octets[: MAX_OCTETS - 1]) is None
        assert time.process_time() - started < 5


def test_hostile_headers_take_no_time() -> None:
    """Many signatures, long ones, blanks without end."""
    tags = b"v=1; a=rsa-sha256; c=relaxed/relaxed; d=fbl.example.net; s=s1; h=from; bh=AAAA; b="
    for octets in (
        b"DKIM-Signature: " + tags + b"AA\r\n " * 30_000 + b"\r\n",
        (b"DKIM-Signature: " + tags + b"AAAA\r\n") * 1_000,
        b"DKIM-Signature: " + tags + b" " * 3_500 + b"A\r\n",
        b"DKIM-Signature: " + tags + b"\r\n " * 1_000 + b"A\r\n",
    ):
        started = time.process_time()
        assert signer(octets + MAIL) is None
        assert time.process_time() - started < 5


@given(st.binary(max_size=400))
def test_any_octets_have_a_signer_or_none(octets: bytes) -> None:
    """Also inside a signature."""
    tags = b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=fbl.example.net; s=s1; h=from; bh=AA; b=AA"
    for text in (octets, tags + octets + b"\r\n" + MAIL, octets + signed()):
        assert signer(text) in {None, "fbl.example.net"}
