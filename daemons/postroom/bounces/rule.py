"""A rule of classification: a pattern, the class it speaks for, and the reason to believe so. Pure.

Patterns see casefolded text of bounded length (reply.py) and use only bounded repeats, so that a match costs linear
time; `rule()` refuses others. `[^.;]` stays within a clause: there the dot in a word (mx.example.net) does not end one.
Where a rule counts only beside certain codes it names them.

Versions:  a rule whose pattern, codes or class change gets the next version; a decision is kept with both, and can be
           replayed with new rules.
"""

import re
from dataclasses import dataclass

from postroom.bounces.classes import CLASSES, FaultClass, Suppress

_CLAUSE = "[^.;]"
_WITHIN_A_CLAUSE = r"(?:[^.;]|\.(?=\S))"
# An unbounded repeat of more than one character, or of a group, may take quadratic time or worse.
_UNBOUNDED = re.compile(r"(?<!\\)(?:[*+]|\{\d+,\})")


@dataclass(frozen=True, slots=True)
class BounceRule:
    """A pattern, the class it speaks for, and why.

    Attributes:
        id:       stable name, `provider.what` or `words.what`.
        version:  counts its changes.
        fault:    the class it speaks for.
        pattern:  searched for in the reply, links included for rules of providers, without them for the others.
        reason:   provider and page, or standard, it rests on.
        code:     what reply code and enhanced status code ("550 5.1.1") must begin with for it to count, if anything.
        suppress: a weaker consequence than the class allows.
        single:   only one wording is known for it.
        words:    the words of the pattern; nothing else of a reply is quoted as evidence.
    """

    id: str
    version: int
    fault: FaultClass
    pattern: re.Pattern[str]
    reason: str
    code: re.Pattern[str] | None
    suppress: Suppress
    single: bool
    words: frozenset[str]

    def evidence(self, text: str) -> str | None:
        """What speaks for this class in the text, with … for words that are not the rule's; None for no match."""
        found = self.pattern.search(text)
        if found is None:
            return None
        shown: list[str] = []
        for word in re.findall(r"\w+|[^\w\s]", found[0]):
            known = word if word in self.words or not word.isalnum() else "…"
            if known != "…" or shown[-1:] != ["…"]:
                shown.append(known)
        return " ".join(shown)


def rule(
    id: str,  # noqa: A002 - the field's own name
    fault: str,
    reason: str,
    *patterns: str,
    version: int = 1,
    code: str | None = None,
    suppress: Suppress | None = None,
    single: bool = False,
) -> BounceRule:
    """Make a rule; any of the patterns will do.

    Raises:
        ValueError: the class is none, or a pattern has a repeat without a bound.
    """
    for pattern in patterns:
        if _UNBOUNDED.search(pattern):
            raise ValueError(f"{id}: {pattern!r} repeats without a bound; write {{0,30}}")
    if fault not in CLASSES:
        raise ValueError(f"{id}: there is no class {fault!r}")
    source = "|".join(patterns).replace(_CLAUSE, _WITHIN_A_CLAUSE)
    return BounceRule(
        id,
        version,
        CLASSES[fault],
        re.compile(source),
        reason,
        None if code is None else re.compile(code),
        CLASSES[fault].suppress if suppress is None else suppress,
        single,
        # \b and \w are no words; what is left of the escapes are letters nobody writes alone.
        frozenset(re.findall(r"\w+", re.sub(r"\\.|[?*+(){}\[\]|^$.]", " ", source)))
        | frozenset(re.findall(r"\w+", re.sub(r"\\.|\(\?:|[()?]", "", source))),
    )
