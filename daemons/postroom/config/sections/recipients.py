"""`recipients`: which addresses are one recipient."""

from typing import Literal

from pydantic import Field

from postroom.config.section import Section


class RecipientsSection(Section):
    """Which addresses are one recipient, for suppression and for limits."""

    plus_addresses: Literal["separate", "same"] = Field(
        "separate",
        description="Whether `jane+x@example.net` is a recipient of its own, or the `same` as `jane@example.net`: "
        "counted as that one, and suppressed where that one is. At domains of `mydestination` Postfix's "
        "`recipient_delimiter` holds.",
    )
