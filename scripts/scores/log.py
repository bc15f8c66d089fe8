"""How much of a sample of Postfix logs is read right, by `postroom log parse` and `postroom log replay`.

lines           every field of a line, exactly
queue ids       message id and sender where the sample knows them, whether it left the queue, and of each recipient the
                state, code and attempts
ground truth    the outcome that was asked for, by Message-ID and recipient; it does not come from the log
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

POSTROOM = Path(__file__).resolve().parents[1] / "postroom"
STATES = {"sent": {"delivered", "relayed", "discarded"}, "deleted": {"discarded"}, "removed": {"discarded"}}
"""What counts as right for an outcome's word, where that is not the word itself."""
REFUSED = {"refused", "rejected"}
"""Outcomes of mail that never got into the queue: no recipient shows."""

Score = Counter[str]
"""`right` and `wrong`."""


def main(folder: Path) -> int:
    """Print all scores of a folder; the exit code."""
    total = Score()
    for name, score in scores(folder):
        print(f"{name:<58} {score['right']:>6} of {score.total()} right")
        total += score
    if not total:
        print(f"{folder}: neither lines.jsonl nor lab-*.txt is there", file=sys.stderr)
        return 2
    return 1 if total["wrong"] else 0


def scores(folder: Path) -> Iterator[tuple[str, Score]]:
    """The name of each score, and the score; what is wrong is printed."""
    if (single := folder / "lines.jsonl").exists():
        yield from _single_lines([json.loads(line) for line in single.read_text(encoding="utf-8").splitlines()])
    for log in sorted(folder.glob("lab-*.txt")):
        known = json.loads(log.with_suffix(".expected.json").read_text(encoding="utf-8"))
        lines = [{name: value for name, value in line.items() if name != "line"} for line in known["lines"]]
        yield f"{log.name}: lines", _compared(log.name, _parsed(log.read_bytes()), lines)
        journal = log.with_suffix(".journal.jsonl")
        if journal.exists():
            fewer = [{name: line[name] for name in line.keys() - {"host", "timestamp"}} for line in lines]
            yield f"{journal.name}: lines", _compared(journal.name, _parsed(journal.read_bytes()), fewer)
        mails = _objects(["replay", "--json", str(log)], b"")
        yield f"{log.name}: queue ids", _queue_ids(log.name, mails, known["messages"])
        yield f"{log.name}: ground truth, recipients", _ground_truth(log.name, mails, known["injected"])


def _single_lines(cases: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Score]]:
    texts = [
        case.get("line") or json.dumps({name: case[name] for name in ("syslog_identifier", "message")})
        for case in cases
    ]
    by_source: dict[str, Score] = defaultdict(Score)
    for case, read in zip(cases, _parsed("\n".join(texts).encode("utf-8")), strict=True):
        by_source[case["source"]] += _compared(case["id"], [read], [case["expect"]])
    yield from sorted(by_source.items())
    yield "lines.jsonl: lines", sum(by_source.values(), Score())


def _queue_ids(name: str, mails: list[dict[str, Any]], messages: Iterable[dict[str, Any]]) -> Score:
    lives: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for mail in mails:
        lives[mail["queue_id"]].append(mail)
    score = Score()
    for message in messages:
        read = lives[message["queue_id"]].pop(0) if lives[message["queue_id"]] else None
        right = read is not None and _is_message(read, message)
        score["right" if right else "wrong"] += 1
        if not right:
            print(f"{name}: {message['queue_id']}\n  read     {read}\n  expected {message}")
    return score


def _is_message(read: dict[str, Any], message: dict[str, Any]) -> bool:
    tried = {recipient["address"]: recipient for recipient in read["recipients"]}
    expected = {
        to: recipient for to, recipient in message["recipients"].items() if "deliverable" not in recipient["final"]
    }
    return (
        all(read[name] == message[name] for name in ("message_id", "sender") if name in message)
        and read["removed"] == message.get("removed", False)
        and tried.keys() == expected.keys()
        and all(
            tried[to]["state"] in _right(recipient["final"])
            and (tried[to]["dsn"], tried[to]["attempts"]) == (recipient["dsn"], recipient["attempts"])
            for to, recipient in expected.items()
        )
    )


def _ground_truth(name: str, mails: Iterable[dict[str, Any]], injected: Iterable[dict[str, Any]]) -> Score:
    found: dict[tuple[str | None, str], str] = {}
    for mail in mails:
        for recipient in mail["recipients"]:
            found[mail["message_id"], recipient["address"]] = recipient["state"]
    score = Score()
    for message in injected:
        for to, outcome in message["expect"].items():
            state = found.get((message["message_id"], to))
            right = state is None if outcome in REFUSED else state in _right(outcome)
            score["right" if right else "wrong"] += 1
            if not right:
                print(f"{name}: {message['message_id']} to {to}: read {state}, expected {outcome}")
    return score


def _right(outcome: str) -> set[str]:
    return STATES.get(outcome, {outcome})


def _compared(name: str, read: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> Score:
    score = Score()
    for number, (one, other) in enumerate(zip(read, expected, strict=True), 1):
        score["right" if one == other else "wrong"] += 1
        if one != other:
            print(f"{name}:{number}\n  read     {one}\n  expected {other}")
    return score


def _parsed(log: bytes) -> list[dict[str, Any]]:
    return _objects(["parse"], log)


def _objects(command: list[str], stdin: bytes) -> list[dict[str, Any]]:
    done = subprocess.run([str(POSTROOM), "log", *command], input=stdin, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
