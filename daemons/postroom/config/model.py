"""The configuration: every setting with its meaning, unit and default.

A Config that exists is whole and consistent: values are in the units the
daemons use (seconds, octets), defaults that follow other settings are filled
in, contradictions were refused. Pure: the machine is not asked.

Flow:    load.py -> Config -> */main.py and ctl, which hand plain values on
Docs:    docs/configuration.md, whose tables reference.py makes from here
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator, model_validator

from postroom.config import values
from postroom.config.cross_checks import claimed_twice, named_twice, unknown_clients
from postroom.config.daemons import DAEMONS
from postroom.config.domains import FromDomain, read_domains
from postroom.config.section import Section, raise_all, read_beside
from postroom.config.units import duration_text

_RUN_DIR = Path("/run/postroom")
_SUBMISSION_SOCKET = "submission.sock"
_MONITOR_SOCKET = "monitor.sock"
_LONGEST_BUDGET_S = 4.0
_HOUR_S, _DAY_S = 3_600.0, 86_400.0


class LogSection(Section):
    """What the daemons log, and where."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines that are written."
    )
    to: Literal["auto", "journal", "stderr"] = Field(
        "auto", description="Where lines go; `auto` is the journal under systemd, else stderr."
    )


class ClientSection(Section):
    """Who submits through the socket, known by the uid and groups of its process (unix(7), SO_PEERCRED)."""

    users: tuple[values.User, ...] = Field((), description="Names of the users it runs as.")
    uids: tuple[values.Uid, ...] = Field((), description="The same by number, for users this machine has no name for.")
    groups: tuple[values.Group, ...] = Field((), description="Groups whose members are this client.")
    admin: values.Switch = Field(
        False, description="Whether it sees and changes the mail of all clients, not only its own."
    )

    @model_validator(mode="after")
    def _stands_for_somebody(self) -> Self:
        if not (self.users or self.uids or self.groups):
            raise ValueError("stands for nobody; add users, uids or groups")
        return self


class SubmissionSection(Section):
    """The HTTP door: who may submit, and how much."""

    socket: values.SocketPath = Field(
        _RUN_DIR / _SUBMISSION_SOCKET,
        description="The Unix socket the API listens on.",
        json_schema_extra={"default_text": f"{_SUBMISSION_SOCKET} in `run_dir`"},
    )
    socket_mode: values.Mode = Field(0o660, description="Who may connect: mode of the socket.")
    socket_group: values.OptionalGroup = Field(
        "postroom-submit", description="Group of the socket; null leaves it to the group of the daemon."
    )
    clients: dict[values.Name, ClientSection] = Field(
        {}, description="Who may submit: a name of your choice, and whose processes it stands for."
    )
    max_request: values.Size = Field(10_000_000, description="The largest request that is read.")
    request_timeout: values.Duration = Field(30.0, description="How long a request may take to arrive.")
    max_waiting: Annotated[int, *values.whole_number(1, 10_000_000)] = Field(
        100_000, description="Deliveries in the outbox past which new mail is refused until some have left."
    )
    idempotency_kept: values.Duration = Field(
        86_400.0, description="How long an idempotency key is remembered; asked again later, it is a new message."
    )

    @field_validator("clients", mode="wrap")
    @classmethod
    def _one_client_per_process(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        return read_beside({} if value is None else value, read, claimed_twice(value))


class HandoverSection(Section):
    """How accepted mail is given to Postfix."""

    socket: values.SocketPath = Field(
        Path("/var/spool/postfix/public/postroom-in"), description="The socket of our listener in Postfix's master.cf."
    )
    sessions: Annotated[int, *values.whole_number(1, 50)] = Field(4, description="SMTP sessions open at once, at most.")
    reply_timeout: values.Duration = Field(60.0, description="How long Postfix may take for one reply.")
    retry_first: values.Duration = Field(
        10.0,
        description="First wait before a delivery that Postfix deferred is offered again; later ones are longer.",
    )
    retry_max: values.Duration = Field(1_800.0, description="The longest such wait; not below `retry_first`.")
    give_up_after: values.Duration = Field(
        432_000.0, description="Age at which a delivery that Postfix never took is failed; not below `retry_max`."
    )
    away_retry_max: values.Duration = Field(
        30.0, description="While Postfix does not answer at all: the longest wait before it is tried again."
    )
    showq: values.SocketPath = Field(
        Path("/var/spool/postfix/public/showq"), description="Postfix's showq(8) socket, asked what is queued."
    )

    witness_wait: values.Duration = Field(
        3_600.0,
        description="How long a delivery in doubt waits for the watcher to find out what became of it, "
        "before `in_doubt` says what then.",
    )
    in_doubt: Literal["wait", "resend"] = Field(
        "wait",
        description="What then: leave it in doubt until somebody decides (`wait`), or send it again, "
        "perhaps twice (`resend`).",
    )

    @field_validator("retry_max", "give_up_after")
    @classmethod
    def _not_below(cls, value: float, info: ValidationInfo) -> float:
        for shorter in ("retry_max", "retry_first"):
            least = info.data.get(shorter)  # absent: it stands below this one, or is broken itself
            if least is not None and value < least:
                raise ValueError(f"{duration_text(value)} is below {shorter}; write at least {duration_text(least)}")
        return value


class MilterSection(Section):
    """The milter: where Postfix asks it, whose mail it signs, and when it holds mail of sendmail(1)."""

    socket: values.SocketPath = Field(
        Path("/var/spool/postfix/postroom/milter.sock"), description="The Unix socket Postfix connects to."
    )
    socket_mode: values.Mode = Field(
        0o660, description="Mode of the socket. It signs what it is handed: let nobody but Postfix connect."
    )
    socket_group: values.OptionalGroup = Field(
        "postfix", description="Group of the socket; null leaves it to the group of the daemon."
    )
    workers: Annotated[int, *values.whole_number(1, 64)] = Field(
        2, description="Processes that sign; one for each processor is right."
    )
    networks: values.OptionalNetworks = Field(
        None,
        description="Clients whose mail is signed without a login. null: Postfix's own `mynetworks`, "
        "asked with postconf(1) at the start and at each reload.",
    )
    drain: values.Duration = Field(30.0, description="How long SMTP sessions may go on when the daemon is stopped.")
    expire_after: values.Duration = Field(
        604_800.0,
        description="How long a signature holds (its `x=`): Postfix's maximal_queue_lifetime (5d) and two days more.",
    )
    hold_above: values.OptionalCount = Field(
        1_000,
        description="Mail of sendmail(1) that waits for one limit, by one key: past so many, more of it is put on hold "
        "and is not tried again until `postroom limits release`. null: none is held.",
    )


class WatcherSection(Section):
    """How Postfix's log is followed, and where the mail to our return-path domains is taken."""

    source: values.LogSource = Field(
        "journal",
        description="Where Postfix logs: the `journal`, the path of its log file, or `stdin`, for containers. Only the "
        "journal says who wrote a line; what a bounce elsewhere says of a recipient counts only when submission saw "
        "that mail too.",
    )
    units: values.Units = Field(
        "auto",
        description="Units whose lines in the journal are Postfix's; `auto`: those of its programs, wherever they run.",
    )
    relayhost: values.Switch = Field(
        False,
        description="Whether Postfix gives its mail to a relayhost: what that took is `relayed`, not `delivered`.",
    )
    socket: values.SocketPath = Field(
        Path("/var/spool/postfix/postroom/lmtp.sock"),
        description="The Unix socket that takes bounce mails by LMTP, where a domain has return path `verp` or "
        "`shared`; inside Postfix's queue directory, for lmtp(8) may run in a chroot there.",
    )
    socket_mode: values.Mode = Field(0o660, description="Who may deliver: mode of the socket.")
    socket_group: values.OptionalGroup = Field(
        "postfix", description="Group of the socket; null leaves it to the group of the daemon."
    )


class BrandSection(Section):
    """What the templates say about the sender."""

    name: values.Text = Field("", description="Name of the organisation or product; empty: the first of `domains`.")
    url: values.Url = Field("", description="Its home page; empty: the web site of the first of `domains`.")
    address: values.Text = Field("", description="Its postal address, on one line; empty: left out.")
    support: values.Text = Field(
        "", description="Where recipients find help: an address, telephone number or page; empty: left out."
    )
    colour: values.Colour = Field("#0b57d0", description="Colour of buttons and links, as #rrggbb.")
    logo: values.OptionalPath = Field(
        None,
        description="A PNG, JPEG or GIF of at most 48 kB, sent inside each mail and shown on top; "
        "null: the name stands there.",
    )


class TemplatesSection(Section):
    """The e-mail templates."""

    folder: values.OptionalPath = Field(
        Path("/etc/postroom/templates"),
        description="Your templates; one of the same name replaces the shipped one. null: only the shipped ones.",
    )
    brand: BrandSection = Field(BrandSection())


class LimitSection(Section):
    """How much of something may pass in a span of time."""

    name: values.Name = Field(description="The rule's name in refusals, logs and metrics.")
    key: Literal["client", "sender", "recipient", "recipient_domain", "login", "uid", "client_address", "server"] = (
        Field(
            description="What is counted apart from each other: each client of submission, each sender, each user "
            "(`uid`) of sendmail(1), and so on."
        )
    )
    counts: Literal["requests", "messages", "recipients"] = Field(
        "messages", description="What is counted; `requests` are those to send by the API, with key `client` only."
    )
    rate: values.RateValue = Field(
        description="How many in any span of time, at most: `100/1h`. The span is 1s to 31d, and slides."
    )
    burst: values.OptionalCount = Field(None, description="How many at once, at most; not above the count of `rate`.")
    on_store_loss: Literal["local", "allow", "defer"] = Field(
        "local",
        description="Without the store: count in the process (`local`), do not count (`allow`), or wait (`defer`).",
    )

    @field_validator("counts")
    @classmethod
    def _requests_are_of_clients(cls, value: str, info: ValidationInfo) -> str:
        key = info.data.get("key")
        if value == "requests" and key not in {None, "client"}:
            raise ValueError(f"'requests' are made by clients, so key {key!r} has none; write messages or recipients")
        return value

    @field_validator("burst")
    @classmethod
    def _within_the_rate(cls, value: int | None, info: ValidationInfo) -> int | None:
        rate = info.data.get("rate")
        if value is not None and rate is not None and value > rate.count:
            raise ValueError(
                f"{value} at once is more than rate, {rate}, ever lets through; write at most {rate.count}"
            )
        return value


class SenderSection(Section):
    """Domains, and who may write mail From them; each is known at its own door by something else."""

    domains: tuple[values.DomainName, ...] = Field(description="Domains of From, without their subdomains.")
    users: tuple[values.User, ...] = Field((), description="Users of sendmail(1), by name.")
    uids: tuple[values.Uid, ...] = Field((), description="The same by number.")
    groups: tuple[values.Group, ...] = Field((), description="Groups of users of sendmail(1).")
    logins: tuple[values.Login, ...] = Field((), description="Names that log in at a submission service (SASL).")
    clients: tuple[values.Name, ...] = Field((), description="Clients of the API, as under `submission.clients`.")
    networks: tuple[values.NetworkValue, ...] = Field((), description="Addresses of SMTP clients.")

    @model_validator(mode="after")
    def _stands_for_somebody(self) -> Self:
        if not (self.users or self.uids or self.groups or self.logins or self.clients or self.networks):
            raise ValueError("stands for nobody; add users, uids, groups, logins, clients or networks")
        if not self.domains:
            raise ValueError("has no domains; add those that may be used")
        return self


class SendersSection(Section):
    """Who may write mail From which domain. Empty, everybody may use every domain."""

    allow: tuple[SenderSection, ...] = Field(
        (), description="Who may use what. Whoever is not named may use the host's own name (`hostname`) only."
    )
    others: Literal["unsigned", "refuse"] = Field(
        "unsigned",
        description="Mail From a domain its sender may not use: passed without our signature, or refused (550). "
        "At the API it is always refused.",
    )


class PolicySection(Section):
    """How Postfix is answered, which asks about each recipient and message of the SMTP doors."""

    socket: values.SocketPath = Field(
        Path("/var/spool/postfix/postroom/policy.sock"),
        description="The Unix socket Postfix asks at; inside its queue directory, for smtpd may run in a chroot there.",
    )
    socket_mode: values.Mode = Field(0o660, description="Who may connect: mode of the socket.")
    socket_group: values.OptionalGroup = Field(
        "postfix", description="Group of the socket; null leaves it to the group of the daemon."
    )
    budget: values.Duration = Field(
        1.0, description="How long an answer may take, whatever the store does; at most 4s, for Postfix waits 5s."
    )
    count_at: Literal["end_of_message", "rcpt"] = Field(
        "end_of_message", description="When mail is counted; `rcpt` where Postfix asks at RCPT only."
    )

    @field_validator("budget")
    @classmethod
    def _below_the_timeout(cls, value: float) -> float:
        if value > _LONGEST_BUDGET_S:
            raise ValueError(f"{duration_text(value)} is too near to the 5s that Postfix waits; write at most 4s")
        return value


class MonitorSection(Section):
    """Where health, metrics and the page with the figures are read, and what is expected of this host."""

    socket: values.SocketPath = Field(
        _RUN_DIR / _MONITOR_SOCKET,
        description="The Unix socket that answers HTTP.",
        json_schema_extra={"default_text": f"{_MONITOR_SOCKET} in `run_dir`"},
    )
    socket_mode: values.Mode = Field(0o660, description="Who may look: mode of the socket.")
    socket_group: values.OptionalGroup = Field(
        "postroom-admin", description="Group of the socket; null leaves it to the group of the daemon."
    )
    daemons: values.Words = Field(
        tuple(word for word in DAEMONS if word != "monitor"),
        description="The daemons that are to run on this host; one of them that is silent is a failure.",
    )
    waiting_late: values.Duration = Field(
        3_600.0, description="Age from which a delivery that still waits in the outbox is a failure."
    )


class ServeSection(Section):
    """What `postroom serve` runs as one service, where systemd does not run each daemon by itself."""

    daemons: values.Words = Field(DAEMONS, description="Which daemons it runs.")
    watchdog: values.Duration = Field(
        30.0, description="How long a daemon may give no sign of life before it is killed and started again."
    )
    drain: values.Duration = Field(
        60.0, description="How long all of them together may take to end; whoever stops serve must wait longer."
    )


class SuppressedClassSection(Section):
    """One class of bounces: when it is proof, and for how long."""

    bounces: Annotated[int, *values.whole_number(1, 20)] = Field(
        3,
        description="Where one bounce is no proof, so many are, without mail delivered in between.",
    )
    over: values.Duration = Field(14 * _DAY_S, description="And at least so long from the first of them to the last.")


class InvalidRecipientSection(SuppressedClassSection):
    """Nobody has this address."""

    kept: values.Duration = Field(180 * _DAY_S, description="How long it gets no mail, from the last bounce on.")


class InvalidDomainSection(SuppressedClassSection):
    """Nobody takes mail for this domain. One that lapsed is often renewed within weeks."""

    kept: values.Duration = Field(30 * _DAY_S, description="How long it gets no mail, from the last bounce on.")


class InactiveSection(SuppressedClassSection):
    """The account is closed."""

    kept: values.Duration = Field(180 * _DAY_S, description="How long it gets no mail, from the last bounce on.")


class MailboxFullSection(SuppressedClassSection):
    """The mailbox is full."""

    kept: values.Duration = Field(14 * _DAY_S, description="How long it gets no mail, from the last bounce on.")


class WaveSection(Section):
    """When suppressions by bounces are a burst, and further ones are held for review."""

    suppressions: Annotated[int, *values.whole_number(1, 1_000_000)] = Field(
        20, description="How many of one domain, or by one rule of classification, are not yet a burst."
    )
    within: values.Duration = Field(600.0, description="In how long a time they are counted; at most 1h.")
    percent: Annotated[int, *values.whole_number(0, 100)] = Field(
        20,
        description="Nor are they where they are not more than so many of a hundred recipients, those that mail was "
        "delivered to counted in; 100 holds nothing.",
    )

    @field_validator("within")
    @classmethod
    def _deliveries_are_known(cls, value: float) -> float:
        if value > _HOUR_S:
            raise ValueError(f"{duration_text(value)} is longer than deliveries are counted; write at most 1h")
        return value


class SuppressionSection(Section):
    """When bounces put an end to mail to a recipient, by the class of the fault."""

    invalid_recipient: InvalidRecipientSection = Field(InvalidRecipientSection())
    invalid_domain: InvalidDomainSection = Field(InvalidDomainSection())
    inactive: InactiveSection = Field(InactiveSection())
    mailbox_full: MailboxFullSection = Field(MailboxFullSection())
    wave: WaveSection = Field(WaveSection())


class RetentionSection(Section):
    """How long things are kept."""

    messages: values.Duration = Field(
        2_592_000.0,
        description="How long what became of a message can be asked, counted from its acceptance. "
        "One that waits or is in doubt is kept longer. Its body is gone as soon as no delivery needs it.",
    )


class Config(Section):
    """The whole of postroom.yaml."""

    hostname: values.Hostname = Field(
        description="This host's full name, in EHLO and in Message-ID.",
        json_schema_extra={"default_text": "the machine's own name"},
    )
    state_dir: values.AbsolutePath = Field(
        Path("/var/lib/postroom"), description="What must last: outbox, counts, keys."
    )
    run_dir: values.AbsolutePath = Field(_RUN_DIR, description="Sockets; may be emptied at boot.")
    log: LogSection = Field(LogSection())
    domains: dict[values.DomainName, FromDomain] = Field(
        description="The domains mail may be From, at least one, each with where its bounces go."
    )
    submission: SubmissionSection = Field(default_factory=SubmissionSection, validate_default=True)
    handover: HandoverSection = Field(HandoverSection())
    milter: MilterSection = Field(MilterSection())
    watcher: WatcherSection = Field(WatcherSection())
    templates: TemplatesSection = Field(TemplatesSection())
    limits: tuple[LimitSection, ...] = Field(
        (), description="Limits of mail, and of the requests to send. All of them hold; without any, none does."
    )
    senders: SendersSection = Field(SendersSection())
    policy: PolicySection = Field(PolicySection())
    suppression: SuppressionSection = Field(SuppressionSection())
    monitor: MonitorSection = Field(default_factory=MonitorSection, validate_default=True)
    retention: RetentionSection = Field(RetentionSection())
    serve: ServeSection = Field(ServeSection())

    def return_domains(self) -> frozenset[str]:
        """The return-path domains: where bounces go that are ours to read."""
        paths = (domain.return_path for domain in self.domains.values())
        return frozenset(path.domain for path in paths if path.domain is not None)

    @field_validator("run_dir")
    @classmethod
    def _holds_sockets(cls, value: Path) -> Path:
        values.socket_path(str(value / _SUBMISSION_SOCKET))
        return value

    @field_validator("domains", mode="plain")
    @classmethod
    def _read_with_their_names(cls, value: object) -> dict[str, FromDomain]:
        return read_domains(value)

    @field_validator("submission")
    @classmethod
    def _socket_in_run_dir(cls, value: SubmissionSection, info: ValidationInfo) -> SubmissionSection:
        if "socket" in value.model_fields_set:
            return value
        return value.model_copy(update={"socket": info.data.get("run_dir", _RUN_DIR) / _SUBMISSION_SOCKET})

    @field_validator("monitor")
    @classmethod
    def _monitor_socket_in_run_dir(cls, value: MonitorSection, info: ValidationInfo) -> MonitorSection:
        if "socket" in value.model_fields_set:
            return value
        return value.model_copy(update={"socket": info.data.get("run_dir", _RUN_DIR) / _MONITOR_SOCKET})

    @field_validator("senders")
    @classmethod
    def _names_clients_there_are(cls, value: SendersSection, info: ValidationInfo) -> SendersSection:
        submission = info.data.get("submission")  # absent: it is broken itself
        if submission is not None:
            raise_all(list(unknown_clients([entry.clients for entry in value.allow], submission.clients)))
        return value

    @field_validator("limits", mode="wrap")
    @classmethod
    def _names_differ(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        return read_beside(() if value is None else value, read, named_twice(value))
