"""People at a real Chromium, through Playwright: one process, and a context for each person.

Each test has an event loop of its own, so Chromium is started once, as a process, and each test
connects to it. Whatever goes wrong in anybody's page fails the test: errors and warnings on the
console, uncaught errors and rejections, and what the content security policy forbids.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from playwright.async_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Page,
    Playwright,
    ProxySettings,
    WebError,
    async_playwright,
    expect,
)

from tests.support.cable import Cable
from tests.support.eventually import eventually
from tests.support.node import Node

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
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # A mouse, which this machine may not have. From who is touching Playwright takes it away.
    "--blink-settings=primaryPointerType=4,availablePointerTypes=4,"
    "primaryHoverType=2,availableHoverTypes=2",
    "--remote-debugging-port=0",
)
TIMEOUT_MS = 15_000
expect.set_options(timeout=TIMEOUT_MS)

NETWORK_ERRORS = (
    r"Failed to load resource: net::ERR_",
    r"WebSocket connection to .* failed",
    r"error occurred when fetching the script",  # the service worker's
)
"""What Chromium itself writes on the console when the network is cut."""

_TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI, sourceFile}) =>
  console.error(`CSP: ${violatedDirective} forbids ${blockedURI} (${sourceFile})`));
"""


class Chromium:
    """The process, with a fresh profile; both are gone at the end."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(
            prefix="tandem-chromium-", ignore_cleanup_errors=True
        )
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self._home.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        with suppress(ProcessLookupError):  # else one of its children writes to the profile again
            os.killpg(self._process.pid, signal.SIGKILL)
        self._home.cleanup()

    def endpoint(self, timeout_s: float = 30) -> str:
        """Where its DevTools listen, as soon as they do."""
        told = Path(self._home.name) / "DevToolsActivePort"
        deadline = time.monotonic() + timeout_s
        while not (told.exists() and told.read_text().count("\n")):
            assert self._process.poll() is None, "Chromium ended at once"
            assert time.monotonic() < deadline, "Chromium does not start"
            time.sleep(0.02)
        port, path = told.read_text().split()
        return f"ws://127.0.0.1:{port}{path}"


class Person:
    """Somebody with a browser of their own, on a cable of their own. ``page`` is the first tab."""

    page: Page

    def __init__(self, node: Node, context: BrowserContext, cable: Cable) -> None:
        self.url = node.pick().url
        self.context = context
        self.cable = cable
        self.complaints: list[str] = []
        self._forgiven: list[str] = []
        context.set_default_timeout(TIMEOUT_MS)
        context.on("console", self._heard)
        context.on("weberror", self._failed)

    async def open(self, path: str = "/") -> Page:
        """One more tab."""
        page = await self.context.new_page()
        page.on("crash", lambda _: self.complaints.append("the page crashed"))
        await page.goto(self.url + path)
        return page

    def forgive(self, *patterns: str) -> None:
        """What is said on the console and matches one of these is no complaint, now or later."""
        self._forgiven += patterns

    async def cut(self) -> None:
        """The network is gone, and only failing connections tell the page."""
        self.forgive(*NETWORK_ERRORS)
        await self.cable.cut()

    async def go_offline(self) -> None:
        """The network is gone, and the browser knows (``navigator.onLine``)."""
        await self.cut()
        await self.context.set_offline(True)

    async def come_back(self) -> None:
        """The network is there again, however it went."""
        await self.cable.mend()
        await self.context.set_offline(False)

    async def devtools(self, page: Page | None = None) -> CDPSession:
        """Chromium's own protocol, for what Playwright has no call for."""
        return await self.context.new_cdp_session(page or self.page)

    def left_complaints(self) -> list[str]:
        """Without those that are forgiven."""
        return [
            complaint
            for complaint in self.complaints
            if not any(re.search(pattern, complaint) for pattern in self._forgiven)
        ]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "")
            self.complaints.append(f"console {message.type}: {message.text} ({where})")

    def _failed(self, failure: WebError) -> None:
        self.complaints.append(f"uncaught: {failure.error.stack or failure.error}")


class People:
    """Everybody at the browser in one test."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self._here: list[Person] = []

    async def come(
        self,
        node: Node,
        path: str = "/",
        *,
        width: int = 1280,
        height: int = 800,
        scale: float = 1,
        locale: str = "en-US",
        scheme: Literal["light", "dark"] = "light",
        touch: bool | None = None,
        permissions: Sequence[str] = (),
        direct: bool = False,
    ) -> Person:
        """A person with an empty browser, whose first tab is at ``path``.

        ``touch``: by default on what is as narrow as a phone. ``permissions`` are Playwright's
        names: ``notifications``, ``microphone``, ``clipboard-read``. ``direct``: on no cable, for
        what is measured.
        """
        is_touched = width < 700 if touch is None else touch
        cable = Cable()
        await cable.mend()
        proxy: ProxySettings = {"server": cable.url, "bypass": "<-loopback>"}
        context = await self.browser.new_context(
            proxy=None if direct else proxy,
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            locale=locale,
            color_scheme=scheme,
            has_touch=is_touched,
            is_mobile=is_touched,
            permissions=list(permissions),
            accept_downloads=True,
        )
        await context.add_init_script(_TELL_VIOLATIONS)
        person = Person(node, context, cable)
        self._here.append(person)
        person.page = await person.open(path)
        return person

    async def leave(self) -> list[str]:
        """Closes everybody's browser; what their pages complained of."""
        complaints: list[str] = []
        for person in self._here:
            await person.context.close()
            await person.cable.cut()
            complaints += person.left_complaints()
        self._here.clear()
        return complaints


async def until(page: Page, condition: str) -> None:
    """Waits until a JavaScript expression is true.

    Playwright's own ``wait_for_function`` is refused by our content security policy from its
    second look on.
    """

    async def holds() -> object:
        return await page.evaluate(condition)

    await eventually(holds, TIMEOUT_MS / 1000)


@asynccontextmanager
async def connected(chromium: Chromium) -> AsyncIterator[People]:
    """People on this event loop. Raises ``AssertionError`` at the end if a page complained."""
    playwright: Playwright
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(
            await asyncio.to_thread(chromium.endpoint)
        )
        people = People(browser)
        try:
            yield people
        finally:
            complaints = await people.leave()
            await browser.close()
        assert not complaints, "\n".join(complaints)
