"""Services of the private Postfix that ask postroom-policy as postfix-conf/policy.* says: submission, and the world's.

The clients of submission (as on port 587) are known by their address (mynetworks), for the test bed has no SASL;
the other (as port 25) takes everybody for a stranger.
"""

from sandbox.postfix import CHECKOUT, main_settings

_PIECES = CHECKOUT / "postfix-conf"
PIECE = main_settings((_PIECES / "policy.main.cf").read_text(encoding="ascii"))

"""The settings of policy.main.cf, name to value."""

WORDS = {name: PIECE[name] for name in ("postroom_policy_smtp", "postroom_policy_inbound")}
"""Those of them that are words for restriction lists to use."""
WORLD_OPTIONS = {
    "syslog_name": "postfix/world",
    "mynetworks": "",
    # The bed poses as another host: what this one says to a return path counts for nothing.
    "smtpd_authorized_xforward_hosts": "127.0.0.1",
    "smtpd_recipient_restrictions": WORDS["postroom_policy_inbound"],
}
"""Of a service where the world delivers, name to value."""


def service_options(socket: str = "policy.sock") -> dict[str, str]:
    """The lines of policy.master.cf, name to value.

    Args:
        socket: of the daemon that is asked, in the queue directory's folder postroom.
    """
    asks = WORDS["postroom_policy_smtp"].replace("postroom/policy.sock", f"postroom/{socket}")
    options = {}
    for line in (_PIECES / "policy.master.cf").read_text(encoding="ascii").splitlines():
        if line.startswith("    -o"):
            name, _, value = line.strip().removeprefix("-o").strip(" {}").partition("=")
            value = value.replace("permit_sasl_authenticated", "permit_mynetworks")
            options[name.strip()] = value.strip().replace("$postroom_policy_smtp", asks)
    assert len(options) == 2, "policy.master.cf is not what this reads"
    return options
