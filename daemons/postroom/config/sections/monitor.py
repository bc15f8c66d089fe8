"""`monitor` and `serve`: the daemons of this host as a whole, watched and run."""

from pydantic import Field

from postroom.config import values
from postroom.config.daemons import DAEMONS
from postroom.config.section import RUN_DIR, Section

SOCKET_NAME = "monitor.sock"


class MonitorSection(Section):
    """Where health, metrics and the page with the figures are read, and what is expected of this host."""

    socket: values.SocketPath = Field(
        RUN_DIR / SOCKET_NAME,
        description="The Unix socket that answers HTTP.",
        json_schema_extra={"default_text": f"{SOCKET_NAME} in `run_dir`"},
    )
    socket_mode: values.Mode = Field(0o660, description="Who may look: mode of the socket.")
    socket_group: values.OptionalGroup = Field(
        "postroom-admin", description="Group of the socket; null leaves it to the group of the daemon."
    )
    hosts: tuple[values.DomainName, ...] = Field(
        (),
        description="More names by which it may be asked, as of a proxy in front; `localhost`, `hostname` and the "
        "machine's own name are answered without that.",
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
