"""Postfix's configuration as Postfix itself reads it: parameters of main.cf, and the tables they name.

Which Postfix is asked is decided by MAIL_CONFIG, as postconf(1) and postmap(1) have it.

Source:  postconf(1) -h (value alone), -x (expand `$names`), -d (built-in defaults), -P (master.cf);
         postmap(1) -q.
Limits:  standard library alone: set-up asks before anything is installed.
"""

from collections.abc import Sequence

from postroom.postfix.commands import TIMEOUT_S, PostfixCommandFailed, run


def expanded(name: str, timeout_s: float = TIMEOUT_S) -> str:
    """The value of a parameter, `$names` in it expanded.

    Raises:
        PostfixCommandFailed: postconf does not answer.
    """
    return run("postconf", "-xh", name, timeout_s=timeout_s).stdout.strip()


def expanded_all(names: Sequence[str], timeout_s: float = TIMEOUT_S) -> dict[str, str]:
    """The values of these parameters, `$names` in them expanded, by name.

    Raises:
        PostfixCommandFailed: postconf does not answer.
    """
    lines = run("postconf", "-xh", *names, timeout_s=timeout_s).stdout.splitlines()
    return dict(zip(names, map(str.strip, lines), strict=True))


def as_written(name: str) -> str:
    """The value of a parameter, `$names` in it left as they are; its default where main.cf does not set it.

    Raises:
        PostfixCommandFailed: postconf does not answer.
    """
    return run("postconf", "-h", name).stdout.strip()


def as_written_or_built_in(names: Sequence[str], timeout_s: float = TIMEOUT_S) -> list[str]:
    """The values of these parameters; where there is no main.cf to read, those that Postfix was built with.

    Raises:
        PostfixCommandFailed: postconf does not answer.
    """
    try:
        return run("postconf", "-h", *names, timeout_s=timeout_s).stdout.split()
    except PostfixCommandFailed:
        return run("postconf", "-d", "-h", *names, timeout_s=timeout_s).stdout.split()


def in_services(name: str, timeout_s: float = TIMEOUT_S) -> dict[str, str]:
    """The values that services of master.cf have for a parameter of main.cf, by service (`smtp/inet`).

    Raises:
        PostfixCommandFailed: postconf does not answer.
    """
    found = {}
    for line in run("postconf", "-P", timeout_s=timeout_s).stdout.splitlines():
        setting, _, value = line.partition("=")
        service, _, parameter = setting.strip().rpartition("/")
        if parameter == name:
            found[service] = value.strip()
    return found


def looked_up(table: str, key: str) -> str:
    """What a table (`hash:/etc/postfix/transport`) has for this key; empty where it has nothing or does not answer."""
    try:
        return run("postmap", "-q", key, table).stdout.strip()
    except PostfixCommandFailed:
        # Exit 1 without a word is "not found"; a table that cannot be read counts as one without the key.
        return ""
