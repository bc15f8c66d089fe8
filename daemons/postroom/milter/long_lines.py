"""Lines that Postfix breaks on their way out, and that would break the signature with them. Pure.

smtp(8) puts CR LF SPACE after every 998 octets of a line (smtp_line_length_limit), in header and body alike, so that
words are parted and nothing that covers them verifies any more. A header field with blanks in it is folded there before
it is signed: to a reader and to the relaxed form that is the same field. What has no blank cannot be helped, and a line
of the body is not ours to break.

Source:  RFC 5322 §2.1.1 (998 octets), §2.2.3 (folding); postconf(5) smtp_line_length_limit.
"""

LINE_OCTETS = 998
"""Of a line, without its CRLF."""

LARGEST_FOLDED = 50_000
"""Octets of a field that is folded here at most: Postfix cuts off what a milter makes longer than 60,000 (tried)."""


def folded(name: bytes, value: bytes) -> bytes | None:
    """Give the value of a field with no line longer than LINE_OCTETS.

    None where it has no blank to be folded at, is too large, or is no UTF-8: the binding of libmilter takes text only.

    Args:
        value: its lines parted by LF, as libmilter gives it.
    """
    room = LINE_OCTETS - len(name) - len(b": ")
    if len(value) <= room or all(len(line) <= room for line in value.split(b"\n")):
        return value
    if len(value) > LARGEST_FOLDED or not _is_utf8(value):
        return None
    lines: list[bytes] = []
    for long_line in value.split(b"\n"):
        line = long_line if len(long_line) <= room else long_line.rstrip(b" \t\r")
        while len(line) > room:
            at = _last_blank(line, room)
            if at is None:
                return None
            lines.append(line[:at])
            line, room = line[at:], LINE_OCTETS
        lines.append(line)
        room = LINE_OCTETS
    return b"\n".join(lines)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _last_blank(line: bytes, room: int) -> int | None:
    """Where the line can be parted, so that something stands before; never within a quoted pair."""
    end = room + 1
    while (at := max(line.rfind(b" ", 1, end), line.rfind(b"\t", 1, end))) > 0:
        if line[at - 1 : at] != b"\\":
            return at if line[:at].strip(b" \t") else None
        end = at
    return None


class BodyLines:
    """Whether a body has a line that is too long; its octets may be cut anywhere."""

    def __init__(self) -> None:
        self._open = 0
        self._is_too_long = False

    def update(self, octets: bytes) -> None:
        """Take the next piece of the body."""
        if self._is_too_long:
            return
        whole_line = LINE_OCTETS + len(b"\r\n")
        start = -self._open
        # From the farthest line end a line may have to the next: most of the octets are not looked at.
        while len(octets) - start >= whole_line:
            end = octets.rfind(b"\n", max(start, 0), start + whole_line)
            if end < 0:
                self._is_too_long = True
                return
            start = end + 1
        last = octets.rfind(b"\n", max(start, 0))
        self._open = len(octets) - (start if last < 0 else last + 1)

    @property
    def is_too_long(self) -> bool:
        """At the end of the body."""
        return self._is_too_long or self._open > LINE_OCTETS
