"""The metrics of this host in Prometheus' text format. Pure.

Source:  Prometheus "Exposition formats", "Text-based format"; prometheus_client writes it.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from postroom.monitor.health import Health
from postroom.monitor.metric_help import metric_help
from postroom.monitor.samples import Series
from postroom.monitor.snapshot import Snapshot, Unanswered

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(snapshot: Snapshot, health: Health) -> bytes:
    """All counters and gauges of the beats, and what the monitor itself has found."""
    registry = CollectorRegistry()
    registry.register(_Samples({**snapshot.totals, **snapshot.gauges, **_found(snapshot, health)}))
    return generate_latest(registry)


class _Samples(Collector):
    def __init__(self, samples: dict[Series, float]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for one, value in sorted(self._samples.items(), key=lambda sample: (sample[0].name, sample[0].labels)):
            family = families.get(one.name)
            if family is None:
                make = CounterMetricFamily if one.is_counter else GaugeMetricFamily
                family = families[one.name] = make(one.name, metric_help(one.name))
            family.add_sample(one.name, dict(one.labels), value)
        yield from families.values()


def _found(snapshot: Snapshot, health: Health) -> dict[Series, float]:
    failures = sum(finding.is_failure for finding in health.findings)
    found = {
        _series("postroom_monitor_findings", kind="failure"): float(failures),
        _series("postroom_monitor_findings", kind="notice"): float(len(health.findings) - failures),
    }
    for daemon in health.daemons:
        found[_series("postroom_monitor_daemon_up", daemon=daemon.word)] = float(daemon.state == "ok")
    for store, is_readable in (
        ("shared", snapshot.shared is None),
        ("limits", snapshot.limits is None),
        ("track", not isinstance(snapshot.outcomes, Unanswered)),
    ):
        found[_series("postroom_monitor_store_readable", store=store)] = float(is_readable)
    if not isinstance(snapshot.queue, Unanswered):
        for queue, mails in snapshot.queue.mails.items():
            found[_series("postroom_monitor_queue_messages", queue=queue)] = float(mails)
        oldest_at = snapshot.queue.oldest_at
        age_s = 0.0 if oldest_at is None else max(0.0, snapshot.at - oldest_at)
        found[Series("postroom_monitor_queue_oldest_seconds")] = age_s
    return found


def _series(name: str, **labels: str) -> Series:
    return Series(name, tuple(sorted(labels.items())))
