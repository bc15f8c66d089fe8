"""`postroom suppress export|import`: the list as a file (suppression/list_file.py has its form)."""

import csv
import io
import json
import sys
import time
from typing import IO, TYPE_CHECKING

import click

from postroom.ctl.shared_store import PAGE, all_suppressions, hash_key, with_store

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext
    from postroom.store.shared.values import Suppression
    from postroom.store.shared_store import SharedStore


@click.command()
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", help="CSV, or JSON lines.")
@click.pass_obj
def export(context: "CommandContext", form: str) -> None:
    """Print all that is in effect: hash, domain, masked address, stream, cause, since, until; never an address."""
    from postroom.suppression.list_file import COLUMNS, exported

    found = [exported(each) for each in with_store(context, all_suppressions) if not each.is_held]
    if form == "jsonl":
        for each in found:
            click.echo(json.dumps(each, ensure_ascii=False))
        return
    written = io.StringIO()
    rows = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(found)
    click.echo(written.getvalue(), nl=False)


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"))
@click.option("--skip-bad", is_flag=True, help="Import the good lines even if others are bad.")
@click.pass_obj
def import_(context: "CommandContext", file: IO[str], skip_bad: bool) -> None:
    """Suppress those in a file (- is standard input): what export writes, or an address or hash on each line.

    A bad line is reported with its number, and then nothing is imported, unless with --skip-bad; exit 1.
    """
    from postroom.suppression.list_file import BadLine, read_list

    good, bad = list["Suppression"](), 0
    for read in read_list(file, hash_key(context), time.time()):
        if isinstance(read, BadLine):
            bad += 1
            click.echo(f"{file.name}:{read.number}: {read.reason}", err=True)
        else:
            good.append(read)
    if bad and not skip_bad:
        click.echo(
            f"nothing imported; mend {'this line' if bad == 1 else f'these {bad} lines'}, or use --skip-bad", err=True
        )
        sys.exit(1)
    new = sum(with_store(context, lambda store: _import(store, good)))
    click.echo(f"{new} suppressed, {len(good) - new} were suppressed already")
    sys.exit(1 if bad else 0)


async def _import(store: "SharedStore", good: "list[Suppression]") -> list[bool]:
    # Repeated after a crash, the outcome is the same.
    return [
        is_new
        for first in range(0, len(good), PAGE)
        for is_new in await store.suppressions.suppress(good[first : first + PAGE])
    ]
