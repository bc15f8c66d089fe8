"""The daemons' entries: `postroom WORD` runs one in the foreground, as a unit or `postroom serve` does."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn

import click

from postroom.config.model import Config

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext
    from postroom.runtime.lifecycle import Life
    from postroom.runtime.log import Log

Serve = Callable[[Config, Callable[[], Config], "Log", "Life"], Awaitable[None]]
"""A daemon's whole life; `serve` of its main.py."""


@click.command()
@click.pass_obj
def submission(context: "CommandContext") -> None:
    """Run the submission daemon in the foreground."""
    from postroom.submission.main import WORD, serve

    _live(context, WORD, serve)


@click.command()
@click.pass_obj
def policy(context: "CommandContext") -> None:
    """Run the policy daemon in the foreground."""
    from postroom.policy.main import WORD, serve

    _live(context, WORD, serve)


@click.command()
@click.pass_obj
def milter(context: "CommandContext") -> None:
    """Run the milter in the foreground."""
    from postroom.milter.main import WORD, serve
    from postroom.runtime.descriptors import take_descriptors
    from postroom.runtime.lifecycle import exit_code
    from postroom.runtime.log import open_log

    config = context.config
    take_descriptors()
    log = open_log(WORD, config.log.level, config.log.to)
    sys.exit(exit_code(lambda: serve(config, context.reread, log), log))


@click.command()
@click.pass_obj
def watcher(context: "CommandContext") -> None:
    """Run the watcher daemon in the foreground."""
    from postroom.watcher.main import WORD, serve

    _live(context, WORD, serve)


@click.command()
@click.pass_obj
def monitor(context: "CommandContext") -> None:
    """Run the monitor daemon in the foreground."""
    from postroom.monitor.main import WORD, serve

    _live(context, WORD, serve)


def _live(context: "CommandContext", word: str, serve: Serve) -> NoReturn:
    from postroom.runtime.descriptors import take_descriptors
    from postroom.runtime.lifecycle import run
    from postroom.runtime.log import open_log

    config = context.config
    take_descriptors()
    log = open_log(word, config.log.level, config.log.to)
    sys.exit(run(lambda life: serve(config, context.reread, log, life), log))


COMMANDS = (watcher, policy, milter, submission, monitor)
"""One for each word of config/daemons.py."""
