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
    """Check the configuration and the templates; exit 78 with each problem on a line."""
    from postroom.submission.main import findings

    found = findings(place.config)
    for finding in found:
        click.echo(f"{place.path}: {finding}", err=True)
    if found:
        sys.exit(EX_CONFIG)
    click.echo(f"{place.path}: good")
