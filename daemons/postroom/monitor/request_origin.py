"""Whether a request was meant for us, or a web page somewhere makes a browser ask. Pure.

Whoever forwards the socket to a port of a desktop (ssh -L) has a browser there, and any page in it may ask that port.
By a name of its own that leads to 127.0.0.1 (DNS rebinding) it could even read the answer. So only our own names are
answered. A program without a browser may leave Host away, as HTTP/1.0 lets it: a browser never does.

Source:  RFC 9110 §7.2 (Host), §15.5.20 (421); Fetch Metadata (Sec-Fetch-Site); RFC 6454 (Origin).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""What curl --unix-socket, ssh -L and socat are asked for."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"\Ahttps?://")
_OF_OURS = frozenset({"same-origin", "none"})

_MISDIRECTED = (
    "this name is not served here; mend: ask for http://localhost/, or list the name in postroom.yaml, monitor.hosts\n"
)
_NO_HOST = "there must be one Host, and the target must begin with /\n"
_FOREIGN = "this was asked for by a page of another site\n"


@dataclass(frozen=True, slots=True)
class OriginRefusal:
    """Why a request is not answered."""

    status: int
    text: str


def origin_refusal(
    target: str, is_http_1_0: bool, hosts: list[str], headers: Mapping[str, str], names: Collection[str]
) -> OriginRefusal | None:
    """Why this request is refused; None when it is for us.

    Args:
        target:  as it stands in the request line.
        hosts:   each Host there is.
        headers: names in any case.
        names:   ours, in lower case, beside those of the loopback.
    """
    if len(hosts) > 1 or not target.startswith("/") or (not hosts and not is_http_1_0):
        return OriginRefusal(400, _NO_HOST)
    if hosts and not _is_ours(hosts[0], names):
        return OriginRefusal(421, _MISDIRECTED)
    origin = headers.get("Origin")
    if origin is not None and not _is_ours(_ORIGIN.sub("", origin), names):
        return OriginRefusal(403, _FOREIGN)
    # A link on another page may lead here: what it opens, that page cannot read.
    is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    if headers.get("Sec-Fetch-Site", "none") not in _OF_OURS and not is_link:
        return OriginRefusal(403, _FOREIGN)
    return None


def _is_ours(host: str, names: Collection[str]) -> bool:
    found = _HOST.fullmatch(host.strip())
    if found is None:
        return False
    name = found[1].lower().removesuffix(".")
    return name in LOOPBACK or name in names
