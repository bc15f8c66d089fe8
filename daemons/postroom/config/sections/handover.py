"""`handover`: how long Postfix is waited for, and what happens to what stays in doubt."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from postroom.config import values
from postroom.config.section import Section
from postroom.config.units import duration_text


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
    showq: values.OptionalSocketPath = Field(
        None,
        description="Postfix's showq(8) socket, asked what is queued.",
        json_schema_extra={
            "default_text": "showq.sock in `run_dir` where systemd offers it, else /var/spool/postfix/public/showq"
        },
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
