"""On a bare, booted Debian with nothing installed: what the README promises works there.

HEAD is tested, not the working tree: scripts/fresh clones it.
"""

import pytest

from sandbox.fresh import run_on_fresh_debian

pytestmark = pytest.mark.fresh

NOTHING_RUNS = """
! systemctl is-active --quiet postfix postfix@-
! grep -qx master /proc/[0-9]*/comm
! grep -qx smtp-sink /proc/[0-9]*/comm
! grep -qx dnsmasq /proc/[0-9]*/comm
! systemctl is-enabled --quiet opendkim
! [ -e /usr/sbin/policy-rc.d ]
"""

AS_ROOT_TWICE = f"""
scripts/quickstart --once
scripts/quickstart --once
{NOTHING_RUNS}
"""

AS_A_USER_WITH_SUDO = f"""
apt-get -qq install --no-install-recommends sudo >/dev/null 2>&1
useradd --create-home ada
chmod 0700 /home/ada
echo 'ada ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ada
cp -a . /home/ada/postroom
rm -rf /home/ada/postroom/.quickstart
chown -R ada: /home/ada
runuser --user ada -- sh -c 'cd /home/ada/postroom && exec scripts/quickstart --once'
[ -s /home/ada/postroom/.quickstart/state/submission/mail.db ]
[ -z "$(find /home/ada/postroom/.quickstart/state ! -user ada)" ]
{NOTHING_RUNS}
"""

BESIDE_ANOTHER_MAIL_SERVER = """
apt-get -qq update
apt-get -qq install --no-install-recommends exim4-daemon-light >/dev/null 2>&1
if scripts/quickstart --once; then exit 9; fi
dpkg-query --show --showformat='${db:Status-Status}' exim4-daemon-light | grep -qx installed
! [ -e /usr/sbin/postfix ]
! [ -e /usr/sbin/policy-rc.d ]
"""


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_quickstart_works_on_a_bare_debian(suite: str) -> None:
    """As root, twice, then as a user with sudo in a home nobody else may enter; afterwards no service runs."""
    done = run_on_fresh_debian(AS_ROOT_TWICE + AS_A_USER_WITH_SUDO, suite)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("All 17 as they should be.") == 3


def test_another_mail_server_is_not_removed() -> None:
    """Installing Postfix would remove exim4: refused with its name, and nothing is changed."""
    done = run_on_fresh_debian(BESIDE_ANOTHER_MAIL_SERVER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "would remove: exim4" in done.stderr
