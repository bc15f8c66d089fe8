"""Postfix's log in the journal, and which of its lines are believed.

A line is believed when the journal itself says (trusted fields, which no sender can set) that its user is root or
Postfix's, and that it comes from Postfix: from one of the units named, or, where none is named, from a program
in one of Postfix's folders. The user matters because commands in a user's .forward run inside Postfix's unit,
the program because root's other programs may quote what strangers wrote.

A gap is a cursor that is no longer there (the journal was cut back further than we had read), and journald's own
message that it suppressed lines of a unit.

Source:  systemd.journal-fields(7), sd_journal_get_cursor(3), journald.conf(5) RateLimitBurst=.
BUGS:    a program that ends at once may be gone before journald has looked up where it came from; its line is
         not believed then. Postfix's daemons live longer; some lines of postfix-script do not.
"""

import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from systemd import journal

from postroom.store.track.facts import LogGap
from postroom.watcher.lines import Line, line_of_entry
from postroom.watcher.source import BATCH_LINES, FIRST_LOOK_BACK_S, Batch, SourceUnavailable

SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"
"""MESSAGE_ID of "Suppressed N messages from UNIT" (sd-messages.h, SD_MESSAGE_JOURNAL_DROPPED)."""

_SUPPRESSED_TEXT = re.compile(r"(?P<lines>[0-9]{1,15}) messages from (?P<unit>\S+)$")

_FIELDS = (
    "_TRANSPORT",
    "_UID",
    "_PID",
    "_EXE",
    "_SYSTEMD_UNIT",
    "SYSLOG_IDENTIFIER",
    "MESSAGE",
    "__REALTIME_TIMESTAMP",
    "_SOURCE_REALTIME_TIMESTAMP",
    "__CURSOR",
)


class _Entries(journal.Reader):
    """Converts only the fields that are looked at: converting all of them took most of the time."""

    def _convert_entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        return super()._convert_entry({name: entry[name] for name in _FIELDS if name in entry})


class JournalSource:
    """Follows the journal of this host.

    Args:
        uids:    users whose lines are believed: root and Postfix's.
        units:   whose lines are believed; empty: those of programs in `folders`.
        folders: where Postfix's programs lie (daemon_directory, command_directory).
        now:     the time of the first start, in Unix seconds.
    """

    name = "journal"
    proves = True

    def __init__(self, uids: Collection[int], units: Collection[str], folders: Collection[Path], now: float) -> None:
        self._uids = frozenset(uids)
        self._units = frozenset(units)
        self._folders = frozenset(map(str, folders))
        self._now = now
        self._reader: journal.Reader | None = None
        self._after: str | None = None
        self._first: dict[str, Any] | None = None
        self._gaps: list[LogGap] = []
        self._seen_units: set[str] = set()

    def resume(self, position: str | None) -> None:
        self.close()
        try:
            self._reader = reader = _Entries()
            for uid in sorted(self._uids):
                reader.add_match(_UID=uid)
            reader.add_match(_TRANSPORT="syslog")
            reader.add_disjunction()
            # Only journald itself speaks as `driver`: anybody may use its message id.
            reader.add_match(_TRANSPORT="driver")
            reader.add_match(MESSAGE_ID=SUPPRESSED)
            if position is None:
                reader.seek_realtime(self._now - FIRST_LOOK_BACK_S)
            else:
                reader.seek_cursor(position)
                # The entry at the cursor was read already. When it is gone, this is the next one that is there.
                entry = reader.get_next()
                if not entry or entry["__CURSOR"] != position:
                    self._gaps.append(LogGap("journal entries were removed before they were read"))
                    self._first = entry or None
        except OSError as error:
            raise SourceUnavailable(
                f"the journal cannot be read ({error.strerror}); "
                "mend: let the watcher's user read it (group systemd-journal), and check watcher.source"
            ) from error
        self._after = position

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._first, self._gaps = None, None, []

    def read(self) -> Batch | None:
        assert self._reader is not None
        lines: list[Line] = []
        position, read = self._after, 0
        try:
            # It takes notice here of what was written since, and of files that came or went.
            self._reader.process()
            while read < BATCH_LINES:
                entry = self._first or self._reader.get_next()
                self._first = None
                if not entry:
                    break
                position, read = entry["__CURSOR"], read + 1
                if entry.get("_TRANSPORT") == "driver":
                    self._suppressed(str(entry.get("MESSAGE", "")))
                elif (line := self._line(entry)) is not None:
                    lines.append(line)
        except OSError as error:
            raise SourceUnavailable(f"the journal cannot be read ({error.strerror})") from error
        if position is None:
            return None
        batch = Batch(self._after, position, tuple(self._gaps), tuple(lines), read, is_at_end=read < BATCH_LINES)
        self._after, self._gaps = position, []
        return batch

    def _suppressed(self, text: str) -> None:
        """Note a gap where journald says that it suppressed lines, if they may be Postfix's.

        It says so before the next line of that unit that it stores, and what stands before it in this batch was
        said before: it is whole up to here.
        """
        found = _SUPPRESSED_TEXT.search(text)
        known = self._units or self._seen_units
        if found is None or not known or found["unit"] in known:
            lines = 0 if found is None else int(found["lines"])
            self._gaps.append(LogGap("journald suppressed lines; mend: raise its RateLimitBurst= for Postfix", lines))

    def _line(self, entry: dict[str, Any]) -> Line | None:
        """The line of an entry that counts; None for all others."""
        if entry.get("_UID") not in self._uids or not self._is_from_postfix(entry):
            return None
        self._seen_units.add(str(entry.get("_SYSTEMD_UNIT")))
        text, pid = entry.get("MESSAGE"), entry.get("_PID")
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        # When it was sent, as the kernel says: journald may read it seconds later.
        at = entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]
        if not isinstance(text, str) or not isinstance(pid, int) or not isinstance(at, datetime):
            return None
        return line_of_entry(str(entry.get("SYSLOG_IDENTIFIER", "")), pid, at.timestamp(), text)

    def _is_from_postfix(self, entry: dict[str, Any]) -> bool:
        if self._units:
            return entry.get("_SYSTEMD_UNIT") in self._units
        return str(entry.get("_EXE", "")).rpartition("/")[0] in self._folders
