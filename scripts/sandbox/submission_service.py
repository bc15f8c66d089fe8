"""A submission service of the private Postfix, as on port 587: it asks postroom-policy as postfix-conf/policy.* says.

Its clients are known by their address (mynetworks), for the test bed has no SASL.
"""

from sandbox.postfix import CHECKOUT, main_settings

_PIECES = CHECKOUT / "postfix-conf"
PIECE = main_settings((_PIECES / "policy.main.cf").read_text(encoding="ascii"))

"""The settings of policy.main.cf, name to value."""

WORDS = {name: PIECE[name] for name in ("postroom_policy_smtp", "postroom_policy_inbound")}
"""Those of them that are words for restriction lists to use."""


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
