"""Relaxed canonicalisation: the form of header and body that a DKIM signature covers.

`relaxed` forgives what relays do on the way: blanks changed, header lines
folded again. The body is hashed as it arrives: one linear pass, and the memory
used does not depend on its size.

Source:  RFC 6376 §3.4.2 (header), §3.4.4 (body), §3.4.5 (an example of both).
Limits:  white space is SPACE and TAB, a line ends with CRLF. A bare CR or LF in
         a body is an octet like any other; Postfix sends none to a milter.
"""

import hashlib
import re

_BLANKS = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r?\n")  # libmilter gives the lines of a folded value parted by a bare LF
_LINE_ENDS_REVERSED = re.compile(rb"(?:\n\r)*+")  # possessive: nothing is kept for going back

_CRLF = b"\r\n"
_STEP = 32_768
"""So many held line ends are hashed at once."""


def field(name: bytes, value: bytes) -> bytes:
    """Give one header field in relaxed form, without its CRLF.

    Args:
        value: all that stands after the colon; folded, with or without the blank after the colon.
    """
    return name.strip(b" \t").lower() + b":" + _reduced(_FOLD.sub(b"", value)).strip(b" ")


def _reduced(octets: bytes) -> bytes:
    """The octets with one SPACE for each run of blanks."""
    # Most text has none to reduce, and looking costs a fiftieth of a substitution that changes nothing.
    return _BLANKS.sub(b" ", octets) if b"  " in octets or b"\t" in octets else octets


class BodyHash:
    """The SHA-256 of a body in relaxed form; its octets may be cut anywhere.

    What cannot be judged yet is held back: at most a blank and a CR as octets,
    and line ends, which count only once something follows, as a number.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._held = b""
        self._line_ends = 0
        self._is_empty = True

    def update(self, octets: bytes) -> None:
        """Take the next piece of the body."""
        # After the first step a blank before a CRLF is one SPACE, so the second takes all of them.
        relaxed = _reduced(self._held + octets).replace(b" \r\n", _CRLF)
        self._held = next((tail for tail in (b" \r", b"\r", b" ") if relaxed.endswith(tail)), b"")
        self._take(relaxed[: len(relaxed) - len(self._held)])

    def _take(self, relaxed: bytes) -> None:
        run = _LINE_ENDS_REVERSED.match(relaxed[::-1])
        assert run is not None  # it matches nothing at all, too
        text = relaxed[: len(relaxed) - run.end()]
        if text:
            self._release_line_ends()
            self._hash.update(text)
            self._is_empty = False
        self._line_ends += run.end() // 2

    def _release_line_ends(self) -> None:
        while self._line_ends:
            count = min(self._line_ends, _STEP)
            self._hash.update(_CRLF * count)
            self._line_ends -= count

    def digest(self) -> bytes:
        """Give the hash of the body, which ends here; call it once.

        A last line without a line end is given one. An empty body, and one of
        empty lines only, is no octets at all.
        """
        # A held CR is an octet of the last line: what would have made it a line end did not come.
        self._take(self._held.rstrip(b" "))
        if not self._is_empty:
            self._hash.update(_CRLF)
        return self._hash.digest()
