"""A reboot of the booted host while mail waits at each place there is; what the second boot must find and do.

The first boot ends with `before`; scripts/fresh boots the machine again, and `AFTER` is asked there.
"""

import json
from pathlib import Path

from tests.setup.doors import post, sendmail, smtp, state, wait_arrived
from tests.setup.late_bounces import bounce, delivered, the_watcher_is_away
from tests.systemd.asking import API, LMTP, MILTER, MONITOR, POLICY, run, wait_active

from postroom.config.daemons import DAEMONS
from postroom.setup.host import inspect
from sandbox.process import until

KEPT = Path("/root/before")
IN_QUEUE = {f"in the queue at the boot, {door}" for door in ("api", "smtp", "sendmail")}
IN_OUTBOX = {f"in the outbox at the boot {number}" for number in range(5)}


def bounce_that_waits() -> None:
    """One is in Postfix's queue, the watcher away; noted for the second boot."""
    ((recipient, (message, return_address)),) = delivered({"gone-at-boot@example.net"}).items()
    the_watcher_is_away()
    bounce(recipient, return_address)
    (KEPT / "bounced.json").write_text(json.dumps(message))


def before() -> None:
    """Mail of each door in Postfix's queue, the world being away; then some in the outbox, Postfix being away."""
    post("in the queue at the boot, api")
    smtp("in the queue at the boot, smtp")
    sendmail("ben", "in the queue at the boot, sendmail")
    until(lambda: run("postqueue", "-p").count("jane@example.net") == len(IN_QUEUE), 60, "in the queue", every_s=0.3)
    run("systemctl", "stop", "postfix")
    for subject in IN_OUTBOX:
        post(subject)


def all_is_there_and_was_before_postfix() -> None:
    """Nobody started anything: each socket listens before Postfix is started, and no daemon failed."""
    wait_active()
    for path in (API, POLICY, MILTER, MONITOR, LMTP):
        assert path.is_socket(), path
    began = run("systemctl", "show", "--value", "--property=InactiveExitTimestampMonotonic", inspect().postfix_unit)
    for word in DAEMONS:
        socket = f"postroom-{word}.socket"
        listens = run("systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", socket)
        assert 0 < int(listens) < int(began), (word, listens, began)
    warned = [line for line in run("journalctl", "--quiet", "--no-pager", "--boot").splitlines() if "warning: " in line]
    assert not [line for line in warned if "postfix/" in line and "postroom/" in line], warned


def what_waited_goes_out_and_each_door_delivers() -> None:
    run("postqueue", "-f")
    wait_arrived(IN_QUEUE | IN_OUTBOX)
    post("after the boot, api")
    smtp("after the boot, smtp")
    sendmail("ben", "after the boot, sendmail")
    wait_arrived({f"after the boot, {door}" for door in ("api", "smtp", "sendmail")})
    message = json.loads((KEPT / "bounced.json").read_text())
    until(lambda: state(message) == "bounced", 60, "the bounce that waited", every_s=0.3)


AFTER = (all_is_there_and_was_before_postfix, what_waited_goes_out_and_each_door_delivers)
