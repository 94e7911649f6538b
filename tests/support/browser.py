"""A real Chromium, driven over its DevTools protocol: one process, one context a person."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


class Page:
    """One tab. ``run`` evaluates JavaScript, ``until`` waits for it to become true."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.call(method, parameters, self._session)

    async def run(self, script: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str, timeout_s: float = 15) -> Any:
        """Waits in the page, frame by frame, until the expression is truthy."""
        script = f"""new Promise((resolve, reject) => {{
            const end = Date.now() + {timeout_s * 1000};
            const look = () => {{
                let found;
                try {{ found = ({condition}); }} catch (error) {{ found = false; }}
                if (found) resolve(found);
                else if (Date.now() > end) reject(new Error({json.dumps(condition)}));
                else setTimeout(look, 20);
            }};
            look();
        }})"""
        return await self.run(script)

    async def fill(self, selector: str, text: str) -> None:
        """Types into a field, as far as the page can tell."""
        await self.until(f"document.querySelector({json.dumps(selector)})")
        await self.run(
            f"(() => {{ const field = document.querySelector({json.dumps(selector)});"
            f"field.focus(); field.value = {json.dumps(text)};"
            "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )

    async def click(self, selector: str) -> None:
        await self.until(f"document.querySelector({json.dumps(selector)})")
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def screenshot(self, path: Path) -> None:
        answer = await self.call("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(answer["data"]))


class Browser:
    """The process, and its one DevTools connection."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    def heard(self, raw: str | bytes | None) -> None:
        if raw is None:
            return
        message = json.loads(raw)
        waiting = self._waiting.pop(message.get("id", 0), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def call(
        self, method: str, parameters: dict[str, Any], session: str = ""
    ) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        await self._connection.write_message(json.dumps(message))
        async with asyncio.timeout(40):
            answer = await self._waiting[number]
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str, width: int = 1280, height: int = 800) -> Page:
        """A page in a context of its own: nothing is shared with other people's."""
        context = await self.call("Target.createBrowserContext", {})
        target = await self.call(
            "Target.createTarget",
            {"url": "about:blank", "browserContextId": context["browserContextId"]},
        )
        attached = await self.call(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        page = Page(self, attached["sessionId"])
        await page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 700,
        )
        await page.call("Page.navigate", url=url)
        return page


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Chromium with a fresh profile; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="tandem-chromium-", ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={home}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection: WebSocketClientConnection | None = None
        try:
            told = Path(home) / "DevToolsActivePort"
            async with asyncio.timeout(30):
                while not (told.exists() and len(told.read_text().split()) == 2):
                    await asyncio.sleep(0.05)
            port, path = told.read_text().split()
            browsers: list[Browser] = []
            connection = await websocket_connect(
                f"ws://127.0.0.1:{port}{path}",
                on_message_callback=lambda raw: browsers[0].heard(raw) if browsers else None,
                max_message_size=64 * 1024 * 1024,
            )
            browsers.append(Browser(connection))
            yield browsers[0]
        finally:
            if connection is not None:
                connection.close()
            process.terminate()
            process.wait(10)
