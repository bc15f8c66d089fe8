"""The HTTP API on the submission socket: requests in, answers out.

    POST /v1/messages ─► client? ─► limit? ─► read ─► key known? ─► render ─► compose ─► check ─► outbox ─► 202
    GET  /v1/messages/{id} · GET /v1/stats · GET /livez · GET /readyz

Every answer that is a refusal is problem+json, but for octets that are no HTTP: those get aiohttp's plain 400.
One log line a request.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from postroom.mail.ids import RANDOM_OCTETS, is_id, new_id
from postroom.runtime.background import set_within
from postroom.runtime.log import Field, Log, error_fields
from postroom.runtime.metrics import Metrics
from postroom.store.errors import StoreReplaced, StoreUnavailable
from postroom.store.outbox.acceptance import OutboxAcceptance
from postroom.store.outbox.messages import Idempotency, Mismatch, OutboxFull, Repeated
from postroom.store.outbox.queries import OutboxQueries
from postroom.submission.api import responses
from postroom.submission.api.auth import Client, Clients, Peer, peer_of
from postroom.submission.api.errors import (
    RETRY_UNAVAILABLE_S,
    not_a_client,
    problem_of_http,
    problem_of_store,
    problem_response,
)
from postroom.submission.api.history import Histories
from postroom.submission.api.message_check import MessageCheck
from postroom.submission.api.problem import ApiProblem
from postroom.submission.api.request import document, idempotency_key, message_request
from postroom.submission.api.writer import Writer
from postroom.submission.handover_status import HandoverStatus
from postroom.submission.readiness import Readiness

CONTEXT: "web.RequestKey[RequestContext]" = web.RequestKey("context")


@dataclass(slots=True)
class RequestContext:
    """What is known of one request; it ends up in its log line."""

    id: str
    client: Client
    message: str | None = None
    code: str | None = None


class Api:
    """The API's handlers.

    Args:
        check: refuses (ApiProblem 422) what can never go out.
        admit: refuses (ApiProblem 429) what is over the client's limits.
        request_timeout_s: how long a body may take to arrive.
        max_waiting: deliveries in the outbox past which no more are accepted.
        clock: Unix seconds.
    """

    def __init__(
        self,
        acceptance: OutboxAcceptance,
        queries: OutboxQueries,
        writer: Writer,
        clients: Clients,
        check: MessageCheck,
        histories: Histories,
        admit: Callable[[Client, str], Awaitable[None]],
        status: HandoverStatus,
        readiness: Readiness,
        *,
        request_timeout_s: float,
        max_waiting: int,
        log: Log,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._acceptance = acceptance
        self._queries = queries
        self.writer = writer
        """Replaced as a whole at a reload."""
        self.clients = clients
        self._check = check
        self._histories = histories
        self._admit = admit
        self._status = status
        self._readiness = readiness
        self._request_timeout_s = request_timeout_s
        self.max_waiting = max_waiting
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._draining = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def application(self, max_request: int) -> web.Application:
        """The aiohttp application; `max_request` is the largest body that is read, in octets."""
        app = web.Application(middlewares=[self._answered], client_max_size=max_request)
        app.router.add_post("/v1/messages", self._post_message)
        app.router.add_get("/v1/messages/{id}", self._get_message)
        app.router.add_get("/v1/stats", self._get_stats)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def drain(self, timeout_s: float) -> None:
        """This daemon is about to end: say so to those who ask /readyz, and wait until no request is under way."""
        self._draining = True
        await set_within(self._idle, timeout_s)

    # Around every request

    @web.middleware
    async def _answered(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._answer(request, handler)
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()

    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        started = time.monotonic()
        request_id = secrets.token_hex(8)
        peer = _peer(request)
        client = self.clients.find(peer)
        context = request[CONTEXT] = RequestContext(request_id, client or Client(f"uid:{peer.uid}", admin=False))
        try:
            if client is None and request.path not in {"/livez", "/readyz"}:
                raise not_a_client(peer)
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - the rim: whatever it is, the client gets an answer
            problem = self._problem(error, request)
            context.code = problem.code
            response = problem_response(problem, request_id)
            if isinstance(error, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        response.headers["X-Request-Id"] = request_id
        if self._draining or (request.can_read_body and not request.content.at_eof()):
            # What was not read would be taken for the next request.
            response.force_close()
        self._metrics.count("postroom_submission_requests_total")
        self._log_answer(request, response.status, context, started)
        return response

    def _problem(self, error: Exception, request: web.Request) -> ApiProblem:
        """The refusal for whatever a handler raised; what is not the client's doing is logged here."""
        match error:
            case ApiProblem():
                return error
            case web.HTTPException():
                return problem_of_http(error, request.method)
            case ConnectionError() | web.RequestPayloadError():
                return ApiProblem(400, "malformed", "the request body ended early; nothing was accepted")
            case StoreReplaced():
                return problem_of_store(error)  # logged once, by upkeep.py
            case StoreUnavailable():
                self._log.error("store.unavailable", store="mail", error=str(error), effect="request refused")
                return problem_of_store(error)
            case _:
                # Its text may quote what the client sent, so only its kind and place are logged.
                context = request[CONTEXT]
                self._log.error("submission.fault", request_id=context.id, **error_fields(error, place="at"))
                return ApiProblem(500, "fault", "this is a fault in Postroom; search its log for this request_id")

    def _log_answer(self, request: web.Request, status: int, context: RequestContext, started: float) -> None:
        fields: dict[str, Field] = {
            "request_id": context.id,
            "client": context.client.name,
            "method": request.method,
            "route": _route(request),
            "status": status,
            "code": context.code,
            "id": context.message,
            "took_ms": round((time.monotonic() - started) * 1000),
        }
        if request.path in {"/livez", "/readyz"} and status == 200:
            self._log.debug("submission.answered", **fields)
        else:
            self._log.info("submission.answered", **fields)

    # Handlers

    async def _post_message(self, request: web.Request) -> web.Response:
        context = request[CONTEXT]
        _must_be_json(request)
        await self._admit(context.client, context.id)
        body = await self._body(request)
        idempotency = None
        if "Idempotency-Key" in request.headers:
            # Two of them, joined as RFC 9110 §5.3 says, are no key.
            key = idempotency_key(", ".join(request.headers.getall("Idempotency-Key")))
            idempotency = Idempotency(key, self._acceptance.fingerprint(body))
            # Asked before the body is checked: the first answer stands, whatever changed since.
            known = await self._acceptance.replay(context.client.name, idempotency)
            if known is not None:
                return self._known(known, context)
        now = self._clock()
        message = new_id(now, secrets.token_bytes(RANDOM_OCTETS))
        asked, faults = message_request(document(body))
        written = self.writer.write(asked, faults, message, context.client.name, now)
        acceptable = await self._check.check(asked, written)
        shown = responses.accepted(acceptable.message, written.recipients, acceptable.suppressed)
        text = responses.json_text(shown)
        try:
            result = await self._acceptance.accept(
                acceptable.message,
                written.recipients,
                written.octets,
                answer=text,
                idempotency=idempotency,
                max_waiting=self.max_waiting,
                suppressed=acceptable.suppressed,
            )
        except OutboxFull as full:
            raise ApiProblem(
                503,
                "outbox_full",
                f"{full}; try again later, and look at `postroom status`",
                retry_after_s=30.0,
            ) from None
        if isinstance(result, Repeated | Mismatch):
            return self._known(result, context)
        context.message = message
        self._metrics.count("postroom_submission_accepted_total")
        self._status.due.set()
        return _accepted(text, message)

    def _known(self, known: Repeated | Mismatch, context: RequestContext) -> web.Response:
        if isinstance(known, Mismatch):
            raise ApiProblem(
                422,
                "idempotency_mismatch",
                "this Idempotency-Key was used before with another body; use a new key for a new message",
            )
        context.message = json.loads(known.answer)["id"]
        context.code = "replayed"
        self._metrics.count("postroom_submission_replayed_total")
        response = _accepted(known.answer, context.message)
        response.headers["Idempotency-Replayed"] = "true"
        return response

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size)
        try:
            async with asyncio.timeout(self._request_timeout_s):
                return await request.read()
        except TimeoutError:
            raise ApiProblem(
                408,
                "timeout",
                f"the body did not arrive within {self._request_timeout_s:g} s; nothing was accepted",
                retry_after_s=0.0,
            ) from None

    async def _get_message(self, request: web.Request) -> web.Response:
        context, wanted = request[CONTEXT], request.match_info["id"]
        view = await self._queries.message(wanted) if is_id(wanted) else None
        # The message of another client is not there for this one: whether it exists is not said either.
        if view is None or not (context.client.admin or view.message.client == context.client.name):
            raise ApiProblem(404, "not_found", "you have no message with this id, or its retention is over")
        context.message = wanted
        shown = responses.message(view, self._status.outage, await self._histories.of_message(view))
        return web.Response(text=responses.json_text(shown), content_type="application/json")

    async def _get_stats(self, request: web.Request) -> web.Response:
        if not request[CONTEXT].client.admin:
            raise ApiProblem(
                403, "not_a_client", "only an admin client may read figures; mend: set `admin: true` for it"
            )
        figures = responses.figures(await self._queries.figures(), self._status.outage, self._metrics.samples())
        return web.Response(text=responses.json_text(figures), content_type="application/json")

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text='{"alive":true}', content_type="application/json")

    async def _readyz(self, _request: web.Request) -> web.Response:
        """Whether mail is accepted: the outbox answers, nothing is in its way, the daemon is not about to end."""
        if self._draining:
            raise ApiProblem(503, "unavailable", "the daemon is shutting down", retry_after_s=1.0)
        await self._queries.ping()
        if obstacles := self._readiness.obstacles:
            detail = "; ".join(obstacle.detail for obstacle in obstacles)
            raise ApiProblem(503, obstacles[0].code, detail, retry_after_s=RETRY_UNAVAILABLE_S)
        return web.Response(text='{"ready":true}', content_type="application/json")


def _peer(request: web.Request) -> Peer:
    sock = None if request.transport is None else request.transport.get_extra_info("socket")
    if sock is None:
        raise ConnectionResetError("the client is gone")
    return peer_of(sock)


def _must_be_json(request: web.Request) -> None:
    kind = request.content_type.lower()
    if kind != "application/json" or request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ApiProblem(415, "malformed", "send plain JSON, with `Content-Type: application/json`")


def _route(request: web.Request) -> str | None:
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def _accepted(text: str, message: str) -> web.Response:
    response = web.Response(status=202, text=text, content_type="application/json")
    response.headers["Location"] = f"/v1/messages/{message}"
    return response
