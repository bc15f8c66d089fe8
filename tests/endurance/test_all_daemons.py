"""All daemons under `kill -9`: what they say of each message at the end is what the far end did with it.

Policy, milter, watcher and submission are killed at random while mail goes through both doors; the watcher is
frozen now and then besides. POSTROOM_ENDURANCE_MESSAGES sets how many messages (scripts/soak: 5000; here a tenth).
"""

import os
import re
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.endurance.daemons import AllDaemons, all_daemons
from tests.endurance.load import SHARED_GHOSTS, Letter, Load, Outcomes, late_letters, letters
from tests.milter.verifiers import dkimpy_verdicts
from tests.store.outbox.sample_messages import rows

from postroom.mail.recipients import recipient_hash
from postroom.runtime.keys import read_key
from sandbox.process import BedError, until

pytestmark = pytest.mark.postfix

MESSAGES = int(os.environ.get("POSTROOM_ENDURANCE_MESSAGES", "500"))
KILLS = MESSAGES // 70
"""Of each daemon, at most: the work goes on while one is started again or frozen, and ends before all are done."""
MOST_MESSAGES, MOST_RECIPIENTS = MESSAGES // 10, MESSAGES // 5
"""Of each sender within an hour; quiet ones stay far below."""
LIMITS = (
    f"{{name: messages, key: sender, rate: {MOST_MESSAGES}/1h, on_store_loss: defer}}",
    f"{{name: recipients, key: sender, counts: recipients, rate: {MOST_RECIPIENTS}/1h, on_store_loss: defer}}",
)
GHOSTS = {f"ghost{number + 1}@world.test" for number in range(SHARED_GHOSTS)}
SETTLED_S = 120.0
VERIFIED = 20
"""Signatures of so many mails are verified; all are looked for."""


def deliveries(daemons: AllDaemons, letters: dict[int, Letter], outcomes: Outcomes) -> dict[int, list[dict[str, Any]]]:
    """Letter → its deliveries, once each has its end or waits for a limit that binds, and Postfix's queue is empty."""
    settled: dict[int, list[dict[str, Any]]] = {}

    def all_settled() -> bool:
        for number in outcomes.ids.keys() - settled.keys():
            shown: list[dict[str, Any]] = daemons.submission.message(outcomes.ids[number])["deliveries"]
            if all(_has_its_end(delivery, letters[number]) for delivery in shown):
                settled[number] = shown
        if settled.keys() == outcomes.ids.keys() and not daemons.postfix.queue():
            return True
        # Mail whose delivery agent still held it at the next try, a second later, is put back among the incoming;
        # there qmgr(8) looks when new mail comes, and else after 300 s.
        daemons.postfix.flush()
        return False

    try:
        until(all_settled, SETTLED_S, "every message has its end", daemons.submission.alive, 1.0)
    except BedError as error:
        left = [daemons.submission.message(outcomes.ids[number]) for number in outcomes.ids.keys() - settled.keys()]
        raise AssertionError(f"{error}: {len(left)} without, as {left[:3]}; {daemons.postfix.queue()[:3]}") from error
    return settled


def _has_its_end(delivery: dict[str, Any], letter: Letter) -> bool:
    # A quiet sender's mail is held only while the store does not answer.
    return delivery["state"] in {"delivered", "bounced", "suppressed"} or (
        letter.is_limited and _is_over_a_limit(delivery)
    )


def _is_over_a_limit(delivery: dict[str, Any]) -> bool:
    return delivery["state"] == "deferred" and str(delivery["reason"]).startswith("over the limit")


def far_end_says(daemons: AllDaemons, delivery: dict[str, Any], recipient: str) -> str:
    """What became of a recipient who was written to once, as the far end has it."""
    took, refused = daemons.far_end.taken[recipient], daemons.far_end.refused[recipient]
    assert took + refused <= 1, f"{recipient} was written to twice"
    if took:
        return "delivered"
    if refused:
        return "bounced"
    return "deferred" if _is_over_a_limit(delivery) else "suppressed"


def assert_limits_held(daemons: AllDaemons, outcomes: Outcomes) -> dict[str, int]:
    """What passed of each limited sender is not over its limit, nor short of it by more than was lost on the way."""
    passed, recipients = Counter[str](), Counter[str]()
    seen = set[str]()
    for mail in daemons.far_end.mails:
        if (found := re.search(rb"^From: .*?(\w+)@example\.org", mail.octets, re.MULTILINE)) and mail.sender:
            name, subject = found[1].decode(), re.search(rb"^Subject: Letter (\d+)", mail.octets, re.MULTILINE)
            assert subject is not None
            recipients[name] += len(mail.recipients)
            passed[name] += subject[1].decode() not in seen
            seen.add(subject[1].decode())
    assert max(passed.values()) <= MOST_MESSAGES
    assert max(recipients.values()) <= MOST_RECIPIENTS
    assert passed["busy"] >= MOST_MESSAGES - outcomes.lost["busy"]
    # A message of three may not fit into what is left.
    assert recipients["wide"] >= MOST_RECIPIENTS - 2 - outcomes.lost["wide"]
    return {"busy": passed["busy"], "wide": recipients["wide"]}


def assert_signed(daemons: AllDaemons) -> None:
    """Each mail of ours bears both signatures; those of a sample hold."""
    ours = [mail.octets for mail in daemons.far_end.mails if mail.sender]
    assert {octets.partition(b"\r\n\r\n")[0].count(b"DKIM-Signature: ") for octets in ours} == {2}
    for octets in Random(1).sample(ours, VERIFIED):
        assert dkimpy_verdicts(octets) == [True, True]


def suppressed(daemons: AllDaemons) -> set[str]:
    """Hashes of the recipients that get no mail any more."""
    found = rows(daemons.submission.state_dir / "shared" / "shared.db", "SELECT recipient_hash FROM suppressions")
    return {hashed for (hashed,) in found}


def hashes(daemons: AllDaemons, recipients: set[str]) -> set[str]:
    key = read_key(daemons.submission.state_dir / "keys" / "recipient-hash.key")
    return {recipient_hash(key, recipient) for recipient in recipients}


def assert_shown_as_it_was(
    daemons: AllDaemons, letters: dict[int, Letter], told: dict[int, list[dict[str, Any]]]
) -> None:
    """Each delivery's state is what the far end did; shared ghosts are left to assert_ghosts_asked."""
    for number, shown in told.items():
        for delivery, recipient in zip(shown, letters[number].recipients, strict=True):
            if recipient in GHOSTS:
                assert delivery["state"] in {"bounced", "suppressed"}, delivery
            else:
                assert delivery["state"] == far_end_says(daemons, delivery, recipient), (recipient, delivery)


def assert_sent_once(daemons: AllDaemons, outcomes: Outcomes) -> None:
    """What Postfix took from SMTP clients reached the far end once."""
    far_end = daemons.far_end
    for recipients in outcomes.sent.values():
        for recipient in set(recipients) - GHOSTS:
            assert far_end.taken[recipient] + far_end.refused[recipient] == 1, recipient


def assert_ghosts_asked(
    daemons: AllDaemons, letters: dict[int, Letter], told: dict[int, list[dict[str, Any]]], outcomes: Outcomes
) -> None:
    """The far end refused each shared ghost as often as it is said to have bounced, or as Postfix took it by SMTP."""
    asked = Counter(recipient for recipients in outcomes.sent.values() for recipient in recipients)
    for number, shown in told.items():
        recipients = letters[number].recipients
        asked.update(one for one, delivery in zip(recipients, shown, strict=True) if delivery["state"] == "bounced")
    assert {ghost: daemons.far_end.refused[ghost] for ghost in GHOSTS} == {ghost: asked[ghost] for ghost in GHOSTS}


def assert_only_these_were_refused(
    daemons: AllDaemons, letters: dict[int, Letter], told: dict[int, list[dict[str, Any]]], outcomes: Outcomes
) -> None:
    """Limits bind where they are small; whoever is suppressed bounced with 5.1.1, and nobody else."""
    limited = {letters[number].sender for number, shown in told.items() if any(map(_is_over_a_limit, shown))}
    limited |= {letters[number].sender for number, refusal in outcomes.refused.items() if refusal[0] == "4"}
    assert limited == {"busy", "wide"}
    for number in outcomes.unfit | {number for number, refusal in outcomes.refused.items() if refusal[0] == "5"}:
        assert set(letters[number].recipients) <= GHOSTS, letters[number]
    unknown = {
        recipient
        for number, shown in told.items()
        for recipient, delivery in zip(letters[number].recipients, shown, strict=True)
        if delivery["state"] == "bounced" and delivery["enhanced_status"] == "5.1.1"
    }
    assert suppressed(daemons) == hashes(daemons, unknown)


def test_what_is_said_of_each_message_is_what_became_of_it(bed: Path) -> None:
    """No message is lost, twice, unsigned, over a limit, or in doubt; exactly those who do not exist are suppressed."""
    random, late = Random(MESSAGES), late_letters(MESSAGES)
    first = letters(MESSAGES, random)
    wanted = {letter.number: letter for letter in (*first, *late)}
    with all_daemons(bed, LIMITS) as daemons:
        load = Load(daemons)
        outcomes = load.outcomes
        keepers = daemons.keepers(KILLS, MESSAGES * 9 // 10, lambda: outcomes.done, load.give_up, random)
        began = time.monotonic()
        for keeper in keepers:
            keeper.start()
        try:
            load.send(first)
        finally:
            for keeper in keepers:
                keeper.stop()
        sent_s = time.monotonic() - began
        deliveries(daemons, wanted, outcomes)
        settled_s = time.monotonic() - began - sent_s
        until(lambda: hashes(daemons, GHOSTS) <= suppressed(daemons), SETTLED_S, "those all write to are suppressed")
        load.send(late)
        told = deliveries(daemons, wanted, outcomes)

        shown = [delivery for one in told.values() for delivery in one]
        used = assert_limits_held(daemons, outcomes)
        print(
            f"\n{outcomes.done} messages: {len(outcomes.ids)} by the API, {len(outcomes.sent)} by SMTP, "
            f"{len(outcomes.refused)} over a limit there; sent in {sent_s:.0f} s, all known {settled_s:.0f} s later; "
            f"killed: {', '.join(f'{keeper.name} {keeper.kills}' for keeper in keepers)}; "
            f"{dict(Counter(one['state'] for one in shown))}; used {used['busy']} of {MOST_MESSAGES} messages and "
            f"{used['wide']} of {MOST_RECIPIENTS} recipients; refusals by SMTP {dict(outcomes.replies)}, "
            f"lost at the end {outcomes.lost.total()}"
        )
        assert outcomes.done == len(wanted)
        assert min(keeper.kills for keeper in keepers) >= KILLS // 5
        assert_shown_as_it_was(daemons, wanted, told)
        assert_sent_once(daemons, outcomes)
        assert_ghosts_asked(daemons, wanted, told, outcomes)
        assert_signed(daemons)
        assert_only_these_were_refused(daemons, wanted, told, outcomes)
        assert [one["state"] for letter in late if letter.door == "socket" for one in told[letter.number]] == [
            "suppressed",
            "delivered",
        ] * SHARED_GHOSTS
        assert daemons.submission.deliveries()["in_doubt"] == 0
        assert "watcher.gap" not in daemons.watcher.log()
