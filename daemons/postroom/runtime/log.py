"""The log: one line an event, `event.name key=value …`, to the journal or to stderr.

Under systemd the fields go to the journal as fields too (POSTROOM_EVENT,
POSTROOM_<KEY>), so `journalctl POSTROOM_EVENT=handover.unavailable` works.
Elsewhere a line goes to stderr, with the time and level in front.

Addresses, secrets, message bodies and template values have no place here:
callers log ids, keyed hashes and domains.
"""

import asyncio
import json
import logging
import os
import re
import stat
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Literal

from postroom.mail.logsafe import redacted, safe
from postroom.store.errors import StoreUnavailable

Level = Literal["debug", "info", "warning", "error", "critical"]
Target = Literal["auto", "journal", "stderr"]
Field = str | int | float | bool | None

LIBRARY_LIMIT = 500
"""Characters of a library's message that are kept."""

_OURS = __name__.partition(".")[0]
_PRIORITY: dict[Level, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_PLAIN = re.compile(r"[!#-\[\]-~]+")  # printable ASCII without blank, quote and backslash


class Log:
    """Writes events of one daemon.

    Args:
        level: the least severe level written.
        write: takes (level, event, fields); see `open_log`.
    """

    def __init__(self, level: Level, write: "Callable[[Level, str, dict[str, Field]], None]") -> None:
        self._threshold = _PRIORITY[level]
        self._write = write

    def debug(self, event: str, **fields: Field) -> None:
        self._event("debug", event, fields)

    def info(self, event: str, **fields: Field) -> None:
        """Log a decision that was made."""
        self._event("info", event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        """Log what was served all the same, but someone should look at."""
        self._event("warning", event, fields)

    def error(self, event: str, **fields: Field) -> None:
        """Log what could not be served."""
        self._event("error", event, fields)

    def critical(self, event: str, **fields: Field) -> None:
        """Log why the process is about to exit."""
        self._event("critical", event, fields)

    def _event(self, level: Level, event: str, fields: dict[str, Field]) -> None:
        if _PRIORITY[level] <= self._threshold:
            self._write(level, event, fields)


def open_log(daemon: str, level: Level, target: Target) -> Log:
    """The log of a daemon; its lines carry `postroom-<word>` as identifier.

    Args:
        daemon: its word.
        target: `auto` is the journal when systemd connected stderr to it, else stderr.
    """
    if target == "journal" or (target == "auto" and _stderr_is_journal()):
        write = _journal_writer(f"postroom-{daemon}")
    else:
        write = _stderr_writer(f"postroom-{daemon}")
    # Libraries (asyncio, aiohttp) speak through logging: warnings and worse come out in our form.
    logging.basicConfig(level=logging.WARNING, handlers=[_Library(write)], force=True)
    return Log(level, write)


def line(event: str, fields: dict[str, Field]) -> str:
    """An event as one line of text; values that are not plain words are JSON strings, so a line stays a line."""
    return " ".join([event, *(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)])


def error_fields(error: BaseException, place: str = "where") -> dict[str, Field]:
    """The fields of a fault of ours: the kind of error, and file and line where it came about.

    That is the innermost place outside of libraries; of a timeout of asyncio's, how far that was which took too long.

    Its text is added (`reason`) only where it is our own; others' may quote an address.

    Args:
        place: the name of the field for file and line.
    """
    places = [*traceback.walk_tb(error.__traceback__)]
    before = error.__cause__ or error.__context__
    if isinstance(error, TimeoutError) and isinstance(before, asyncio.CancelledError):
        places += traceback.walk_tb(before.__traceback__)  # asyncio.timeout cancelled what took too long
    innermost = next((at for at in reversed(places) if not _is_in_library(at[0])), places[-1] if places else None)
    where = "unknown" if innermost is None else f"{innermost[0].f_code.co_filename}:{innermost[1]}"
    reason = str(error) if isinstance(error, StoreUnavailable) else None
    return {"error": type(error).__name__, place: where, "reason": reason}


def _is_in_library(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package == _OURS:  # which may be installed among them
        return False
    return package in sys.stdlib_module_names or "-packages/" in frame.f_code.co_filename


def _value(value: Field) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _stderr_is_journal() -> bool:
    """systemd tells by $JOURNAL_STREAM which stream is the journal's (systemd.exec(5))."""
    try:
        device, inode = os.environ.get("JOURNAL_STREAM", "").split(":")
        status = os.fstat(sys.stderr.fileno())
        return stat.S_ISSOCK(status.st_mode) and (status.st_dev, status.st_ino) == (int(device), int(inode))
    except (ValueError, OSError):
        return False


def _journal_writer(identifier: str) -> Callable[[Level, str, dict[str, Field]], None]:
    from systemd import journal

    def write(level: Level, event: str, fields: dict[str, Field]) -> None:
        named = {f"POSTROOM_{key.upper()}": _value(value) for key, value in fields.items() if value is not None}
        # As with stderr below: a journal that is away must not stop the mail.
        with suppress(OSError):
            journal.send(
                line(event, fields),
                SYSLOG_IDENTIFIER=identifier,
                PRIORITY=_PRIORITY[level],
                POSTROOM_EVENT=event,
                **named,
            )

    return write


def _stderr_writer(identifier: str) -> Callable[[Level, str, dict[str, Field]], None]:
    def write(level: Level, event: str, fields: dict[str, Field]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = f"{at} {identifier}[{os.getpid()}] {level}: {line(event, fields)}\n"
        # A full disk, a closed terminal or none from the start (sys.stderr is None) must not stop the mail; there is
        # no further place to say so. Past Python's buffer: what stays in it makes the exit code 120 in the end.
        with suppress(OSError, AttributeError):
            os.write(sys.stderr.fileno(), text.encode("utf-8"))

    return write


class _Library(logging.Handler):
    def __init__(self, write: Callable[[Level, str, dict[str, Field]], None]) -> None:
        super().__init__()
        self._to = write

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        # A library's words may quote what a client sent: asyncio, for one, shows a task's error whole.
        message = safe(redacted(record.getMessage()), LIBRARY_LIMIT)
        fields: dict[str, Field] = {"library": record.name, "message": message}
        if record.exc_info and record.exc_info[0] is not None:
            # The kind of error only: its text may quote an address.
            fields["error"] = record.exc_info[0].__name__
        self._to(level, "library.warned", fields)
