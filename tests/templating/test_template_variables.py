"""Data against the variables of a template: hostile values in each, and every fault at once."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.templating import Variable, VariableProblem, VariablesInvalid
from postroom.templating.formats import Money
from postroom.templating.variables import check

VARIABLES = {
    "name": Variable(type="string", required=True, description="d", example="Ada", max_length=100),
    "note": Variable(type="string", description="d", example="x"),
    "count": Variable(type="integer", description="d", example=1),
    "price": Variable(type="number", description="d", example=1.5),
    "paid": Variable(type="boolean", description="d", example=True),
    "link": Variable(type="url", description="d", example="https://www.example.org/"),
}


def refused(data: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(VariablesInvalid) as invalid:
        check("trial", VARIABLES, data, one_line={"name"})
    return sorted((problem.pointer, problem.code) for problem in invalid.value.problems)


def test_every_fault_is_told_at_once() -> None:
    """A caller mends a request in one go."""
    data = {"nmae": "Ada", "note": 7, "count": True, "price": "1", "paid": 1, "link": "ftp://example.org/", "a/b~c": 1}
    assert refused(data) == [
        ("/a~1b~0c", "unknown"),
        ("/count", "wrong_type"),
        ("/link", "wrong_type"),
        ("/name", "missing"),
        ("/nmae", "unknown"),
        ("/note", "wrong_type"),
        ("/paid", "wrong_type"),
        ("/price", "wrong_type"),
    ]


def test_unknown_variable_is_answered_with_the_one_that_was_meant() -> None:
    """A typo never makes a mail with a hole in it."""
    with pytest.raises(VariablesInvalid, match=r"trial has no variable 'nmae'; did you mean 'name'\?"):
        check("trial", VARIABLES, {"nmae": "Ada", "name": "Ada"})


@pytest.mark.parametrize("value", [None, "", "  ", "\n"])
def test_required_value_that_is_absent_or_empty_is_missing(value: object) -> None:
    """'Welcome, !' is never sent."""
    assert refused({"name": value}) == [("/name", "missing")]


@pytest.mark.parametrize("place", ["name", "note", "link"])
@pytest.mark.parametrize(
    "sign", [*map(chr, [*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)]),
             *map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xD800, 0xDFFF])],
)  # fmt: skip
def test_control_character_is_refused_wherever_it_stands(place: str, sign: str) -> None:
    """C0 but for TAB, LF and CR; C1; the bidirectional controls; half a surrogate pair."""
    value = {"link": "https://www.example.org/"}.get(place, "a") + sign + "b"
    assert refused({"name": "Ada", place: value}) == [(f"/{place}", "control_character")]


@pytest.mark.parametrize("place", ["name", "note", "link"])
def test_value_that_is_too_long_is_refused_and_not_repeated(place: str) -> None:
    """A megabyte in a greeting is a fault; the answer stays small and holds none of it."""
    with pytest.raises(VariablesInvalid) as invalid:
        check("trial", VARIABLES, {"name": "Ada", place: "https://x" + "y" * 1_000_000})
    assert [(problem.pointer, problem.code) for problem in invalid.value.problems] == [(f"/{place}", "too_long")]
    assert "yyy" not in str(invalid.value)


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//www.example.org/", "/start",
        "www.example.org", "https:", "https://", "https:///start", "http:www.example.org", " https://www.example.org/", "ftp://example.org",
        "https://www.example.org/a b", "https://www.example.org/\n", "https://www.example.org/\tb", "https://[::1",
        'https://www.example.org/"onclick="x', "https://www.example.org/<script>", "https://www.example.org\\@evil.example",
        "https://www.exämple.org/", "https://www.example.org:99999/", "https://www.example.org:x/", "", "https://:80/",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_as_url(value: str) -> None:
    """Only absolute http and https addresses, in the characters of RFC 3986, become links."""
    assert refused({"name": "Ada", "link": value}) == [("/link", "wrong_type")]


@pytest.mark.parametrize(
    "value",
    ["https://www.example.org/", "http://localhost:8080/a?b=c&d=%20#e", "HTTPS://EXAMPLE.ORG", "https://[::1]:8443/x"],
)
def test_web_address_is_taken_as_it_is(value: str) -> None:
    """The address is not normalised: the application may have signed it."""
    assert check("trial", VARIABLES, {"name": "Ada", "link": value})["link"] == value


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("count", 1.0, "wrong_type"), ("count", "1", "wrong_type"), ("count", 2**53, "too_long"),
        ("count", 10**4_000, "too_long"), ("price", float("nan"), "wrong_type"), ("price", float("inf"), "wrong_type"),
        ("price", True, "wrong_type"), ("price", -(10**400), "too_long"), ("paid", "true", "wrong_type"),
        ("paid", 0, "wrong_type"), ("note", ["a"], "wrong_type"), ("note", {"a": 1}, "wrong_type"),
        ("note", b"bytes", "wrong_type"),
    ],
)  # fmt: skip
def test_value_of_another_type_is_refused(place: str, value: object, code: str) -> None:
    """Nothing is converted: what does not fit was not meant."""
    assert refused({"name": "Ada", place: value}) == [(f"/{place}", code)]


TYPED = {
    "due": Variable(type="date", description="d", example="2026-11-24"),
    "at": Variable(type="datetime", description="d", example="2026-11-24T14:05:00Z"),
    "total": Variable(type="money", description="d", example={"amount": "49.00", "currency": "EUR"}),
    "event": Variable(type="string", choices=["started", "renewed"], description="d", example="started"),
    "lines": Variable(
        type="list",
        required=True,
        description="d",
        max_length=2,
        fields={
            "what": Variable(type="string", required=True, description="d", example="x"),
            "price": Variable(type="money", description="d", example={"amount": 1, "currency": "JPY"}),
        },
        example=[{"what": "x"}],
    ),
}


def test_dates_amounts_and_items_arrive_as_what_they_are() -> None:
    """Days, moments with their offset, exact amounts, items with all their fields."""
    values: Any = check(
        "trial",
        TYPED,
        {
            "due": "2026-11-24",
            "at": "2026-11-24T14:05+01:00",
            "total": {"amount": "-0.10", "currency": "EUR"},
            "event": "renewed",
            "lines": [{"what": "a", "price": {"amount": 5, "currency": "JPY"}}, {"what": "b"}],
        },
    )
    assert values["due"] == date(2026, 11, 24)
    assert values["at"] == datetime(2026, 11, 24, 13, 5, tzinfo=UTC)
    assert values["total"] == Money(Decimal("-0.10"), "EUR")
    assert [(line.what, line.price) for line in values["lines"]] == [("a", Money(Decimal(5), "JPY")), ("b", None)]


@pytest.mark.parametrize(
    ("place", "value", "pointer", "code"),
    [
        ("due", "24.11.2026", "/due", "wrong_type"), ("due", "2026-02-30", "/due", "wrong_type"),
        ("due", "2026-W48-2", "/due", "wrong_type"), ("due", 20261124, "/due", "wrong_type"),
        ("due", date(2026, 11, 24), "/due", "wrong_type"), ("at", "2026-11-24T14:05:00", "/at", "wrong_type"),
        ("at", "2026-11-24", "/at", "wrong_type"), ("at", "2026-11-24T25:00:00Z", "/at", "wrong_type"),
        ("total", 49, "/total", "wrong_type"), ("total", {"amount": 49.0, "currency": "EUR"}, "/total", "wrong_type"),
        ("total", {"amount": "49,00", "currency": "EUR"}, "/total", "wrong_type"),
        ("total", {"amount": "49.001", "currency": "EUR"}, "/total", "wrong_type"),
        ("total", {"amount": "1.5", "currency": "JPY"}, "/total", "wrong_type"),
        ("total", {"amount": "1", "currency": "eur"}, "/total", "wrong_type"),
        ("total", {"amount": "1", "currency": ["EUR"]}, "/total", "wrong_type"),
        ("total", {"amount": "9" * 1_000_000, "currency": "EUR"}, "/total", "wrong_type"),
        ("total", {"amount": "NaN", "currency": "EUR"}, "/total", "wrong_type"),
        ("total", {"amount": True, "currency": "EUR"}, "/total", "wrong_type"),
        ("total", {"amount": "1", "currency": "EUR", "more": 1}, "/total", "wrong_type"),
        ("event", "ended", "/event", "wrong_type"), ("lines", [], "/lines", "missing"),
        ("lines", {"what": "x"}, "/lines", "wrong_type"), ("lines", ["x"], "/lines/0", "wrong_type"),
        ("lines", [{"what": "x"}] * 3, "/lines", "too_long"), ("lines", [{}], "/lines/0/what", "missing"),
        ("lines", [{"what": "x"}, {"what": 5}], "/lines/1/what", "wrong_type"),
        ("lines", [{"what": "x", "wat": 5}], "/lines/0/wat", "unknown"),
        ("lines", [{"what": "x\u202e"}], "/lines/0/what", "control_character"),
    ],
)  # fmt: skip
def test_what_is_no_date_amount_choice_or_item_is_refused_where_it_stands(
    place: str, value: object, pointer: str, code: str
) -> None:
    """The pointer leads to the item and its field; nothing is converted or rounded, and no value is repeated."""
    with pytest.raises(VariablesInvalid) as invalid:
        check("trial", TYPED, {"lines": [{"what": "x"}], place: value})
    assert [(problem.pointer, problem.code) for problem in invalid.value.problems] == [(pointer, code)]
    assert len(str(invalid.value)) < 200


def test_line_break_in_an_item_of_the_subject_is_refused() -> None:
    """What the subject reads of a list may hold none either."""
    with pytest.raises(VariablesInvalid) as invalid:
        check("trial", TYPED, {"lines": [{"what": "a\nb"}]}, one_line={"lines"})
    assert [problem.pointer for problem in invalid.value.problems] == ["/lines/0/what"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(derandomize=True, deadline=None)
@given(data=st.dictionaries(st.sampled_from(sorted(VARIABLES)) | st.text(), JSON))
def test_any_data_is_values_or_problems_that_can_be_sent(data: dict[str, Any]) -> None:
    """Whatever JSON is handed over: all variables have a value that fits, or each problem points into the data."""
    values: dict[str, object] = {}
    problems: tuple[VariableProblem, ...] = ()
    try:
        values = check("trial", VARIABLES, data, one_line={"name"})
    except VariablesInvalid as invalid:
        problems = invalid.problems
    for problem in problems:
        name = problem.pointer[1:].replace("~1", "/").replace("~0", "~")
        assert name in data or problem.code == "missing"
        assert json.loads(json.dumps(problem)) == list(problem)
    if not problems:
        assert values.keys() == VARIABLES.keys()
        assert all(VARIABLES[name].fault(value) is None for name, value in values.items() if value is not None)
        assert "\n" not in str(values["name"])


@settings(derandomize=True, deadline=None)
@given(
    data=st.dictionaries(
        st.sampled_from(sorted(TYPED)), JSON | st.dictionaries(st.sampled_from(["amount", "currency"]), JSON)
    )
)
def test_any_data_for_dates_amounts_and_items_is_values_or_problems(data: dict[str, Any]) -> None:
    """Hostile JSON never raises anything else."""
    problems: tuple[VariableProblem, ...] = ()
    values: dict[str, object] = {}
    try:
        values = check("trial", TYPED, data, one_line={"lines"})
    except VariablesInvalid as invalid:
        problems = invalid.problems
    assert problems or values.keys() == TYPED.keys()
