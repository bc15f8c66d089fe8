"""`postroom suppress`: who gets no mail."""

import asyncio
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ctl.conftest import Postroom

from postroom.mail.recipients import recipient_hash
from postroom.store.shared.values import Delivered, ProofRule, Refused, WaveGuard
from postroom.store.sqlite_store import open_sqlite_store


@pytest.fixture
def ready(postroom: Postroom) -> Postroom:
    """With a store."""
    assert postroom("store", "init").returncode == 0
    return postroom


def test_a_recipient_is_suppressed_shown_and_lifted(ready: Postroom) -> None:
    """By its address, however it is written; shown masked, with cause and dates."""
    done = ready("suppress", "add", "Jane@Example.NET", "--cause", "asked_not_to", "--expires", "30d")
    assert (done.returncode, done.stdout) == (0, "suppressed\n")
    (line,) = ready("suppress", "list").stdout.splitlines()
    assert re.fullmatch(
        r"#[0-9a-f]{32}  J…@example\.net  asked_not_to  since \d{4}-\d\d-\d\d until \d{4}-\d\d-\d\d  by manual", line
    )
    again = ready("suppress", "add", "jane@example.net")
    assert (again.returncode, again.stdout, again.stderr) == (1, "", "was suppressed already\n")
    assert ready("suppress", "list").stdout.count("  manual  ") == 1
    assert ready("suppress", "remove", "jane@example.net").stdout == "gets mail again\n"
    assert ready("suppress", "list").stdout == ""
    gone = ready("suppress", "remove", "jane@example.net")
    assert (gone.returncode, gone.stderr) == (1, "was not suppressed\n")


def test_a_recipient_with_its_name_is_shown_by_its_address(ready: Postroom) -> None:
    """The hint is of the address, not of what stands before it."""
    assert ready("suppress", "add", "Zoe <jane@example.net>").returncode == 0
    assert "  j…@example.net  manual  " in f"  {ready('suppress', 'list').stdout}"


def test_json_has_all_that_is_known(ready: Postroom) -> None:
    """The latest first; times in UTC; never the address."""
    ready("suppress", "add", "jane@example.net", "--expires", "1d")
    ready("suppress", "add", "john@example.net")
    done = ready("suppress", "list", "--json")
    john, jane = json.loads(done.stdout)
    assert (john["hint"], john["cause"], john["source"], john["expires_at"]) == (
        "j…@example.net",
        "manual",
        "manual",
        None,
    )
    assert jane["domain"] == "example.net"
    assert jane["expires_at"] > jane["added_at"]
    assert "jane@" not in done.stdout


def test_a_hash_stands_for_an_address(ready: Postroom) -> None:
    """As the list shows it, with or without its mark; nothing else is known of it then."""
    ready("suppress", "add", "jane@example.net")
    shown = ready("suppress", "list").stdout.split()[0]
    assert ready("suppress", "remove", shown).returncode == 0
    assert ready("suppress", "add", shown.removeprefix("#")).returncode == 0
    assert "(by its hash)" in ready("suppress", "list").stdout
    assert ready("suppress", "remove", "jane@example.net").returncode == 0


def learn(state: Path, *facts: Refused | Delivered) -> None:
    """Tell the store facts, as the watcher does."""

    async def run() -> None:
        store = open_sqlite_store(state / "shared")
        await store.evidence.learn(
            facts, {"mailbox_full": ProofRule(3, 60.0, 86_400.0 * 3650)}, WaveGuard(2, 3_600.0, 20)
        )
        await store.close()

    asyncio.run(run())


def full(state: Path, number: int) -> Refused:
    key = (state / "keys" / "recipient-hash.key").read_bytes()
    return Refused(
        f"f{number}",
        recipient_hash(key, "jane@example.net"),
        "example.net",
        "j…@example.net",
        "mailbox_full",
        "mailbox.full",
        2,
        "5.2.2",
        "552 5.2.2 <…>: over quota",
        time.time() - 1000 + number * 100,
        False,
    )


def test_why_shows_the_whole_history(ready: Postroom, state: Path) -> None:
    """Exit 1 as long as mail goes there, 0 when it is suppressed; with the rule of each refusal."""
    nothing = ready("suppress", "why", "jane@example.net")
    assert (nothing.returncode, nothing.stderr) == (1, "")
    assert re.fullmatch(r"#[0-9a-f]{32}: not suppressed\n", nothing.stdout)
    learn(state, full(state, 0), full(state, 1))
    counting = ready("suppress", "why", "Jane@example.net")
    assert counting.returncode == 1
    assert counting.stdout.count("mailbox_full 5.2.2  counts\n    rule mailbox.full version 2: 552 5.2.2 <…>") == 2
    learn(state, full(state, 2))
    hashed = ready("suppress", "list").stdout.split()[0]
    suppressed = ready("suppress", "why", hashed)
    assert suppressed.returncode == 0
    assert suppressed.stdout.startswith(f"{hashed}: suppressed\n  j…@example.net  mailbox_full 5.2.2  since ")
    document = json.loads(ready("suppress", "why", hashed, "--json").stdout)
    assert document["suppressed"] is True
    (entry,) = document["entries"]
    assert (entry["rule"], entry["rule_version"], entry["source"]) == ("mailbox.full", 2, "bounce")
    assert len(document["refusals"]) == 3
    learn(state, Delivered(hashed.removeprefix("#"), "example.net", time.time()))
    lifted = ready("suppress", "why", hashed)
    assert lifted.returncode == 1
    assert "it got mail, or its suppression was lifted; nothing earlier counts" in lifted.stdout


def test_one_stream_may_be_suppressed(ready: Postroom) -> None:
    """Shown as such, removed by itself or with all."""
    assert ready("suppress", "add", "jane@example.net", "--stream", "newsletter").returncode == 0
    assert ready("suppress", "add", "jane@example.net").returncode == 0
    assert ready("suppress", "list").stdout.count("manual  of newsletter  since ") == 1
    assert ready("suppress", "remove", "jane@example.net", "--stream", "newsletter").returncode == 0
    assert ready("suppress", "remove", "jane@example.net", "--stream", "newsletter").returncode == 1
    assert ready("suppress", "why", "jane@example.net").returncode == 0


def test_a_complaint_is_told_apart(ready: Postroom) -> None:
    """It stands where the operator's word stands, and overrules no such word."""
    assert ready("suppress", "add", "jane@example.net", "--complaint").returncode == 0
    assert "  complaint  since " in ready("suppress", "list").stdout
    ready("suppress", "add", "jane@example.net", "--cause", "asked_not_to")
    assert ready("suppress", "add", "jane@example.net", "--complaint").returncode == 1
    assert "  asked_not_to  since " in ready("suppress", "list").stdout


def test_a_burst_is_reviewed(ready: Postroom, state: Path) -> None:
    """Listed with exit 1 while it waits; accepted once; undone as a whole, with what was in effect."""
    proof = replace(full(state, 0), is_proof=True)
    learn(state, *(replace(proof, id=f"{number}", recipient_hash=f"{number:032x}") for number in range(5)))
    listed = ready("suppress", "waves")
    assert listed.returncode == 1
    assert listed.stdout.startswith("1  domain:example.net  open  3 held, 2 in effect  ")
    assert ready("suppress", "list").stdout.count("  by bounce, held in wave 1\n") == 3
    assert ready("suppress", "why", f"{4:032x}").returncode == 1
    accepted = ready("suppress", "wave", "accept", "1")
    assert (accepted.returncode, accepted.stdout) == (0, "3 now in effect\n")
    assert ready("suppress", "why", f"{4:032x}").returncode == 0
    again = ready("suppress", "wave", "accept", "1")
    assert (again.returncode, again.stdout, again.stderr) == (1, "", "this wave is not open\n")
    (document,) = json.loads(ready("suppress", "waves", "--json").stdout)
    assert (document["state"], document["held"], document["in_effect"]) == ("accepted", 0, 5)
    assert ready("suppress", "waves").returncode == 0
    assert ready("suppress", "wave", "undo", "1").stdout == "5 lifted\n"
    assert ready("suppress", "list").stdout == ""
    assert ready("suppress", "wave", "undo", "1").returncode == 1


def test_a_list_is_exported_and_imported(ready: Postroom, state: Path, bed: Path) -> None:
    """On another host with the same key it is the same; never an address; again it changes nothing."""
    ready("suppress", "add", "jane@example.net", "--expires", "30d", "--cause", "asked_not_to")
    ready("suppress", "add", "john@example.net", "--stream", "newsletter")
    exports = {form: ready("suppress", "export", "--format", form).stdout for form in ("csv", "jsonl")}
    assert exports["csv"].splitlines()[0] == "recipient_hash,domain,hint,stream,cause,since,until"
    assert "jane@" not in str(exports)
    for form, exported in exports.items():
        (state / "shared" / "shared.db").unlink()
        assert ready("store", "init").returncode == 0
        done = ready("suppress", "import", "-", stdin=exported.encode())
        assert (done.returncode, done.stdout) == (0, "2 suppressed, 0 were suppressed already\n"), form
        assert ready("suppress", "export").stdout == exports["csv"]
        assert ready("suppress", "import", "-", stdin=exported.encode()).stdout.startswith("0 suppressed, 2 were")
    assert ready("suppress", "why", "jane@example.net").returncode == 0


def test_nothing_is_imported_unless_all_is_good(ready: Postroom, bed: Path) -> None:
    """Bad lines are told with file and number, and without what they say; --skip-bad takes the others."""
    path = bed / "list.txt"
    path.write_text("jane@example.net\n\nsecret.example\njohn@example.net\nno@no@\n", encoding="utf-8")
    done = ready("suppress", "import", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    first, second, last = done.stderr.splitlines()
    assert first.startswith(f"{path}:3: is neither a mail address nor a hash: ")
    assert second.startswith(f"{path}:5: ")
    assert last == "nothing imported; mend these 2 lines, or use --skip-bad"
    assert "secret" not in done.stderr
    assert ready("suppress", "list").stdout == ""
    skipped = ready("suppress", "import", "--skip-bad", str(path))
    assert (skipped.returncode, skipped.stdout) == (1, "2 suppressed, 0 were suppressed already\n")
    assert ready("suppress", "list").stdout.count("imported  since ") == 2


def test_what_an_operator_said_is_not_replaced_by_a_list(ready: Postroom) -> None:
    """Nor lifted."""
    ready("suppress", "add", "jane@example.net", "--cause", "asked_not_to")
    done = ready("suppress", "import", "-", stdin=b"jane@example.net\n")
    assert done.stdout == "0 suppressed, 1 were suppressed already\n"
    assert "asked_not_to" in ready("suppress", "list").stdout


def test_evidence_is_judged_again_by_the_rules_of_today(ready: Postroom, state: Path) -> None:
    """What would be said otherwise is shown with both; exit 1 then."""
    proof = replace(full(state, 0), is_proof=True)
    learn(state, proof)
    same = ready("suppress", "replay")
    assert (same.returncode, same.stdout, same.stderr) == (0, "", "0 of 1 would be judged differently\n")
    learn(
        state, replace(proof, id="x", recipient_hash="b" * 32, evidence="550 5.7.1 listed in a DNSBL", rule="old.rule")
    )
    done = ready("suppress", "replay")
    assert (done.returncode, done.stderr) == (1, "1 of 2 would be judged differently\n")
    assert "    was: mailbox_full by old.rule version 2\n    now: blocklist, never, by " in done.stdout
    (document,) = json.loads(ready("suppress", "replay", "--json").stdout)
    assert (document["recipient_hash"], document["now"]["cause"]) == ("b" * 32, "blocklist")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "jane"), "neither a mail address nor a hash: the address has no @"),
        (("remove", "jane@"), "neither a mail address nor a hash: "),
        (("add", "jane@example.net", "--cause", "Two Words"), "write a word of a-z, 0-9 and _"),
        (("add", "jane@example.net", "--stream", "News"), "--stream 'News': write a word"),
        (("remove", "jane@example.net", "--stream", ""), "--stream '': write a word"),
        (("add", "jane@example.net", "--expires", "soon"), "--expires: 'soon' is not a duration"),
    ],
)
def test_wrong_arguments_are_exit_2(ready: Postroom, arguments: tuple[str, ...], told: str) -> None:
    """With what to write instead."""
    done = ready("suppress", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_without_a_store_it_is_told_how_to_make_one(postroom: Postroom, state: Path) -> None:
    """Exit 1, one line with the path."""
    done = postroom("suppress", "list")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"{state}/shared/shared.db: cannot be opened")
    done = postroom("suppress", "add", "jane@example.net")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"{state}/keys/recipient-hash.key: cannot be read")
