"""`postroom suppress replay`: what bounces brought about, judged again by the rules of today.

Limits:  the evidence that is kept is the masked reply, so a rule that looks at what is masked finds less.
"""

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from postroom.ctl.shared_store import all_suppressions, with_store
from postroom.ctl.suppress.display import document, entry_text
from postroom.store.shared.values import Suppression

if TYPE_CHECKING:
    from postroom.bounces.classify import Judgement
    from postroom.ctl.context import CommandContext


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that would not come about as it did: of another class, or no fault of the recipient any more.

    Attributes:
        entry:     as it is kept.
        judgement: of its evidence, now.
    """

    entry: Suppression
    judgement: "Judgement"

    def text(self) -> str:
        """For people: the entry, then what would be said now."""
        entry, now = self.entry, self.judgement
        return (
            f"#{entry.recipient_hash}  {entry_text(entry)}\n"
            f"    was: {entry.cause} by {_rule(entry.rule, entry.rule_version)}\n"
            f"    now: {now.fault.name}, {now.suppress}, by {_rule(now.rule, now.version)}\n"
            f"    {entry.evidence}"
        )

    def document(self) -> dict[str, object]:
        """The entry for programs, with what would be said now."""
        now = self.judgement
        judged = {"cause": now.fault.name, "suppress": now.suppress, "rule": now.rule, "rule_version": now.version}
        return document(self.entry) | {"now": judged}


def difference(entry: Suppression) -> Difference | None:
    """How an entry would be judged now, where that is not as it was; None for what no bounce brought about."""
    if entry.source != "bounce" or not entry.evidence:
        return None
    # Here, for every command would wait for its patterns to be compiled.
    from postroom.bounces.classify import classify

    judgement = classify(entry.evidence, status=entry.enhanced_status or "")
    is_same = judgement.fault.name == entry.cause and judgement.suppress != "never"
    return None if is_same else Difference(entry, judgement)


def _rule(rule: str, version: int) -> str:
    return f"{rule} version {version}" if rule else "an unknown rule"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each, in a list.")
@click.pass_obj
def replay(context: "CommandContext", as_json: bool) -> None:
    """Judge the evidence of all suppressions by bounces again; show those that would differ, exit 1 then.

    Works on what is kept, the masked reply: where a rule saw what is masked, its judgement may differ for that.
    """
    found = with_store(context, all_suppressions)
    differing = [each for each in map(difference, found) if each is not None]
    if as_json:
        click.echo(json.dumps([each.document() for each in differing], indent=2, ensure_ascii=False))
    else:
        for each in differing:
            click.echo(each.text())
        judged = sum(bool(each.source == "bounce" and each.evidence) for each in found)
        click.echo(f"{len(differing)} of {judged} would be judged differently", err=True)
    sys.exit(1 if differing else 0)
