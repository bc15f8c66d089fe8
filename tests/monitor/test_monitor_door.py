"""The monitor as a process on its real socket, with beats as daemons send them: its answers, whatever is missing."""

import grp
import json
import os
import shutil
import socket as socket_module
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import AF_UNIX, socket

import apsw
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.monitor.conftest import DAEMONS, Beating, MakeMonitor
from tests.postfix.test_showq_records import TRANSCRIPT
from tests.store.outbox.sample_messages import rows

from sandbox.monitor import MonitorDaemon
from sandbox.process import until

pytestmark = pytest.mark.process

WITHIN_S = 20.0


@contextmanager
def postfix_tells(path: Path, answer: bytes = b"\0", *, closes: bool = True) -> Iterator[None]:
    """A showq socket that answers as Postfix did (test_showq_records.py has the transcript)."""
    with socket(AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        kept: list[socket] = []

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.sendall(answer)
                if closes:
                    peer.close()
                else:
                    kept.append(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(2)
            thread.join()
            for peer in kept:
                peer.close()


def metrics(monitor: MonitorDaemon) -> dict[str, float]:
    """The samples without labels."""
    families = text_string_to_metric_families(monitor.get("/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def found(monitor: MonitorDaemon, beginning: str) -> None:
    """Return when there is a finding that begins so."""
    until(
        lambda: any(what.startswith(beginning) for what in monitor.findings()), WITHIN_S, beginning, monitor.alive, 0.1
    )


def test_a_host_that_is_well(bed: Path, make_monitor: MakeMonitor, beating: Beating) -> None:
    """200, no findings, each daemon ok; the page says so; and the process lives."""
    with postfix_tells(bed / "showq", TRANSCRIPT):
        monitor = make_monitor(daemons=DAEMONS)
        beating.all_beat()
        monitor.start()
        answer = monitor.get("/healthz")
        document = json.loads(answer.text)
        assert (answer.status, document["findings"]) == (200, [])
        assert {word: document["daemons"][word]["state"] for word in DAEMONS} == dict.fromkeys(DAEMONS, "ok")
        assert document["stores"] == {"shared": True, "limits": True, "track": True}
        assert document["queue"]["messages"]["deferred"] == 2
        page = monitor.get("/")
        assert page.status == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "All is well" in page.text
        livez = monitor.get("/livez")
        assert (livez.status, livez.text) == (200, "ok\n")


def test_with_everything_missing_it_starts_and_says_so(bed: Path, make_monitor: MakeMonitor) -> None:
    """No store, no watcher, no Postfix, no daemon: the page, the metrics and four findings."""
    monitor = make_monitor(daemons=("policy",))
    shutil.rmtree(bed / "state")
    monitor.start()
    assert monitor.get("/healthz").status == 503
    assert sorted(what.partition(" ")[0] for what in monitor.findings()) == [
        "Postfix's",
        "limits.db",
        "shared.db",
        "track.db",
    ]
    for finding in monitor.health()["findings"]:
        assert finding["where"]
        assert finding["mend"]
    page = monitor.get("/")
    assert page.status == 200
    assert "Something is wrong" in page.text
    assert monitor.get("/metrics").status == 200
    assert monitor.get("/livez").status == 200


def test_what_was_missing_is_found_when_it_comes(bed: Path, make_monitor: MakeMonitor, beating: Beating) -> None:
    """Nobody has to start the monitor anew."""
    monitor = make_monitor(daemons=("policy",))
    shutil.move(bed / "state", bed / "away")
    monitor.start()
    assert monitor.get("/healthz").status == 503
    shutil.move(bed / "away", bed / "state")
    beating.beat("policy")
    with postfix_tells(bed / "showq"):
        until(lambda: monitor.get("/healthz").status == 200, WITHIN_S, "all well", monitor.alive, 0.1)


def test_damaged_stores_are_findings(bed: Path, make_monitor: MakeMonitor) -> None:
    """Each with where and how to mend; the page comes."""
    monitor = make_monitor()
    stores = ("shared/shared.db", "shared/limits.db", "watcher/track.db")
    for store in stores:
        (bed / "state" / store).write_bytes(b"this is no database " * 500)
        for beside in (bed / "state").glob(f"{store}-*"):
            beside.unlink()
    monitor.start()
    findings = {finding["what"].partition(":")[0]: finding for finding in monitor.health()["findings"]}
    for store in stores:
        shown = findings[f"{store.rpartition('/')[2]} cannot be read"]
        assert store in shown["where"]
        assert "restore it from a backup" in shown["mend"]
    assert "limits.db cannot be read" in monitor.get("/").text


def test_a_store_that_another_process_writes_is_read_all_the_same(
    bed: Path, make_monitor: MakeMonitor, beating: Beating
) -> None:
    """One that holds limits.db for long: whoever has to count there says so by its figures, which are shown."""
    with postfix_tells(bed / "showq"):
        monitor = make_monitor()
        beating.beat("policy")
        monitor.start()
        assert monitor.get("/healthz").status == 200
        with closing(apsw.Connection(str(bed / "state" / "shared" / "limits.db"))) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            beating.beat("policy", decided_in_process_total=1)
            found(monitor, "the limits of 1 message were decided without the store")
            assert monitor.get("/healthz").status == monitor.get("/").status == 200


def test_a_daemon_that_falls_silent_is_late_then_missed(make_monitor: MakeMonitor, beating: Beating) -> None:
    """A beat of 40 seconds ago is late, and one of another host is none of ours.

    What a daemon that beats says of itself is believed: Postfix away, an old delivery, doubts.
    """
    monitor = make_monitor(daemons=("policy", "milter", "watcher"), monitor="waiting_late: 10m")
    beating.beat("submission", handover_available=0, oldest_waiting_seconds=601, deliveries_in_doubt=1)
    beating.beat("policy")
    beating.beat("milter")
    beating.beat("watcher", host="another.example.org")
    with closing(apsw.Connection(str(monitor.state_dir / "shared" / "shared.db"))) as store:
        store.execute("UPDATE beats SET at_ms = at_ms - 40000 WHERE word = 'policy'")
        store.execute("UPDATE beats SET at_ms = at_ms - 90000 WHERE word = 'milter'")
    monitor.start()
    document = monitor.health()
    assert {word: shown["state"] for word, shown in document["daemons"].items() if word != "monitor"} == {
        "submission": "ok",
        "policy": "late",
        "milter": "missing",
        "watcher": "missing",
    }
    assert 40 <= document["daemons"]["policy"]["last_beat_s"] < 60
    assert document["daemons"]["watcher"]["last_beat_s"] is None
    what = monitor.findings()
    for beginning in (
        "policy: no heartbeat for 4",
        "Postfix does not accept mail",
        "a delivery has waited in the outbox for 10 min",
        "1 delivery is in doubt",
    ):
        assert any(one.startswith(beginning) for one in what), (beginning, what)
    assert "watcher: no heartbeat in the last hour" in what


def expected(monitor: MonitorDaemon) -> list[str]:
    """The daemons it looks for. It shows itself too, from its first beat on."""
    return [word for word in monitor.health()["daemons"] if word != "monitor"]


def test_a_reload_takes_who_is_expected_and_tells_what_it_cannot_take(make_monitor: MakeMonitor) -> None:
    """From the next request on; a configuration with a fault changes nothing."""
    monitor = make_monitor(daemons=("policy",))
    monitor.start()
    assert expected(monitor) == ["policy"]
    monitor.change("daemons: [policy]", "daemons: [postfix]")
    assert f"{monitor.config}:" in monitor.reload()
    assert expected(monitor) == ["policy"]
    monitor.change("daemons: [postfix]", "daemons: [milter]\n  socket_mode: 0600")
    assert " warning: daemon.needs_restart settings=monitor.socket_mode " in monitor.reload()
    assert expected(monitor) == ["milter"]


def test_a_burst_of_suppressions_that_waits_is_a_notice(make_monitor: MakeMonitor) -> None:
    """Until it is reviewed, or nothing of it is left."""
    monitor = make_monitor(daemons=("policy",))
    monitor.start()
    with closing(apsw.Connection(str(monitor.state_dir / "shared" / "shared.db"))) as store:
        store.execute("INSERT INTO waves VALUES (1, 'domain:example.net', 'open', 1.0, 1.0)")
        store.execute(
            "INSERT INTO suppressions VALUES ('0a', 'example.net', '', 'invalid_recipient', NULL, '', 'bounce', 1.0,"
            " NULL, '', 0, '', 1, 1)"
        )
        found(monitor, "1 burst of suppressions held for review")
        store.execute("UPDATE suppressions SET is_held = 0")
    until(lambda: "burst" not in str(monitor.findings()), WITHIN_S, "the notice gone", monitor.alive, 0.1)


def test_processes_are_summed_and_an_end_takes_nothing_away(make_monitor: MakeMonitor, beating: Beating) -> None:
    """Two workers of the milter, then another in place of one; what grows meanwhile is of the last hour."""
    monitor = make_monitor()
    beating.beat("milter", 1, signed_total=10)
    beating.beat("milter", 2, signed_total=5)
    beating.beat("policy", 9, connections=3)
    beating.beat("policy", 9, host="another.example.org", connections=100)
    monitor.start()
    assert metrics(monitor)["postroom_milter_signed_total"] == 15
    assert metrics(monitor)["postroom_policy_connections"] == 3
    with closing(apsw.Connection(str(monitor.state_dir / "shared" / "shared.db"))) as store:
        store.execute("DELETE FROM beats WHERE word = 'milter' AND pid = 1")
    beating.beat("milter", 3, signed_total=2)
    until(lambda: metrics(monitor)["postroom_milter_signed_total"] == 17, WITHIN_S, "17", monitor.alive, 0.1)
    assert ">2<" in monitor.get("/").text.partition('id="on-the-way"')[2].partition("signed")[2][:200]
    monitor.kill()
    monitor.start()
    assert metrics(monitor)["postroom_milter_signed_total"] == 7, "anew: what the store still has"


def test_hostile_samples_do_no_harm(make_monitor: MakeMonitor, beating: Beating) -> None:
    """Any member of the store's group can write a beat: what is no sample of ours is passed over."""
    monitor = make_monitor()
    evil = {
        'postroom_x_total{a="</td><script>alert(1)</script>"}': 1.0,
        "up": 1.0,
        'postroom_y{a="1"} 5\npostroom_forged': 1.0,
        "postroom_nan": float("nan"),
    }
    beating.beat_named("<script>", evil)
    monitor.start()
    text = monitor.get("/metrics").text
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert "postroom_x_total" in names
    assert not names & {"up", "postroom_forged", "postroom_y", "postroom_nan"}
    assert "<script" not in monitor.get("/").text


def test_a_slow_postfix_is_waited_for_so_long_and_no_longer(
    bed: Path, make_monitor: MakeMonitor, beating: Beating
) -> None:
    """One that tells a part and then falls silent: the part is shown as one, with a notice."""
    with postfix_tells(bed / "showq", TRANSCRIPT[:-1], closes=False):
        monitor = make_monitor()
        beating.beat("policy")
        monitor.start()
        document = monitor.health()
        assert document["queue"]["is_whole"] is False
        assert document["queue"]["messages"]["deferred"] == 2
        assert document["well"] is True
        assert document["findings"][0]["what"].startswith("Postfix's queue is too large")


def test_it_answers_what_it_has_and_nothing_else(make_monitor: MakeMonitor) -> None:
    """404, 405 with what is possible, HEAD without a body; each answer forbids to load, frame or keep it.

    And the curl line of docs/operating.md works, on this socket.
    """
    monitor = make_monitor(daemons=("policy",))
    monitor.start()
    assert monitor.get("/v1/messages").status == 404
    assert monitor.get("/../etc/passwd").status == 404
    refused = monitor.get("/healthz", "POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    head = monitor.get("/", "HEAD")
    assert (head.status, head.text) == (200, "")
    for target in ("/", "/healthz", "/metrics", "/livez", "/nothing"):
        headers = monitor.get(target).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    operating = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    (line,) = [line for line in operating.splitlines() if line.startswith("curl ") and "monitor.sock" in line]
    command = line.replace("/run/postroom/monitor.sock", str(monitor.socket)).split()
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["daemons"]["policy"]["state"] == "missing"


def test_it_writes_nothing_but_its_own_beat(bed: Path, make_monitor: MakeMonitor, beating: Beating) -> None:
    """That counts its answers by path, other paths in one word; every other row of every store is as it was."""
    monitor = make_monitor()
    beating.all_beat()

    def contents() -> dict[str, list[object]]:
        found: dict[str, list[object]] = {}
        for path in sorted((bed / "state").rglob("*.db")):
            for (table,) in rows(path, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
                if table != "clock":  # the store's own, set by whoever is the first to open it
                    where = " WHERE word != 'monitor'" if table == "beats" else ""
                    found[f"{path.name} {table}"] = rows(path, f"SELECT * FROM {table}{where}")
        return found

    def counted() -> dict[str, float]:
        families = text_string_to_metric_families(monitor.get("/metrics").text)
        return {
            sample.labels["path"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "postroom_monitor_requests_total"
        }

    before, files = contents(), set(bed.rglob("*.db"))
    monitor.start()
    for target in ("/", "/healthz", "/metrics", "/livez", "/livez", "/a", "/b"):
        monitor.get(target)
    until(lambda: counted().get("other") == 2, WITHIN_S, "its beat", monitor.alive, 0.1)
    assert counted()["/livez"] == 2
    assert contents() == before
    assert set(bed.rglob("*.db")) == files


def test_the_socket_is_for_its_group(make_monitor: MakeMonitor) -> None:
    """0660 and the group of the configuration, gone at the end; one that does not exist is refused with how to mend."""
    monitor = make_monitor(group=grp.getgrgid(os.getgid()).gr_name)
    monitor.start()
    status = monitor.socket.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, os.getgid())
    assert monitor.stop() == 0
    assert not monitor.socket.exists()
    refused = make_monitor(group="nobody-has-this").command("monitor")
    assert refused.returncode == 78
    assert "groupadd --system nobody-has-this" in refused.stderr


def test_it_answers_its_own_names_alone(make_monitor: MakeMonitor) -> None:
    """A name of somebody else gets a plain sentence on every address, nothing of ours; a reload takes monitor.hosts."""
    monitor = make_monitor(daemons=DAEMONS)
    monitor.start()
    for host in ("localhost", "127.0.0.1:8080", "[::1]:8080", "mail.example.org", socket_module.gethostname()):
        assert monitor.get("/livez", headers={"Host": host}).status == 200
    for target in ("/", "/healthz", "/metrics", "/livez", "/elsewhere"):
        answer = monitor.get(target, headers={"Host": "rebound.example.com"})
        assert answer.status == 421
        assert answer.headers["content-type"].startswith("text/plain")
        assert "monitor.hosts" in answer.text
        assert "postroom_" not in answer.text
    assert monitor.get("/metrics", headers={"Origin": "https://evil.example.com"}).status == 403
    monitor.change("  daemons: [", "  hosts: [Rebound.example.com]\n  daemons: [")
    assert "needs_restart" not in monitor.reload()
    assert monitor.get("/livez", headers={"Host": "rebound.example.com:443"}).status == 200
    with closing(socket(AF_UNIX)) as old:
        old.connect(str(monitor.socket))
        old.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert old.recv(1000).startswith(b"HTTP/1.0 200 ")
