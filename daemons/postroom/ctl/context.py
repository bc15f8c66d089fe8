"""What every command of `postroom` is handed: the path of the configuration, and what it says once it is read."""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click

from postroom.config.load import load
from postroom.config.model import Config
from postroom.config.problems import ConfigInvalid


@dataclass
class CommandContext:
    """The context of one call.

    Attributes:
        path:     of the configuration; it need not exist until a command asks for `config`.
        is_named: somebody has named it, by --config or $POSTROOM_CONFIG; else it is the default.
    """

    path: Path
    is_named: bool = True

    def has_no_config(self) -> bool:
        """Whether nobody has named a configuration, and the default one does not exist."""
        if self.is_named:
            return False
        try:
            self.path.stat()
        except OSError as error:
            # A file that may not be seen is one that is there: reading it says why it cannot be used.
            return isinstance(error, FileNotFoundError)
        return False

    @cached_property
    def config(self) -> Config:
        """The configuration; a bad one ends the command with each problem on a line and exit 78."""
        try:
            return load(self.path)
        except ConfigInvalid as invalid:
            for problem in invalid.problems:
                click.echo(str(problem), err=True)
            sys.exit(os.EX_CONFIG)

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
