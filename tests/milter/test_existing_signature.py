"""A signature of ours that a message brings along."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.milter.test_sign import FIELDS, NOW_S, WEEK_S, body_hash

from postroom.milter.existing_signature import is_signed
from postroom.milter.sign import HeaderField, SigningKey, signature

BODY = body_hash(b"hello\r\n")


def brought(key: SigningKey, fields: list[HeaderField] = FIELDS) -> bytes:
    return signature(key, fields, BODY, NOW_S, WEEK_S).encode()


def test_it_holds_for_each_kind_of_key(keys: list[SigningKey]) -> None:
    """Below other fields and above, in any case of the name, also with the blank that a wire has."""
    for key in keys:
        for name, blank in ((b"DKIM-Signature", b""), (b"dkim-signature", b" ")):
            fields = [(b"Received", b"x"), (name, blank + brought(key)), *FIELDS]
            assert is_signed(fields, BODY, keys, NOW_S)
            assert is_signed(fields, BODY, keys, NOW_S + WEEK_S - 1)


def test_it_is_ours_only_by_a_key_we_have(keys: list[SigningKey]) -> None:
    """Another selector or domain may be right or wrong; it is no reason not to sign."""
    fields = [(b"DKIM-Signature", brought(keys[0])), *FIELDS]
    assert not is_signed(fields, BODY, keys[1:], NOW_S)
    assert not is_signed(fields, BODY, [], NOW_S)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v=1", b"v=2"),
        (b"a=rsa-sha256", b"a=rsa-sha1"),
        (b"c=relaxed/relaxed", b"c=relaxed/simple"),
        (b"bh=", b"l=5; bh="),
        (b"bh=", b"v=1; bh="),
        (b"h=from:from:", b"h="),
        (b"b=", b"b=!"),
        (b"t=", b"t=9"),
        (b"; s=", b"; s"),
        (b"x=", b"x=-"),
    ],
)
def test_a_signature_that_was_changed_does_not_hold(keys: list[SigningKey], old: bytes, new: bytes) -> None:
    """Not one tag may differ, nor come twice."""
    value = brought(keys[0])
    assert old in value
    assert not is_signed([(b"DKIM-Signature", value.replace(old, new, 1)), *FIELDS], BODY, keys, NOW_S)


def test_a_message_that_was_changed_is_signed_anew(keys: list[SigningKey]) -> None:
    """Another subject, another body, a field added; and one whose time has passed."""
    value = brought(keys[0])
    fields = [(b"DKIM-Signature", value), *FIELDS]
    assert is_signed(fields, BODY, keys, NOW_S)
    assert not is_signed(fields, body_hash(b"other\r\n"), keys, NOW_S)
    assert not is_signed([*fields, (b"Cc", b"x@example.net")], BODY, keys, NOW_S)
    assert not is_signed([(name, text + b"!") for name, text in fields], BODY, keys, NOW_S)
    assert not is_signed(fields, BODY, keys, NOW_S + WEEK_S)


def test_only_so_many_are_looked_at(keys: list[SigningKey]) -> None:
    """A thousand broken ones on top cost no thousand verifications; the message is then signed again."""
    broken = (b"DKIM-Signature", brought(keys[0]).replace(b"t=", b"t=9"))
    fields = [broken] * 1000 + [(b"DKIM-Signature", brought(keys[0])), *FIELDS]
    assert not is_signed(fields, BODY, keys, NOW_S)


@given(
    st.lists(st.sampled_from([b";", b"=", b"b", b"bh", b"d=example.org;", b"s=2026a;", b" ", b"\n", b"\xff", b"v=1;"]))
)
def test_any_octets_are_no_signature_of_ours(pieces: list[bytes]) -> None:
    """Never an error, never a yes."""
    key = SigningKey("example.org", "2026a", "rsa-sha256", 2048, bytes, lambda *_: False)
    assert not is_signed([(b"DKIM-Signature", b"".join(pieces)), *FIELDS], BODY, [key], NOW_S)
