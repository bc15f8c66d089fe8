"""Clients and writer of the API, as the configuration has them."""

from postroom.config import paths
from postroom.config.model import Config
from postroom.config.return_path import ReturnPath
from postroom.runtime.accounts import AccountUnknown, accounts_of
from postroom.runtime.lifecycle import StartRefused
from postroom.senders.configured import senders_table
from postroom.submission.api.auth import Client, Clients
from postroom.submission.api.writer import Writer
from postroom.templating.configured import catalogue
from postroom.templating.problems import TemplatesBroken


def clients_of(config: Config) -> Clients:
    """Who may use the API.

    Raises:
        StartRefused: with every user or group that does not exist.
    """
    clients, unknown = {}, []
    for name, settings in config.submission.clients.items():
        try:
            clients[Client(name, settings.admin)] = accounts_of(settings.users, settings.uids, settings.groups)
        except AccountUnknown as error:
            unknown.append(f"submission.clients.{name}: {error}")
    if unknown:
        raise StartRefused(*unknown)
    return Clients(clients)


def writer_of(config: Config) -> Writer:
    """Writes messages from the templates; reading and checking all of them takes a fraction of a second.

    Raises:
        StartRefused: with every fault of every template.
    """
    try:
        templates = catalogue(config)
    except (paths.ShippedMissing, ValueError) as error:
        raise StartRefused(str(error)) from error
    except TemplatesBroken as broken:
        raise StartRefused(*(str(problem).replace("\n  Mend: ", "; mend: ") for problem in broken.problems)) from broken
    return Writer(
        templates,
        {name: _envelope_sender(domain.return_path) for name, domain in config.domains.items()},
        senders_table(config),
    )


def _envelope_sender(path: ReturnPath) -> str:
    """The envelope sender with '*' where the token goes."""
    if path.domain is not None:
        return f"*@{path.domain}"
    assert path.mailbox is not None
    local, _, domain = path.mailbox.rpartition("@")
    return f"{local}+*@{domain}"
