"""The rules as data: each names its reason, is known by more than one wording, and costs bounded time."""

import json
import time
from pathlib import Path

import pytest

from postroom.bounces.classify import RULES, classify
from postroom.bounces.rule import BounceRule, rule
from postroom.bounces.rules.codes import CODE_RULES

REPLIES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data/bounces/replies.jsonl").read_text(encoding="utf-8").splitlines()
]
WORDS = [each for each in RULES if each not in CODE_RULES]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply["text"][:60])
def test_a_known_reply_is_judged_by_its_rule(reply: dict[str, str]) -> None:
    """Class, consequence and the rule that says so."""
    judgement = classify(reply["text"], reply.get("reply_code", ""), reply.get("status", ""))
    assert (judgement.fault.name, judgement.suppress, judgement.rule) == (
        reply["class"],
        reply["suppress"],
        reply["rule"],
    )


@pytest.mark.parametrize("each", WORDS, ids=lambda each: each.id)
def test_a_rule_is_known_by_two_unlike_wordings_or_marked_single(each: BounceRule) -> None:
    """A rule for one text alone would be no rule."""
    known = {" ".join(reply["text"].casefold().split()) for reply in REPLIES if reply["rule"] == each.id}
    assert len(known) >= (1 if each.single else 2)


def test_rules_have_names_of_their_own_and_reasons() -> None:
    """An id is kept with a decision; a rule without a reason cannot be disputed."""
    assert len({each.id for each in RULES}) == len(RULES)
    assert all(each.reason and each.version >= 1 for each in RULES)


@pytest.mark.parametrize("pattern", ["a*b", "(?:ab)+c", "x{3,}", "[^;]*y"])
def test_a_repeat_without_bound_is_refused(pattern: str) -> None:
    """It might take quadratic time or worse on a reply made for it."""
    with pytest.raises(ValueError, match="repeats without a bound"):
        rule("test.rule", "policy", "a test", pattern)


def test_a_class_that_is_none_is_refused() -> None:
    """A slip in the data is found when it is read."""
    with pytest.raises(ValueError, match="no class 'polcy'"):
        rule("test.rule", "polcy", "a test", "x")


HOSTILE = [
    "@ " * 2048,
    "user " * 820,
    "not " * 1024,
    "<" * 4096,
    "a@" * 2048,
    "550-5.1.1 " * 400,
    "message size " * 320,
    "ip host client blocked " * 180,
    "mailbox exceed " * 280,
    "[192.0.2.1] " * 340,
    "https:" + "a" * 4090,
    "x." * 2048,
    " said: " * 600,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_a_reply_made_to_be_slow_is_not(text: str) -> None:
    """All rules together cost some 20 ms here, and ten times the text costs no more."""
    began = time.process_time()
    classify(text)
    classify(text * 10)
    assert time.process_time() - began < 2
