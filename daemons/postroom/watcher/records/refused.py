r"""Lines that say that a mail was refused whole, after a policy server may have counted it at END-OF-MESSAGE. Pure.

    smtpd    ID: reject: END-OF-MESSAGE from …          a restriction of smtpd_end_of_data_restrictions: over
    smtpd    ID: reject: RCPT from …                    one recipient; others may pass: none of these
    smtpd    ID: reject: DATA from …                    the client may give DATA again: none of these
    cleanup  ID: milter-reject: END-OF-MESSAGE from …   a milter: over
    cleanup  ID: reject: header …, body …, mime-error … while it is read: the question at its end may come later
    cleanup  warning: ID: write queue file: …           no room on the disk, while it is read: the same

Source:  Postfix src/smtpd/smtpd_check.c log_whatsup(), src/cleanup/cleanup_message.c, cleanup_milter.c, cleanup_out.c
         cleanup_out().
BUGS:    a queue file that cannot be synced at its end (a full disk behind delayed allocation) is refused without a
         line.
"""

import re
from dataclasses import dataclass

from postroom.watcher.lines import Line

_ID = r"(?P<id>(?!NOQUEUE:)[0-9A-Za-z]{5,32})"
_BEGAN = re.compile(rf"{_ID}: client=")
_OVER = re.compile(rf"{_ID}: (?:reject|milter-reject): END-OF-MESSAGE from ")
_OVER_IN_CLEANUP = re.compile(rf"{_ID}: (?:milter-reject: END-OF-MESSAGE from |milter-header-reject: header )")
_WHILE_READ = re.compile(
    rf"{_ID}: reject: (?:header|body|mime-error) |warning: {_ID.replace('<id>', '<unwritten>')}: "
    r"(?:write queue file: |queue file size limit exceeded$)"
)


@dataclass(slots=True)
class MailBegins:
    """smtpd: a mail has got its queue id."""

    queue_id: str


@dataclass(slots=True)
class WholeRefusal:
    """The mail is refused, or will be.

    Attributes:
        is_over: its content was read whole before this line.
    """

    queue_id: str
    is_over: bool


def mail_refused(line: Line) -> MailBegins | WholeRefusal | None:
    """What this line says of a mail that smtpd(8) takes; None for most."""
    text = line.text
    if line.daemon == "smtpd":
        if ": client=" in text and (found := _BEGAN.match(text)) is not None:
            return MailBegins(found["id"])
        if "END-OF-MESSAGE" in text and (found := _OVER.match(text)) is not None:
            return WholeRefusal(found["id"], is_over=True)
    elif line.daemon == "cleanup" and ("reject: " in text or text.startswith("warning: ")):
        if (found := _OVER_IN_CLEANUP.match(text)) is not None:
            return WholeRefusal(found["id"], is_over=True)
        if (found := _WHILE_READ.match(text)) is not None:
            return WholeRefusal(found["id"] or found["unwritten"], is_over=False)
    return None
