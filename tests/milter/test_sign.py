"""The DKIM-Signature field."""

import base64
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.milter import rfc8463
from tests.milter.verifiers import dkimpy_verdicts

from postroom.milter.canonical import BodyHash
from postroom.milter.keys import signing_key
from postroom.milter.sign import OVERSIGNED, HeaderField, SigningKey, covered_names, signature, signed_octets

NOW_S, WEEK_S = 1_795_500_000, 604_800

FIELDS = [
    (b"Received", b"from a\n\tby b"),
    (b"From", b"Jane <jane@example.org>"),
    (b"To", b"b@example.net"),
    (b"Subject", b"a folded\n\tsubject"),
]


def body_hash(body: bytes) -> bytes:
    hashed = BodyHash()
    hashed.update(body)
    return hashed.digest()


def on_the_wire(fields: list[HeaderField], body: bytes) -> bytes:
    """The message as a receiver gets it: Postfix puts back the blank after the colon, and CRs."""
    lines = b"".join(name + b": " + value.replace(b"\n", b"\r\n") + b"\r\n" for name, value in fields)
    return lines + b"\r\n" + body


def signed(key: SigningKey, fields: list[HeaderField], body: bytes) -> bytes:
    value = signature(key, fields, body_hash(body), NOW_S, WEEK_S)
    return on_the_wire([(b"DKIM-Signature", value.encode()), *fields], body)


def tags(value: str) -> dict[str, str]:
    return {name.strip(): re.sub(r"\s", "", text) for name, _, text in (tag.partition("=") for tag in value.split(";"))}


def test_the_ed25519_signature_of_the_rfc_comes_out_again() -> None:
    """RFC 8463 appendix A.3: the same key over the same octets gives the same signature, so they are the same."""
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(rfc8463.ED25519_SEED))
    key = signing_key("football.example.com", "brisbane", private)
    unsigned, _, b = rfc8463.ED25519_SIGNATURE.rpartition(b"b=")
    names = [name.strip() for name in re.search(rb"h=([^;]*)", unsigned)[1].replace(b"\n", b"").split(b":")]  # type: ignore[index]
    octets = signed_octets(rfc8463.FIELDS, names, unsigned + b"b=")
    assert base64.b64encode(key.sign(octets)) == b.replace(b"\n ", b"")
    assert base64.b64encode(body_hash(rfc8463.BODY)) == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="


def test_the_rsa_signature_of_the_rfc_holds() -> None:
    """RFC 8463 appendix A.3: verified over the octets that we would sign."""
    public = load_der_public_key(base64.b64decode(rfc8463.RSA_PUBLIC))
    assert isinstance(public, RSAPublicKey)
    unsigned, _, b = rfc8463.RSA_SIGNATURE.rpartition(b"b=")
    names = [name.strip() for name in re.search(rb"h=([^;]*)", unsigned)[1].replace(b"\n", b"").split(b":")]  # type: ignore[index]
    octets = signed_octets(rfc8463.FIELDS, names, unsigned + b"b=")
    public.verify(base64.b64decode(b.replace(b"\n ", b"")), octets, PKCS1v15(), SHA256())


def test_the_tags_say_what_was_done(keys: list[SigningKey]) -> None:
    """Algorithm, place of the key, time and end; relaxed, without `l=` and without `i=` (which is then @d)."""
    for key, algorithm in zip(keys, ("rsa-sha256", "ed25519-sha256"), strict=True):
        found = tags(signature(key, FIELDS, body_hash(b"x\r\n"), NOW_S, WEEK_S))
        assert list(found) == ["v", "a", "c", "d", "s", "t", "x", "h", "bh", "b"]
        assert (found["v"], found["a"], found["c"]) == ("1", algorithm, "relaxed/relaxed")
        assert (found["d"], found["s"]) == ("example.org", key.selector)
        assert (found["t"], found["x"]) == (str(NOW_S), str(NOW_S + WEEK_S))


def test_fields_are_covered_once_more_than_they_are_there() -> None:
    """Of those always covered also the absent ones; of List-*, Content-* and Feedback-ID only those that are there."""
    fields = [
        *FIELDS,
        (b"list-ID", b"x"),
        (b"Content-Language", b"de"),
        (b"Feedback-ID", b"1"),
        (b"To", b"c@example.net"),
    ]
    names = covered_names(fields)
    expected = dict.fromkeys(OVERSIGNED, 1) | {b"from": 2, b"to": 3, b"subject": 2}
    assert {name: names.count(name) for name in names} == expected | {
        b"list-id": 2,
        b"content-language": 2,
        b"feedback-id": 2,
    }


def test_lines_are_short_and_folded_with_lf(keys: list[SigningKey]) -> None:
    """At most 78 octets with the field's name, also with a long domain; continued by a TAB."""
    value = signature(keys[0], [*FIELDS, *[(b"List-Unsubscribe", b"<x>")] * 40], body_hash(b""), NOW_S, WEEK_S)
    first, *others = f"DKIM-Signature: {value}".split("\n")
    assert max(map(len, (first, *others))) <= 78
    assert all(line.startswith("\t") for line in others)
    assert "\r" not in value


@pytest.mark.parametrize(
    "body", [b"", b"\r\n", b"hello\r\n", b"a \r\n\r\n\r\n", b"\xe4\xf6\r\n", b"x" * 5000 + b"\r\n"]
)
def test_another_implementation_verifies_both_signatures(keys: list[SigningKey], body: bytes) -> None:
    """dkimpy, over bodies of all sorts."""
    for key in keys:
        assert dkimpy_verdicts(signed(key, FIELDS, body)) == [True]


@pytest.mark.parametrize(
    "added", [b"From: x@example.com", b"Subject: win", b"Reply-To: x@example.com", b"Content-Type: text/html", b"Cc: x"]
)
def test_a_field_added_later_breaks_the_signature(keys: list[SigningKey], added: bytes) -> None:
    """On top or at the end of the header, whether there was one already or none."""
    for key in keys:
        message = signed(key, FIELDS, b"hello\r\n")
        header, _, body = message.partition(b"\r\n\r\n")
        assert dkimpy_verdicts(added + b"\r\n" + message) == [False]
        assert dkimpy_verdicts(header + b"\r\n" + added + b"\r\n\r\n" + body) == [False]


def test_what_a_mailing_list_adds_breaks_nothing(keys: list[SigningKey]) -> None:
    """A list that only adds List-* and Sender leaves the signature whole."""
    message = b"List-Id: <a.example.net>\r\nSender: a@example.net\r\n" + signed(keys[0], FIELDS, b"hello\r\n")
    assert dkimpy_verdicts(message) == [True]


VALUES = st.text(alphabet="ab <>@.,;:=\tä", max_size=30).map(lambda text: f"x{text}x".encode())
NAMES = st.sampled_from([b"To", b"to", b"Subject", b"Cc", b"X-Other", b"List-Id", b"Content-Type", b"Received"])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.lists(st.sampled_from([b"a", b" ", b"\r\n"])).map(b"".join))
def test_every_header_and_body_verifies(keys: list[SigningKey], fields: list[HeaderField], body: bytes) -> None:
    """Fields that repeat, in any case and order; whatever body."""
    whole = [(b"From", b"jane@example.org"), *fields]
    assert dkimpy_verdicts(signed(keys[1], whole, body + b"\r\n")) == [True]
