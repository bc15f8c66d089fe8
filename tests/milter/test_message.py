"""Which messages are signed, and with which keys."""

from tests.milter.test_sign import NOW_S, WEEK_S, on_the_wire
from tests.milter.verifiers import dkimpy_verdicts

from postroom.milter.doors import Networks
from postroom.milter.message import MAX_HEADER_OCTETS, CollectedMessage, Signer
from postroom.milter.sign import HeaderField, SigningKey, Unsigned


def signer(keys: list[SigningKey]) -> Signer:
    return Signer({"example.org": keys, "example.net": []}, Networks.of([]), WEEK_S)


def message(keys: list[SigningKey], *fields: HeaderField) -> CollectedMessage:
    made = CollectedMessage(signer(keys))
    for field in fields:
        made.add_field(*field)
    return made


def test_mail_of_our_domain_gets_a_signature_of_each_key(keys: list[SigningKey]) -> None:
    """In the order of the configuration; both hold."""
    fields = [(b"From", b"a@example.org"), (b"Subject", b"x")]
    made = message(keys, *fields)
    assert made.why_unsigned() is None
    for piece in (b"he", b"llo \r", b"\n"):
        made.add_body(piece)
    signatures = made.signatures(NOW_S)
    assert [key for key, _ in signatures] == keys
    on_top = [(b"DKIM-Signature", value.encode()) for _, value in signatures]
    assert dkimpy_verdicts(on_the_wire([*on_top, *fields], b"hello \r\n")) == [True, True]


def test_who_is_not_signed_is_told_why(keys: list[SigningKey]) -> None:
    """A stable word for each; the domain is known where there is one."""
    for fields, reason, domain in (
        ([], Unsigned.FROM_MISSING, None),
        ([(b"From", b"a@example.org")] * 2, Unsigned.FROM_SEVERAL, None),
        ([(b"From", b"nobody")], Unsigned.FROM_UNPARSEABLE, None),
        ([(b"From", b"a@example.com")], Unsigned.DOMAIN_NOT_OURS, "example.com"),
        ([(b"From", b"a@mail.example.org")], Unsigned.DOMAIN_NOT_OURS, "mail.example.org"),
        ([(b"From", b"a@example.net")], Unsigned.NO_KEY, "example.net"),
    ):
        made = message(keys, *fields)
        assert (made.why_unsigned(), made.domain) == (reason, domain)


def test_a_signature_of_ours_that_holds_is_enough(keys: list[SigningKey]) -> None:
    """Of any of the keys; one of a message that was changed is not."""
    fields = [(b"From", b"a@example.org"), (b"Subject", b"x")]
    first = message(keys, *fields)
    first.why_unsigned()
    for _, value in first.signatures(NOW_S):
        brought = (b"DKIM-Signature", value.encode())
        again = message(keys, brought, *fields)
        assert again.why_unsigned() is None
        assert again.is_signed(NOW_S)
        changed = message(keys, brought, *fields, (b"Subject", b"y"))
        assert changed.why_unsigned() is None
        assert len(changed.signatures(NOW_S)) == 2


def test_a_header_without_end_is_not_kept(keys: list[SigningKey]) -> None:
    """The message passes unsigned and costs no more memory than the bound."""
    made = message(keys, (b"From", b"a@example.org"))
    for _ in range(3):
        made.add_field(b"X", b"x" * MAX_HEADER_OCTETS)
    assert made.why_unsigned() is Unsigned.HEADER_TOO_LARGE
