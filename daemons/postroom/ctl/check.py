"""`postroom check`: is the configuration good, before anything is restarted with it?"""

import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from postroom.config.daemons import DAEMONS, Word
from postroom.config.model import Config

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext


@click.command()
@click.pass_obj
def check(context: "CommandContext") -> None:
    """Check the configuration, the templates and the signing keys; exit 78 with each problem on a line.

    Of a good one it says who may write From which address, and what else an operator should know.
    """
    from postroom.ctl.senders import notes, notes_of_postfix, summary

    end_with_findings(context, DAEMONS)
    click.echo(f"{context.path}: good")
    if lines := summary(context.config):
        click.echo("Who may write From which address:")
    for line in lines:
        click.echo(f"  {line}")
    for note in (*notes(context.config), *notes_of_postfix(context.config)):
        click.echo(f"note: {note}")


def end_with_findings(context: "CommandContext", daemons: Collection[Word]) -> None:
    """Return when nothing would keep these daemons from starting; else exit 78 with each problem on a line."""
    found = findings(context.config, daemons)
    for finding in found:
        click.echo(f"{context.path}: {finding}", err=True)
    if found:
        sys.exit(os.EX_CONFIG)


def findings(config: Config, daemons: Collection[Word]) -> list[str]:
    """What would keep these daemons from starting, as far as that can be told without their rights."""
    from postroom.milter import main as milter
    from postroom.submission import main as submission

    of_each = {"submission": submission.findings, "milter": milter.findings}
    return [finding for word, find in of_each.items() if word in daemons for finding in find(config)]
