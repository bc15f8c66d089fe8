"""`postroom serve`: all daemons under one process in the foreground."""

import os
import sys
from typing import TYPE_CHECKING

import click

from postroom.config import paths

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext


@click.command()
@click.pass_obj
def serve(context: "CommandContext") -> None:
    """Run all daemons in the foreground, as children of one process (`serve.daemons` says which)."""
    from postroom.ctl.check import end_with_findings
    from postroom.runtime.lifecycle import exit_code
    from postroom.runtime.log import open_log
    from postroom.serve import main

    config = context.config
    end_with_findings(context, config.serve.daemons)
    # os.path: what may not be seen is as good as missing.
    missing = [path for path in paths.store_files(config) if not os.path.exists(path)]
    for path in missing:
        click.echo(f"{path}: does not exist; mend: run `postroom store init` as the user who runs this", err=True)
    if missing:
        sys.exit(os.EX_CONFIG)
    log = open_log(main.WORD, config.log.level, config.log.to)
    sys.exit(exit_code(lambda: main.serve(config, context.path, log), log))
