"""`suppression`: how many bounces are proof that mail to an address is pointless, and for how long."""

from typing import Annotated

from pydantic import Field, field_validator

from postroom.config import values
from postroom.config.section import Section
from postroom.config.units import duration_text

_HOUR_S, _DAY_S = 3_600.0, 86_400.0


class SuppressedClassSection(Section):
    """One class of bounces: when it is proof, and for how long."""

    bounces: Annotated[int, *values.whole_number(1, 20)] = Field(
        3,
        description="Where one bounce is no proof, so many are, without mail delivered in between.",
    )
    over: values.Duration = Field(14 * _DAY_S, description="And at least so long from the first of them to the last.")


class InvalidRecipientSection(SuppressedClassSection):
    """When bounces say that nobody has this address."""

    kept: values.Duration = Field(180 * _DAY_S, description="How long it gets no mail, from the last bounce on.")


class InvalidDomainSection(SuppressedClassSection):
    """When bounces say that nobody takes mail for this domain. One that lapsed is often renewed within weeks."""

    kept: values.Duration = Field(30 * _DAY_S, description="How long it gets no mail, from the last bounce on.")


class InactiveSection(SuppressedClassSection):
    """When bounces say that the account is closed."""

    kept: values.Duration = Field(180 * _DAY_S, description="How long it gets no mail, from the last bounce on.")


class MailboxFullSection(SuppressedClassSection):
    """When bounces say that the mailbox is full."""

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


COMPLAINT_REPORTERS = (
    # Documented by Yahoo (Sender Hub, FAQ): its reports, for AOL too, are signed by this domain.
    "arf.mail.yahoo.com",
    # Microsoft's JMRP forwards complaints From this address. hotmail.com signs its users' mail as well.
    "staff@hotmail.com",
    # Validity runs the loops of many providers (Comcast, Mail.ru, Yandex, …) under names below this one.
    "senderscore.net",
    # Names that providers, or Validity for them, use for feedback loops alone (feedbackloop@…).
    "fbl.apps.rackspace.com",
    "fbl.cox.net",
    "fbl.fastmail.com",
    "fbl.hostedemail.com",
    "fbl.synacor.com",
    "fbl.usa.net",
    "fbl.xs4all.net",
    "fbl.zoho.com",
    "feedback.bluetie.com",
)
"""Whose reports are known to be sent, and under which name; a name that does not sign its own changes nothing."""


class SuppressionSection(Section):
    """When bounces put an end to mail to a recipient, by the class of the fault."""

    invalid_recipient: InvalidRecipientSection = Field(InvalidRecipientSection())
    invalid_domain: InvalidDomainSection = Field(InvalidDomainSection())
    inactive: InactiveSection = Field(InactiveSection())
    mailbox_full: MailboxFullSection = Field(MailboxFullSection())
    wave: WaveSection = Field(WaveSection())
    complaint_reporters: values.Reporters = Field(
        COMPLAINT_REPORTERS,
        description="Whose complaints suppress by themselves, by a DKIM signature that holds: a domain (or one below "
        "it), or an address whose domain signs its users' mail too. All others are held for review. A list here "
        "replaces the one shipped.",
    )
