"""track.db: what speaks for or against a recipient, put on its way to the shared store. For one open transaction."""

import secrets

import apsw

from postroom.mail.recipients import MaskedRecipient
from postroom.store.track.facts import RecipientFault


def share(
    connection: apsw.Connection,
    token: str,
    queue_id: str,
    recipient: MaskedRecipient,
    fault: RecipientFault | None,
    enhanced_status: str,
    evidence: str,
    source: str,
    at: float,
    *,
    proven: bool,
) -> None:
    """Put one on its way; where it is not `proven`, submission must have seen that mail too.

    Without a fault, that mail was delivered.
    """
    connection.execute(
        "INSERT INTO share (id, token, queue_id, recipient_hash, domain, hint, cause, enhanced_status, evidence,"
        " source, added_at, proven, proof, rule, rule_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            secrets.token_hex(16),
            token,
            queue_id,
            recipient.hash,
            recipient.domain,
            recipient.hint,
            "" if fault is None else fault.cause,
            enhanced_status,
            "" if fault is None else evidence,
            source,
            at,
            proven,
            "now" if fault is None else fault.proof,
            "" if fault is None else fault.rule,
            0 if fault is None else fault.rule_version,
        ),
    )
