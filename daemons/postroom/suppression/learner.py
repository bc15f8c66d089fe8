"""Passes on to the shared store what Postfix's log says of recipients, and logs what that changed.

The watcher passes on what the journal proves, submission what a log file says of mail it handed over itself.
Passed on again after a crash, a fact counts once.

Flow:  watcher/sharing.py, submission/handover/confirmation.py -> Learner -> Evidence, Suppressions
"""

from collections.abc import Mapping, Sequence

from postroom.runtime.log import Log
from postroom.store.shared.interface import Evidence, Suppressions, Waves
from postroom.store.shared.values import COMPLAINT, Delivered, Learned, ProofRule, Refused, Suppression, WaveGuard
from postroom.store.track.evidence import SharedFact

COMPLAINT_KEPT_S = 730 * 86_400.0
"""How long a recipient who complained gets no mail."""


UNSIGNED = "complaint:unsigned"
"""The wave of complaints that no reporter we know has signed."""


class Learner:
    """Learns for one process.

    Args:
        waves: holds what is to be reviewed.
        rules: for each class of faults, when it is proof.
        guard: when suppressions are held for review.
    """

    def __init__(
        self,
        evidence: Evidence,
        suppressions: Suppressions,
        waves: Waves,
        rules: Mapping[str, ProofRule],
        guard: WaveGuard,
        log: Log,
    ) -> None:
        self._evidence = evidence
        self._suppressions = suppressions
        self._waves = waves
        self._rules, self._guard = rules, guard
        self._log = log

    def use(self, rules: Mapping[str, ProofRule], guard: WaveGuard) -> None:
        """Judge by these from now on."""
        self._rules, self._guard = rules, guard

    async def learn(self, facts: Sequence[SharedFact]) -> list[Learned]:
        """Pass these facts on; returns what each has changed.

        Complaints go in a step of their own, before the others.

        Raises:
            StoreUnavailable: not all of them were learned; repeat it with the same facts.
        """
        if not facts:
            return []
        complaints = iter(await self._complained([fact for fact in facts if fact.cause == COMPLAINT]))
        others = [_as_learned(fact) for fact in facts if fact.cause != COMPLAINT]
        judged = iter(await self._evidence.learn(others, self._rules, self._guard) if others else [])
        learned = [next(complaints if fact.cause == COMPLAINT else judged) for fact in facts]
        for fact, what in zip(facts, learned, strict=True):
            if what is Learned.WAVE_BEGAN:
                self._log.warning(
                    "suppression.wave_began",
                    domain=fact.recipient.domain,
                    cause=fact.cause,
                    rule=fact.rule,
                    effect="further suppressions are held for review; mail to their recipients still goes out",
                    mend="`postroom suppress waves`, then `postroom suppress wave accept` or `undo`",
                )
            if what in {Learned.SUPPRESSED, Learned.HELD, Learned.WAVE_BEGAN}:
                self._log.info(
                    "suppression.added",
                    queue_id=fact.queue_id,
                    recipient_hash=fact.recipient.hash,
                    domain=fact.recipient.domain,
                    cause=fact.cause,
                    rule=fact.rule,
                    enhanced_status=fact.enhanced_status,
                    held=what is not Learned.SUPPRESSED,
                )
            elif what is Learned.LIFTED:
                self._log.info(
                    "suppression.lifted",
                    queue_id=fact.queue_id,
                    recipient_hash=fact.recipient.hash,
                    domain=fact.recipient.domain,
                    reason="delivered",
                )
        return learned

    async def _complained(self, facts: Sequence[SharedFact]) -> list[Learned]:
        """No bounces to be counted: one signed complaint is enough, and no delivery lifts it."""
        signed = [_as_suppression(fact) for fact in facts if fact.proof != "review"]
        unsigned = [_as_suppression(fact) for fact in facts if fact.proof == "review"]
        changed = iter(await self._suppressions.suppress(signed) if signed else [])
        held = iter(await self._waves.hold(unsigned, UNSIGNED) if unsigned else [])
        return [
            next(held) if fact.proof == "review" else Learned.SUPPRESSED if next(changed) else Learned.KNOWN
            for fact in facts
        ]


def _as_suppression(fact: SharedFact) -> Suppression:
    return Suppression(
        recipient_hash=fact.recipient.hash,
        domain=fact.recipient.domain,
        hint=fact.recipient.hint,
        cause=fact.cause,
        enhanced_status=None,
        evidence=fact.evidence,
        source=COMPLAINT,
        added_at=fact.at,
        expires_at=fact.at + COMPLAINT_KEPT_S,
    )


def _as_learned(fact: SharedFact) -> Refused | Delivered:
    recipient = fact.recipient
    if not fact.cause:
        return Delivered(recipient.hash, recipient.domain, fact.at)
    return Refused(
        id=fact.id,
        recipient_hash=recipient.hash,
        domain=recipient.domain,
        hint=recipient.hint,
        cause=fact.cause,
        rule=fact.rule,
        rule_version=fact.rule_version,
        enhanced_status=fact.enhanced_status,
        evidence=fact.evidence,
        at=fact.at,
        is_proof=fact.proof == "now",
    )
