"""samples.py and exposition.py: whatever stands in a beat, what is served is Prometheus' text."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.monitor.conftest import EXPECTED, make_snapshot

from postroom.monitor.exposition import exposition
from postroom.monitor.health import judge
from postroom.monitor.metric_help import HELP, metric_help
from postroom.monitor.samples import Series, parse_samples, parse_series
from postroom.monitor.snapshot import Unanswered
from postroom.postfix.queue import QUEUES, QueueCount


def served(**changed: object) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What /metrics serves of a snapshot, as Prometheus would read it: name and labels → value."""
    snapshot = make_snapshot(**changed)
    text = exposition(snapshot, judge(snapshot, EXPECTED)).decode("utf-8")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("postroom_milter_signed_total", Series("postroom_milter_signed_total")),
        ('postroom_x_total{path="/"}', Series("postroom_x_total", (("path", "/"),))),
        ('postroom_x{b="1",a="2"}', Series("postroom_x", (("a", "2"), ("b", "1")))),
        (r'postroom_x{a="q\"b\\n\nz"}', Series("postroom_x", (("a", 'q"b\\n\nz'),))),
        ('postroom_x{a="ü}"}', Series("postroom_x", (("a", "ü}"),))),
        ("up", None),
        ("postroom_x 1\npostroom_y", None),
        ("postroom_x{}", None),
        ('postroom_x{a="1"', None),
        ('postroom_x{a="1"}\n', None),
        ('postroom_x{a="1""}', None),
        ('postroom_x{a="' + "\n" + '"}', None),
        (r'postroom_x{a="\t"}', None),
        ("postroom_X", None),
        ("", None),
    ],
)
def test_a_sample_is_read_or_passed_over(written: str, read: Series | None) -> None:
    """A name of ours with labels as Prometheus escapes them, and nothing else."""
    assert parse_series(written) == read


@given(st.dictionaries(st.text(), st.one_of(st.floats(), st.integers(), st.booleans(), st.text()), max_size=5))
@example({"postroom_x": float("nan"), "postroom_y": float("inf"), "postroom_z": 10**400, "postroom_b": True})
def test_what_is_no_finite_number_is_passed_over(samples: dict[str, float]) -> None:
    """A beat can hold anything; what is served are numbers under names of ours."""
    for one, value in parse_samples(samples).items():
        assert one.name.startswith("postroom_")
        assert abs(value) < float("inf")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=40), min_size=1, max_size=4))
@example({"a": 'x"} 1\npostroom_forged 1\n', "b": "\\", "c": "\\n"})
def test_a_hostile_label_value_arrives_as_it_is(labels: dict[str, str]) -> None:
    """Quotes, backslashes, line ends: one line is served, which gives the value back."""
    escaped = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()
    }
    written = "postroom_x{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
    if (one := parse_series(written)) is None:
        assert any("\n" in value or len(value) > 200 for value in labels.values()) or not written.isprintable()
        return
    assert dict(one.labels) == labels
    if "\r" in written or any(
        ord(character) in {0x85, 0x2028, 0x2029, 0xB, 0xC, 0x1C, 0x1D, 0x1E} for character in written
    ):
        return  # the parser of this test splits lines there; Prometheus, and its format, at \n only
    assert served(gauges={}, totals={one: 7.0})[("postroom_x", one.labels)] == 7.0


def test_everything_served_is_well_formed() -> None:
    """Types by name, a help for each, no abbreviated units: what promtool asks of metrics."""
    names = [
        name.format(state="deferred", reason="inbound", door="smtp", kind="delay", effect="waits") for name in HELP
    ]
    counters = {Series(name): 2.0 for name in names if name.endswith("_total")}
    gauges = {name: 1.0 for name in names if not name.endswith("_total") and "_monitor_" not in name}
    snapshot = make_snapshot(
        totals=counters, gauges=gauges, queue=QueueCount(dict.fromkeys(QUEUES, 3), 1_799_999_000, is_whole=True)
    )
    text = exposition(snapshot, judge(snapshot, EXPECTED)).decode("utf-8")
    families = list(text_string_to_metric_families(text))
    # The parser gives counters without their suffix, as the library keeps them.
    assert {family.name + ("_total" if family.type == "counter" else "") for family in families} == set(names)
    for family in families:
        assert family.type == ("counter" if f"{family.name}_total" in names else "gauge")
        assert family.documentation
        assert family.documentation != metric_help("postroom_other_thing")
        assert not re.search(r"_(s|ms|sec|b|kb|mb|m|h|d)(_|$)", family.name)
    assert text.count("# TYPE") == len(families), "each family once"


def test_a_metric_of_another_release_is_served_all_the_same() -> None:
    """It has no help to speak of; its samples are there."""
    assert served(totals={Series("postroom_policy_new_total"): 3.0})[("postroom_policy_new_total", ())] == 3.0


def test_what_the_monitor_found_is_served() -> None:
    """Daemons, stores, queue and the number of findings; a queue nobody tells of is absent, not empty."""
    well = served(queue=QueueCount({**dict.fromkeys(QUEUES, 0), "deferred": 4}, 1_799_999_940, is_whole=True))
    assert well[("postroom_monitor_queue_messages", (("queue", "deferred"),))] == 4
    assert well[("postroom_monitor_queue_messages", (("queue", "active"),))] == 0
    assert well[("postroom_monitor_queue_oldest_seconds", ())] == 60
    assert well[("postroom_monitor_findings", (("kind", "failure"),))] == 0
    assert well[("postroom_monitor_daemon_up", (("daemon", "policy"),))] == 1
    ill = served(queue=Unanswered("gone"), limits=Unanswered("gone"), ages={"policy": [20.0]})
    assert not [name for name, _ in ill if name.startswith("postroom_monitor_queue")]
    assert ill[("postroom_monitor_daemon_up", (("daemon", "policy"),))] == 0
    assert ill[("postroom_monitor_daemon_up", (("daemon", "milter"),))] == 0
    assert ill[("postroom_monitor_store_readable", (("store", "limits"),))] == 0
    assert ill[("postroom_monitor_store_readable", (("store", "track"),))] == 1
    assert ill[("postroom_monitor_findings", (("kind", "failure"),))] == 6
