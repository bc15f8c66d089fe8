"""What of a site stands against a return-path domain: that Postfix has the name for something else already.

Source:  postconf(5) mydestination, virtual_alias_domains, virtual_mailbox_domains; transport(5), "TABLE SEARCH ORDER";
         postmap(1) -q.
BUGS:    a list in a file of its own (/etc/postfix/domains) is not read, nor a table that does not answer.
"""

from postroom.setup.host import SetupFailed, run
from postroom.setup.postfix_files import words

CLASSES = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains")
WAY = "lmtp:unix:postroom/lmtp.sock"


def claims(domain: str) -> list[str]:
    """Each with its mend; none where the name is free, or leads to the watcher already."""
    found = [
        f"main.cf: {domain} is in {name}, so Postfix looks for mailboxes there; mend: take it out, or choose another"
        for name in CLASSES
        if any(word == domain or _answer(word, domain) for word in words(run("postconf", "-xh", name)))
    ]
    for table in words(run("postconf", "-xh", "transport_maps")):
        # A pattern is asked about the whole address first, before any table about the domain.
        answers = {_answer(table, key) for key in (f"complaints@{domain}", domain)} - {"", WAY}
        found += [
            f"main.cf: transport_maps has {domain} already, {answer!r} by {table}; mend: take that entry out (where it "
            f"is a pattern for more, put one before it: {WAY} for this domain)"
            for answer in sorted(answers)
        ]
    return found


def _answer(table: str, key: str) -> str:
    if ":" not in table:
        return ""
    try:
        return run("postmap", "-q", key, table).strip()
    except SetupFailed:
        return ""
