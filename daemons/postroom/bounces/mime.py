"""MIME as reports use it: octets in, a flat list of parts out. Pure, bounded and forgiving.

Reports are built by hundreds of programs, many of which get MIME wrong: a boundary that is never closed, or never used;
charsets nobody knows; headers with 8-bit text. What can be read is read. A message/rfc822 part stays closed: it is the
mail that came back, and what stands in it was written by us or by a stranger.

The standard library's parser is not used: it was quadratic more than once, follows nesting as deep as it goes, and
raises what its caller cannot foresee.

Source:  RFC 2045 §5 (Content-Type), RFC 2046 §5.1 (multipart), RFC 5322 §2.2.3 (folding).
Limits:  MAX_OCTETS of a message are looked at, MAX_PARTS parts, MAX_DEPTH levels, MAX_HEADERS header fields of a part;
         more parts or levels are a ParseError. Time is linear in the octets for each level.
"""

import binascii
import html
import re
from dataclasses import dataclass

MAX_OCTETS = 1_000_000
MAX_PARTS = 60
MAX_DEPTH = 6
MAX_HEADERS = 400
MAX_VALUE_CHARS = 8_000
MAX_TEXT_CHARS = 200_000

_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]{0,20}:[ \t]{0,100}")
_PARAMETER = re.compile(r';\s{0,100}([\w-]{1,40})\s{0,20}=\s{0,20}(?:"((?:[^"\\]|\\.){0,400})"|([^\s;"]{1,400}))')
# Families of charsets; Python also knows codecs that are no charsets, or take quadratic time (mail/controls.py).
_CHARSET = re.compile(
    r"(?:utf-?8|us-ascii|ascii|latin-?1|(?:iso|windows|cp|ibm|koi8|gb|big5|euc|shift|sjis|ks_c|tis)[\w-]{0,20})\Z"
)
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?\s]{0,300})\?=(?:\s{1,10}(?==\?))?")
_BREAK = re.compile(r"<(?:br|/p|/div|/tr|/td|/li|/h\d|p|tr|li)\b[^<>]{0,500}>", re.IGNORECASE)
_UNSHOWN = ("head", "style", "script")
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>")


class ParseError(ValueError):
    """The message cannot be taken apart within its bounds; the reason quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class MimePart:
    """One part without parts of its own.

    Attributes:
        type:    media type in lower case, text/plain where none is given.
        params:  of Content-Type, names in lower case.
        headers: fields in their order, names in lower case, values unfolded and undecoded.
        body:    as transferred.
        depth:   of nesting; 0 is the message itself.
    """

    type: str
    params: dict[str, str]
    headers: tuple[tuple[str, str], ...]
    body: bytes
    depth: int

    def first(self, name: str) -> str:
        """The first value of a header field, "" without one."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a header field, in their order."""
        return [value for key, value in self.headers if key == name]

    def text(self) -> str:
        """The body as text: transfer encoding and charset undone, HTML without its tags, lines ending in LF."""
        octets = self.decoded()
        text = decoded(octets, self.params.get("charset", "")).replace("\r\n", "\n").replace("\r", "\n")
        text = text[:MAX_TEXT_CHARS]
        return _without_tags(text) if self.type == "text/html" else text

    def decoded(self) -> bytes:
        """The body without its transfer encoding; a broken one is left as far as it can be read."""
        encoding = self.first("content-transfer-encoding").strip().lower()
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding == "base64":
            octets = re.sub(rb"[^A-Za-z0-9+/]", b"", self.body)
            # A length of 4n + 1 is no base64; the odd octet goes.
            octets = octets[: len(octets) - 1] if len(octets) % 4 == 1 else octets
            return binascii.a2b_base64(octets + b"==")
        return self.body


def parts(message: bytes) -> list[MimePart]:
    """The message and the parts below it, in their order; containers come before what they contain.

    Raises:
        ParseError: nothing to read, or more parts or levels than any report has.
    """
    octets = message[:MAX_OCTETS].replace(b"\r\n", b"\n").lstrip(b"\n")
    if octets.startswith((b"From ", b">From ")):  # mbox
        octets = octets.partition(b"\n")[2]
    if not octets.strip():
        raise ParseError("the message is empty")
    found: list[MimePart] = []
    _collect(octets, 0, found, "text/plain")
    return found


def decoded(octets: bytes, charset: str) -> str:
    """Octets as text, by the charset they name if it is one, else as UTF-8, else as Latin-1; never fails."""
    name = charset.strip().strip("'\"").lower()
    for codec in ([name] if _CHARSET.match(name) else []) + ["utf-8"]:
        try:
            return octets.decode(codec)
        except (LookupError, UnicodeError):
            continue
    if _CHARSET.match(name) and name.startswith("iso-2022"):
        return octets.decode("iso2022_jp_2", "replace")
    return octets.decode("latin-1")


def decoded_words(value: str) -> str:
    """A header value with its encoded-words (RFC 2047) opened, as a lenient reader would."""
    return _ENCODED_WORD.sub(_word, value) if "=?" in value else value


def fields(block: bytes) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Header fields and what follows the empty line; a line that is not a field ends them too."""
    found: list[tuple[str, str]] = []
    position, value, name = 0, b"", ""
    while position < len(block):
        end = block.find(b"\n", position)
        end = len(block) if end < 0 else end
        line = block[position:end].rstrip(b"\r")
        if line[:1] in {b" ", b"\t"} and line.strip() and name:
            if len(value) < MAX_VALUE_CHARS:
                value += b" " + line.strip()
        else:
            field = _FIELD.match(line)
            if field is None:
                position = end + 1 if not line.strip() else position
                break
            if name and len(found) < MAX_HEADERS:
                found.append((name, decoded(value[:MAX_VALUE_CHARS], "")))
            name, value = field[1].decode("ascii").lower(), line[field.end() :]
        position = end + 1
    if name and len(found) < MAX_HEADERS:
        found.append((name, decoded(value[:MAX_VALUE_CHARS], "").strip()))
    return tuple(found), block[position:]


def _collect(octets: bytes, depth: int, found: list[MimePart], default: str) -> None:
    if depth > MAX_DEPTH:
        raise ParseError(f"parts are nested deeper than {MAX_DEPTH}")
    if len(found) >= MAX_PARTS:
        raise ParseError(f"there are more than {MAX_PARTS} parts")
    headers, body = fields(octets)
    content_type = next((value for key, value in headers if key == "content-type"), "")
    media, _, _ = content_type.partition(";")
    media = media.strip().lower() or default
    params = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(content_type)}
    part = MimePart(media, params, headers, body, depth)
    found.append(part)
    if media.startswith("multipart/"):
        default = "message/rfc822" if media == "multipart/digest" else "text/plain"
        for below in _split(body, params.get("boundary", "")):
            _collect(below, depth + 1, found, default)


def _split(body: bytes, boundary: str) -> list[bytes]:
    """The parts between boundary lines; without any, all of it is one."""
    mark = b"--" + boundary.rstrip().encode("utf-8", "replace")
    if len(mark) < 3:
        return [b"\n" + body]
    starts = [found.start() for found in re.finditer(rb"(?m)^" + re.escape(mark), body)]
    if not starts:
        return [b"\n" + body]
    pieces = []
    for at, until in zip(starts, [*starts[1:], len(body)], strict=True):
        line_end = body.find(b"\n", at)
        line = body[at : line_end if line_end >= 0 else len(body)]
        if line.rstrip() == mark + b"--" or line_end < 0:
            continue
        pieces.append(body[line_end + 1 : until].removesuffix(b"\n"))
    return pieces


def _without_tags(text: str) -> str:
    for name in _UNSHOWN:
        text = _without(name, text)
    return html.unescape(_TAG.sub(" ", _BREAK.sub("\n", text.replace("\n", " ")))).replace("\u00a0", " ")


def _without(name: str, text: str) -> str:
    """HTML without the elements of a name; one that is not closed stays."""
    folded, kept, position = text.lower(), [], 0
    if len(folded) != len(text):  # a few letters grow when they are lowered
        return text
    while (start := folded.find(f"<{name}", position)) >= 0:
        end = folded.find(f"</{name}", start)
        if end < 0:
            break
        kept.append(text[position:start])
        position = end
    return "".join([*kept, text[position:]])


def _word(found: re.Match[str]) -> str:
    payload = found[3].encode("utf-8", "replace")
    try:
        octets = binascii.a2b_base64(payload + b"==") if found[2] in "bB" else binascii.a2b_qp(payload, header=True)
    except binascii.Error:
        return found[0]
    return decoded(octets, found[1])
