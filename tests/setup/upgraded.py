"""The booted host, set up by an older Postroom, upgraded by this one and given back.

The older one is tests/data/upgrade/postroom-*.tar.xz; its README says what it is.
"""

import csv
import re
import shutil
import zipfile
from collections.abc import Callable
from email.parser import HeaderParser
from pathlib import Path

from tests.setup import late_bounces
from tests.setup.doors import post, sendmail, smtp, state, wait_arrived
from tests.setup.scripts import ARGUMENTS, SET_UP, SIGNED_AND_DELIVERED, nothing_is_left, script
from tests.systemd.asking import CONFIG, POSTROOM, STATE, run, unit, wait_active

from sandbox.process import until

OLD_TREE = Path("/root/older")
WHEELS = {"old": Path("/root/wheels-old"), "new": Path("/root/wheels-new")}
DOORS = ("api", "smtp", "sendmail")


def wheels_are_kept() -> None:
    """For `--wheelhouse`, before the program is purged: building those of others anew would take more than a minute."""
    shutil.unpack_archive(next(Path("tests/data/upgrade").glob("postroom-*.tar.xz")), OLD_TREE)
    (packages,) = Path("/opt/postroom/lib").glob("python3*/site-packages")
    for name, tree in (("old", OLD_TREE / "postroom"), ("new", Path())):
        WHEELS[name].mkdir()
        for info in packages.glob("*.dist-info"):
            if not info.name.startswith("postroom-"):
                _wheel_of(info, WHEELS[name])
        # From a copy, as scripts/wheelhouse does it: setuptools leaves its build folders beside the sources.
        shutil.copytree(tree, f"/root/build-{name}", ignore=shutil.ignore_patterns(".git", "tests", ".cache"))
        pip = ("/opt/postroom/bin/python", "-m", "pip", "--disable-pip-version-check")
        script(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", WHEELS[name], f"/root/build-{name}")


def _wheel_of(info: Path, folder: Path) -> None:
    """Make the wheel of an installed package: the files it came with, under one of the tags it had."""
    tag = HeaderParser().parsestr((info / "WHEEL").read_text())["Tag"]
    with (
        (info / "RECORD").open(newline="") as record,
        zipfile.ZipFile(folder / f"{info.name.removesuffix('.dist-info')}-{tag}.whl", "w") as wheel,
    ):
        for name, *_ in csv.reader(record):
            # Commands in bin/ are made anew from entry_points.txt.
            if not name.startswith(("../", "/")) and not name.endswith(".pyc"):
                wheel.write(info.parent / name, name)


class Upgrade:
    """The truths, in order; what one has seen is known to the next."""

    def __init__(self) -> None:
        self._message = self._bounced = self._waiting = ""
        self._kept: dict[str, str | bytes] = {}

    def the_older_postroom_sets_up(self) -> None:
        output = script(OLD_TREE / "postroom/scripts/setup-postfix.sh", *ARGUMENTS, "--wheelhouse", WHEELS["old"])
        assert re.findall(SIGNED_AND_DELIVERED, output) == ["socket", "smtp", "sendmail"]
        wait_active()
        CONFIG.write_text(CONFIG.read_text().replace("  clients:\n", "  clients:\n    shop: {users: [ada]}\n"))
        run("usermod", "--append", "--groups", "postroom-submit", "ada")
        run("systemctl", "restart", unit("submission"))

    def mail_goes_and_bounces_and_some_of_it_waits(self) -> None:
        self._message = _mail_by_each_door("before the upgrade")
        ((recipient, (self._bounced, return_address)),) = late_bounces.delivered({"gone-by-then@example.net"}).items()
        late_bounces.bounce(recipient, return_address)
        until(lambda: "@example.net" in _suppressed(), 30, "suppressed", every_s=0.3)
        self._kept = _kept()
        run("systemctl", "stop", "postroom-milter.socket", unit("milter"))
        sendmail("ben", "waits at the door over the upgrade")
        self._waiting = post("waits in the outbox over the upgrade")

    def set_up_again_upgrades_it(self) -> None:
        """By the present tree, over what runs."""
        output = script(*SET_UP, "--wheelhouse", WHEELS["new"])
        print(output[-1000:])
        assert re.findall(SIGNED_AND_DELIVERED, output) == ["socket", "smtp", "sendmail"]
        assert "\nnote: senders: there is no table" in output
        wait_active()

    def all_it_knew_is_known_and_what_waited_goes_out(self) -> None:
        """Keys, configuration, suppressions and what became of mail; mail goes by each door again."""
        assert _kept() == self._kept
        assert (state(self._message), state(self._bounced)) == ("delivered", "bounced")
        run("postqueue", "-f")
        wait_arrived({"waits at the door over the upgrade", "waits in the outbox over the upgrade"}, 120)
        until(lambda: state(self._waiting) == "delivered", 30, "delivered", every_s=0.3)
        _mail_by_each_door("after the upgrade")

    def uninstalling_gives_the_bytes_of_before(self) -> None:
        output = script("scripts/uninstall.sh", "--purge")
        assert output.count("as it was before set-up") == len(("main.cf", "master.cf")), output
        nothing_is_left()

    def truths(self) -> tuple[Callable[[], None], ...]:
        return (
            self.the_older_postroom_sets_up,
            self.mail_goes_and_bounces_and_some_of_it_waits,
            self.set_up_again_upgrades_it,
            self.all_it_knew_is_known_and_what_waited_goes_out,
            self.uninstalling_gives_the_bytes_of_before,
        )


def _mail_by_each_door(when: str) -> str:
    """Sent and arrived; the id of the one by the API."""
    message = post(f"{when}, api")
    smtp(f"{when}, smtp")
    sendmail("ben", f"{when}, sendmail")
    wait_arrived({f"{when}, {door}" for door in DOORS})
    until(lambda: state(message) == "delivered", 30, "delivered", every_s=0.3)
    return message


def _suppressed() -> str:
    return run(POSTROOM, "suppress", "list", ok=False)


def _kept() -> dict[str, str | bytes]:
    """What must be the same after an upgrade."""
    files = [CONFIG, *STATE.glob("keys/*"), *STATE.glob("dkim/*")]
    return {"suppressed": _suppressed(), **{str(path): path.read_bytes() for path in files}}
