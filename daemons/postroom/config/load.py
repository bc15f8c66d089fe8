"""Read postroom.yaml: a Config, or every problem in it with its line.

    try:
        config = load(path)
    except ConfigInvalid as invalid:
        for problem in invalid.problems: ...        # each is one line; then exit 78 (EX_CONFIG, sysexits.h)

Flow:  file -> document.py (YAML) -> model.py (meaning) -> problems.py (words)
"""

import socket
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from postroom.config.document import MAX_OCTETS, Document, DocumentInvalid, compose
from postroom.config.model import Config
from postroom.config.problems import ConfigInvalid, ConfigProblem, explain, where
from postroom.config.schema import names_at


def machine_name(kernel: Callable[[], str] = socket.gethostname, resolver: Callable[[], str] = socket.getfqdn) -> str:
    """Give this machine's full name, or the nearest thing it has.

    The kernel's name where it has a dot; else what the resolver makes of it,
    which can take as long as DNS does.
    """
    name = kernel()
    return name if "." in name else resolver()


def load(path: Path, hostname: Callable[[], str] = machine_name) -> Config:
    """Read the configuration in the file at `path`.

    Args:
        hostname: gives the default of the setting of that name; asked only when it is not written.

    Raises:
        ConfigInvalid: the file cannot be read or used; it has all the reasons.
    """
    return parse(_read(path), str(path), hostname)


def parse(data: bytes, file: str, hostname: Callable[[], str]) -> Config:
    """Read the configuration in `data`; problems call it `file`. As `load`, without touching a disk."""
    try:
        document = compose(_decode(data))
    except DocumentInvalid as invalid:
        raise ConfigInvalid([ConfigProblem(file, invalid.line, (), invalid.text)]) from None
    if isinstance(document.tree, dict) and "hostname" not in document.tree:
        document.tree["hostname"] = hostname()
    problems = [ConfigProblem(file, line, path, text) for line, path, text in document.faults]
    try:
        config = Config.model_validate(document.tree)
    except ValidationError as invalid:
        raise ConfigInvalid(problems + _meanings(invalid, document, file)) from None
    if problems:
        raise ConfigInvalid(problems)
    return config


def _meanings(invalid: ValidationError, document: Document, file: str) -> list[ConfigProblem]:
    refused = {(line, path) for line, path, _ in document.faults}  # a refused value is missing from the tree
    problems = []
    for error in invalid.errors(include_url=False):
        path = where(error)
        line = document.line(path)
        if (line, path) not in refused:
            problems.append(ConfigProblem(file, line, path, explain(error, names_at(Config, path[:-1]))))
    return problems


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_OCTETS + 1)
    except FileNotFoundError:
        text = "does not exist; write it, or name another file with --config"
    except IsADirectoryError:
        text = "is a directory; name the file in it, for example postroom.yaml"
    except PermissionError:
        text = "may not be read by this user; chmod 0644 the file (it holds no secrets), 0755 the folders above it"
    except OSError as error:
        text = f"cannot be read: {error.strerror}; check the disk, or name another file with --config"
    raise ConfigInvalid([ConfigProblem(str(path), 0, (), text)])


def _decode(data: bytes) -> str:
    if len(data) > MAX_OCTETS:
        raise DocumentInvalid(0, f"is larger than {MAX_OCTETS} octets; this can hardly be a configuration of Postroom")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentInvalid(line, f"is not UTF-8 (octet 0x{data[error.start]:02x}); save the file as UTF-8") from None
