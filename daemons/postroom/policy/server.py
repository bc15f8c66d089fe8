"""The policy socket: connections that stay open, one answer to each request, within the budget.

smtpd(8) keeps one connection for each of its processes and asks one question after the other; a thousand
may be open. A question that cannot be answered gets no answer: the connection is closed, and Postfix asks
again and then takes the default_action it was given for this service.

Diagnostics: policy.answered (debug for what passed before the end), policy.malformed, policy.unanswered.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

from postroom.mail.logsafe import safe
from postroom.policy.decisions import DOORS, DUNNO, Answer
from postroom.policy.protocol import PolicyProtocolError, PolicyRequest, RequestReader, reply
from postroom.runtime.acceptor import Acceptor, ConnectionBounds
from postroom.runtime.connections import Connections
from postroom.runtime.log import Field, Log, error_fields
from postroom.runtime.metrics import Metrics

READ = 65_536
"""Octets read at once."""
MOST_OF_A_USER, MOST_IN_ALL = 2_000, 6_000
"""Connections of others than Postfix. Who may connect at all is root, Postfix and its group; where Postfix runs in
another container under another uid it is a user like any other, so this leaves it room."""
IDLE_S = 330.0
"""Past this they are closed; Postfix itself closes after 300 s (smtpd_policy_service_max_idle)."""


class _Unanswered(Exception):
    """There is no answer to this request; the log says why."""


class PolicyServer:
    """Serves the policy socket.

    Args:
        decide:   gives the answer; it has its own ways to be in time.
        budget_s: seconds after which Postfix is no longer kept waiting, whatever happens.
            Both may be replaced between two questions.
        postfix:  uids whose connections are neither counted nor closed.
    """

    def __init__(
        self,
        decide: Callable[[PolicyRequest], Awaitable[Answer]],
        budget_s: float,
        postfix: frozenset[int],
        log: Log,
        metrics: Metrics,
    ) -> None:
        self.decide = decide
        self.budget_s = budget_s
        self._log = log
        self._metrics = metrics
        self._connections = Connections(
            self._converse, ConnectionBounds(MOST_OF_A_USER, MOST_IN_ALL, postfix), IDLE_S, log
        )

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def serve(self, sock: socket.socket) -> Acceptor:
        """Begin to serve connections of this listening socket."""
        return self._connections.serve(sock)

    async def drain(self, timeout_s: float) -> None:
        """Answer what was asked, then hang up on everybody."""
        await self._connections.drain(timeout_s)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests = RequestReader()
        try:
            while not self._connections.is_draining and (octets := await reader.read(READ)):
                requests.feed(octets)
                while (request := requests.next_request()) is not None:
                    with self._connections.occupied():
                        writer.write(await self._answered(request))
                        await writer.drain()
        except PolicyProtocolError as error:
            self._metrics.count("postroom_policy_malformed_total")
            self._log.warning("policy.malformed", reason=str(error), effect="hung up")
        except (_Unanswered, ConnectionError):
            pass  # logged, or the client's right
        finally:
            # What was written goes out first.
            writer.close()

    async def _answered(self, request: PolicyRequest) -> bytes:
        started = time.monotonic()
        self._metrics.count("postroom_policy_requests_total")
        try:
            async with asyncio.timeout(self.budget_s):
                answer = await self.decide(request)
        except Exception as error:  # the rim: whatever it is, Postfix must not wait for it
            self._metrics.count("postroom_policy_unanswered_total")
            self._log.error(
                "policy.unanswered",
                queue_id=_queue_id(request),
                **error_fields(error),
                effect="the connection is closed; Postfix asks again, then follows its default_action",
                took_ms=_ms_since(started),
            )
            raise _Unanswered from error
        if answer.rule is not None:
            is_connection = request.state == "CONNECT"
            self._metrics.count(
                "postroom_policy_turned_away_total" if is_connection else "postroom_policy_refused_total"
            )
        elif request.state == "END-OF-MESSAGE" and request.context in DOORS:
            self._metrics.count(f"postroom_policy_messages_{request.context}_total")
        if answer.by == "process":
            self._metrics.count("postroom_policy_decided_in_process_total")
        self._log_answer(request, answer, started)
        return reply(answer.action)

    def _log_answer(self, request: PolicyRequest, answer: Answer, started: float) -> None:
        usage = answer.usage
        fields: dict[str, Field] = {
            "queue_id": _queue_id(request),
            "state": safe(request.state, 40),
            "context": safe(request.context, 40),
            "uid": answer.uid or None,
            "action": "dunno" if answer.action == DUNNO else answer.action[:9],
            "rule": answer.rule,
            "key": None if usage is None else usage.key,
            "used": None if usage is None else usage.used,
            "limit": None if usage is None else usage.limit,
            "window_s": None if usage is None else usage.window_s,
            "by": answer.by,
            "took_ms": _ms_since(started),
        }
        # Connections are refused as often as somebody likes to make them; postfix_only.py has a line for each user.
        if request.state == "CONNECT" or (answer.rule is None and request.state != "END-OF-MESSAGE"):
            self._log.debug("policy.answered", **fields)
        else:
            self._log.info("policy.answered", **fields)


def _queue_id(request: PolicyRequest) -> str:
    return safe(request.queue_id, 40) or "NOQUEUE"


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
