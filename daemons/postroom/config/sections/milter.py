"""`milter`: whose mail is signed, by how many processes."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from postroom.config import values
from postroom.config.section import Section


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
