"""SIGHUP to the watcher."""

from pathlib import Path

import pytest
from tests.store.outbox.sample_messages import rows
from tests.watcher.conftest import MakeWatcher
from tests.watcher.log_lines import active, in_file, token, tried

from sandbox.process import until

pytestmark = pytest.mark.process


def test_a_reload_takes_the_relayhost_and_tells_what_it_cannot_take(bed: Path, make_watcher: MakeWatcher) -> None:
    """Sent to a relayhost is relayed from the next line on; a configuration with a fault changes nothing."""
    log = bed / "mail.log"
    log.touch()
    daemon = make_watcher(bed, f"source: {log}\nrelayhost: false")
    daemon.start()
    states: list[str] = []

    def sent() -> str:
        """One more mail; the state it got."""
        number = len(states)
        lines = [
            in_file("qmgr", active(f"A{number:05X}", f"{token(number)}@bounces.example.org")),
            in_file("smtp", tried(f"A{number:05X}", "jane@example.net", "2.0.0", "sent", "250 Ok")),
        ]
        with log.open("a", encoding="utf-8") as file:
            file.writelines(lines)
        path = daemon.state_dir / "watcher" / "track.db"
        until(lambda: len(rows(path, "SELECT state FROM delivery")) > number, 10, "the line read", daemon.alive)
        states[:] = [state for (state,) in rows(path, "SELECT state FROM delivery ORDER BY queue")]
        return str(states[-1])

    assert sent() == "delivered"
    daemon.change("relayhost: false", "relayhost: maybe")
    assert f"{daemon.config}:" in daemon.reload()
    assert sent() == "delivered"
    daemon.change("relayhost: maybe", "relayhost: true")
    daemon.change(f"source: {log}", "source: journal")
    assert " warning: daemon.needs_restart settings=watcher.source " in daemon.reload()
    assert sent() == "relayed"
