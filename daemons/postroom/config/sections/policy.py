"""`policy`: the socket that smtpd(8) asks at, and the time for an answer."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from postroom.config import values
from postroom.config.section import Section
from postroom.config.units import duration_text

_LONGEST_BUDGET_S = 4.0


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
            raise ValueError(f"{duration_text(value)} is too close to the 5s that Postfix waits; write at most 4s")
        return value
