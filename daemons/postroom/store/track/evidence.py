"""What refusals and deliveries say for or against a recipient. Values only."""

import json
from dataclasses import dataclass
from typing import Literal

from postroom.mail.recipients import MaskedRecipient

Proof = Literal["now", "after", "review"]


@dataclass(frozen=True, slots=True)
class RecipientFault:
    """Why a refusal is evidence against its recipient.

    Attributes:
        cause:        the class of the fault.
        proof:        whether it is proof `now`, `after` it has repeated, or when a `review` by an operator says so.
        rule:         id of the rule that judged.
        rule_version: of that rule.
    """

    cause: str
    proof: Proof
    rule: str
    rule_version: int

    def as_json(self) -> str:
        """As it stands in track.db until it is needed: a list of the four."""
        return json.dumps([self.cause, self.proof, self.rule, self.rule_version])

    @staticmethod
    def from_json(text: str) -> "RecipientFault":
        """What `as_json` has written."""
        cause, proof, rule, rule_version = json.loads(text)
        return RecipientFault(cause=cause, proof=proof, rule=rule, rule_version=rule_version)


@dataclass(frozen=True, slots=True)
class Bounce:
    """A refusal for good of mail of ours, as it was taken; `cause` when it goes on to suppression.

    `by`: whether the server refused it (log), or took it and sent a report later.
    """

    queue_id: str
    recipient: MaskedRecipient
    enhanced_status: str
    cause: str | None
    by: Literal["log", "report"] = "log"


@dataclass(frozen=True, slots=True)
class SharedFact:
    """What the log says for or against a recipient, on its way to the shared store.

    Attributes:
        id:       unique over hosts; whoever applies it does so once.
        number:   the order in this file.
        cause:    the class of the fault; "" says that mail was delivered.
        evidence: the reply, masked.
        source:   of the log.
        at:       when, Unix seconds.
    """

    id: str
    number: int
    token: str
    queue_id: str
    recipient: MaskedRecipient
    cause: str
    enhanced_status: str
    evidence: str
    source: str
    at: float
    proof: Proof
    rule: str
    rule_version: int
