"""request.document: any octets are a JSON object that every reader understands alike, or an ApiProblem."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.submission.api.problem import ApiProblem
from postroom.submission.api.request import MAX_DEPTH, MAX_KEY, MAX_KEYS, document, idempotency_key

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False))
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def refusal(octets: bytes) -> ApiProblem:
    with pytest.raises(ApiProblem) as refused:
        document(octets)
    return refused.value


@given(st.one_of(st.binary(max_size=200), st.text('{}[]",:1e-\\ud8\0\n', max_size=60).map(str.encode)))
@example(b"\xff\xfe{\0}\0")
@example(b'{"a":\xc0\xaf}')
@example(b"")
def test_any_octets_are_an_object_or_a_problem(octets: bytes) -> None:
    """Nothing else is raised, and a refusal can be shown."""
    try:
        read = document(octets)
    except ApiProblem as refused:
        problem = refused
    else:
        assert isinstance(read, dict)
        return
    assert problem.status in {400, 422}
    json.dumps(problem.document("x")).encode("utf-8")


@given(st.dictionaries(texts, values, max_size=5))
def test_an_object_of_plain_values_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    """What JSON can say without doubt comes through unchanged."""
    assert document(json.dumps(value).encode()) == value
    assert document(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("octets", "word"),
    [
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": Infinity}', "Infinity is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": -1e999}', "out of range"),
        (b'{"a": ' + b"9" * 6000 + b"}", "a number has more than 300 digits"),
        (b'{"a": 1, "a": 2}', "'a' appears twice"),
        (b'{"t": {"a": 1, "\\u0061": 2}}', "'a' appears twice"),
        (b'{"\xc3\xa9": 1, "\\u00e9": 2}', r"'\\xe9' appears twice"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": "\xff"}', "not UTF-8 (octet 7)"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": 1}{"b": 2}', "Extra data"),
        (b'{"a": 1,}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": "\n"}', "not JSON"),
        (b"\0", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"1", "must be a JSON object"),
        (b"null", "must be a JSON object"),
    ],
)
def test_what_is_no_plain_json_object_is_malformed(octets: bytes, word: str) -> None:
    """400, with where it was found or what it must be."""
    problem = refusal(octets)
    assert (problem.status, problem.code, problem.retry_after_s) == (400, "malformed", None)
    assert word.replace(r"\\", "\\") in problem.detail


@pytest.mark.parametrize(
    ("octets", "pointer"),
    [
        (b'{"template": {"data": {"n": ' + b"9" * 6000 + b"}}}", "/template/data/n"),
        (b'{"template": {"data": {"n": [1, -' + b"9" * 6000 + b"]}}}", "/template/data/n/1"),
        (b'{"a": {"b": 1e999}}', "/a/b"),
        (b'{"a/b": [[NaN]]}', "/a~1b/0/0"),
        (b'{"to": [{"a": 1, "a": 2}]}', "/to/0"),
        (b'{"a": 1, "a": 2}', ""),
    ],
)
def test_what_is_ambiguous_is_named_by_its_place(octets: bytes, pointer: str) -> None:
    """A client that builds its body from data learns which of them it was."""
    problem = refusal(octets)
    assert (problem.status, [(fault.pointer, fault.code) for fault in problem.errors]) == (
        400,
        [(pointer, "ambiguous")],
    )


def test_all_that_is_ambiguous_is_named_at_once() -> None:
    """Not one with each try."""
    problem = refusal(b'{"a": NaN, "b": {"c": 1e999, "d": ' + b"1" * 301 + b"}}")
    assert [fault.pointer for fault in problem.errors] == ["/a", "/b/c", "/b/d"]


@pytest.mark.parametrize("octets", [b"[" * 1_000_000, b'{"a":' * 1_000_000, b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"])
def test_a_body_nested_too_deep_is_refused_as_such(octets: bytes) -> None:
    """Depth bombs cost no more than reading them, whole or broken off."""
    problem = refusal(octets)
    assert problem.status == 400
    column = {b"[": MAX_DEPTH + 1, b'{"a":{': 5 * MAX_DEPTH + 1, b'{"a":[': MAX_DEPTH + 5}
    (wanted,) = (number for beginning, number in column.items() if octets.startswith(beginning))
    assert problem.detail == f"the body is nested deeper than {MAX_DEPTH} levels (line 1, column {wanted})"


def test_the_deepest_body_that_is_allowed_is_read() -> None:
    """The limit is the limit, not one less."""
    octets = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert json.loads(octets) == document(octets)


@pytest.mark.parametrize(
    ("octets", "pointer"),
    [
        (b'{"text": "a\\u0000b"}', "/text"),
        (b'{"text": "\\ud800"}', "/text"),
        (b'{"text": "\\udc00\\ud800"}', "/text"),
        (b'{"template": {"data": {"a/b": ["x", "\\u0000"]}}}', "/template/data/a~1b/1"),
        (b'{"template": {"data": {"a\\u0000": 1}}}', "/template/data"),
        (b'{"\\ud800": 1}', ""),
    ],
)
def test_text_that_no_mail_can_carry_is_a_fault_where_it_stands(octets: bytes, pointer: str) -> None:
    """A NUL or half a surrogate pair, in values and in keys; half a pair never comes out again."""
    problem = refusal(octets)
    assert (problem.status, [(fault.pointer, fault.code) for fault in problem.errors]) == (
        422,
        [(pointer, "control_character")],
    )


def test_a_whole_surrogate_pair_is_a_character() -> None:
    """JSON writes characters past U+FFFF so."""
    assert document(b'{"subject": "\\ud83d\\ude00"}') == {"subject": "\U0001f600"}


def test_faults_are_counted_out_at_a_hundred() -> None:
    """A body full of faults does not make an answer as large as itself."""
    problem = refusal(json.dumps({"a": ["\0"] * 10_000}).encode())
    assert len(problem.errors) == 100


def test_a_key_too_long_is_a_fault_and_not_repeated() -> None:
    """Its name would stand in the pointer of every fault below it: 2 MB in, 200 MB out."""
    problem = refusal(json.dumps({"template": {"k" * (MAX_KEY + 1): ["\0"] * 100}}).encode())
    assert [(fault.pointer, fault.code) for fault in problem.errors] == [("/template", "too_long")]
    assert document(json.dumps({"k" * MAX_KEY: 1}).encode()) == {"k" * MAX_KEY: 1}


def test_an_object_with_too_many_keys_is_one_fault() -> None:
    """A hundred thousand unknown fields would cost seconds and gigabytes, one fault for each."""
    problem = refusal(json.dumps({"template": {"data": dict.fromkeys(map(str, range(MAX_KEYS + 1)))}}).encode())
    assert [(fault.pointer, fault.code) for fault in problem.errors] == [("/template/data", "too_many")]
    full = dict.fromkeys(map(str, range(MAX_KEYS)))
    assert document(json.dumps(full).encode()) == full


@pytest.mark.parametrize("key", ["a", "5f3c-9", '"quoted-by-the-draft"', "!" * 255, "~"])
def test_an_idempotency_key_of_printable_ascii_is_taken(key: str) -> None:
    """Whatever form the client's libraries give it."""
    assert idempotency_key(key) == key


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "é", "a\t", "\x7f", "a\n", "\udcff"])
def test_an_idempotency_key_that_proxies_may_change_is_malformed(key: str) -> None:
    """A key that is trimmed or decoded on its way would be another key."""
    with pytest.raises(ApiProblem) as refused:
        idempotency_key(key)
    assert (refused.value.status, refused.value.code) == (400, "malformed")
