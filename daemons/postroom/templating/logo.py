"""The brand's logo: an image that travels with the mail, shown by its Content-ID.

    Logo.read(path, host) -> Logo, or ValueError that says how to mend it

An image on a web server would tell it who opens the mail, and is not shown by most programs; this one
is part of the message (RFC 2392, "cid:").

Source:  PNG (RFC 2083 section 4.1.1), GIF89a (section 18), JPEG (ITU T.81, annex B: SOF markers).
Limits:  at most LOGO_BYTES; it is shown at most SHOWN_HEIGHT high and SHOWN_WIDTH wide, so that a picture of
         twice that size looks sharp on fine screens.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

LOGO_BYTES = 48 * 1024
SHOWN_WIDTH, SHOWN_HEIGHT = 240, 48

# SOF0 to SOF15, but for DHT, JPG and DAC, which lie between them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Logo:
    """An image as mail carries it.

    Attributes:
        cid:    its Content-ID, without < and >.
        kind:   the subtype of image/: png, gif or jpeg.
        octets: the file.
        width:  in pixels as it is shown, as is `height`.
    """

    cid: str
    kind: str
    octets: bytes
    width: int
    height: int

    @classmethod
    def read(cls, path: Path, host: str) -> "Logo":
        """The logo in a file.

        Args:
            host: names the right side of the Content-ID.

        Raises:
            ValueError: it cannot be read, is too large, or is not an image that mail programs show.
        """
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is not a regular file; name the image itself")
        try:
            with path.open("rb") as file:
                octets = file.read(LOGO_BYTES + 1)
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}); check the path and its mode") from None
        if len(octets) > LOGO_BYTES:
            raise ValueError(f"{path} is larger than {LOGO_BYTES} bytes; every mail carries it, so make it smaller")
        kind, width, height = _measured(octets)
        if not width or not height:
            raise ValueError(f"{path} is not a PNG, JPEG or GIF; save it as PNG")
        scale = min(1.0, SHOWN_WIDTH / width, SHOWN_HEIGHT / height)
        cid = f"{hashlib.sha256(octets).hexdigest()[:16]}@{host}"
        return cls(cid, kind, octets, max(1, round(width * scale)), max(1, round(height * scale)))


def _measured(octets: bytes) -> tuple[str, int, int]:
    """The kind and size in pixels; 0 by 0 for what is none of the three."""
    if octets.startswith(b"\x89PNG\r\n\x1a\n") and octets[12:16] == b"IHDR":
        return "png", int.from_bytes(octets[16:20], "big"), int.from_bytes(octets[20:24], "big")
    if octets.startswith((b"GIF87a", b"GIF89a")):
        return "gif", int.from_bytes(octets[6:8], "little"), int.from_bytes(octets[8:10], "little")
    at = 2 if octets.startswith(b"\xff\xd8") else len(octets)
    while at + 9 <= len(octets) and octets[at] == 0xFF:
        if octets[at + 1] in _JPEG_FRAMES:
            return (
                "jpeg",
                int.from_bytes(octets[at + 7 : at + 9], "big"),
                int.from_bytes(octets[at + 5 : at + 7], "big"),
            )
        at += 2 + int.from_bytes(octets[at + 2 : at + 4], "big")
    return "", 0, 0
