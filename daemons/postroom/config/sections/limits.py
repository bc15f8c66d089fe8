"""`limits`: a list of rules; all of them hold."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from postroom.config import values
from postroom.config.section import Section
from postroom.config.units import Rate


class LimitSection(Section):
    """How much of something may pass in a span of time."""

    name: values.Name = Field(description="The rule's name in refusals, logs and metrics.")
    key: Literal["client", "sender", "recipient", "recipient_domain", "login", "uid", "client_address", "server"] = (
        Field(
            description="What is counted apart from each other: each client of submission, each sender, each user "
            "of this host (`uid`), and so on."
        )
    )
    counts: Literal["requests", "messages", "recipients"] = Field(
        "messages", description="What is counted; `requests` are those to send by the API, with key `client` only."
    )
    rate: values.RateValue = Field(
        description="How many in any span of time, at most: `100/1h`. The span is 1s to 31d, and slides."
    )
    burst: values.OptionalCount = Field(None, description="How many at once, at most; not above the count of `rate`.")
    unknown_rate: values.OptionalRate = Field(
        None,
        description="With key `uid` only: the rate of all mail together whose user cannot be told. "
        "null: a tenth of the count of `rate`, at least 1. A `burst` above it is cut down to it.",
    )
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

    @field_validator("unknown_rate")
    @classmethod
    def _unknown_are_users(cls, value: Rate | None, info: ValidationInfo) -> Rate | None:
        key = info.data.get("key")
        if value is not None and key not in {None, "uid"}:
            raise ValueError(f"is of users of this host, and key {key!r} counts others; write it where key is uid")
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
