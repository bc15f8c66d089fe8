"""What stands against a set-up, looked for before anything is changed; each finding says how to mend it.

Source:  postconf(5) mydestination, virtual_alias_domains, virtual_mailbox_domains; transport(5), "TABLE SEARCH ORDER";
         postmap(1) -q.
BUGS:    of the lists that could have a return-path domain already, one in a file of its own (/etc/postfix/domains) is
         not read, nor a table that does not answer.
"""

import os
import re
import socket
from pathlib import Path

from postroom.postfix import postconf
from postroom.setup.host import POSTFIX, SPOOL, Host
from postroom.setup.postfix_files import words

SENDMAIL_DOOR = ("127.0.0.1", 10587)
OLDEST_POSTFIX = (3, 7)
"""The pieces have small cidr tables in place (cidr:{…}), which is new in 3.7."""

ADDRESS_CLASSES = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains")
WATCHER_ROUTE = "postroom-return:unix:postroom/lmtp.sock"
OLDER_ROUTE = "lmtp:unix:postroom/lmtp.sock"
"""What set-up wrote before that; it is written anew."""


def host_problems(host: Host, *, sendmail_door: bool, is_set_up: bool) -> list[str]:
    """What of the host stands against it."""
    found = []
    if os.geteuid() != 0:
        found.append("needs root; mend: run it with sudo")
    version = tuple(int(number) for number in re.findall(r"\d+", host.postfix_version)[:2])
    if version < OLDEST_POSTFIX:
        found.append(f"Postfix is {host.postfix_version}; mend: use 3.7 or newer")
    for name, folder in (("config_directory", POSTFIX), ("queue_directory", SPOOL)):
        if postconf.as_written(name) != str(folder):
            found.append(f"Postfix's {name} is not {folder}; mend: set up by hand, docs/operating.md says how")
    if not Path("/run/systemd/system").is_dir():
        found.append("systemd is not running here; mend: `postroom serve` (docs/containers.md)")
    if not host.postfix_unit:
        found.append("Postfix is not running; mend: start it, and see that its mail goes out")
    if sendmail_door and not is_set_up and not _is_free(SENDMAIL_DOOR):
        found.append(f"port {SENDMAIL_DOOR[0]}:{SENDMAIL_DOOR[1]} is taken; mend: free it, or --no-sendmail-door")
    if "." not in host.hostname:
        found.append(
            f"myhostname is {host.hostname!r}; mend: postconf myhostname=FULL.NAME, for mail says who sends it"
        )
    return found


def domain_conflicts(domain: str) -> list[str]:
    """Where Postfix has this return-path domain for something else; nothing where its mail goes to the watcher."""
    found = [
        f"main.cf: {domain} is in {name}, so Postfix looks for mailboxes there; mend: take it out, or choose another"
        for name in ADDRESS_CLASSES
        if any(word == domain or _table_answer(word, domain) for word in words(postconf.expanded(name)))
    ]
    for table in words(postconf.expanded("transport_maps")):
        # A pattern is asked about the whole address first, before any table about the domain.
        routes = {_table_answer(table, key) for key in (f"complaints@{domain}", domain)} - {
            "",
            WATCHER_ROUTE,
            OLDER_ROUTE,
        }
        found += [
            f"main.cf: transport_maps has {domain} already, {route!r} by {table}; mend: take that entry out (where it "
            f"is a pattern for more, put one before it: {WATCHER_ROUTE} for this domain)"
            for route in sorted(routes)
        ]
    return found


def _table_answer(word: str, key: str) -> str:
    """What a word of a list says of this key, where it is a table."""
    return postconf.looked_up(word, key) if ":" in word else ""


def _is_free(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError:
            return False
    return True
