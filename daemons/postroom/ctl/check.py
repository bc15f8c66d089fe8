"""`postroom check`: is the configuration good, before anything is restarted with it?"""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from postroom.ctl.main import Place

EX_CONFIG = 78


@click.command()
@click.pass_obj
def check(place: "Place") -> None:
    """Check the configuration, the templates and the signing keys; exit 78 with each problem on a line."""
    from postroom.milter import main as milter
    from postroom.submission import main as submission

    found = [*submission.findings(place.config), *milter.findings(place.config)]
    for finding in found:
        click.echo(f"{place.path}: {finding}", err=True)
    if found:
        sys.exit(EX_CONFIG)
    click.echo(f"{place.path}: good")
