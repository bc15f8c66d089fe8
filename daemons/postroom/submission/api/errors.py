"""Which problem an error is, and the HTTP answer to it.

Source:  RFC 9457 (problem details), RFC 9110 §10.2.3 (Retry-After).
"""

import secrets

from aiohttp import web

from postroom.store.errors import StoreFull, StoreReplaced, StoreUnavailable
from postroom.submission.api.auth import Peer
from postroom.submission.api.problem import CONTENT_TYPE, ApiProblem
from postroom.submission.api.responses import json_text

RETRY_UNAVAILABLE_S = 5.0
RETRY_CONNECTING_S = 5


def problem_of_http(error: web.HTTPException, method: str) -> ApiProblem:
    """The problem that an error of the HTTP library is; `method` is the request's."""
    match error:
        case web.HTTPNotFound():
            return ApiProblem(404, "not_found", "there is no such path; the API begins with /v1")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods - {"HEAD"}))
            return ApiProblem(405, "method_not_allowed", f"{method} is not allowed here; allowed: {allowed}")
        case web.HTTPRequestEntityTooLarge():
            return ApiProblem(413, "too_large", "the body is larger than submission.max_request allows")
        case _:
            return ApiProblem(error.status, "malformed", error.reason)


def problem_of_store(error: StoreUnavailable) -> ApiProblem:
    """The problem while the outbox cannot be written."""
    if isinstance(error, StoreFull):
        return ApiProblem(
            503,
            "storage_full",
            "the disk under the outbox is full; nothing was accepted, try again later",
            retry_after_s=RETRY_UNAVAILABLE_S,
        )
    if isinstance(error, StoreReplaced):
        return ApiProblem(
            503,
            "unavailable",
            "the file of the outbox was deleted or replaced under the daemon; nothing was accepted; the log of "
            "postroom-submission says how to mend it",
            retry_after_s=RETRY_UNAVAILABLE_S,
        )
    return ApiProblem(
        503,
        "unavailable",
        "the outbox cannot be written; nothing was accepted, try again later",
        retry_after_s=RETRY_UNAVAILABLE_S,
    )


def not_a_client(peer: Peer) -> ApiProblem:
    """The problem of a process that may not use the API."""
    return ApiProblem(
        403,
        "not_a_client",
        f"uid {peer.uid} is not a client; mend: in postroom.yaml, under submission.clients, "
        f"add `some-name: {{uids: [{peer.uid}]}}`, then restart postroom-submission",
    )


def problem_response(problem: ApiProblem, request_id: str) -> web.Response:
    """The answer that tells a problem."""
    response = web.Response(
        status=problem.status, text=json_text(problem.document(request_id)), content_type=CONTENT_TYPE
    )
    if problem.retry_after_s is not None:
        # Whole seconds, rounded up.
        response.headers["Retry-After"] = str(int(-(-problem.retry_after_s // 1)))
    return response


def too_many_connections() -> bytes:
    """The whole answer to a connection that is not served; no request of it is read."""
    request_id = secrets.token_hex(8)
    problem = ApiProblem(
        503,
        "too_many_connections",
        "your user has as many connections here as it may have, or all users together; use fewer, or close idle ones",
        retry_after_s=float(RETRY_CONNECTING_S),
    )
    body = json_text(problem.document(request_id)).encode("utf-8")
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: {CONTENT_TYPE}; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {RETRY_CONNECTING_S}\r\nX-Request-Id: {request_id}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
