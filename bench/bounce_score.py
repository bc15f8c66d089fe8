"""How well bounces are understood: the rules against a folder of real replies and bounce messages.

    .venv/bin/python bench/bounce_score.py SAMPLE_FOLDER [--errors]

The folder has replies/labelled.jsonl (text, reply_code, status, class_ok, source) and dsn/*.eml with dsn/expected.json
(kind, recipients, source); its own README says what the labels mean.

Counted, in all, for each source alone, and for all others without it:
    right, wrong, unknown    class of a reply within class_ok; replies without class_ok are left out
    caught                   dead recipients suppressed at once (class_ok within DEAD, and a 5xx)
    hurt                     others suppressed at once (nothing of DEAD in class_ok)
    recipients               bounces whose recipients are exactly those expected; those that name none are left out
    kinds                    messages told apart rightly
    not bounces              messages that are neither bounce nor complaint, and would suppress or wear out a recipient

--errors lists what is wrong. Exit: 0 within the bounds below, 1 past one of them, 2 no such folder.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "daemons"), str(ROOT)]

from bench.prerequisites import need_environment  # noqa: E402 - the checkout's own packages

need_environment()

from postroom.bounces.classify import classify  # noqa: E402
from postroom.bounces.mime import ParseError  # noqa: E402
from postroom.bounces.report import ReturnedMail, read_report  # noqa: E402

DEAD = {"invalid_recipient", "invalid_domain", "inactive"}
KINDS = {"not_bounce": "other", "challenge_response": "other", "unrecognised_by_source": "other"}
# What the rules must reach, in percent: (least, most).
RIGHT, WRONG, CAUGHT, HURT, RECIPIENTS = 90, 6, 95, 1, 97


@dataclass
class Score:
    """Counts of one source, or of several."""

    replies: int = 0
    right: int = 0
    wrong: int = 0
    dead: int = 0
    caught: int = 0
    others: int = 0
    hurt: int = 0
    bounces: int = 0
    exact: int = 0
    messages: int = 0
    kinds: int = 0
    not_bounces: int = 0
    errors: list[str] = field(default_factory=list)

    def __add__(self, other: "Score") -> "Score":
        return Score(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Score)))

    def row(self, name: str) -> str:
        unknown = self.replies - self.right - self.wrong
        return (
            f"{name[:42]:42} {self.replies:5} {_share(self.right, self.replies)} {_share(self.wrong, self.replies)}"
            f" {_share(unknown, self.replies)}  {_of(self.caught, self.dead)} {_of(self.hurt, self.others)}"
            f"  {_of(self.exact, self.bounces)} {_of(self.kinds, self.messages)} {self.not_bounces:3}"
        )


HEAD = (
    f"{'source':42} {'n':>5} {'right':>6} {'wrong':>6} {'unkn.':>6}  {'caught':>9} {'hurt':>9}"
    f"  {'recip.':>9} {'kinds':>9} {'n.b.':>4}"
)


def main() -> int:
    """Print the tables; the exit code."""
    arguments = argparse.ArgumentParser(description="Score the rules of bounces against a sample.")
    arguments.add_argument("sample", type=Path)
    arguments.add_argument("--errors", action="store_true")
    options = arguments.parse_args()
    for needed in ("replies/labelled.jsonl", "dsn/expected.json"):
        if not (options.sample / needed).is_file():
            arguments.error(f"{options.sample} has no {needed}; the head of this file says what such a folder holds")
    scores: dict[str, Score] = {}
    with (options.sample / "replies" / "labelled.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            _score_reply(json.loads(line), scores)
    expected = json.loads((options.sample / "dsn" / "expected.json").read_text(encoding="utf-8"))
    for name in sorted(expected):
        _score_message(options.sample / "dsn" / name, expected[name], scores)
    total = _sum(scores.values())
    print(HEAD)
    print(total.row("all"))
    print("\neach source alone")
    for source in sorted(scores):
        print(scores[source].row(source))
    print("\nall without this source")
    for source in sorted(scores):
        print(_sum(score for name, score in scores.items() if name != source).row(source))
    if options.errors:
        print("\n" + "\n".join(total.errors))
    failures = list(_failures(total, scores))
    print("\n" + ("within all bounds" if not failures else "past a bound: " + "; ".join(failures)))
    return 1 if failures else 0


def _failures(total: Score, scores: dict[str, Score]) -> Iterable[str]:
    if total.right * 100 < RIGHT * total.replies:
        yield f"right below {RIGHT} %"
    if total.wrong * 100 > WRONG * total.replies:
        yield f"wrong above {WRONG} %"
    if total.caught * 100 < CAUGHT * total.dead:
        yield f"caught below {CAUGHT} %"
    if total.hurt * 100 > HURT * total.others:
        yield f"hurt above {HURT} %"
    for source, score in sorted(scores.items()):
        if score.exact * 100 < RECIPIENTS * score.bounces:
            yield f"recipients of {source} below {RECIPIENTS} %"
    if total.not_bounces:
        yield "a message that is no bounce suppresses"


def _score_reply(item: dict[str, Any], scores: dict[str, Score]) -> None:
    accepted = set(item["class_ok"] or ())
    if not accepted:
        return
    score = scores.setdefault(item["source"], Score())
    code, status = str(item.get("reply_code") or ""), str(item.get("status") or "")
    judgement = classify(item["text"], code, status)
    name = judgement.fault.name
    score.replies += 1
    score.right += name in accepted
    score.wrong += name not in accepted and name != "unknown"
    is_permanent = (code or status or item["text"].lstrip()).startswith("5")
    is_dead, is_other = accepted <= DEAD and is_permanent, not accepted & DEAD
    is_now = judgement.suppress == "now"
    score.dead += is_dead
    score.caught += is_dead and is_now
    score.others += is_other
    score.hurt += is_other and is_now
    if name not in accepted or (is_dead and not is_now) or (is_other and is_now):
        found = f"{name} {judgement.suppress} by {judgement.rule}"
        score.errors.append(f"{item['id']}: {sorted(accepted)}, got {found}: {item['text'][:200]!r}")


def _score_message(path: Path, item: dict[str, Any], scores: dict[str, Score]) -> None:
    score = scores.setdefault(item["source"], Score())
    try:
        found = read_report(path.read_bytes())
    except ParseError as error:
        found = ReturnedMail("other")
        score.errors.append(f"{path.name}: {error}")
    kind = KINDS.get(item["kind"], item["kind"])
    score.messages += 1
    score.kinds += found.kind == kind
    if found.kind != kind:
        score.errors.append(f"{path.name}: {item['kind']}, got {found.kind}")
    expected = {str(each.get("address") or "").lower() for each in item["recipients"]}
    got = {each.address.lower() for each in found.recipients}
    if item["kind"] == "bounce" and "" not in expected:
        score.bounces += 1
        score.exact += got == expected
        if got != expected:
            score.errors.append(f"{path.name}: {sorted(expected)}, got {sorted(got)}")
    if kind not in {"bounce", "complaint"} and any(each.suppress != "never" for each in found.recipients):
        score.not_bounces += 1
        score.errors.append(f"{path.name}: {item['kind']}, and suppresses")


def _sum(scores: Iterable[Score]) -> Score:
    total = Score()
    for score in scores:
        total += score
    return total


def _share(part: int, whole: int) -> str:
    return f"{part / whole:6.1%}" if whole else f"{'-':>6}"


def _of(part: int, whole: int) -> str:
    return f"{part:4}/{whole:<4}" if whole else f"{'-':>9}"


if __name__ == "__main__":
    sys.exit(main())
