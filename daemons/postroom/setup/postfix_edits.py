"""Postroom's part of main.cf and master.cf: inserted into what a site has there, and removed again.

    main.cf     a block at the end, and lists of the site edited in their place     main_cf_edits.py
    master.cf   a block at the end, and options of pickup and submission services   master_cf_edits.py

Whatever is ours stands in a marked region (marks.py), so the files can be restored from themselves. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postroom.postfix.macros import CONNECT_MACROS, NEEDED, lacks_needed
from postroom.setup.main_cf_edits import LISTS, LOOPBACK, edited_main_cf, own_networks
from postroom.setup.marks import RestoredText, lines_of, without_regions
from postroom.setup.master_cf_edits import CannotEdit, edited_master_cf, is_submission
from postroom.setup.postfix_files import Parameter, Service, logical_lines, parameters, services

PIECES = (
    "policy.main.cf",
    "milter.main.cf",
    "beside.main.cf",
    "sendmail.main.cf",
    "watcher.main.cf",
    "watcher.master.cf",
    "probe.master.cf",
    "submission.master.cf",
    "sendmail.master.cf",
    "sendmail.pickup.master.cf",
)
"""The files of postfix-conf/ that the edits are made of."""

_OURS = re.compile(r"[ \t]*,?[ \t]*\$?postroom_\w+")
_SET_UP_BY_HAND = re.compile(r"\bpostroom(-in|-door|-probe|-return|_\w+|/(policy|milter|lmtp)\.sock)\b")
_SIGNERS = re.compile(r"dkim|:8891\b|:12301\b|rspamd|:11332\b", re.IGNORECASE)


@dataclass(frozen=True)
class EditOptions:
    """What decides the edits beside the files themselves.

    Attributes:
        mynetworks:     `postconf -xh mynetworks`.
        sendmail_door:  whether sendmail(1)'s mail goes through the door.
        return_domains: the return-path domains, whose mail goes to the watcher.
        queue_readers:  users who may list the queue beside root and Postfix; None leaves it to the site.
    """

    mynetworks: str
    sendmail_door: bool = True
    return_domains: tuple[str, ...] = ()
    queue_readers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class EditedFiles:
    """The files as they are to be, and what the operator should know."""

    main: str
    master: str
    notices: tuple[str, ...]


def edited_files(main: str, master: str, pieces: Mapping[str, str], options: EditOptions) -> EditedFiles:
    """Insert our part into files that have nothing of ours (see `restored`).

    Raises:
        CannotEdit: they name Postroom already, or pickup's mail goes elsewhere.
    """
    for name, text in (("main.cf", main), ("master.cf", master)):
        for first, _, line in logical_lines(lines_of(text)):
            if _SET_UP_BY_HAND.search(line):
                raise CannotEdit(
                    f"{name}: line {first + 1} belongs to a Postroom set up by hand; mend: take out what it added"
                )
    present = parameters(lines_of(main))
    door = options.sendmail_door
    return EditedFiles(
        edited_main_cf(
            main,
            pieces,
            options.mynetworks,
            options.return_domains,
            sendmail_door=door,
            queue_readers=options.queue_readers,
        ),
        edited_master_cf(master, present, pieces, sendmail_door=door, has_return_path=bool(options.return_domains)),
        tuple(_notices(present, services(lines_of(master)), options.mynetworks)),
    )


def restored(text: str, only: Sequence[str] | None = None) -> RestoredText:
    """A main.cf or master.cf without our part; of a list that was edited since, all but our words stays.

    Args:
        only: names of the regions to remove; None is all.

    Raises:
        MarksBroken: somebody deleted one of our marks.
    """
    return without_regions(text, _without_ours, only)


def _without_ours(line: str) -> str:
    return re.sub(r"(=[ \t]*),[ \t]*", r"\1", _OURS.sub("", line))


def _notices(present: Mapping[str, Parameter], found: Sequence[Service], mynetworks: str) -> list[str]:
    values = {name: parameter.value for name, parameter in present.items()}
    signers = [name for name in ("smtpd_milters", "non_smtpd_milters") if _SIGNERS.search(values.get(name, ""))]
    notices = [f"main.cf: {name} may have another DKIM signer; mail would bear two signatures" for name in signers]
    if values.get("content_filter"):
        notices.append("main.cf: content_filter: what it changes in a mail breaks the signature made before it")
    notices += [
        f"mynetworks: {word} cannot be put into the list of port 25; its mail is not counted there"
        for word in re.split(r"[\s,]+", mynetworks)
        if word and own_networks(word) == LOOPBACK and "::ffff:" not in word
    ]
    for service in found:
        if service.command == "smtpd" and lacks_needed(service.options.get(CONNECT_MACROS, " ".join(NEEDED))):
            notices.append(
                f"master.cf: {service.name} sets {CONNECT_MACROS} without {' '.join(NEEDED)}; "
                "users of this host are not known there: add what is missing"
            )
        if service.command != "smtpd" or is_submission(service):
            continue
        own = [name for name in (*LISTS, "smtpd_milters") if name in service.options]
        if service.port in {"smtp", "25", "smtpd"}:
            if own:
                notices.append(f"master.cf: {service.name} sets {', '.join(own)} itself: not counted or signed there")
        elif len(own) <= len(LISTS):
            notices.append(f"master.cf: {service.name} meets the lists and milters of main.cf where it sets none")
    return notices
