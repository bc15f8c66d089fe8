"""`watcher`: where Postfix logs, and where bounce mails arrive."""

from pathlib import Path

from pydantic import Field

from postroom.config import values
from postroom.config.section import Section


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
    probe: values.OptionalSocketPath = Field(
        None,
        description="The socket of a listener of Postfix, in whose sessions the watcher marks the log.",
        json_schema_extra={"default_text": "probe.sock in `run_dir` where systemd offers it, else `handover.socket`"},
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
