"""Refusals of the API as problem+json: what is wrong, all of it at once, and whether to try again.

Source:  RFC 9457 (problem details), RFC 6901 (JSON Pointer).
"""

from collections.abc import Sequence
from dataclasses import dataclass

CONTENT_TYPE = "application/problem+json"

TITLES = {
    "malformed": "The request cannot be understood",
    "invalid": "The message cannot be sent as it is",
    "not_a_client": "This process is not a client of Postroom",
    "not_found": "Not found",
    "method_not_allowed": "Method not allowed",
    "timeout": "The request took too long to arrive",
    "too_large": "The request is too large",
    "idempotency_mismatch": "The idempotency key was used with another body",
    "suppressed": "No mail goes to these recipients",
    "never_fits": "The message is larger than a limit",
    "limited": "Too many requests",
    "too_many_connections": "Too many connections",
    "outbox_full": "Too much mail is waiting for Postfix",
    "storage_full": "No space left to accept mail",
    "unavailable": "The outbox cannot be written now",
    "fault": "Postroom failed on this request",
}
"""The stable codes, each with its title. `type` of a problem is `urn:postroom:problem:<code>`."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a request: where (a JSON Pointer into the body), a stable code, a sentence."""

    pointer: str
    code: str
    detail: str


class ApiProblem(Exception):
    """A refusal.

    Args:
        status: the HTTP status.
        code: one of TITLES.
        detail: what is wrong with this request, and how to mend it.
        errors: each fault of the body.
        retry_after_s: when the same request may succeed; None if it never will.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s

    def document(self, request_id: str) -> dict[str, object]:
        """The body of the answer."""
        document: dict[str, object] = {
            "type": f"urn:postroom:problem:{self.code}",
            "title": TITLES[self.code],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "retryable": self.retry_after_s is not None,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = [
                {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in self.errors
            ]
        return document
