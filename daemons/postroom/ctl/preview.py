"""`postroom template preview`: a page with every template, locale and sample, for the one who edits them.

    Preview(config, folders, send_to) -> .application(door)

On a Unix socket (0600) whoever may open it may look. On TCP it listens on 127.0.0.1 only and gives out one
URL that works once: it sets a cookie, and nothing is shown without it. Host and Origin are checked, so that no
other page in the same browser can read or send anything (DNS rebinding, cross-site requests).

Files are looked at every RELOAD_S; a set that loads is swapped in, a broken one is reported on the page and the
last good one stays. Mail is shown in frames without scripts that may fetch nothing but the logo.

Limits:  one reader; test mail goes through the submission socket, to the addresses given at the start only.
"""

import asyncio
import json
import secrets
import socket as sockets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from postroom.config.model import Config
from postroom.ctl.preview_page import page
from postroom.runtime.listeners import listen_unix
from postroom.templating import Catalogue, Rendered, RenderFailed, TemplatesBroken, TemplateUnknown
from postroom.templating.configured import catalogue, folders

RELOAD_S = 0.3
WAIT_S = 25.0
COOKIE = "postroom_preview"
_DARK = "@media (prefers-color-scheme: dark)"
_FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-ancestors 'self'; sandbox"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Send = Callable[[dict[str, object]], tuple[int, Mapping[str, object]]]
Whole = Callable[[Rendered], bytes]


@dataclass(frozen=True)
class PreviewAccess:
    """Who may come in: `host` as the Host field must have it, None on a Unix socket; the URL's token."""

    host: str | None = None
    token: str = ""


class Preview:
    """The templates being edited, and the page that shows them.

    Args:
        templates: those to begin with.
        whole:     makes the message of what was rendered.
        send:      hands a request to submission; returns status and answer.
        send_to:   the addresses test mail may go to.
    """

    def __init__(self, config: Config, templates: Catalogue, whole: Whole, send: Send, send_to: Sequence[str]) -> None:
        self._config, self._templates, self._whole, self._send, self._send_to = config, templates, whole, send, send_to
        self._generation, self._problems = 1, ""
        self._changed = asyncio.Condition()
        self._cookie = secrets.token_urlsafe(24)
        self._token_used = False

    def application(self, door: PreviewAccess) -> web.Application:
        """The server's routes behind the checks of `door`."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if refusal := self._refusal(request, door):
                return web.Response(status=403, text=refusal + "\n")
            response = await handler(request)
            response.headers["Cache-Control"] = "no-store"
            response.headers["Referrer-Policy"] = "no-referrer"
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response

        application = web.Application(middlewares=[guard], client_max_size=65_536)
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/start/{token}", self._start),
                web.get("/templates", self._list),
                web.get("/mail", self._mail),
                web.get("/html", self._html),
                web.get("/logo", self._logo),
                web.get("/changes", self._changes),
                web.post("/send", self._send_test),
            ]
        )
        return application

    async def watch(self) -> None:
        """Load the files again whenever one of them has changed; for ever."""
        seen = await asyncio.to_thread(self._stamps)
        while True:
            await asyncio.sleep(RELOAD_S)
            now = await asyncio.to_thread(self._stamps)
            if now == seen:
                continue
            seen = now
            try:
                self._templates = await asyncio.to_thread(catalogue, self._config)
                self._problems = ""
            except (ValueError, TemplatesBroken) as broken:
                self._problems = str(broken)
            async with self._changed:
                self._generation += 1
                self._changed.notify_all()

    def _stamps(self) -> list[tuple[str, int, int]]:
        stamps = []
        for folder in folders(self._config):
            for path in sorted(folder.rglob("*")):
                try:
                    stat = path.stat()
                except OSError:  # an editor has just replaced it
                    continue
                stamps.append((str(path), stat.st_mtime_ns, stat.st_size))
        return stamps

    def _refusal(self, request: web.Request, door: PreviewAccess) -> str:
        if door.host is None:
            return ""
        own = f"http://{door.host}"
        if request.headers.get("Host") != door.host:
            return "the Host field is not the address of this preview"
        # Browsers send Origin with every POST; without one it is no page of ours that asks.
        if request.headers.get("Origin") not in ({own} if request.method == "POST" else {None, own}):
            return "the request comes from another page"
        if (token := request.match_info.get("token")) is not None:
            works = not self._token_used and secrets.compare_digest(token.encode(), door.token.encode())
            return "" if works else "this address works once; start the preview again for another"
        known = secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self._cookie.encode())
        return "" if known else "open the address that the command printed"

    async def _start(self, _request: web.Request) -> web.StreamResponse:
        self._token_used = True
        response = web.HTTPSeeOther("/")
        response.set_cookie(COOKIE, self._cookie, httponly=True, samesite="Strict")
        return response

    async def _page(self, _request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(12)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return web.Response(
            text=page(nonce, self._send_to), content_type="text/html", headers={"Content-Security-Policy": policy}
        )

    async def _list(self, _request: web.Request) -> web.Response:
        listed = [
            {
                "name": name,
                "version": found.version,
                "locales": sorted(found.locales),
                "samples": [trial for trial, _ in found.manifest.trials()],
            }
            for name, found in sorted(self._templates.templates.items())
        ]
        return web.json_response({"generation": self._generation, "problems": self._problems, "templates": listed})

    async def _mail(self, request: web.Request) -> web.Response:
        mail = self._rendered(request.query)
        source = self._whole(mail).decode("ascii", "replace")
        return web.json_response({"subject": mail.subject, "text": mail.text, "source": source})

    async def _html(self, request: web.Request) -> web.Response:
        mail = self._rendered(request.query)
        # Whichever mode the browser is in: both are shown side by side.
        html = mail.html.replace(_DARK, "@media all" if request.query.get("mode") == "dark" else "@media not all")
        if mail.logo is not None:
            html = html.replace(f"cid:{mail.logo.cid}", "/logo")
        return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": _FRAME_POLICY})

    async def _logo(self, _request: web.Request) -> web.Response:
        logo = next((found.logo for found in self._templates.templates.values() if found.logo), None)
        if logo is None:
            raise web.HTTPNotFound
        return web.Response(body=logo.octets, content_type=f"image/{logo.kind}")

    async def _changes(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "")
        try:
            async with asyncio.timeout(WAIT_S), self._changed:
                await self._changed.wait_for(lambda: str(self._generation) != after)
        except TimeoutError:
            pass
        return web.json_response({"generation": self._generation, "problems": self._problems})

    async def _send_test(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.text())
            name, locale, sample, to = (str(asked[key]) for key in ("template", "locale", "sample", "to"))
        except (ValueError, TypeError, KeyError):
            raise web.HTTPBadRequest(text="template, locale, sample and to are needed\n") from None
        if to not in self._send_to:
            raise web.HTTPForbidden(text="test mail goes only to the addresses given with --send-to\n")
        body: dict[str, object] = {
            "from": f"noreply@{next(iter(self._config.domains))}",
            "to": [to],
            "template": {"name": name, "locale": locale, "data": dict(self._data(name, sample))},
        }
        status, answer = await asyncio.to_thread(self._send, body)
        return web.json_response({"status": status, "answer": answer}, status=200 if status == 202 else 502)

    def _rendered(self, query: Mapping[str, str]) -> Rendered:
        name = query.get("template", "")
        data = self._data(name, query.get("sample", "examples"))
        try:
            return self._templates.get(name).render(query.get("locale"), data)
        except RenderFailed as failed:
            raise web.HTTPConflict(text=f"{failed}\n") from None

    def _data(self, name: str, sample: str) -> Mapping[str, object]:
        try:
            return dict(self._templates.get(name).manifest.trials())[sample]
        except (TemplateUnknown, KeyError):
            raise web.HTTPNotFound(text="there is no such template or sample\n") from None


async def serve(
    preview: Preview, door: Callable[[int], PreviewAccess], socket: Path | None, port: int, said: Callable[[str], None]
) -> None:
    """Serve until cancelled; `said` is given the line that tells where.

    Args:
        door: who may come in, given the port that it listens on.
        port: 0 lets the system choose.
    """
    if socket is not None:
        listener = listen_unix(socket, 0o600, None).sock
        chosen, where = PreviewAccess(), f"listening on {socket}"
    else:
        listener = sockets.socket(sockets.AF_INET)
        listener.bind(("127.0.0.1", port))
        chosen = door(listener.getsockname()[1])
        where = f"open once: http://{chosen.host}/start/{chosen.token}"
    runner = web.AppRunner(preview.application(chosen), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    said(where)
    try:
        await preview.watch()
    finally:
        await runner.cleanup()
