"""The `postroom` command: the operator's tool and every daemon's entry.

Exit codes: 0 ok, 1 a finding, 2 usage, 78 bad configuration (sysexits.h EX_CONFIG).
"""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from postroom import __version__
from postroom.config import paths
from postroom.config.load import load
from postroom.config.model import Config
from postroom.config.problems import ConfigInvalid

if TYPE_CHECKING:
    from postroom.runtime.lifecycle import Life
    from postroom.runtime.log import Log

EX_CONFIG = 78

Serve = Callable[[Config, "Log", "Life"], Awaitable[None]]
"""A daemon's whole life; `serve` of its main.py."""


@dataclass
class Place:
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
    context.obj = Place(path)


@postroom.command()
@click.pass_obj
def submission(place: Place) -> None:
    """Run the submission daemon in the foreground."""
    from postroom.submission.main import WORD, serve

    _live(place.config, WORD, serve)


@postroom.command()
@click.pass_obj
def policy(place: Place) -> None:
    """Run the policy daemon in the foreground."""
    from postroom.policy.main import WORD, serve

    _live(place.config, WORD, serve)


def _live(config: Config, word: str, serve: Serve) -> NoReturn:
    from postroom.runtime.lifecycle import run
    from postroom.runtime.log import open_log

    log = open_log(word, config.log.level, config.log.to)
    sys.exit(run(lambda life: serve(config, log, life), log))


@postroom.command()
@click.pass_obj
def milter(place: Place) -> None:
    """Run the milter in the foreground."""
    from postroom.milter.main import WORD, serve
    from postroom.runtime.lifecycle import exit_code
    from postroom.runtime.log import open_log

    config = place.config
    log = open_log(WORD, config.log.level, config.log.to)
    sys.exit(exit_code(lambda: serve(config, lambda: load(place.path), log), log))


@postroom.command()
@click.pass_obj
def watcher(place: Place) -> None:
    """Run the watcher daemon in the foreground."""
    from postroom.watcher.main import WORD, serve

    _live(place.config, WORD, serve)


@postroom.command()
@click.pass_obj
def monitor(place: Place) -> None:
    """Run the monitor daemon in the foreground."""
    from postroom.monitor.main import WORD, serve

    _live(place.config, WORD, serve)


def _register() -> None:
    from postroom.ctl import bounce, check, dkim, limits, log, send, status, store, suppress, template

    for command in (
        bounce.bounce,
        check.check,
        dkim.dkim,
        limits.limits,
        log.log,
        send.send,
        status.status,
        store.store,
        suppress.suppress,
        template.template,
    ):
        postroom.add_command(command)


_register()


def main() -> None:
    """The console script."""
    postroom(prog_name="postroom")
