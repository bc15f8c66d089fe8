"""The `postroom` command: the operator's tool and every daemon's entry.

Exit codes: 0 ok, 1 a finding, 2 usage, 78 bad configuration (sysexits.h EX_CONFIG).
"""

from pathlib import Path

import click
from click.core import ParameterSource

from postroom import __version__
from postroom.config import paths
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
from postroom.ctl.context import CommandContext
from postroom.ctl.suppress.commands import suppress


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
def postroom(click_context: click.Context, path: Path) -> None:
    """The outbound mail room for the Postfix you already run."""
    is_default = click_context.get_parameter_source("path") is ParameterSource.DEFAULT
    click_context.obj = CommandContext(path, is_named=not is_default or paths.is_config_named())


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


def main() -> None:
    """Entry point of the console script and of `python -m postroom`."""
    postroom(prog_name="postroom")
