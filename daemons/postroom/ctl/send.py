"""`postroom send`: send one message through the API, as any client would."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from postroom.ctl.context import CommandContext


@click.command()
@click.option("--from", "sender", required=True, help="The From mailbox; its domain must be one of ours.")
@click.option("--to", multiple=True, help="A recipient; may be repeated.")
@click.option("--cc", multiple=True)
@click.option("--bcc", multiple=True)
@click.option("--reply-to", multiple=True)
@click.option("--template", help="The template's name.")
@click.option("--stream", help="The stream of mail, such as newsletter; else the template's.")
@click.option("--locale", help="The template's locale, such as en or de-AT.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A JSON file with the template's variables; - is standard input.",
)
@click.option("-D", "--set", "pairs", multiple=True, metavar="NAME=VALUE", help="One variable, as a string.")
@click.option("--subject")
@click.option("--text", help="The text part; - reads standard input.")
@click.option("--html", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A file with the HTML part.")
@click.option("--idempotency-key", help="A request repeated with the same key makes no second message.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def send(  # one option is one parameter
    context: "CommandContext",
    sender: str,
    to: tuple[str, ...],
    cc: tuple[str, ...],
    bcc: tuple[str, ...],
    reply_to: tuple[str, ...],
    template: str | None,
    stream: str | None,
    locale: str | None,
    data: Path | None,
    pairs: tuple[str, ...],
    subject: str | None,
    text: str | None,
    html: Path | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Send one message: a template, or your own subject and text."""
    from postroom.ctl.client import ask, show_problem

    body: dict[str, Any] = {"from": sender}
    for name, mailboxes in (("to", to), ("cc", cc), ("bcc", bcc), ("reply_to", reply_to)):
        if mailboxes:
            body[name] = list(mailboxes)
    if stream is not None:
        body["stream"] = stream
    if template is not None:
        body["template"] = {"name": template, "data": variables(data, pairs)}
        if locale is not None:
            body["template"]["locale"] = locale
    elif data is not None or pairs or locale is not None:
        raise click.UsageError("--data, -D and --locale go with --template")
    if subject is not None:
        body["subject"] = subject
    if text is not None:
        body["text"] = _decoded("--text -", sys.stdin.buffer.read()) if text == "-" else text
    if html is not None:
        body["html"] = _decoded(f"--html {html}", html.read_bytes())
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    status, answer = ask(context.config.submission.socket, "POST", "/v1/messages", body, headers)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif status == 202:
        click.echo(f"accepted {answer['id']}")
    else:
        show_problem(answer)
    sys.exit(0 if status == 202 else 1)


def _decoded(option: str, octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{option}: is not UTF-8 (octet {error.start}); save it as UTF-8") from error


def variables(data: Path | None, pairs: tuple[str, ...]) -> dict[str, Any]:
    """The variables in a JSON file and in NAME=VALUE pairs, which win."""
    given: dict[str, Any] = {}
    if data is not None:
        try:
            read = json.loads(sys.stdin.buffer.read() if str(data) == "-" else data.read_bytes())
        except ValueError as error:
            raise click.UsageError(f"--data {data}: is not JSON: {error}") from error
        if not isinstance(read, dict):
            raise click.UsageError(f"--data {data}: must be a JSON object, variable name to value")
        given = read
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"-D {pair}: write NAME=VALUE")
        given[name] = value
    return given
