"""The sendmail door's listener: who has just connected there, and whether it is Postfix.

The port is on loopback, so every user of the host can connect to it, and each connection occupies an smtpd process,
of which there are a hundred. Whoever is not Postfix is told 421 before the greeting, and smtpd(8) hangs up.

The kernel is asked on the event loop: it answers in about 100 us and waits for nobody.

Diagnostics: policy.turned_away, once an hour for each user.
Source:  SMTPD_POLICY_README (protocol_state=CONNECT); access(5) (421: Postfix hangs up); RFC 5321 §3.8.
Limits:  while policy does not answer, Postfix goes on without it; then the milter refuses the same clients at DATA.
"""

from collections.abc import Callable

from postroom.identity.socket_owner import End, owner_of
from postroom.policy.clients import ends_of
from postroom.policy.protocol import PolicyRequest
from postroom.runtime.log import Log
from postroom.runtime.log_once import LogRarely

LOG_AGAIN_S = 3_600.0
MAX_LOGGED = 100
"""Users whose connections are logged; they can be made in a loop, and there may be many users."""

ANOTHERS = "421 4.7.1 Only Postfix may use this port; hand your mail to sendmail(1)"
UNKNOWN = "421 4.7.1 Cannot tell who is connecting, try again later"


class PostfixOnly:
    """Turns away whoever is not Postfix.

    Args:
        postfix_uid: of Postfix's unprivileged processes; None is nobody.
        ask:         who owns a connection.
    """

    def __init__(self, postfix_uid: int | None, log: Log, ask: Callable[[End, End], int | None] = owner_of) -> None:
        self._postfix_uid = postfix_uid
        self._log = log
        self._ask = ask
        self._logged = LogRarely(LOG_AGAIN_S, MAX_LOGGED)

    def refusal(self, request: PolicyRequest) -> str | None:
        """What the client of this connection is told before smtpd hangs up; None for Postfix itself."""
        uid = self._owner(request)
        if uid is not None and uid == self._postfix_uid:
            return None
        if self._logged.is_new(uid):
            self._log.warning(
                "policy.turned_away",
                uid="unknown" if uid is None else str(uid),
                effect="its connections to the sendmail door's port are closed; logged once an hour for each user",
            )
        return UNKNOWN if uid is None else ANOTHERS

    def _owner(self, request: PolicyRequest) -> int | None:
        ends = ends_of(request)
        return None if ends is None else self._ask(*ends)
