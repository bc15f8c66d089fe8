"""The DNS record that publishes a signing key.

Source:  RFC 6376 §3.6.1, RFC 8463 §4 (Ed25519: the 32 octets themselves); RFC 1035 §3.3 (strings of 255 octets), §5.1.
"""

import base64

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postroom.milter.keys import PrivateKey

MAX_STRING = 255


def record_value(private: PrivateKey) -> str:
    """Give the text of the TXT record, in one piece."""
    public = private.public_key()
    if isinstance(private, RSAPrivateKey):
        kind, octets = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, octets = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode('ascii')}"


def zone_line(domain: str, selector: str, value: str) -> str:
    """Give the record as a zone file has it, its text in strings of at most 255 octets."""
    strings = [f'"{value[at : at + MAX_STRING]}"' for at in range(0, len(value), MAX_STRING)]
    text = strings[0] if len(strings) == 1 else f"( {' '.join(strings)} )"
    return f"{selector}._domainkey.{domain}. IN TXT {text}"
