"""request.message_request and Writer: the fields of a message, or every fault at once, none with the value in it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.config import paths
from postroom.senders.table import Allowance, SendersTable
from postroom.submission.api.problem import ApiProblem, FieldError
from postroom.submission.api.request import MAX_RECIPIENTS, MAX_SUBJECT, document, message_request
from postroom.submission.api.writer import Writer, WrittenMessage
from postroom.templating.brand import Brand
from postroom.templating.catalogue import Catalogue

PLAIN: dict[str, Any] = {"from": "Shop <shop@example.org>", "to": "a@example.net", "subject": "Hi", "text": "there"}
NOW = 1_790_000_000.0
MESSAGE = "01929b1e-0000-7000-8000-000000000001"


def faults_of(request: dict[str, Any]) -> list[FieldError]:
    return message_request(document(json.dumps(request).encode()))[1]


def pointers_and_codes(faults: list[FieldError]) -> list[tuple[str, str]]:
    return sorted((fault.pointer, fault.code) for fault in faults)


@pytest.fixture(scope="module")
def write() -> Callable[[dict[str, Any]], WrittenMessage]:
    """Writes a request with the shipped templates."""
    brand = Brand("Example", "https://example.org/", "", "", "#0b57d0")
    writer = Writer(
        Catalogue.load([paths.templates_dir()], brand),
        {"example.org": "*@bounces.example.org", "example.com": "*@bounces.example.com"},
        SendersTable(
            [
                Allowance(frozenset({"example.org"}), clients=frozenset({"shop"})),
                Allowance(addresses=frozenset({"news@example.com"}), clients=frozenset({"shop"})),
            ]
        ),
    )
    return lambda request: writer.write(*message_request(document(json.dumps(request).encode())), MESSAGE, "shop", NOW)


def test_an_address_of_ours_that_the_client_may_not_use_is_a_fault(
    write: Callable[[dict[str, Any]], WrittenMessage],
) -> None:
    """What `senders` does not allow is refused at once: no answer later could tell the application."""
    request = {"from": "a@example.com", "to": "b@example.net", "subject": "x", "text": "x"}
    with pytest.raises(ApiProblem) as refused:
        write(request)
    assert pointers_and_codes(list(refused.value.errors)) == [("/from", "domain_not_yours")]
    assert "client shop may not write From this address of example.com; mend: " in refused.value.errors[0].detail
    write({**request, "from": "a@example.org"})
    write({**request, "from": "News <news@Example.COM>"})


def test_a_plain_message_has_no_faults() -> None:
    """One mailbox may stand without brackets; recipients come in order, each once."""
    request, faults = message_request(
        {**PLAIN, "to": ["A <a@example.net>", "b@example.net"], "cc": "a@EXAMPLE.net", "bcc": ["c@example.net"]}
    )
    assert faults == []
    assert request.recipients == ("a@example.net", "b@example.net", "c@example.net")


@given(
    st.dictionaries(
        st.sampled_from([*PLAIN, "stream", "cc", "bcc", "reply_to", "html", "template", "from_", "", "a/b~c"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just("a@example.net")),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["name", "locale", "data", "x"]), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=6,
    )
)
def test_any_object_is_a_request_and_its_faults(request: dict[str, Any]) -> None:
    """Whatever stands in the fields, nothing is raised, and what is faultless can be served."""
    read, faults = message_request(request)
    if not faults:
        assert read.from_ is not None
        assert 1 <= len(read.recipients) <= MAX_RECIPIENTS


@pytest.mark.parametrize("control", ["\r", "\n", "\r\n", "\u2028", "\x1b", "\x85"])
@pytest.mark.parametrize(
    ("field", "pointer", "code"),
    [
        ("from", "/from", "address_invalid"),
        ("to", "/to/0", "address_invalid"),
        ("cc", "/cc/0", "address_invalid"),
        ("bcc", "/bcc/0", "address_invalid"),
        ("reply_to", "/reply_to/0", "address_invalid"),
        ("subject", "/subject", "control_character"),
    ],
)
def test_a_line_break_in_a_field_of_one_line_is_a_fault(control: str, field: str, pointer: str, code: str) -> None:
    """Such a value would start a header of the sender's choosing."""
    value = f"Eve{control}Bcc: x@example.net <eve@example.org>"
    assert pointers_and_codes(faults_of({**PLAIN, field: value})) == [(pointer, code)]


@pytest.mark.parametrize("field", [*PLAIN, "stream", "cc", "bcc", "reply_to", "html"])
def test_a_nul_in_any_field_is_a_fault_with_its_pointer(field: str) -> None:
    """No mail can carry it."""
    with pytest.raises(ApiProblem) as refused:
        faults_of({**PLAIN, field: "a\0b"})
    assert pointers_and_codes(list(refused.value.errors)) == [(f"/{field}", "control_character")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"from": None}, [("/from", "missing")]),
        ({"from": 1}, [("/from", "wrong_type")]),
        ({"from": ["a@example.org"]}, [("/from", "wrong_type")]),
        ({"from": ""}, [("/from", "address_invalid")]),
        ({"to": []}, [("/to", "missing")]),
        ({"to": None}, [("/to", "wrong_type")]),
        ({"to": {"a": 1}}, [("/to", "wrong_type")]),
        ({"to": ["a@example.net", 1, "x"]}, [("/to/1", "wrong_type"), ("/to/2", "address_invalid")]),
        ({"to": [], "bcc": "x"}, [("/bcc/0", "address_invalid")]),
        ({"subject": ""}, [("/subject", "too_short")]),
        ({"subject": 7}, [("/subject", "wrong_type")]),
        ({"subject": "x" * (MAX_SUBJECT + 1)}, [("/subject", "too_long")]),
        ({"subject": None, "text": None}, [("/subject", "missing"), ("/text", "missing")]),
        ({"text": ""}, [("/text", "too_short")]),
        ({"text": ["x"]}, [("/text", "wrong_type")]),
        ({"template": "welcome"}, [("/template", "wrong_type")]),
        ({"template": {}}, [("/template/name", "missing")]),
        ({"template": {"name": "welcome"}}, [("/subject", "conflict"), ("/text", "conflict")]),
        ({"subject": None, "text": None, "template": {"name": "", "data": []}},
         [("/template/data", "wrong_type"), ("/template/name", "too_short")]),
        ({"stream": "News Letter"}, [("/stream", "malformed")]),
        ({"stream": "news\n"}, [("/stream", "malformed")]),
        ({"stream": 7}, [("/stream", "wrong_type")]),
        ({"subject": None, "text": None, "template": {"name": "welcome", "locale": "../de"}},
         [("/template/locale", "malformed")]),
        ({"subjct": "x"}, [("/subjct", "unknown")]),
        ({"a/b~c": 1}, [("/a~1b~0c", "unknown")]),
        ({"": 1}, [("/", "unknown")]),
    ],
)  # fmt: skip
def test_each_fault_has_its_pointer_and_code(change: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """A null field counts as absent where the field may be; nothing is told twice, nothing that follows from another
    fault is told at all."""
    assert pointers_and_codes(faults_of({**PLAIN, **change})) == expected


def test_recipients_are_counted_each_once_over_to_cc_and_bcc() -> None:
    """Fifty are one message, fifty-one are not."""
    fifty = [f"r{number}@example.net" for number in range(MAX_RECIPIENTS)]
    assert faults_of({**PLAIN, "to": fifty, "cc": fifty[:3], "bcc": fifty[7]}) == []
    assert pointers_and_codes(faults_of({**PLAIN, "to": fifty, "bcc": "one-more@example.net"})) == [("/to", "too_many")]


def test_a_list_of_a_hundred_thousand_mailboxes_is_refused_before_they_are_read() -> None:
    """Read one by one, a request within the size limit kept the daemon busy for 48 s and took 6 GB."""
    request = {**PLAIN, "to": ["x"] * 100_000, "reply_to": ["a@example.org"] * 100_000}
    started = time.process_time()
    assert pointers_and_codes(message_request(request)[1]) == [("/reply_to", "too_many"), ("/to", "too_many")]
    assert time.process_time() - started < 0.5


def test_all_faults_come_at_once(write: Callable[[dict[str, Any]], WrittenMessage]) -> None:
    """A bad address, a domain that is not ours, an unknown field, a wrong and a missing variable: one answer."""
    request = {
        "from": "shop@elsewhere.example",
        "to": ["good@example.net", "bad"],
        "subjct": "x",
        "template": {"name": "welcome", "data": {"action_url": "javascript:alert(1)", "frist_name": "Eve"}},
    }
    with pytest.raises(ApiProblem) as refused:
        write(request)
    assert refused.value.detail == "6 faults; see errors"
    assert pointers_and_codes(list(refused.value.errors)) == [
        ("/from", "domain_not_ours"),
        ("/subjct", "unknown"),
        ("/template/data/action_url", "wrong_type"),
        ("/template/data/first_name", "missing"),
        ("/template/data/frist_name", "unknown"),
        ("/to/1", "address_invalid"),
    ]
    with pytest.raises(ApiProblem) as unknown:
        write({**request, "template": {"name": "welcom"}})
    assert pointers_and_codes(list(unknown.value.errors)) == [
        ("/from", "domain_not_ours"),
        ("/subjct", "unknown"),
        ("/template/name", "unknown"),
        ("/to/1", "address_invalid"),
    ]


SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "change",
    [
        {"from": f"{SECRET} <{SECRET}@@example.org>"},
        {"to": [SECRET]},
        {"to": {SECRET: SECRET}},
        {"cc": [f"{SECRET}@-example.org", f'"{SECRET}"@example.org', f"{SECRET}@[192.0.2.1]"]},
        {"subject": f"{SECRET}\n"},
        {"subject": SECRET * 100},
        {"subject": [SECRET]},
        {"html": {"a": SECRET}},
        {"subjct": SECRET},
        {"template": SECRET},
        {"template": {"name": "welcome", "locale": f"{SECRET}/", "data": {}}},
        {"template": {"name": "welcome", "data": {"first_name": [SECRET], "action_url": SECRET}}},
        {"template": {"name": "welcome", "data": {"first_name": SECRET * 50, "action_url": f"http://{SECRET} /"}}},
        {"template": {"name": "welcome", "data": {"first_name": f"{SECRET}\u202e", "nobody": SECRET}}},
    ],
)
def test_no_fault_quotes_a_value(write: Callable[[dict[str, Any]], WrittenMessage], change: dict[str, Any]) -> None:
    """Answers end up in other programs' logs; values may be passwords, links and addresses."""
    with pytest.raises(ApiProblem) as refused:
        write({**PLAIN, **change})
    shown = refused.value.document("x")
    for error in shown["errors"]:  # type: ignore[attr-defined]  # a document of plain values
        assert SECRET not in error["detail"]
    assert SECRET not in refused.value.detail


def test_what_is_written_is_what_is_stored(write: Callable[[dict[str, Any]], WrittenMessage]) -> None:
    """The Message-ID is of the From domain, the return path has room for the token, the template its version."""
    written = write(
        {
            "from": "Shop <shop@example.org>",
            "to": ["a@example.net", "b@example.net"],
            "template": {"name": "welcome", "data": {"first_name": "Ada", "action_url": "https://example.org/x"}},
        }
    )
    assert written.recipients == ("a@example.net", "b@example.net")
    assert written.message.return_path == "*@bounces.example.org"
    assert written.message.message_id.endswith("@example.org")
    assert f"Message-ID: <{written.message.message_id}>".encode() in written.octets
    assert (written.message.template, bool(written.message.template_version)) == ("welcome", True)


def test_a_template_that_fails_is_our_fault_and_says_so(tmp_path: Path) -> None:
    """500 with the template and line, and no value."""
    folder = tmp_path / "broken"
    (folder / "en").mkdir(parents=True)
    (folder / "template.yaml").write_text(
        "stream: transactional\ndescription: d\ndefault_locale: en\nvariables:\n"
        "  divisor: {type: integer, required: true, description: d, example: 1}\n"
    )
    (folder / "en" / "subject.txt").write_text("Half\n")
    (folder / "en" / "body.html").write_text(
        '{% extends "_layout/layout.html" %}{% block content %}<p>{{ 1 / divisor }}</p>{% endblock %}'
    )
    (folder / "en" / "body.txt").write_text("{{ 1 / divisor }}\n")
    brand = Brand("Example", "https://example.org/", "", "", "#0b57d0")
    catalogue = Catalogue.load([tmp_path, paths.templates_dir()], brand)
    writer = Writer(catalogue, {"example.org": "*@bounces.example.org"}, SendersTable())
    request = {"from": "a@example.org", "to": "a@example.net", "template": {"name": "broken", "data": {"divisor": 0}}}
    with pytest.raises(ApiProblem) as refused:
        writer.write(*message_request(request), MESSAGE, "shop", NOW)
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (500, "fault", None)
    assert "broken" in refused.value.detail
