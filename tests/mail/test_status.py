"""SMTP replies and their enhanced status codes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mail.status import Reply, reply


@pytest.mark.parametrize(
    ("code", "lines", "expected"),
    [
        (250, ["2.0.0 Ok: queued as 4XyZ"], Reply(250, "2.0.0", "Ok: queued as 4XyZ")),
        (250, ["Ok"], Reply(250, None, "Ok")),
        (250, [""], Reply(250, None, "")),
        (250, [], Reply(250, None, "")),
        (250, ["2.1.0"], Reply(250, "2.1.0", "")),
        (354, ["End data with <CR><LF>.<CR><LF>"], Reply(354, None, "End data with <CR><LF>.<CR><LF>")),
        (451, ["  4.7.1   try later  "], Reply(451, "4.7.1", "try later")),
        (550, ["5.1.1 no such", "5.1.1 user"], Reply(550, "5.1.1", "no such user")),
        (550, ["5.1.1 no such", "user"], Reply(550, "5.1.1", "no such user")),
        (550, ["5.7.1 refused", "5.7.0 for help, ask"], Reply(550, "5.7.1", "refused for help, ask")),
        (450, ["4.100.999 far out"], Reply(450, "4.100.999", "far out")),
    ],
)
def test_replies_are_read_so(code: int, lines: list[str], expected: Reply) -> None:
    """Code, enhanced status code where there is one, and the text without it, of all lines as one."""
    assert reply(code, lines) == expected


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (550, "4.1.1 another class"),
        (250, "3.0.0 no class at all"),
        (550, "5.1.1234 too long"),
        (550, "5.1 too short"),
        (550, "5.1.1.1 too many"),
        (550, "5.1.1: with a colon"),
        (550, "15.1.1 a number"),
        (550, "version 5.1.1 in the text"),
        (550, "5.\u0661.\u0661 digits of another script"),
    ],
)
def test_what_is_no_enhanced_status_code_stays_text(code: int, line: str) -> None:
    """Its class must be that of the reply (RFC 2034 §4), its form that of RFC 3463 §2."""
    assert reply(code, [line]) == Reply(code, None, line)


@pytest.mark.parametrize(
    ("code", "success", "temporary", "permanent"),
    [(250, True, False, False), (354, False, False, False), (421, False, True, False), (554, False, False, True)],
)
def test_the_first_digit_decides(code: int, success: bool, temporary: bool, permanent: bool) -> None:
    """RFC 5321 §4.2.1."""
    answer = Reply(code, None, "")
    assert (answer.is_success, answer.is_temporary, answer.is_permanent) == (success, temporary, permanent)


def test_a_reply_is_written_as_it_would_be_sent() -> None:
    """Without gaps where a part is missing."""
    assert str(Reply(550, "5.1.1", "no such user")) == "550 5.1.1 no such user"
    assert str(Reply(250, None, "Ok")) == "250 Ok"
    assert str(Reply(250, "2.0.0", "")) == "250 2.0.0"
    assert str(Reply(250, None, "")) == "250"


@given(st.integers(200, 599), st.lists(st.text(), max_size=4))
def test_any_lines_are_a_reply(code: int, lines: list[str]) -> None:
    """Whatever a server sends; the status has its form and the class of the code."""
    answer = reply(code, lines)
    assert answer.code == code
    if answer.enhanced_status is not None:
        assert re.fullmatch(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", answer.enhanced_status)
        assert int(answer.enhanced_status[0]) == code // 100


@given(st.sampled_from([2, 4, 5]), st.integers(0, 999), st.integers(0, 999), st.from_regex(r"[a-z ]*", fullmatch=True))
def test_a_status_that_is_sent_is_read_back(class_: int, subject: int, detail: int, text: str) -> None:
    """Any subject and detail of up to three digits (RFC 3463 §2)."""
    status = f"{class_}.{subject}.{detail}"
    assert reply(class_ * 100 + 50, [f"{status} {text}"]) == Reply(class_ * 100 + 50, status, text.strip())
