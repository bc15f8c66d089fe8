"""The monitor's socket: HTTP, four addresses, each but /livez made from one snapshot.

    GET /         dashboard      GET /healthz  200 when all is well, else 503; JSON with the findings
    GET /metrics  Prometheus     GET /livez    200 while the process lives; looks at nothing

Who may connect may read: mode and group of the socket are the whole of the rights, and there is nothing to change here.
What a web page of somebody else makes a browser ask is refused (request_origin.py). No answer holds an address or names
a message.

Diagnostics: monitor.answered (debug), monitor.fault.
"""

import json
import time
from collections.abc import Awaitable, Callable, Collection

from aiohttp import HttpVersion11, web

from postroom.monitor.collector import Collector
from postroom.monitor.dashboard import Dashboard
from postroom.monitor.exposition import CONTENT_TYPE, exposition
from postroom.monitor.health import Expected, Health, judge
from postroom.monitor.health_document import health_document
from postroom.monitor.request_origin import OriginRefusal, origin_refusal
from postroom.monitor.snapshot import Snapshot
from postroom.runtime.log import Log, error_fields
from postroom.runtime.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MonitorServer:
    """The handlers of these addresses.

    Args:
        expected: what is to be well here.
        names:    by which it may be asked, beside those of the loopback. Both may be replaced between two requests.
    """

    def __init__(
        self,
        collector: Collector,
        expected: Expected,
        names: Collection[str],
        dashboard: Dashboard,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._collector = collector
        self.expected = expected
        self.names = names
        self._dashboard = dashboard
        self._log = log
        self._metrics = metrics

    def application(self) -> web.Application:
        """The aiohttp application with its routes."""
        app = web.Application(middlewares=[self._answer])
        app.router.add_get("/", self._get_dashboard)
        app.router.add_get("/healthz", self._get_healthz)
        app.router.add_get("/livez", self._get_livez)
        app.router.add_get("/metrics", self._get_metrics)
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        try:
            refused = origin_refusal(
                request.raw_path,
                request.version < HttpVersion11,
                request.headers.getall("Host", []),
                request.headers,
                self.names,
            )
            response = await handler(request) if refused is None else _refused(refused)
        except web.HTTPException as refusal:
            response = web.Response(status=refusal.status, text=f"{refusal.reason}\n")
            if isinstance(refusal, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = ", ".join(sorted(refusal.allowed_methods))
        except Exception as error:  # noqa: BLE001 - the rim: whatever it is, there is an answer
            self._log.error("monitor.fault", route=_route(request), **error_fields(error))
            response = web.Response(status=500, text="this is a fault in Postroom; search its log for monitor.fault\n")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = self._dashboard.policy
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        self._metrics.count(f'postroom_monitor_requests_total{{path="{_route(request)}"}}')
        took_ms = round((time.monotonic() - started) * 1000)
        self._log.debug("monitor.answered", route=_route(request), status=response.status, took_ms=took_ms)
        return response

    async def _judge(self) -> tuple[Snapshot, Health]:
        snapshot = await self._collector.collect()
        return snapshot, judge(snapshot, self.expected)

    async def _get_dashboard(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._dashboard.render(*await self._judge()), content_type="text/html")

    async def _get_healthz(self, _request: web.Request) -> web.Response:
        snapshot, health = await self._judge()
        text = json.dumps(health_document(snapshot, health), ensure_ascii=False, indent=1) + "\n"
        return web.Response(status=200 if health.is_well else 503, text=text, content_type="application/json")

    async def _get_livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _get_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=exposition(*await self._judge()), headers={"Content-Type": CONTENT_TYPE})


def _refused(refusal: OriginRefusal) -> web.Response:
    return web.Response(status=refusal.status, text=refusal.text)


def _route(request: web.Request) -> str:
    """The address as we have it; whatever else was asked for has one word."""
    resource = request.match_info.route.resource
    return "other" if resource is None else resource.canonical
