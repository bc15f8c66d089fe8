"""The postroom.yaml of the quickstart: every section a small site has, with paths of its own."""

from collections.abc import Sequence
from pathlib import Path

from sandbox.postfix import PrivatePostfix
from sandbox.quickstart.mails import BRAND, DOMAIN, LIMIT, LIMIT_NAME, RETURN_DOMAIN

SELECTOR = "2026a"

TEXT = """\
# Made by scripts/quickstart; docs/configuration.md tells of every setting.
hostname: mail.{domain}
state_dir: {folder}/state
run_dir: {folder}/run

domains:
  {domain}:
    return_path: verp {return_domain}    # where bounces go, an address for each delivery
    dkim:
      - selector: {selector}                     # its record: {selector}._domainkey.{domain}
        key_file: {folder}/state/dkim/{selector}.{domain}.pem

senders:                                    # who may write From which address; other mail is not signed
  allow:
    - domains: [{domain}]
      uids: {uids}                           # by sendmail(1), and by SMTP from this host
      clients: [quickstart]

limits:
  - name: requests
    key: client
    counts: requests
    rate: 1000/1h
  - name: {limit_name}
    key: sender                             # at every door
    rate: {limit}/1h                              # so few that the mails below meet it

submission:
  socket_group: null
  clients:
    quickstart:
      uids: {uids}
      admin: true                           # sees the mail of all clients

policy:
  socket: {queue}/postroom/policy.sock

milter:
  socket: {queue}/postroom/milter.sock
  networks: [127.0.0.0/8]                   # whose mail is signed without a login

watcher:
  source: {maillog}
  socket: {queue}/postroom/lmtp.sock

monitor:
  socket_group: null

serve:
  drain: 8s                                 # the quickstart waits 10 s for its end

handover:
  socket: {handover}
  showq: {showq}

templates:
  folder: null                              # only the shipped ones
  brand:
    name: {brand}
    url: https://www.{domain}/
"""


def configuration(folder: Path, postfix: PrivatePostfix, uids: Sequence[int]) -> str:
    """The file's text.

    Args:
        folder: of the quickstart.
        uids:   who may submit.
    """
    return TEXT.format(
        folder=folder,
        queue=postfix.queue_directory,
        maillog=postfix.maillog,
        handover=postfix.handover_socket,
        showq=postfix.showq_socket,
        uids=list(uids),
        domain=DOMAIN,
        return_domain=RETURN_DOMAIN,
        selector=SELECTOR,
        limit=LIMIT,
        limit_name=LIMIT_NAME,
        brand=BRAND,
    )
