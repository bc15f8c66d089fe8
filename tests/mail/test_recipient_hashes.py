"""Keyed hashes of recipients."""

import hmac

from postroom.mail.recipients import HASH_HEX, recipient_hash

KEY = b"k" * 32


def test_one_address_has_one_hash_however_it_is_written() -> None:
    """Case and an international domain's form do not matter."""
    hashes = {recipient_hash(KEY, address) for address in ("Jane@Bücher.example", "jane@xn--bcher-kva.EXAMPLE")}
    assert len(hashes) == 1
    assert len(hashes.pop()) == HASH_HEX


def test_other_address_or_other_key_gives_another_hash() -> None:
    """Plus parts count: they are other mailboxes as far as anyone can tell from outside."""
    hashes = {
        recipient_hash(KEY, "jane@example.org"),
        recipient_hash(KEY, "jane+x@example.org"),
        recipient_hash(KEY, "jane@example.net"),
        recipient_hash(b"o" * 32, "jane@example.org"),
    }
    assert len(hashes) == 4


def test_quotes_that_are_not_needed_and_the_form_of_letters_make_no_other_recipient() -> None:
    """They are no part of the mailbox; quotes that are needed stay, and so does every hash of an ordinary address."""
    jane = recipient_hash(KEY, "jane@example.org")
    assert jane == hmac.digest(KEY, b"jane@example.org", "sha256").hex()[:HASH_HEX]
    assert jane == recipient_hash(KEY, '"jane"@example.org') == recipient_hash(KEY, '"j\\ane"@EXAMPLE.org.')
    assert recipient_hash(KEY, '"jane doe"@example.org') != recipient_hash(KEY, "jane doe@example.org")
    assert recipient_hash(KEY, "j\u00fcrgen@example.org") == recipient_hash(KEY, "ju\u0308rgen@example.org")
