"""`postroom template`: see, render, check and begin templates, without any daemon.

They are read as submission reads them: the operator's folder over the shipped one. On a machine without
a postroom.yaml the commands work all the same, with the shipped templates and the brand of an example.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from postroom.config.model import Config
    from postroom.ctl.context import CommandContext
    from postroom.templating import Catalogue, Rendered, Template


Function = TypeVar("Function", bound="Callable[..., Any] | click.Command")

EXAMPLE_DOMAIN = "example.org"
"""Stands for the operator's domain where there is no configuration."""


def _folder_option(*, exists: bool) -> Callable[[Function], Function]:
    return click.option(
        "--folder",
        type=click.Path(path_type=Path, exists=exists, file_okay=False, resolve_path=True),
        help="Your own templates are here, whatever templates.folder says.",
    )


@click.group()
def template() -> None:
    """List, render, check, begin and preview the e-mail templates."""


@template.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@_folder_option(exists=True)
@click.pass_obj
def list_(context: "CommandContext", as_json: bool, folder: Path | None) -> None:
    """List the templates: name, content version, locales, samples, what each is for."""
    catalogue = loaded(_config(context, folder))
    listed = [
        {
            "name": name,
            "version": found.version,
            "locales": sorted(found.locales),
            "samples": [trial for trial, _ in found.manifest.trials()],
            "variables": sorted(found.manifest.variables),
            "description": found.manifest.description,
        }
        for name, found in sorted(catalogue.templates.items())
    ]
    if as_json:
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    width = max(len(name) for name in catalogue.templates)
    for row in listed:
        click.echo(f"{row['name']:{width}}  {row['version']}  {' '.join(row['locales'])}  {row['description']}")


@template.command()
@click.argument("name")
@click.option("--locale", help="The locale, such as en or de-AT; default: the template's own.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A JSON file with the variables; - is standard input.",
)
@click.option("--sample", help="The data of a sample; `examples` has every variable. The default.")
@click.option("--part", type=click.Choice(["subject", "text", "html"]), help="Only this part, as it is.")
@_folder_option(exists=True)
@click.pass_obj
def render(
    context: "CommandContext",
    name: str,
    locale: str | None,
    data: Path | None,
    sample: str | None,
    part: str | None,
    folder: Path | None,
) -> None:
    """Print the whole message a template makes, as it would be handed over (RFC 5322)."""
    from postroom.ctl.send import variables

    if data is not None and sample is not None:
        raise click.UsageError("--data and --sample exclude each other")
    config = _config(context, folder)
    found = _named(loaded(config), name)
    given = _sample(found, sample or "examples") if data is None else variables(data, ())
    mail = _rendered(found, locale, given)
    if part is None:
        sys.stdout.buffer.write(whole(config, mail, time.time()))
    else:
        click.echo(getattr(mail, part), nl=part == "subject")


@template.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@_folder_option(exists=True)
@click.pass_obj
def lint(context: "CommandContext", names: tuple[str, ...], as_json: bool, folder: Path | None) -> None:
    """Look for what works badly, in all templates or in those named; exit 1 when there is something."""
    from dataclasses import asdict

    from postroom.templating.lint import check

    catalogue = loaded(_config(context, folder))
    chosen = [_named(catalogue, name).name for name in names] or catalogue.names()
    findings = [finding for name in chosen for finding in check(catalogue, name)]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(f"templates: {len(chosen)}, findings: {len(findings)}", err=True)
    sys.exit(1 if findings else 0)


@template.command()
@click.argument("name")
@click.option("--locale", "locales", multiple=True, default=("en",), show_default=True, help="May be repeated.")
@_folder_option(exists=False)
@click.pass_obj
def new(context: "CommandContext", name: str, locales: tuple[str, ...], folder: Path | None) -> None:
    """Begin a template in your own folder, ready to be rendered and changed."""
    from postroom.ctl.scaffold import ScaffoldRefused, write

    config = _config(context, folder)
    if config.templates.folder is None:
        mend = "name a folder with --folder" if context.has_no_config() else "name a folder there, or with --folder"
        click.echo(f"templates.folder is null, so a template of your own has no home; mend: {mend}", err=True)
        sys.exit(1)
    catalogue = loaded(config)
    try:
        if name in catalogue.templates:
            raise ScaffoldRefused(f"there is a template {name!r} already; mend: take another name, or edit that one")
        written = write(config.templates.folder, name, locales)
    except ScaffoldRefused as refused:
        click.echo(str(refused), err=True)
        sys.exit(1)
    loaded(config)
    for path in written:
        click.echo(path)
    also = "" if folder is None else f" --folder {folder}"
    click.echo(
        f"Next: edit them, then `postroom template lint {name}{also}` and `postroom template preview{also}`.", err=True
    )


@template.command()
@click.option("--socket", type=click.Path(path_type=Path), help="Listen on this Unix socket (0600) instead of TCP.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1; default: one that is free.")
@click.option("--send-to", multiple=True, metavar="ADDRESS", help="An address test mail may go to; may be repeated.")
@_folder_option(exists=True)
@click.pass_obj
def preview(
    context: "CommandContext", socket: Path | None, port: int, send_to: tuple[str, ...], folder: Path | None
) -> None:
    """Serve a page with all templates, locales and samples, until it is stopped; files are read again when saved."""
    import asyncio
    import secrets

    from postroom.ctl.client import ask
    from postroom.ctl.preview import Preview, PreviewAccess, serve
    from postroom.runtime.lifecycle import StartRefused

    config = _config(context, folder)
    templates = loaded(config)

    def send(body: dict[str, object]) -> tuple[int, Mapping[str, object]]:
        try:
            return ask(config.submission.socket, "POST", "/v1/messages", body)
        except SystemExit:  # said on stderr already; the preview goes on without submission
            return 502, {"detail": "submission does not answer"}

    async def run() -> None:
        shown = Preview(
            config,
            templates,
            lambda mail: whole(config, mail, time.time()),
            send,
            send_to,
        )
        await serve(
            shown,
            lambda at: PreviewAccess(f"127.0.0.1:{at}", secrets.token_urlsafe(24)),
            socket,
            port,
            click.echo,
        )

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        pass
    except StartRefused as refused:
        click.echo(str(refused), err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"cannot listen: {error.strerror}; mend: choose another --port or --socket", err=True)
        sys.exit(1)


def _config(context: "CommandContext", folder: Path | None) -> "Config":
    """The configuration, or that of an example where there is none; `folder` is --folder."""
    from postroom.config.model import Config

    if context.has_no_config():
        own = "" if folder is None else f"those in {folder} and "
        click.echo(f"{context.path}: there is none; using {own}the shipped templates, and an example's brand", err=True)
        return Config.model_validate(
            {
                "hostname": f"mail.{EXAMPLE_DOMAIN}",
                "domains": {EXAMPLE_DOMAIN: {}},
                "templates": {"folder": None if folder is None else str(folder), "brand": {"name": "Example"}},
            }
        )
    config = context.config
    if folder is None:
        return config
    return config.model_copy(update={"templates": config.templates.model_copy(update={"folder": folder})})


def loaded(config: "Config") -> "Catalogue":
    """The catalogue as configured. Ends the command with every fault when it cannot be used."""
    from postroom.config.paths import ShippedMissing
    from postroom.templating.configured import catalogue
    from postroom.templating.problems import TemplatesBroken

    try:
        return catalogue(config)
    except (ShippedMissing, ValueError, TemplatesBroken) as broken:
        click.echo(str(broken), err=True)
        sys.exit(1)


def whole(config: "Config", mail: "Rendered", now: float) -> bytes:
    """The message of a rendered template, from and to addresses that stand for real ones.

    Args:
        now: Unix seconds, its Date.
    """
    from postroom.mail.addresses import Mailbox
    from postroom.submission.api.compose import MailParts, compose
    from postroom.submission.api.writer import images_of

    domain = next(iter(config.domains))
    return compose(
        MailParts(
            from_=Mailbox(config.templates.brand.name, "noreply", domain),
            to=(Mailbox("", "recipient", "example.org"),),
            cc=(),
            reply_to=(),
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            message_id=f"preview.{mail.name}.{mail.locale}.{mail.version}@{domain}",
            date=now,
            auto_submitted=True,
            images=images_of(mail),
        )
    )


def _named(catalogue: "Catalogue", name: str) -> "Template":
    from postroom.templating.catalogue import TemplateUnknown

    try:
        return catalogue.get(name)
    except TemplateUnknown as unknown:
        raise click.UsageError(str(unknown)) from None


def _sample(found: "Template", name: str) -> Mapping[str, object]:
    trials = {trial.replace(" ", "-"): data for trial, data in found.manifest.trials()}
    if name not in trials:
        raise click.UsageError(f"{found.name} has no sample {name!r}; it has {', '.join(trials)}")
    return trials[name]


def _rendered(found: "Template", locale: str | None, data: Mapping[str, Any]) -> "Rendered":
    from postroom.templating import RenderFailed, VariablesInvalid

    try:
        return found.render(locale, data)
    except VariablesInvalid as invalid:
        for problem in invalid.problems:
            click.echo(f"{problem.pointer}: {problem.detail}", err=True)
    except RenderFailed as failed:
        click.echo(str(failed), err=True)
    sys.exit(1)
