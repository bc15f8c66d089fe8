"""`postroom dkim`: make signing keys, print their DNS records, verify signatures.

The verifier (verification.py) shares no code with what signs.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from postroom.mail.logsafe import safe

if TYPE_CHECKING:
    from postroom.config.model import Config
    from postroom.ctl.context import CommandContext
    from postroom.milter.keys import PrivateKey


@click.group()
def dkim() -> None:
    """Make and publish signing keys, and verify signatures."""


def _domain(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    from postroom.config.values import domain_name

    return None if text is None else _checked(domain_name, text)


def _selector(_context: click.Context, _option: click.Parameter, text: str) -> str:
    from postroom.config.values import selector

    return _checked(selector, text)


def _checked(read: Callable[[str], str], text: str) -> str:
    try:
        return read(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@dkim.command()
@click.option("--domain", required=True, callback=_domain, help="The From domain it signs for.")
@click.option("--selector", required=True, callback=_selector, help="Its name in DNS, for example 2026a.")
@click.option("--type", "kind", type=click.Choice(["rsa", "ed25519"]), default="rsa", show_default=True)
@click.option("--bits", type=click.IntRange(2048, 4096), default=2048, show_default=True, help="Size of an RSA key.")
@click.option("--out", type=click.Path(path_type=Path), help="The file; default: in `dkim` below state_dir.")
@click.option(
    "--group", help="Group that may read it (0640), such as postroom-milter; default: its owner alone (0600)."
)
@click.pass_obj
def key(
    context: "CommandContext", domain: str, selector: str, kind: str, bits: int, out: Path | None, group: str | None
) -> None:
    """Make a signing key and print its DNS record. A file that is there is never replaced."""
    from postroom.config import paths
    from postroom.milter.keys import record_value, zone_line

    path = out or paths.dkim_key(context.config, domain, selector)
    private = _new_key(kind, bits)
    try:
        _make_folder(path.parent, group)
        _write_key(path, private, group)
    except FileExistsError:
        click.echo(
            f"{path}: exists and was left as it is; mend: choose another selector, or a file with --out", err=True
        )
        sys.exit(1)
    except LookupError:
        click.echo(f"{path}: there is no group {group!r}; mend: create it, or name another", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(
            f"{path}: cannot be created ({error.strerror}); mend: check its folder, and which user you are", err=True
        )
        sys.exit(1)
    click.echo(f"{path}: ready; publish this record, then list the key below domains, {domain}, dkim:", err=True)
    click.echo(zone_line(domain, selector, record_value(private)))


def _new_key(kind: str, bits: int) -> "PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    return generate_private_key(65_537, bits) if kind == "rsa" else Ed25519PrivateKey.generate()


def _make_folder(folder: Path, group: str | None) -> None:
    """Make the folder where it is missing; who may read the key may pass through it."""
    if folder.exists():
        return
    folder.mkdir(mode=0o750, parents=True)
    if group is not None:
        shutil.chown(folder, group=group)
        folder.chmod(0o750)


def _write_key(path: Path, private: "PrivateKey", group: str | None) -> None:
    """Write it whole or not at all, and never over another one."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        if group is not None:
            shutil.chown(path, group=group)
            path.chmod(0o640)
    except BaseException:
        path.unlink()
        raise


@dkim.command()
@click.option("--domain", callback=_domain, help="Only the records of this domain.")
@click.pass_obj
def dns(context: "CommandContext", domain: str | None) -> None:
    """Print the DNS records of the configured keys, as a zone file has them."""
    from postroom.milter.keys import KeyUnusable, read_key, record_value, zone_line

    listed, trouble = _listed(context.config, domain), False
    if not listed:
        click.echo(f"{context.path}: has no such key; mend: make one with `postroom dkim key`", err=True)
        sys.exit(1)
    for name, selector, path in listed:
        try:
            click.echo(zone_line(name, selector, record_value(read_key(path))))
        except KeyUnusable as unusable:
            trouble = True
            click.echo(f"{path}: {unusable}", err=True)
    sys.exit(1 if trouble else 0)


def _listed(config: "Config", domain: str | None) -> list[tuple[str, str, Path]]:
    return [
        (name, key.selector, key.key_file)
        for name, settings in config.domains.items()
        if domain in {None, name}
        for key in settings.dkim
    ]


@dkim.command()
@click.argument("message", type=click.File("rb"), metavar="FILE|-")
@click.option(
    "--key-record", help="Verify with this TXT record instead of asking DNS, as for a record that is not published yet."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(message: BinaryIO, key_record: str | None, as_json: bool) -> None:
    """Verify every DKIM signature of a message; exit 1 when one fails or there is none."""
    import json
    from dataclasses import asdict

    from postroom.ctl import verification

    try:
        results = verification.verify(
            message.read(), verification.ask_dns if key_record is None else lambda _: key_record
        )
    except ValueError as error:
        click.echo(f"{message.name}: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results], indent=2))
    for result in () if as_json else results:
        word = "verifies" if result.holds else f"fails: {safe(result.reason)}"
        click.echo(f"{safe(result.domain)} {safe(result.selector)} {safe(result.algorithm)} {word}")
    if not results:
        click.echo(f"{message.name}: has no DKIM-Signature", err=True)
    sys.exit(0 if results and all(result.holds for result in results) else 1)
