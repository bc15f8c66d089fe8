"""`submission`: the HTTP door. Who may submit is known by process; one process is one client's."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidatorFunctionWrapHandler, field_validator, model_validator

from postroom.config import values
from postroom.config.cross_checks import claimed_twice
from postroom.config.section import RUN_DIR, Section, read_beside

SOCKET_NAME = "submission.sock"


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
            raise ValueError("identifies nobody; add users, uids or groups")
        return self


class SubmissionSection(Section):
    """The HTTP door: who may submit, and how much."""

    socket: values.SocketPath = Field(
        RUN_DIR / SOCKET_NAME,
        description="The Unix socket the API listens on.",
        json_schema_extra={"default_text": f"{SOCKET_NAME} in `run_dir`"},
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
    max_connections: Annotated[int, *values.whole_number(1, 8_000)] = Field(
        1_000,
        description="Connections that processes of one user may have open; further ones are refused. Where fewer "
        "descriptors are allowed it is at most a quarter of these.",
    )
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
