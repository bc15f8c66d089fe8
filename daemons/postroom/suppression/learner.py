"""What the log says of recipients, told to the shared store, and what came of it told to the log.

The watcher tells what the journal proves, submission what a log file says of mail it handed over itself. Told
again after a crash, a fact counts once.

Flow:  watcher/sharing.py, submission/handover/confirmation.py -> Learner -> Evidence, Suppressions
"""

from collections.abc import Mapping, Sequence

from postroom.runtime.log import Log
from postroom.store.shared.interface import Evidence, Suppressions
from postroom.store.shared.suppression import COMPLAINT, Delivered, Learned, ProofRule, Refused, Suppression, WaveGuard
from postroom.store.track.evidence import SharedFact

COMPLAINT_KEPT_S = 730 * 86_400.0
"""How long a recipient who complained gets no mail."""


class Learner:
    """Tells facts.

    Args:
        rules: for each class of faults, when it is proof.
        guard: when suppressions are held for review.
    """

    def __init__(
        self,
        evidence: Evidence,
        suppressions: Suppressions,
        rules: Mapping[str, ProofRule],
        guard: WaveGuard,
        log: Log,
    ) -> None:
        self._evidence = evidence
        self._suppressions = suppressions
        self._rules, self._guard = rules, guard
        self._log = log

    def use(self, rules: Mapping[str, ProofRule], guard: WaveGuard) -> None:
        """Judge by these from now on."""
        self._rules, self._guard = rules, guard

    async def learn(self, facts: Sequence[SharedFact]) -> list[Learned]:
        """Tell these facts, in one step; gives what each has changed.

        Raises:
            StoreUnavailable: none of them was learned.
        """
        if not facts:
            return []
        complaints = iter(await self._complained([fact for fact in facts if fact.cause == COMPLAINT]))
        others = [_told(fact) for fact in facts if fact.cause != COMPLAINT]
        judged = iter(await self._evidence.learn(others, self._rules, self._guard) if others else [])
        learned = [next(complaints if fact.cause == COMPLAINT else judged) for fact in facts]
        for fact, what in zip(facts, learned, strict=True):
            if what is Learned.WAVE_BEGAN:
                self._log.warning(
                    "suppression.wave_began",
                    domain=fact.recipient.domain,
                    cause=fact.cause,
                    rule=fact.rule,
                    effect="further suppressions of it are held, mail goes on",
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
        """No bounces to be counted: one complaint is enough, and no delivery lifts it."""
        if not facts:
            return []
        changed = await self._suppressions.suppress(
            [
                Suppression(
                    fact.recipient.hash,
                    fact.recipient.domain,
                    fact.recipient.hint,
                    fact.cause,
                    None,
                    fact.evidence,
                    COMPLAINT,
                    fact.at,
                    fact.at + COMPLAINT_KEPT_S,
                )
                for fact in facts
            ]
        )
        return [Learned.SUPPRESSED if has_changed else Learned.KNOWN for has_changed in changed]


def _told(fact: SharedFact) -> Refused | Delivered:
    recipient = fact.recipient
    if not fact.cause:
        return Delivered(recipient.hash, recipient.domain, fact.at)
    return Refused(
        fact.id,
        recipient.hash,
        recipient.domain,
        recipient.hint,
        fact.cause,
        fact.rule,
        fact.rule_version,
        fact.enhanced_status,
        fact.evidence,
        fact.at,
        fact.proof == "now",
    )
