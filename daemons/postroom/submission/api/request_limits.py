"""API request limits: each request of a client counts against the rules that count `requests`.

Mail limits are another thing and are asked at hand-over; this one keeps a
client that runs wild from filling the outbox.
"""

from postroom.limits.limiter import Limiter
from postroom.limits.subject import of_request
from postroom.submission.api.auth import Client
from postroom.submission.api.problem import ApiProblem


class Admission:
    """Admits requests, or refuses them with 429."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    async def admit(self, client: Client, request_id: str) -> None:
        """Count one request of this client.

        Raises:
            ApiProblem: 429, it is over a limit; nothing was counted.
        """
        verdict = (await self._limiter.decide(request_id, "socket", of_request(client.name))).verdict
        if not verdict.allowed:
            raise ApiProblem(
                429,
                "limited",
                f"over the limit {verdict.rule}; nothing was accepted, the same request fits in "
                f"{verdict.retry_after_s:.0f} s",
                retry_after_s=max(1.0, verdict.retry_after_s),
            )
