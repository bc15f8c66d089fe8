"""A real browser that looks at one page after the other: pictures, what it fetched, what axe-core finds.

    with Chromium() as browser:
        look = browser.look(html, width=320, dark=True, axe=source)

Chromium is spoken to over two pipes (--remote-debugging-pipe): no port, nothing of it is reachable. The page is
handed over as text, so whatever it requests is its own doing, and is noted; no name is resolved.

Source:  Chrome DevTools Protocol: Target, Page, Emulation, Network, Runtime. Messages end with NUL.
Limits:  root needs --no-sandbox, so only pages of our own are shown; a look takes 0.1 to 0.5 s.
"""

import base64
import itertools
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.process import BedError

PROGRAMS = ("/usr/bin/chromium", "/usr/bin/chromium-browser")
ANSWER_S = 60.0
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What was seen of a page.

    Attributes:
        png:        the whole page, however high.
        requests:   the addresses it asked for, but for what it carries itself (data:).
        overflow:   pixels by which it is wider than the window.
        violations: of axe-core, each a rule with the elements that break it.
    """

    png: bytes
    requests: tuple[str, ...]
    overflow: int
    violations: tuple[str, ...]


class Chromium:
    """One browser process with one tab; start it with `with`."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._requests: list[str] = []
        self._waiting = b""

    def __enter__(self) -> Self:
        program = next((path for path in PROGRAMS if Path(path).exists()), None)
        if program is None:
            raise BedError("there is no Chromium; mend: apt-get install chromium")
        self._folder = tempfile.TemporaryDirectory(prefix="postroom-chromium-", ignore_cleanup_errors=True)
        ours_read, its_write = os.pipe()
        its_read, ours_write = os.pipe()
        # It reads from descriptor 3 and writes to 4, by that number. The shell puts them there.
        shell = f'exec "$0" "$@" 3<&{its_read} 4>&{its_write}'
        command = [program, *_FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        self._process = subprocess.Popen(
            ["bash", "-c", shell, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(its_read, its_write),
            env={**os.environ, "HOME": self._folder.name},
        )
        os.close(its_read)
        os.close(its_write)
        self._read, self._write = ours_read, ours_write
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self._tab(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._write)
        os.close(self._read)
        # Its end of the pipe is closed, so it ends by itself.
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def look(self, html: str, *, width: int, dark: bool, axe: str = "") -> Look:
        """Show a page and look at it.

        Args:
            width: of the window, in CSS pixels.
            dark:  whether the reader prefers dark colours.
            axe:   the source of axe-core; without it there are no violations.
        """
        self._tab(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 480
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tab("Emulation.setEmulatedMedia", features=[scheme])
        self._tab("Page.navigate", url="about:blank")
        frame = self._tab("Page.getFrameTree")["frameTree"]["frame"]["id"]
        self._requests.clear()
        self._tab("Page.setDocumentContent", frameId=frame, html=html)
        self._value(_SETTLED)
        overflow = int(self._value("document.documentElement.scrollWidth") or 0) - width
        violations: tuple[str, ...] = ()
        if axe:
            self._value(f"{axe};1")
            violations = tuple(self._value(_AXE))
        size = self._tab("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width, "height": size["height"], "scale": 1}
        shot = self._tab("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        # Over the shot too: what is fetched late is fetched.
        requests = tuple(url for url in self._requests if not url.startswith(("data:", "about:")))
        return Look(base64.b64decode(shot["data"]), requests, overflow, violations)

    def _value(self, script: str) -> Any:
        answer = self._tab("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BedError(f"Chromium: the script failed: {answer['exceptionDetails'].get('exception')}")
        return answer["result"].get("value")

    def _tab(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._ask(method, self._session, **parameters)

    def _ask(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        answer = self._until(lambda heard: heard.get("id") == number)
        if "error" in answer:
            raise BedError(f"Chromium: {method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer["result"]
        return result

    def _until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_S
        while True:
            while b"\0" not in self._waiting:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self._read], [], [], left)[0]:
                    raise BedError(f"Chromium did not answer within {ANSWER_S:g} s")
                piece = os.read(self._read, 1 << 20)
                if not piece:
                    raise BedError("Chromium has ended; mend: start it by hand with --headless and read what it says")
                self._waiting += piece
            line, _, self._waiting = self._waiting.partition(b"\0")
            heard: dict[str, Any] = json.loads(line)
            if heard.get("method") == "Network.requestWillBeSent":
                self._requests.append(heard["params"]["request"]["url"])
            if fits(heard):
                return heard


# Rules for whole sites (landmarks, a way to skip to the content) are not for a mail in a client's frame.
_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_AXE = (
    f"axe.run(document, {{runOnly: {json.dumps(_LEVELS)}, resultTypes: ['violations']}})"
    ".then(found => found.violations.map(rule =>"
    " rule.id + ': ' + rule.nodes.map(node => node.target.join(' ')).slice(0, 3).join(', ')))"
)
_SETTLED = (
    "Promise.all([...document.images].map(image => image.decode().catch(() => 0)))"
    ".then(() => document.fonts.ready).then(() => 1)"
)
