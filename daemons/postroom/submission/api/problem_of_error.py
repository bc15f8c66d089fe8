"""Errors of HTTP and of the outbox's store, as the API's refusals."""

from aiohttp import web

from postroom.store.errors import StoreFull, StoreUnavailable
from postroom.submission.api.problem import ApiProblem

RETRY_UNAVAILABLE_S = 5.0


def of_http(error: web.HTTPException, method: str) -> ApiProblem:
    """The refusal for an error of the HTTP library; `method` is the request's."""
    match error:
        case web.HTTPNotFound():
            return ApiProblem(404, "not_found", "there is no such path; the API begins with /v1")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods - {"HEAD"}))
            return ApiProblem(405, "method_not_allowed", f"{method} is not possible here; possible: {allowed}")
        case web.HTTPRequestEntityTooLarge():
            return ApiProblem(413, "too_large", "the body is larger than submission.max_request allows")
        case _:
            return ApiProblem(error.status, "malformed", error.reason)


def of_store(error: StoreUnavailable) -> ApiProblem:
    """The refusal while the outbox cannot be written."""
    if isinstance(error, StoreFull):
        return ApiProblem(
            503,
            "storage_full",
            "the disk under the outbox is full; nothing was accepted, try again later",
            retry_after_s=RETRY_UNAVAILABLE_S,
        )
    return ApiProblem(
        503,
        "unavailable",
        "the outbox cannot be written; nothing was accepted, try again later",
        retry_after_s=RETRY_UNAVAILABLE_S,
    )
