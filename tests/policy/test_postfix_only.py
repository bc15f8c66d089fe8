"""postfix_only.py: who may connect to the sendmail door's listener; tests/milter has the same with real users."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from postroom.identity.socket_owner import End
from postroom.policy.postfix_only import ANOTHERS, MAX_LOGGED, UNKNOWN, PostfixOnly
from postroom.policy.protocol import PolicyRequest
from postroom.runtime.log import Log

POSTFIX = 104
CONNECTED = PolicyRequest(
    state="CONNECT",
    instance="",
    context="sendmail",
    sender="",
    recipient="",
    recipient_count=0,
    queue_id="",
    login="",
    client_address="127.0.0.1",
    client_port=40_000,
    server_address="127.0.0.1",
    server_port=10_587,
)


def log_to(said: list[object]) -> Log:
    return Log("info", lambda level, event, fields: said.append((level, event, fields["uid"])))


def answering(uid: int | None, postfix_uid: int | None = POSTFIX) -> tuple[PostfixOnly, list[object]]:
    said: list[object] = []

    def ask(client: End, server: End) -> int | None:
        assert (client, server) == ((ip_address("127.0.0.1"), 40_000), (ip_address("127.0.0.1"), 10_587))
        return uid

    return PostfixOnly(postfix_uid, log_to(said), ask), said


@pytest.mark.parametrize(
    ("owner", "postfix_uid", "refusal"),
    [(POSTFIX, POSTFIX, None), (0, POSTFIX, ANOTHERS), (33, POSTFIX, ANOTHERS), (None, POSTFIX, UNKNOWN),
     (None, None, UNKNOWN), (33, None, ANOTHERS)],
)  # fmt: skip
def test_postfix_alone_may_connect(owner: int | None, postfix_uid: int | None, refusal: str | None) -> None:
    """Root may not either; on a host without the user `postfix` nobody is believed."""
    assert answering(owner, postfix_uid)[0].refusal(CONNECTED) == refusal


@pytest.mark.parametrize(
    "request_", [replace(CONNECTED, client_port=0), replace(CONNECTED, server_port=0),
                 replace(CONNECTED, client_address="unknown"), replace(CONNECTED, server_address="")],
)  # fmt: skip
def test_a_connection_that_is_not_told_whole_is_nobodys(request_: PolicyRequest) -> None:
    """The kernel is not asked about half of one."""
    assert answering(POSTFIX)[0].refusal(request_) == UNKNOWN


def test_each_user_is_logged_once() -> None:
    """Connections are made in loops, and of users there may be many: the log does not grow with either."""
    door, said = answering(33)
    for _ in range(1000):
        door.refusal(CONNECTED)
    assert said == [("warning", "policy.turned_away", "33")]
    uids = iter(range(1000))
    many = PostfixOnly(POSTFIX, log_to(said), lambda client, server: 1000 + next(uids))
    for _ in range(1000):
        many.refusal(CONNECTED)
    assert len(said) == 1 + MAX_LOGGED
