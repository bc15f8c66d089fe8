"""Which requests the monitor takes for its own: the names it is asked by, and who made a browser ask."""

from collections.abc import Mapping

import pytest

from postroom.monitor.request_origin import origin_refusal

NAMES = frozenset({"mail.example.org", "mail"})


def status(
    *hosts: str, target: str = "/metrics", is_http_1_0: bool = False, headers: Mapping[str, str] = {}
) -> int | None:
    refused = origin_refusal(target, is_http_1_0, list(hosts), headers, NAMES)
    return None if refused is None else refused.status


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "localhost:8080",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:65535",
        "mail.example.org",
        "Mail.Example.ORG:443",
        "mail",
    ],
)
def test_its_own_names_are_answered(host: str) -> None:
    """With any port: a forwarded one is the operator's choice."""
    assert status(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "localhost.evil.example.com",
        "127.0.0.1.evil.example.com",
        "127.0.0.2",
        "[::2]",
        "mail.example.org.evil.example.com",
        "localhost:x",
        "localhost:80:80",
        "evil.example.com/localhost",
        "localhost@evil.example.com",
        "user@localhost",
        "",
        "*",
    ],
)
def test_other_names_are_misdirected(host: str) -> None:
    """Also those that only begin or end like one of ours."""
    assert status(host) == 421


def test_without_host_only_http_1_0_is_answered() -> None:
    """A check of a load balancer has none; a browser always has. Two are for nobody."""
    assert status(is_http_1_0=True) is None
    assert status() == 400
    assert status("localhost", "evil.example.com") == 400
    assert status("evil.example.com", is_http_1_0=True) == 421


def test_the_target_is_a_path() -> None:
    """An absolute one would stand above Host (RFC 9112 §3.2.2)."""
    assert status("localhost", target="http://evil.example.com/metrics") == 400
    assert status("localhost", target="*") == 400


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "http://localhost:8080"}, None),
        ({"Origin": "https://mail.example.org"}, None),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example.com"}, 403),
        ({"Origin": "file://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, None),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, None),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, None),
    ],
)
def test_a_page_of_another_site_is_not_served(headers: dict[str, str], expected: int | None) -> None:
    """A link from it to the page is followed; what it embeds or fetches is refused."""
    assert status("localhost", headers=headers) == expected
