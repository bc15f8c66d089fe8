"""The configuration as a whole: its sections, and what holds between them.

Each section has a file in sections/, with meaning, unit and default of every setting.

A Config that exists is whole and consistent: values are in the units the
daemons use (seconds, octets), defaults that follow other settings are filled
in, contradictions were refused. Pure: the machine is not asked.

Flow:    load.py -> Config -> */main.py and ctl, which hand plain values on
Docs:    docs/configuration.md, whose tables reference.py makes from here
"""

from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from postroom.config import values
from postroom.config.cross_checks import named_twice, unknown_clients
from postroom.config.section import RUN_DIR, Section, raise_all, read_beside
from postroom.config.sections import submission
from postroom.config.sections.domains import FromDomain, read_domains
from postroom.config.sections.handover import HandoverSection
from postroom.config.sections.limits import LimitSection
from postroom.config.sections.milter import MilterSection
from postroom.config.sections.monitor import MonitorSection, ServeSection
from postroom.config.sections.policy import PolicySection
from postroom.config.sections.recipients import RecipientsSection
from postroom.config.sections.senders import SendersSection
from postroom.config.sections.submission import SubmissionSection
from postroom.config.sections.suppression import SuppressionSection
from postroom.config.sections.templates import TemplatesSection
from postroom.config.sections.watcher import WatcherSection


class LogSection(Section):
    """What the daemons log, and where."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines that are written."
    )
    to: Literal["auto", "journal", "stderr"] = Field(
        "auto", description="Where lines go; `auto` is the journal under systemd, else stderr."
    )


class RetentionSection(Section):
    """How long things are kept."""

    messages: values.Duration = Field(
        2_592_000.0,
        description="How long what became of a message can be asked, counted from its acceptance. "
        "One that waits or is in doubt is kept longer. Its body is gone as soon as no delivery needs it.",
    )


class Config(Section):
    """The whole of postroom.yaml: one attribute for each setting or section at its top level."""

    hostname: values.Hostname = Field(
        description="This host's full name, in EHLO and in Message-ID.",
        json_schema_extra={"default_text": "the machine's own name"},
    )
    state_dir: values.AbsolutePath = Field(
        Path("/var/lib/postroom"), description="What must last: outbox, counts, keys."
    )
    run_dir: values.AbsolutePath = Field(RUN_DIR, description="Sockets; may be emptied at boot.")
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
    recipients: RecipientsSection = Field(RecipientsSection())
    suppression: SuppressionSection = Field(SuppressionSection())
    monitor: MonitorSection = Field(default_factory=MonitorSection, validate_default=True)
    retention: RetentionSection = Field(RetentionSection())
    serve: ServeSection = Field(ServeSection())

    def changed_from(self, before: "Config", settings: Iterable[str]) -> list[str]:
        """Give those of the settings, or whole sections (`policy.socket`, `log`), that differ from `before`."""
        return [setting for setting in settings if attrgetter(setting)(before) != attrgetter(setting)(self)]

    def return_domains(self) -> frozenset[str]:
        """The return-path domains: where bounces go that are ours to read."""
        paths = (domain.return_path for domain in self.domains.values())
        return frozenset(path.domain for path in paths if path.domain is not None)

    @field_validator("run_dir")
    @classmethod
    def _holds_sockets(cls, value: Path) -> Path:
        values.socket_path(str(value / submission.SOCKET_NAME))
        return value

    @field_validator("domains", mode="plain")
    @classmethod
    def _read_with_their_names(cls, value: object) -> dict[str, FromDomain]:
        return read_domains(value)

    @field_validator("submission", "monitor")
    @classmethod
    def _socket_in_run_dir(
        cls, value: SubmissionSection | MonitorSection, info: ValidationInfo
    ) -> SubmissionSection | MonitorSection:
        if "socket" in value.model_fields_set:
            return value
        return value.model_copy(update={"socket": info.data.get("run_dir", RUN_DIR) / value.socket.name})

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
