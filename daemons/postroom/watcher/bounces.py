"""Whose fault it was: what of a refusal in the log is evidence against its recipient. Pure.

The judgement is the room bounces'; here is only which of it counts as a fault.
"""

from postroom.bounces.classify import classify
from postroom.store.track.facts import RecipientFault


def fault_of_recipient(enhanced_status: str, reason: str) -> RecipientFault | None:
    """The fault a refusal or deferral shows of its recipient; None when it does not speak against it.

    Args:
        enhanced_status: Postfix's dsn=.
        reason:          the words of the log line, the server's name before the reply included.
    """
    judgement = classify(reason, status=enhanced_status)
    if judgement.suppress == "never":
        return None
    return RecipientFault(judgement.fault.name, judgement.suppress, judgement.rule, judgement.version)
