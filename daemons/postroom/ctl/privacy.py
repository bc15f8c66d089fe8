"""`postroom privacy`: what is kept of a recipient on this host, and taking it out.

Works on the files of the store themselves, beside the daemons: as root, or as the user of all daemons.
"""

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from postroom.ctl.shared_store import recipient_of, with_store
from postroom.ctl.suppress.display import date_text, entry_text, history_document, time_text
from postroom.store.erasure import (
    RecipientDeliveries,
    deliveries_in_mail,
    deliveries_in_track,
    erase_from_mail,
    erase_from_track,
)
from postroom.store.limits.interface import Usage
from postroom.store.shared.values import REFUSAL_KEPT_S, RecipientHistory

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext
    from postroom.store.shared_store import SharedStore

DAY_S = 86_400
ELSEWHERE = "Not searched: Postfix's queue and log, backups, other hosts. See docs/privacy.md."


@dataclass(frozen=True, slots=True)
class KeptData:
    """All that is kept of one recipient.

    Attributes:
        kept_s: how long deliveries are kept, from their acceptance on.
    """

    recipient_hash: str
    outbox: RecipientDeliveries
    tracking: RecipientDeliveries
    history: RecipientHistory
    usages: tuple[Usage, ...]
    kept_s: float

    @property
    def active(self) -> str:
        """What cannot be erased yet, in words; "" when there is nothing."""
        waiting, at_postfix = self.outbox.active, self.tracking.active
        words = [f"{waiting} to be handed over"] if waiting else []
        words += [f"{at_postfix} in Postfix's queue"] if at_postfix else []
        return " and ".join(words)

    def lines(self) -> list[str]:
        """Give what is kept as lines, for people to read."""
        lines = [f"#{self.recipient_hash}"]
        if self.outbox.active:
            lines.append(f"outbox       {self.outbox.active} to be handed over: address and mail, until then")
        if self.outbox.ended:
            lines.append(f"outbox       {self._ended(self.outbox)}")
        if self.tracking.active:
            lines.append(f"tracking     {self.tracking.active} in Postfix's queue: hash, masked address, last reply")
        if self.tracking.ended:
            lines.append(f"tracking     {self._ended(self.tracking)}")
        lines += [f"suppression  {entry_text(entry)}" for entry in self.history.entries]
        if self.history.refusals:
            kept_days = REFUSAL_KEPT_S / DAY_S
            count = len(self.history.refusals)
            lines.append(f"suppression  refusals that count: {count}, masked replies, for {kept_days:.0f} days")
        if self.history.good_at is not None:
            lines.append("suppression  the fact that it got mail within the last hour")
        lines += [
            f"limits       {usage.rule}: {usage.used} counted, until {usage.reset_s:.0f} s from now"
            for usage in self.usages
        ]
        if len(lines) == 1:
            lines.append("nothing is kept")
        return [*lines, ELSEWHERE]

    def json(self) -> str:
        """Give what is kept as a document, for programs."""
        return json.dumps(
            {
                "recipient_hash": self.recipient_hash,
                "outbox": self._document(self.outbox),
                "tracking": self._document(self.tracking),
                "suppression": history_document(self.history),
                "limits": [{"rule": usage.rule, "used": usage.used, "reset_s": usage.reset_s} for usage in self.usages],
            },
            indent=2,
            ensure_ascii=False,
        )

    def _document(self, deliveries: RecipientDeliveries) -> dict[str, object]:
        until = None if deliveries.latest_at is None else time_text(deliveries.latest_at + self.kept_s)
        return {"alive": deliveries.active, "ended": deliveries.ended, "ended_kept_until": until}

    def _ended(self, deliveries: RecipientDeliveries) -> str:
        assert deliveries.latest_at is not None, "some have ended"
        until = date_text(deliveries.latest_at + self.kept_s)
        return f"{deliveries.ended} ended: hash, masked address and reply, until {until}"


@click.group()
def privacy() -> None:
    """What is kept of a recipient."""


@privacy.command()
@click.argument("recipient", metavar="ADDRESS|HASH")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def report(context: "CommandContext", recipient: str, as_json: bool) -> None:
    """Tell what this host keeps of a recipient, in which form, and until when."""
    kept = _kept(context, recipient_of(context, recipient).hash)
    click.echo(kept.json() if as_json else "\n".join(kept.lines()))


@privacy.command()
@click.argument("recipient", metavar="ADDRESS|HASH")
@click.option(
    "--forget", is_flag=True, help="Erase its hash too: it is then no longer suppressed, and counting begins anew."
)
@click.pass_obj
def erase(context: "CommandContext", recipient: str, forget: bool) -> None:
    """Take a recipient out of what is kept; exit 1 when mail to it is still under way, then repeat it later.

    Figures stay, without anybody in them. A recipient that is suppressed stays so, under its hash alone, so that no
    mail goes there by mistake; --forget ends that.
    """
    recipient_hash = recipient_of(context, recipient).hash
    kept = _kept(context, recipient_hash, and_erase=True, forget=forget)
    click.echo("erased; still suppressed, as a hash" if kept.history.is_suppressed else "erased")
    if kept.active:
        click.echo(f"mail to it is under way: {kept.active}; mend: repeat this when it has ended", err=True)
        sys.exit(1)


def _kept(context: "CommandContext", recipient_hash: str, *, and_erase: bool = False, forget: bool = False) -> KeptData:
    """What is kept; after it was erased, if so asked. Ends the command when a file cannot be used."""
    from postroom.config import paths
    from postroom.limits.configured import rules
    from postroom.store.errors import StoreUnavailable

    mail, track = paths.mail_db(context.config), paths.track_db(context.config)
    key = f"#{recipient_hash}"
    demands = [rule.demand(key, 1) for rule in rules(context.config.limits) if rule.key == "recipient"]

    async def shared(store: "SharedStore") -> tuple[RecipientHistory, tuple[Usage, ...]]:
        if and_erase:
            await store.evidence.erase(recipient_hash, forget=forget)
        if forget:
            await store.takes.reset(f"recipient:{key}")
        usages = await store.takes.peek(demands) if demands else ()
        return await store.evidence.history(recipient_hash), tuple(usage for usage in usages if usage.used)

    try:
        if and_erase:
            erase_from_mail(mail, recipient_hash)
            # Before the shared store: what is on its way there goes first.
            erase_from_track(track, recipient_hash, forget=forget)
        history, usages = with_store(context, shared)
        outbox, tracking = deliveries_in_mail(mail, recipient_hash), deliveries_in_track(track, recipient_hash)
    except StoreUnavailable as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    return KeptData(recipient_hash, outbox, tracking, history, usages, context.config.retention.messages)
