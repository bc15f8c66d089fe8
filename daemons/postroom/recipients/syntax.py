"""Whether a recipient as an SMTP client named it can be an address at all. Pure.

What submission reads is checked the same way when it is read (mail/addresses.py). At the SMTP doors two
forms come in addition that Postfix serves: a name alone, which it completes with its own domain, and a
local part in UTF-8 (SMTPUTF8).

Source:  RFC 5321 §4.1.2 and §4.5.1 (postmaster alone), RFC 6531 §3.3 (UTF-8 in atoms).
Limits:  as mail/addresses.py: quoted local parts and bracketed IP addresses are refused.
"""

from postroom.mail.addresses import AddressInvalid, parse_mailbox


def fault(address: str) -> str | None:
    """What is wrong with the address, in words that do not repeat it; None when nothing is."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, "localhost"
    if not local.isascii() and local.isprintable():
        # Any printable character beyond ASCII may stand in an atom; its octets count.
        local = "".join(char if char.isascii() else "x" * len(char.encode("utf-8")) for char in local)
    if "<" in local or ">" in domain:
        return "write the address without < and >"
    try:
        parse_mailbox(f"{local}@{domain}")
    except AddressInvalid as invalid:
        return invalid.reason
    return None
