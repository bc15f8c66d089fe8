"""Octets in, requests out: whatever is sent, a request, a wait for more, or PolicyProtocolError."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.policy.protocol import (
    MAX_ATTRIBUTES,
    MAX_REQUEST_BYTES,
    MAX_TEXT,
    PolicyProtocolError,
    PolicyRequest,
    RequestReader,
    reply,
)

# As smtpd of Postfix 3.7 sends it, shortened.
RCPT = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nhelo_name=client.example.com\n"
    b"queue_id=\nsender=anna@example.org\nrecipient=jane@example.net\nrecipient_count=0\n"
    b"client_address=192.0.2.1\nclient_name=client.example.com\nreverse_client_name=client.example.com\n"
    b"instance=1a2b.6740f1a2.3c4d5.0\nsasl_method=plain\nsasl_username=anna\nsasl_sender=\nsize=0\n"
    b"ccert_subject=\nccert_issuer=\nccert_fingerprint=\nencryption_protocol=TLSv1.3\netrn_domain=\nstress=\n"
    b"ccert_pubkey_fingerprint=\nclient_port=40000\npolicy_context=smtp\nserver_address=192.0.2.2\nserver_port=587\n\n"
)
ASKED = PolicyRequest(
    state="RCPT",
    instance="1a2b.6740f1a2.3c4d5.0",
    context="smtp",
    sender="anna@example.org",
    recipient="jane@example.net",
    recipient_count=0,
    queue_id="",
    login="anna",
    client_address="192.0.2.1",
    client_port=40_000,
    server_address="192.0.2.2",
    server_port=587,
)
LEAST = b"request=smtpd_access_policy\nprotocol_state=RCPT\ninstance=1\n"


def read(*chunks: bytes) -> list[PolicyRequest | str]:
    """All that comes of these chunks; an error is its text, and the last."""
    reader, found = RequestReader(), list[PolicyRequest | str]()
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (request := reader.next_request()) is not None:
                found.append(request)
    except PolicyProtocolError as error:
        found.append(str(error))
    return found


def test_a_request_of_postfix_is_read() -> None:
    """All that decisions need, as it was sent."""
    assert read(RCPT) == [ASKED]


def test_it_may_be_cut_at_any_octet() -> None:
    """The kernel may hand it over in any two parts."""
    for cut in range(len(RCPT)):
        assert read(RCPT[:cut], RCPT[cut:]) == [ASKED]


def test_requests_follow_each_other_on_one_connection() -> None:
    """Also in one chunk, also octet by octet."""
    assert read(RCPT * 3) == [ASKED] * 3
    assert read(*(bytes([octet]) for octet in RCPT * 3)) == [ASKED] * 3


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"\n\n", "a line that is not an attribute"),
        (b"\n" + LEAST + b"\n", "a line that is not an attribute"),
        (LEAST + b"sender\n\n", "a line that is not an attribute"),
        (LEAST + b"=x\n\n", "a line that is not an attribute"),
        (LEAST + b"sender=a\0b\n\n", "a NUL in a request"),
        (LEAST + b"x=1\n" * MAX_ATTRIBUTES + b"\n", "a request of more than 200 attributes"),
        (LEAST + b"x=1\n" * 10_000 + b"\n", "a request of more than 200 attributes"),
        (b"a" * (MAX_REQUEST_BYTES + 1), "a request of more than 65536 octets"),
        (b"a=b\n" * 250_000, "a request of more than 65536 octets"),
        (b"a=" + b"b" * MAX_REQUEST_BYTES + b"\n\n", "a request of more than 65536 octets"),
        (b"request=junk_mail\nprotocol_state=RCPT\ninstance=1\n\n", "a request that is not smtpd_access_policy"),
        (b"protocol_state=RCPT\ninstance=1\n\n", "a request that is not smtpd_access_policy"),
        (b"request=smtpd_access_policy\ninstance=1\n\n", "a request without protocol_state"),
        (b"request=smtpd_access_policy\nprotocol_state=RCPT\ninstance=\n\n", "a request without instance"),
        (LEAST + b"recipient_count=-1\n\n", "a recipient_count that is not a number"),
        (LEAST + b"recipient_count=\xc2\xb2\n\n", "a recipient_count that is not a number"),
        (LEAST + b"recipient_count=9999999999\n\n", "a recipient_count that is not a number"),
    ],
)
def test_what_is_no_request_is_told_apart(octets: bytes, told: str) -> None:
    """In words that repeat nothing of it; good requests before it were read."""
    assert read(octets) == [told]
    assert read(RCPT + octets) == [ASKED, told]


def test_a_connection_has_no_instance_yet() -> None:
    """Postfix asks with an empty one where a client has just connected (smtpd_delay_reject=no)."""
    (asked,) = read(b"request=smtpd_access_policy\nprotocol_state=CONNECT\ninstance=\nclient_port=40000\n\n")
    assert isinstance(asked, PolicyRequest)
    assert (asked.state, asked.instance, asked.client_port) == ("CONNECT", "", 40_000)


def test_the_largest_request_is_read() -> None:
    """The limits are limits, not one less."""
    padding = MAX_REQUEST_BYTES - len(LEAST) - len(b"x=")
    assert len(read(LEAST + b"x=" + b"y" * padding + b"\n\n")) == 1
    assert isinstance(read(LEAST + b"x=" + b"y" * padding + b"\n\n")[0], PolicyRequest)
    assert isinstance(read(LEAST + b"x=1\n" * (MAX_ATTRIBUTES - 3) + b"\n")[0], PolicyRequest)


@given(
    st.lists(
        st.sampled_from([RCPT, LEAST, LEAST + b"\n", b"\n", b"a=b\n", b"x\n", b"\0", b"\xff=\xff\n"])
        | st.binary(max_size=20),
        max_size=8,
    ).map(b"".join),
    st.integers(1, 50),
)
def test_any_octets_come_to_the_same_however_they_are_cut(octets: bytes, size: int) -> None:
    """A request, a wait or PolicyProtocolError, whole and in pieces."""
    assert read(octets) == read(*(octets[at : at + size] for at in range(0, len(octets), size)))


def test_a_reply_is_exactly_one_line_and_an_empty_one() -> None:
    """One stray octet costs the next request a second (smtpd takes it for the answer)."""
    assert reply("DUNNO") == b"action=DUNNO\n\n"
    assert reply("450 4.7.1 Over the limit a, try again later") == (
        b"action=450 4.7.1 Over the limit a, try again later\n\n"
    )


@given(st.text(min_size=1, max_size=400))
def test_a_reply_stays_one_line_whatever_it_says(text: str) -> None:
    """Printable ASCII, bounded, with exactly one end."""
    octets = reply(text)
    assert octets.startswith(b"action=")
    assert octets.endswith(b"\n\n")
    assert octets.count(b"\n") == 2
    assert octets[:-2].decode("ascii").isprintable()
    assert len(octets) <= len(b"action=\n\n") + MAX_TEXT
