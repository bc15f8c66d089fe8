"""On a bare, booted Debian: the set-up of the README as it stands there, then what scenario.py and container.py ask.

The wheels are built beforehand, as for a host without a compiler. HEAD is tested, not the working tree: scripts/fresh
clones it.
"""

import pytest

from sandbox.fresh import run_on_fresh_debian

pytestmark = pytest.mark.fresh

SETUP = r"""
. scripts/prepare.sh
prepare_debian venv run
cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf
cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
postconf -e myhostname=mail.example.org inet_interfaces=127.0.0.1
postconf -e mydestination= 'default_transport=lmtp:unix:world/lmtp' compatibility_level=3.6
postconf -MX smtp/inet
systemctl start postfix
mkdir -p /etc/postroom
cp tests/systemd/postroom.yaml /etc/postroom/
useradd --system ada
sed -n '/^## First real set-up/,/^## Licence/p' README.md | sed -n '/^```sh/,/^```/p' | grep -v '^```' >/tmp/setup.sh
scripts/wheelhouse /tmp/wheels
sed -i 's|setup-postfix.sh|& --wheelhouse /tmp/wheels|' /tmp/setup.sh
bash -eux /tmp/setup.sh
usermod --append --groups postroom-submit ada
export PYTHONPATH=scripts:. PYTHONDONTWRITEBYTECODE=1
/opt/postroom/bin/python -m tests.systemd.scenario
/opt/postroom/bin/python -m tests.systemd.container
"""


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_units_run_guard_and_revive_the_daemons(suite: str) -> None:
    """Sockets and folders are right, a message is signed and delivered, killed and hanging daemons come back."""
    done = run_on_fresh_debian(SETUP, suite)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("All as it should be.") == 2
