"""`postroom status [ID]`: how the outbox stands, or what became of one message."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext


@click.command()
@click.argument("message", metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def status(context: "CommandContext", message: str | None, as_json: bool) -> None:
    """Show the outbox, or one message; exit 1 when something needs a look."""
    from postroom.ctl.client import ask, show_problem

    target = "/v1/stats" if message is None else f"/v1/messages/{_quoted(message)}"
    code, answer = ask(context.config.submission.socket, "GET", target)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif code != 200:
        show_problem(answer)
    elif message is None:
        _show_outbox(answer)
    else:
        _show_message(answer)
    sys.exit(0 if code == 200 and not _needs_a_look(answer) else 1)


def _quoted(message: str) -> str:
    from urllib.parse import quote

    return quote(message, safe="")


def _needs_a_look(answer: dict[str, Any]) -> bool:
    states = answer.get("deliveries", [])
    if isinstance(states, dict):
        return bool(states["in_doubt"]) or not answer["handover"]["available"]
    return any(delivery["state"] in {"in_doubt", "failed", "bounced", "expired"} for delivery in states)


def _show_outbox(answer: dict[str, Any]) -> None:
    for state, count in answer["deliveries"].items():
        click.echo(f"{state:<10} {count:>8}")
    if answer["oldest_waiting"]:
        click.echo(f"\noldest waiting: accepted {answer['oldest_waiting']}")
    handover = answer["handover"]
    if handover["available"]:
        click.echo("\nhand-over: Postfix accepts mail")
    else:
        click.echo(f"\nhand-over: {handover['reason']}\n           next try {handover['next_try']}")


def _show_message(answer: dict[str, Any]) -> None:
    click.echo(f"{answer['id']}  accepted {answer['accepted_at']}  {answer['size']} octets  {answer['message_id']}")
    if "template" in answer:
        click.echo(f"template {answer['template']['name']} ({answer['template']['version']})")
    for delivery in answer["deliveries"]:
        click.echo(
            f"  {delivery['recipient']}  {delivery['state']}"
            + (f"  as {delivery['queue_id']}" if "queue_id" in delivery else "")
            + f"  since {delivery['changed_at']}, attempts: {delivery['attempts']}"
        )
        if "reason" in delivery:
            words = [delivery[name] for name in ("enhanced_status", "relay", "reason") if name in delivery]
            click.echo(f"      {' '.join(words)}")
        if "local_reports" in delivery:
            click.echo(
                f"      not believed, for they came from this host or a login: reports {delivery['local_reports']}"
            )
        if "next_try" in delivery:
            click.echo(f"      next try {delivery['next_try']}")
