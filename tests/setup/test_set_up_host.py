"""On a bare, booted Debian with a Postfix that works: scripts/setup-postfix.sh, what installed.py asks, and back again.

HEAD is tested, not the working tree: scripts/fresh clones it.
"""

import pytest

from sandbox.fresh import run_on_fresh_debian

pytestmark = pytest.mark.fresh

POSTFIX = r"""
echo 'postfix postfix/main_mailer_type select Local only' | debconf-set-selections
apt-get -qq update
packages='postfix python3 sasl2-bin libsasl2-modules'
DEBIAN_FRONTEND=noninteractive apt-get -qq --no-install-recommends install $packages >/dev/null 2>&1
postconf myhostname=mail.example.org mydestination= default_transport=lmtp:unix:world/lmtp
postconf smtpd_authorized_xforward_hosts=127.0.0.2
postconf 'mynetworks=127.0.0.1/32 [::1]/128'
postconf relay_domains=partner.test 'transport_maps=inline:{ partner.test=discard: }'
printf 'pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\n' >/etc/postfix/sasl/smtpd.conf
echo secret | saslpasswd2 -p -c -u mail.example.org anna
chgrp postfix /etc/sasldb2
postconf -M 'submission/inet=submission inet n - n - - smtpd'
postconf -P submission/inet/smtpd_sasl_auth_enable=yes submission/inet/smtpd_sasl_local_domain=mail.example.org
postconf -P submission/inet/smtpd_recipient_restrictions=permit_sasl_authenticated,reject
systemctl restart postfix
useradd --system ada
useradd --system ben
cp -a /etc/postfix /root/before
"""

ENVIRONMENT = "export PYTHONPATH=daemons:scripts:. PYTHONDONTWRITEBYTECODE=1\n"
BOOTED_AGAIN = 'if [ "$POSTROOM_FRESH" = 2 ]; then exec python3 -m tests.setup.installed; fi\n'
ASKED = "python3 -m tests.setup.installed\n"
TIMEOUT_S = 1_200.0
"""Five minutes is typical: three set-ups, two boots, an upgrade."""


def test_a_host_is_set_up_by_one_command_and_given_back_by_another() -> None:
    """Three doors, bounces, limits, kills, a reboot; then the bytes of before, no mail lost; the same of an upgrade."""
    done = run_on_fresh_debian(ENVIRONMENT + BOOTED_AGAIN + POSTFIX + ASKED, timeout_s=TIMEOUT_S)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as it should be: installed.py" in done.stdout
