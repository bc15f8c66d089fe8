"""Whose fault a refusal was: reply in, class, consequence and the rule that says so out. Pure.

Order:   rules of providers, then words (how the sender is seen, the recipient, the rest), then codes. So words win over
         codes, which many servers do not choose with care (5.7.1 for unknown users, 5.1.1 for full mailboxes).
         A recipient is suppressed `now` only by a permanent reply, given to a recipient (not to the connection or to
         MAIL FROM), in which no other rule finds a fault of the sender.
Source:  RFC 3463, RFC 5248; Postfix smtp(8) and bounce(5) for the words around a reply.
Limits:  looks at reply.MAX_CHARS characters; a pattern costs linear time (rule.py).
BUGS:    a server that says "user unknown" to a sender it does not like, and no more, is believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from postroom.bounces.classes import CLASSES, FaultClass, Suppress
from postroom.bounces.reply import ReplyText, reply_text
from postroom.bounces.rule import BounceRule
from postroom.bounces.rules.codes import CODE_RULES
from postroom.bounces.rules.languages import LANGUAGE_RULES
from postroom.bounces.rules.others import OTHER_RULES, WEAK_RULES
from postroom.bounces.rules.providers import PROVIDER_RULES
from postroom.bounces.rules.recipients import RECIPIENT_RULES
from postroom.bounces.rules.senders import SENDER_RULES
from postroom.mail.logsafe import safe

RULES = (
    *PROVIDER_RULES,
    *SENDER_RULES,
    *RECIPIENT_RULES,
    *LANGUAGE_RULES,
    *OTHER_RULES,
    *WEAK_RULES,
    *CODE_RULES,
)
_BY_LINK = frozenset(each.id for each in PROVIDER_RULES)
_BY_CODE = frozenset(each.id for each in CODE_RULES)
# Classes in which the recipient is named by mistake when nobody named it yet.
_AT_MAIL = CLASSES["policy"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whose fault a refusal was, and what follows for its recipient.

    Attributes:
        fault:    its class.
        suppress: what follows for the recipient of this reply.
        rule:     id of the rule, "" when none fits.
        version:  of that rule; 0 when none fits.
        evidence: the words of the reply that decided, and its codes; never an address or a name.
    """

    fault: FaultClass
    suppress: Suppress
    rule: str
    version: int
    evidence: str

    @property
    def is_by_words(self) -> bool:
        """Whether words decided, not codes alone."""
        return bool(self.rule) and self.rule not in _BY_CODE


def classify(text: str, reply_code: str = "", status: str = "") -> Judgement:
    """Judge one reply or diagnostic text; any text will do.

    Args:
        text:       the reply, or a diagnostic text around it, in any case and charset.
        reply_code: the three digits, where they are known; "" looks for them in the text.
        status:     the enhanced status code, likewise.
    """
    return _judged(reply_text(text, reply_code, status))


@lru_cache(maxsize=2048)  # a server says the same to many recipients, and addresses are blanked
def _judged(reply: ReplyText) -> Judgement:
    rule, evidence = _first(RULES, reply)
    codes = " ".join(filter(None, (reply.code, reply.status)))
    if rule is None:
        return Judgement(CLASSES["unknown"], "never", "", 0, codes)
    fault, suppress = rule.fault, rule.suppress
    if fault.bucket == "recipient" and reply.is_early:
        fault, suppress = _AT_MAIL, _AT_MAIL.suppress
    if suppress == "now" and not (reply.is_permanent and not _is_doubtful(rule, reply)):
        suppress = "after"
    return Judgement(fault, suppress, rule.id, rule.version, safe(f"{codes} {evidence}".strip()))


def _first(rules: Iterable[BounceRule], reply: ReplyText) -> tuple[BounceRule | None, str]:
    for rule in rules:
        evidence = _evidence(rule, reply)
        if evidence is not None:
            return rule, evidence
    return None, ""


def _evidence(rule: BounceRule, reply: ReplyText) -> str | None:
    if rule.code is not None and rule.code.match(f"{reply.code} {reply.status}") is None:
        return None
    return rule.evidence(reply.linked if rule.id in _BY_LINK else reply.plain)


def _is_doubtful(rule: BounceRule, reply: ReplyText) -> bool:
    """Whether the reply also speaks of the sender; a rule of the provider knows its own words."""
    return rule.id not in _BY_LINK and any(_evidence(each, reply) is not None for each in SENDER_RULES)
