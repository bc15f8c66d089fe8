"""Whose mail it is: Postfix's own Received fields are read, and no text of the sender's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.milter.origin import MAX_REQUEUES, Origin, origin_of
from postroom.milter.sign import HeaderField

HOST, POSTFIX = "mail.example.org", 102
DATE = "Tue, 24 Nov 2026 08:23:45 +0000 (UTC)"
UNKNOWN = Origin(None, None, None, False)
WWW = Origin(33, f"4XyZ1k2 {DATE}", None, False)


def by_pickup(uid: int | None = 33, queue_id: str = "4XyZ1k2", host: str = HOST) -> HeaderField:
    user = "" if uid is None else f", from userid {uid}"
    return b"Received", f" by {host} (Postfix{user})\n\tid {queue_id}; {DATE}".encode()


def by_smtpd(queue_id: str = "5AbC2d3", helo: str = HOST, host: str = HOST) -> HeaderField:
    by = f"by {host} (Postfix) with ESMTP id {queue_id}"
    return b"Received", f" from {helo} (localhost [127.0.0.1])\n\t{by}\n\tfor <b@example.net>; {DATE}".encode()


SIGNATURE: HeaderField = (b"DKIM-Signature", b" v=1; a=rsa-sha256")
AGAIN = by_pickup(POSTFIX, "9")


def of(*fields: HeaderField) -> Origin:
    return origin_of(fields, HOST, POSTFIX)


def test_the_user_of_sendmail_is_in_the_topmost_field() -> None:
    """With the queue id and the date, which name the mail for as long as it lives; root is a user like any other."""
    assert of(by_pickup(), (b"From", b"a@example.org")) == WWW
    assert of(by_pickup(0)) == Origin(0, f"4XyZ1k2 {DATE}", None, False)


def test_a_forged_field_lies_below_and_is_not_read() -> None:
    """Whatever the sender writes, Postfix's field is above it."""
    for forged in (by_pickup(0, "F"), AGAIN, by_smtpd("F"), (b"Received", b"x")):
        assert of(by_pickup(), forged, by_pickup(0, "F")) == WWW


@pytest.mark.parametrize(
    "field",
    [
        by_pickup(host="mail.example.com"),
        by_smtpd(),
        (b"Received", b" by mail.example.org (Exim, from userid 33)\n\tid 4XyZ1k2; " + DATE.encode()),
        (b"Received", b" by mail.example.org (Postfix, from userid 33) id 4XyZ1k2; " + DATE.encode()),
        (b"Received", b" by mail.example.org (Postfix, from userid -1)\n\tid 4XyZ1k2; " + DATE.encode()),
        (b"Received", b" by mail.example.org (Postfix, from userid 33)\n\tid 4XyZ1k2; x\n\ty"),
        (b"Received", b" by mail.example.org (Postfix, from userid 33)\n\tid 4XyZ1k2; " + b"x" * 5_000),
        (b"X-Received", by_pickup()[1]),
    ],
)
def test_another_form_is_unknown(field: HeaderField) -> None:
    """Only Postfix's own, octet for octet, with our name in it."""
    assert of(field) == UNKNOWN


def test_a_requeued_mail_is_the_same_mail() -> None:
    """`postsuper -r` puts a field of Postfix's own user on top, each time; some versions name no user there."""
    for above in (AGAIN, by_pickup(None, "9")):
        assert of(above, by_pickup()) == Origin(WWW.uid, WWW.first, None, True)
        assert of(above, above, above, by_pickup(), by_pickup(0)) == Origin(WWW.uid, WWW.first, None, True)


def test_a_requeued_mail_that_had_passed_names_its_queue_id() -> None:
    """The milter's signatures lie between the two; what lies below smtpd's field may be any client's text."""
    assert of(AGAIN, SIGNATURE, SIGNATURE, by_smtpd(), by_pickup()) == Origin(None, None, "5AbC2d3", True)
    assert of(AGAIN, by_smtpd(), (b"Subject", b"x")) == Origin(None, None, "5AbC2d3", True)
    with_tls = b" from x (x [192.0.2.1])\n\t(using TLSv1.3)\n\tby mail.example.org (Postfix) with ESMTPSA id 77; d"
    assert of(AGAIN, (b"Received", with_tls)) == Origin(None, None, "77", True)


def test_a_client_cannot_name_a_queue_id_in_its_helo() -> None:
    """The name it gives stands in the first line; only a line of its own counts."""
    helo = f"x\\n\\tby {HOST} (Postfix) with ESMTP id F"
    assert of(AGAIN, by_smtpd("5AbC2d3", helo)).passed_as == "5AbC2d3"
    assert of(AGAIN, by_smtpd(host="mail.example.com"), by_pickup(0)) == Origin(None, None, None, True)


def test_requeues_have_a_bound() -> None:
    """Past it the origin is unknown, and nothing is read any further."""
    assert of(*[AGAIN] * MAX_REQUEUES, by_pickup()).uid == 33
    assert of(*[AGAIN] * (MAX_REQUEUES + 1), by_pickup()) == Origin(None, None, None, True)


PIECES = st.sampled_from([by_pickup(), AGAIN, by_smtpd(), SIGNATURE, by_pickup(None)])
ANY = st.tuples(st.sampled_from([b"Received", b"RECEIVED", b"", b"\xff"]), st.binary(max_size=200))


@given(st.lists(PIECES | ANY, max_size=30))
def test_any_header_is_an_origin(fields: list[HeaderField]) -> None:
    """Whatever comes, with NULs and without an end: no exception, and a user only where the form is Postfix's."""
    origin = of(*fields)
    assert origin.uid in {None, 33}
    assert (origin.first is None) == (origin.uid is None)


@given(st.lists(PIECES | ANY, max_size=10))
def test_nothing_below_the_users_field_changes_it(fields: list[HeaderField]) -> None:
    """The rest of the header is the sender's."""
    assert of(by_pickup(), *fields) == WWW
