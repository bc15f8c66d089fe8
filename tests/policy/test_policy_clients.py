"""Whose message it is at the SMTP door, as the kernel's answers come: at its first question and before it counts."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from postroom.identity.socket_owner import End, plain
from postroom.policy.clients import SmtpClient, SmtpClients
from postroom.policy.protocol import PolicyRequest, RequestReader
from sandbox.policy import request

HERE: dict[str, str | int] = {
    "client_address": "127.0.0.1",
    "client_port": 40_000,
    "server_address": "127.0.0.1",
    "server_port": 25,
}
EVE, BOB = 1001, 1002


def read(**attributes: str | int) -> PolicyRequest:
    reader = RequestReader()
    reader.feed(request(**{**HERE, **attributes}))
    found = reader.next_request()
    assert found is not None
    return found


FIRST = read()


class Kernel:
    """Gives its answers in turn, and keeps what it was asked."""

    def __init__(self, *answers: int | None) -> None:
        self.left = list(answers)
        self.asked: list[tuple[End, End]] = []

    def __call__(self, client: End, server: End) -> int | None:
        self.asked.append((client, server))
        return self.left.pop(0)


def clients(kernel: Callable[[End, End], int | None], max_messages: int = 10) -> SmtpClients:
    return SmtpClients(lambda address: plain(address).is_loopback, kernel, max_messages)


def counted(known: SmtpClients, *questions: tuple[PolicyRequest, bool]) -> list[str]:
    return [known.client_of(asked, ask_again=again).counted_uid for asked, again in questions]


@pytest.mark.parametrize(
    ("answers", "uid"),
    [
        ((EVE, EVE), "1001"),
        ((EVE, None), "1001"),
        ((None, None), "unknown"),
        ((EVE, BOB), "unknown"),
        ((0, None), "0"),
    ],
)
def test_the_first_certain_owner_of_a_message_stands(answers: tuple[int | None, int | None], uid: str) -> None:
    """Who hung up meanwhile is still its owner; the address in other hands is nobody's."""
    kernel = Kernel(*answers)
    questions = [(FIRST, False), (FIRST, False), (replace(FIRST, state="END-OF-MESSAGE"), True)]
    assert counted(clients(kernel), *questions)[-1] == uid
    ends = (ip_address("127.0.0.1"), 40_000), (ip_address("127.0.0.1"), 25)
    assert kernel.asked == [ends, ends], "at the first question and at the end, not at each recipient"


def test_the_next_message_from_the_same_port_is_its_own_users() -> None:
    """The same process of smtpd may serve it, with a number that could follow: who hung up is not found there."""
    known = clients(Kernel(EVE, BOB, None, None))
    assert counted(known, (replace(FIRST, instance="a1.6b0639c7.d86f3.0"), True)) == ["1001"]
    assert counted(known, (replace(FIRST, instance="a1.6b0639c8.00001.0"), True)) == ["1002"]
    last = replace(FIRST, instance="a1.6b0639c8.00002.1")
    assert counted(known, (last, False), (last, True)) == ["unknown", "unknown"]


@pytest.mark.parametrize(
    "missing",
    [
        {"client_port": ""},
        {"client_port": 0},
        {"client_port": "99999999"},
        {"client_port": 65_536},
        {"client_port": "unknown"},
        {"server_address": ""},
        {"server_address": "unknown"},
        {"server_port": "-1"},
    ],
)
def test_where_the_ends_are_not_told_the_user_is_unknown(missing: dict[str, str | int]) -> None:
    """An older Postfix, another program that speaks the protocol, a proxy: never a guess, and no fault."""
    assert counted(clients(Kernel()), (read(**missing), True)) == ["unknown"]


@pytest.mark.parametrize(
    ("attributes", "client"),
    [
        ({"sasl_username": "anna"}, SmtpClient("anna", ip_address("127.0.0.1"))),
        ({"client_address": "192.0.2.9"}, SmtpClient("", ip_address("192.0.2.9"))),
        ({"client_address": "2001:db8::9", "sasl_username": "anna"}, SmtpClient("anna", ip_address("2001:db8::9"))),
        ({"client_address": "unknown"}, SmtpClient("", None)),
    ],
)
def test_a_login_and_another_host_are_no_users(attributes: dict[str, str | int], client: SmtpClient) -> None:
    """The kernel is not even asked."""
    found = clients(Kernel()).client_of(read(**attributes), ask_again=True)
    assert (found, found.counted_uid) == (client, "")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.200.0.9", "::1", "::ffff:127.0.0.9"])
def test_this_host_is_one_client_whichever_of_its_addresses_it_uses(address: str) -> None:
    """Or each of 127.0.0.0/8 would be a client of its own, and not in the networks that name 127.0.0.1."""
    found = clients(Kernel()).client_of(read(client_address=address, sasl_username="anna"), ask_again=True)
    assert (found.address, found.network) == (ip_address("127.0.0.1"), "127.0.0.1")


def test_a_flood_of_messages_costs_others_an_answer_and_no_memory() -> None:
    """The oldest is asked about anew."""
    kernel = Kernel(EVE, BOB, BOB, None)
    known = clients(kernel, max_messages=2)
    questions = [(replace(FIRST, instance=f"{number}"), False) for number in (1, 2, 3, 1)]
    assert counted(known, *questions) == ["1001", "1002", "1002", "unknown"]
