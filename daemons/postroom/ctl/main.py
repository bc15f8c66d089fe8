"""The `postroom` command: the operator's tool and every daemon's entry.

Exit codes: 0 ok, 1 a finding, 2 usage, 78 bad configuration (sysexits.h EX_CONFIG).
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click

from postroom import __version__
from postroom.config import paths
from postroom.config.load import load
from postroom.config.model import Config
from postroom.config.problems import ConfigInvalid

EX_CONFIG = 78


@dataclass
class CommandContext:
    """Where this call finds its configuration."""

    path: Path

    @cached_property
    def config(self) -> Config:
        """The configuration; a bad one ends the command with each problem on a line and exit 78."""
        try:
            return load(self.path)
        except ConfigInvalid as invalid:
            for problem in invalid.problems:
                click.echo(str(problem), err=True)
            sys.exit(EX_CONFIG)

    def reread(self) -> Config:
        """The configuration as it is now, for a daemon that reloads.

        Raises:
            StartRefused: it cannot be used; with each problem.
        """
        from postroom.runtime.lifecycle import StartRefused

        try:
            return load(self.path)
        except ConfigInvalid as invalid:
            raise StartRefused(*map(str, invalid.problems)) from invalid


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, readable=False),  # load() says it better, and exits 78
    default=paths.default_config,
    help="The configuration; default $POSTROOM_CONFIG, else /etc/postroom/postroom.yaml.",
)
@click.version_option(__version__, prog_name="postroom")
@click.pass_context
def postroom(context: click.Context, path: Path) -> None:
    """The outbound mail room for the Postfix you already run."""
    context.obj = CommandContext(path)


def _register() -> None:
    from postroom.ctl import (
        bounce,
        check,
        daemons,
        dkim,
        limits,
        log,
        privacy,
        return_path,
        send,
        serve,
        status,
        store,
        template,
    )
    from postroom.ctl.suppress.commands import suppress

    for command in (
        *daemons.COMMANDS,
        bounce.bounce,
        check.check,
        dkim.dkim,
        limits.limits,
        log.log,
        privacy.privacy,
        return_path.return_path,
        send.send,
        serve.serve,
        status.status,
        store.store,
        suppress,
        template.template,
    ):
        postroom.add_command(command)


_register()


def main() -> None:
    """The console script."""
    postroom(prog_name="postroom")
