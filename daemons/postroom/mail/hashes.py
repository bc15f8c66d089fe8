"""Keyed hashes: how a recipient is known after its message ended.

The same address gives the same hash on every host that has the key, and
without the key a hash says nothing. Case is folded, of the local part too:
`Jane` and `jane` may be two people in theory, but a list that one of them is
on must be found for both, and no known host tells them apart.
"""

import hmac

from postroom.mail.addresses import normalised

KEY_OCTETS = 32
HASH_HEX = 32
"""128 bits: no two addresses meet by chance."""


def recipient_hash(key: bytes, address: str) -> str:
    """The keyed hash of an address, in HASH_HEX hexadecimal digits."""
    return hmac.digest(key, normalised(address).casefold().encode("utf-8", "surrogatepass"), "sha256").hex()[:HASH_HEX]


def private(key: bytes, value: str) -> str:
    """An address or login as the key of a limit: `#` and its keyed hash; "" stays empty."""
    return f"#{recipient_hash(key, value)}" if value else ""
