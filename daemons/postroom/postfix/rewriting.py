"""How Postfix rewrites addresses, read from its configuration: parameters and the list of its own domains.

Source:  postconf(5): myorigin, mydestination ("/file/name" and "type:table" patterns, "!" before one).
Limits:  tables are not asked: what they hold may change at any time. Files are read once, as Postfix does.
"""

from collections.abc import Iterator
from pathlib import Path

from postroom.mail.spellings import AddressRewriting, DomainPattern
from postroom.postfix import postconf
from postroom.postfix.commands import PostfixCommandFailed
from postroom.runtime.log import Log

TIMEOUT_S = 10.0

_NAMES = (
    "myhostname",
    "mydomain",
    "myorigin",
    "mydestination",
    "recipient_delimiter",
    "allow_percent_hack",
    "swap_bangpath",
    "append_at_myorigin",
    "append_dot_mydomain",
)
_MAX_FILE_LEVELS = 10


def known_rewriting(log: Log) -> AddressRewriting | None:
    """What Postfix goes by now; None, and a warning, where it does not tell."""
    try:
        return address_rewriting()
    except PostfixCommandFailed as failed:
        log.warning(
            "postfix.rewriting_unknown",
            reason=f"postconf does not answer ({failed.cause})",
            effect="recipients with a % or ! before the @ are refused; users have their addresses at `hostname` alone",
            mend="let this user read Postfix's main.cf, then reload",
        )
        return None


def address_rewriting() -> AddressRewriting:
    """What Postfix goes by now.

    Raises:
        PostfixCommandFailed: postconf does not answer.
    """
    value = postconf.expanded_all(_NAMES, TIMEOUT_S)
    return AddressRewriting(
        value["myhostname"],
        value["mydomain"],
        _origin(value["myorigin"]),
        tuple(domain_patterns(value["mydestination"])),
        value["recipient_delimiter"],
        *(value[name].lower() == "yes" for name in _NAMES[5:]),
    )


def domain_patterns(written: str, is_inside: bool = True, levels: int = _MAX_FILE_LEVELS) -> Iterator[DomainPattern]:
    """The patterns of a list of domains, as main.cf has it."""
    for item in _items(written):
        bare = item.lstrip("!")
        inside = is_inside ^ (len(item) - len(bare)) % 2
        if bare.startswith("/"):
            yield from _of_file(Path(bare), bool(inside), levels)
        elif ":" in bare and not bare.startswith("["):
            yield DomainPattern(None, bool(inside))
        else:
            yield DomainPattern(bare.casefold(), bool(inside))


def _of_file(path: Path, is_inside: bool, levels: int) -> Iterator[DomainPattern]:
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines() if levels else None
    except OSError:
        lines = None
    if lines is None:
        # Postfix may be able to read it: as with a table, nothing is known of what it holds.
        yield DomainPattern(None, is_inside)
        return
    for line in lines:
        if not line.startswith("#"):
            yield from domain_patterns(line, is_inside, levels - 1)


def _items(written: str) -> Iterator[str]:
    """Parted by commas and white space, but not within braces."""
    item, depth = "", 0
    for char in f"{written} ":
        depth += (char == "{") - (char == "}")
        if depth > 0 or char not in ", \t\r\n":
            item += char
        elif item:
            yield item
            item = ""
    if item:
        yield item  # a brace that is not closed


def _origin(myorigin: str) -> str:
    """The domain, also where the parameter names a file that holds it (Debian's /etc/mailname)."""
    if not myorigin.startswith("/"):
        return myorigin
    try:
        return Path(myorigin).read_text(encoding="utf-8", errors="surrogateescape").split("\n", 1)[0].strip()
    except OSError:
        return ""
