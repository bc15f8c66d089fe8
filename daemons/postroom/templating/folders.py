"""The files of all template folders, the operator's before the shipped ones.

    gather(folders) -> name -> SourceFile, and what was wrong

A file is named by its place below the folder: `welcome/en/body.html`. The first folder
that has a name wins, file by file, so that one file can be replaced and the rest kept.
Hidden files and editors' backups (`*~`) are passed over; a folder that does not exist is empty.

Whoever may write a file there may not read others by it: what is no regular file is not opened, for a FIFO would be
waited for, and a link that leads out of the folder is refused. The folder itself may be a link.

Limits:  a file has at most FILE_BYTES, a folder FILES files; folders deeper than TEMPLATE/LOCALE/ are refused.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from postroom.templating.problems import TemplateProblem

FILE_BYTES = 256 * 1024
FILES = 5_000
_DEPTH = 3


@dataclass(frozen=True)
class SourceFile:
    """One file in effect: its name in the catalogue, where it lies, and its text with LF line ends."""

    name: str
    path: str
    text: str


def gather(folders: Sequence[Path]) -> tuple[dict[str, SourceFile], list[TemplateProblem]]:
    """All files in effect by name; unreadable ones are left out and reported."""
    files: dict[str, SourceFile] = {}
    problems: list[TemplateProblem] = []
    for folder in folders:
        # An unreadable override must not let the shipped file show through as if nothing were wrong:
        # it is reported, and with any problem nothing is loaded.
        within = Path(os.path.realpath(folder))
        found = list(islice(_walk(folder, "", _DEPTH, problems), FILES + 1))
        if len(found) > FILES:
            problems.append(TemplateProblem(str(folder), 0, f"holds more than {FILES} files", "name the right folder"))
            continue
        for name, path in found:
            if name not in files and (text := _read(path, within, problems)) is not None:
                files[name] = SourceFile(name, str(path), text)
    return files, problems


def version(files: Iterable[SourceFile]) -> str:
    """The first 12 hexadecimal digits of SHA-256 over the names and texts, whatever folder they lie in."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        for part in (file.name.encode(), file.text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def _walk(folder: Path, prefix: str, depth: int, problems: list[TemplateProblem]) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(TemplateProblem(str(folder), 0, f"cannot be listed: {error.strerror}", "let Postroom read it"))
        return
    for path in entries:
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if not path.is_dir():
            yield prefix + path.name, path
        elif depth > 1:
            yield from _walk(path, f"{prefix}{path.name}/", depth - 1, problems)
        else:
            problems.append(TemplateProblem(str(path), 0, "is nested too deep", "keep to TEMPLATE/LOCALE/FILE"))


def read_regular(path: Path, most: int, within: Path | None = None) -> bytes:
    """The first `most` octets of a regular file, without waiting for anybody.

    Args:
        within: the folder it must lie in once all links are followed, itself without links.

    Raises:
        OSError:    it cannot be read.
        ValueError: it is something else than a file, or lies elsewhere; the text says which.
    """
    # Asked before it is opened: opening some devices does something by itself.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        # Asked again of what was opened, which may be another by now.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a regular file")
        if within is not None and not Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(within):
            raise ValueError("is a link that leads out of the template folder")
        return file.read(most)


def _read(path: Path, within: Path, problems: list[TemplateProblem]) -> str | None:
    try:
        content = read_regular(path, FILE_BYTES + 1, within)
    except OSError as error:
        problems.append(TemplateProblem(str(path), 0, f"cannot be read: {error.strerror}", "let Postroom read it"))
        return None
    except ValueError as error:
        problems.append(TemplateProblem(str(path), 0, str(error), "remove it, or put the file itself there"))
        return None
    if len(content) > FILE_BYTES:
        problems.append(
            TemplateProblem(str(path), 0, f"is larger than {FILE_BYTES} bytes", "shorten it; mail is small")
        )
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.append(TemplateProblem(str(path), line, "is not UTF-8", "save it as UTF-8"))
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")
