"""`postroom return-path`: the domains bounce mails come to, and their DNS records."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext


@click.group("return-path")
def return_path() -> None:
    """Where bounce mails come to: return_path of each domain, as far as it is verp or shared."""


@return_path.command()
@click.pass_obj
def domains(context: "CommandContext") -> None:
    """Print the return-path domains, one a line; nothing where there is none."""
    for domain in sorted(context.config.return_domains()):
        click.echo(domain)


@return_path.command()
@click.pass_obj
def dns(context: "CommandContext") -> None:
    """Print the MX and SPF records of each return-path domain, as a zone file has them.

    SPF is that of a host which gets the bounces and sends the mail. Where others send too, name them there.
    """
    listed = sorted(context.config.return_domains())
    if not listed:
        click.echo(
            f"{context.path}: has no return-path domain; mend: give a domain return_path: verp bounces.<domain>",
            err=True,
        )
        sys.exit(1)
    for domain in listed:
        click.echo(f"{domain}. IN MX 10 {context.config.hostname}.")
        click.echo(f'{domain}. IN TXT "v=spf1 mx -all"')
