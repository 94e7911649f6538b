"""``python -m tests.bench.page``: how fast the web page is, on a server of its own; a table.

    python -m tests.bench.page --runs 7 --out docs/bench

``REPORT`` says how.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import CDPSession, Page, expect

from tests.bench.report import machine
from tests.support.browser import Chromium, People, Person, connected, until
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node

USERNAME = "#entrance-form [name=username]"
SECRET = "#entrance-form [name=password]"
LINES = "#sidebar .conversation"
"""The lines of the list of conversations; their text begins with the name or holds it."""
COMPOSER = "#text"
MESSAGES = "#thread .message"
CONVERSATION = "/#/10/{id}"
"""The address of a conversation with a user."""
KEPT_STORAGE = "local_storage"
"""Where the login is. Everything else is cleared before a first visit."""

SLOW_CPU = 4
NETWORK = {
    "offline": False,
    "latency": 165,
    "downloadThroughput": 9_000_000 / 8 * 0.9,
    "uploadThroughput": 1_500_000 / 8 * 0.9,
}
"""9 Mbit/s down, 1.5 Mbit/s up, 60 ms; as DevTools put it: 2.75 round trips a request, 90 %."""

REPORT = """# The web page

Made by `{command}` on {date}, on {machine}; made anew by whoever runs that. Browser, server and
mongod share the machine, so only a quiet one tells what the page can do: compare medians, and look
at the least.

First visits are made with cold caches, on a CPU that Chromium slows down four times and a network
like the "Fast 4G" of its DevTools: 9 Mbit/s down, 1.5 Mbit/s up, 165 ms for each request, over HTTP
1.1 as the server speaks it, six requests at a time; behind a proxy that speaks HTTP 2 they need
fewer rounds. *Usable* is when a letter that is typed is on the screen: signed out in the name's
field; signed in, at a conversation's address, in the box for messages, with the list of
conversations beside it. Frames are those of Chromium's own tracing, while 50 messages a second
arrive in the open conversation; in every frame there is something to draw. All at 1280×800,
{runs} runs each.

{table}"""

SHELL_TYPES = ("Document", "Stylesheet", "Script")
MESSAGE_COUNT = 50
PER_SECOND = 50
LIVE_S = 5
IDLE_S = 2
TRACED = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
TRACED += ["disabled-by-default-devtools.timeline.frame"]

WATCH = """([field, ...others]) => {
  const shown = (selector) => {
    const node = document.querySelector(selector);
    const isShown = node?.checkVisibility({visibilityProperty: true});
    return isShown && node.getClientRects().length ? node : null;
  };
  const look = () => {
    const node = shown(field);
    if (!node || node.disabled || node.readOnly || !others.every(shown)) {
      requestAnimationFrame(look);
      return;
    }
    node.focus();
    document.execCommand("insertText", false, "x");
    if (!(node.value ?? node.textContent).includes("x")) {
      requestAnimationFrame(look);
      return;
    }
    requestAnimationFrame(() => {
      requestAnimationFrame(() => (window.usableAt = performance.now()));
    });
  };
  requestAnimationFrame(look);
}"""
"""Notes when the field has taken a letter that is on the screen, and the others are shown."""

WATCH_OPENING = """([messages, text]) => {
  window.openingMs = 0;
  addEventListener("click", ({timeStamp}) => {
    const look = () => {
      const last = [...document.querySelectorAll(messages)].at(-1);
      const isThere = last?.textContent.includes(text);
      if (!isThere || last.getBoundingClientRect().top > innerHeight) {
        requestAnimationFrame(look);
        return;
      }
      const {port1, port2} = new MessageChannel();
      port1.onmessage = () => (window.openingMs = performance.now() - timeStamp);
      port2.postMessage(null);
    };
    requestAnimationFrame(look);
  }, {capture: true, once: true});
}"""
"""Notes how long after the click the frame with the last message has been painted."""

KEEP_DRAWING = """() => {
  const dot = document.body.appendChild(document.createElement("i"));
  Object.assign(dot.style, {position: "fixed", top: 0, left: 0, width: "2px", height: "2px"});
  let count = 0;
  const draw = () => {
    dot.style.background = count++ % 2 ? "#777" : "#888";
    if (dot.isConnected) requestAnimationFrame(draw);
  };
  window.stopDrawing = () => dot.remove();
  draw();
}"""
"""Has something to draw in every frame, so that each one that the page is late for is dropped."""


class Figure(NamedTuple):
    """One line of the table. ``most`` or ``least`` is what the issue asks for."""

    name: str
    unit: str
    most: float | None = None
    least: float | None = None

    def is_good(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )

    @property
    def limit(self) -> str:
        if self.most is not None:
            return f"≤ {self.most:g}"
        return f"≥ {self.least:g}" if self.least is not None else ""


PAINT = Figure("first contentful paint", "ms", most=1000)
USABLE = Figure("usable", "ms", most=2000)
SHELL = Figure("shell: document, styles, scripts", "KiB", most=150)
REQUESTS = Figure("requests until then", "")
OPENING = Figure("opening 50 messages", "ms", most=100)
FRAMES = Figure("frames a second", "", least=59)
DROPPED = Figure("frames dropped", "%", most=1)
LONGEST = Figure("longest task", "ms", most=50)
LONGEST_OWN = Figure("longest task, without waiting for a core", "ms", most=50)
BUSY = Figure("main thread's time on a core", "ms/s")

Runs = dict[tuple[Figure, str], list[float]]
"""A figure, and in which case → its values."""


def note(runs: Runs, figure: Figure, when: str, value: float) -> None:
    runs.setdefault((figure, when), []).append(value)
    sys.stdout.write(f"  {figure.name}, {when}: {value:.1f} {figure.unit}\n")


async def sign_in(page: Page, username: str) -> None:
    await page.locator(USERNAME).fill(username)
    await page.locator(SECRET).fill(PASSWORD)
    await page.locator(SECRET).press("Enter")
    await expect(page.locator(LINES).first).to_be_visible()


class Speaker(NamedTuple):
    client: JsonClient
    name: str


async def chatty(node: Node, listener: JsonClient, count: int) -> list[Speaker]:
    """People who have each said 50 things to somebody."""
    speakers = []
    for number in range(count):
        name = f"Speaker {number:02}"
        speaker = await JsonClient.online(node, f"{listener.username}.{number}")
        assert (await speaker.call("PATCH", "/api/me", {"nickname": name}))[0] == 200
        for n in range(1, MESSAGE_COUNT + 1):
            text = f"Message {n} of {MESSAGE_COUNT}: " + "the weather is fine today. " * (n % 7)
            speaker.send(cmd=10, dstid=listener.id, content=text, cid=f"c{n}")
        await speaker.expect(cmd=1, cid=f"c{MESSAGE_COUNT}")
        speakers.append(Speaker(speaker, name))
    return speakers


# First visits


class Loads:
    """What a page has loaded, as Chromium's network events tell."""

    def __init__(self, devtools: CDPSession) -> None:
        self._kinds: dict[str, str] = {}
        self.requests = self.shell_bytes = 0
        devtools.on("Network.requestWillBeSent", self._asked)
        devtools.on("Network.loadingFinished", self._came)

    def _asked(self, event: dict[str, Any]) -> None:
        if event["request"]["url"].startswith("http"):
            self._kinds[event["requestId"]] = event.get("type", "Other")
            self.requests += 1

    def _came(self, event: dict[str, Any]) -> None:
        if self._kinds.get(event["requestId"]) in SHELL_TYPES:
            self.shell_bytes += event["encodedDataLength"]


async def first_visit(person: Person, path: str, shown: list[str], runs: Runs, when: str) -> None:
    """As on a phone that has never seen the page: all caches are cold."""
    page = await person.context.new_page()
    devtools = await person.devtools(page)
    await devtools.send("Network.enable")
    # Only to clear it would not do: the service worker of the visit before may yet be filling it.
    await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    kinds = "appcache,cookies,file_systems,indexeddb,cache_storage,service_workers,shader_cache"
    assert KEPT_STORAGE not in kinds
    where = {"origin": person.url, "storageTypes": kinds}
    await devtools.send("Storage.clearDataForOrigin", where)
    await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_CPU})
    await devtools.send("Network.emulateNetworkConditions", NETWORK)
    loads = Loads(devtools)
    await page.add_init_script(f"({WATCH})({json.dumps(shown)})")
    await page.goto(person.url + path, wait_until="commit")
    painted = "performance.getEntriesByName('first-contentful-paint')"
    await until(page, f"window.usableAt && {painted}.length")
    requests, shell_bytes = loads.requests, loads.shell_bytes
    paint, usable = await page.evaluate(f"[{painted}[0].startTime, usableAt]")
    note(runs, PAINT, when, paint)
    note(runs, USABLE, when, max(paint, usable))
    note(runs, SHELL, when, shell_bytes / 1024)
    note(runs, REQUESTS, when, requests)
    await page.close()


async def first_visits(people: People, node: Node, runs: Runs, count: int) -> None:
    reader = await JsonClient.register(node, "visitor")
    [speaker] = await chatty(node, reader, 1)
    for _ in range(count):
        stranger = await people.come(node, "/icon.svg", direct=True)  # nothing of the page
        stranger.forgive("favicon.ico")
        await stranger.page.close()
        await first_visit(stranger, "/", [USERNAME], runs, "signed out")
        await stranger.context.close()
    member = await people.come(node, direct=True)
    await sign_in(member.page, reader.username)
    await member.page.close()
    for _ in range(count):
        path = CONVERSATION.format(id=speaker.client.id)
        await first_visit(member, path, [COMPOSER, LINES], runs, "signed in")
    await member.context.close()


# Opening a conversation


async def openings(people: People, node: Node, runs: Runs, count: int) -> None:
    """Each conversation is opened for the first time, its messages come from the server."""
    reader = await JsonClient.register(node, "opener")
    speakers = await chatty(node, reader, 2 * count + 1)
    person = await people.come(node, direct=True)
    await sign_in(person.page, reader.username)
    devtools = await person.devtools()
    await opening(person.page, speakers.pop())  # whatever is loaded with the first one
    for slow in (1, SLOW_CPU):
        await devtools.send("Emulation.setCPUThrottlingRate", {"rate": slow})
        for _ in range(count):
            took = await opening(person.page, speakers.pop())
            note(runs, OPENING, f"CPU ÷ {slow}", took)
    await person.context.close()


async def opening(page: Page, speaker: Speaker) -> float:
    last = f"Message {MESSAGE_COUNT} of {MESSAGE_COUNT}"
    await page.evaluate(WATCH_OPENING, [MESSAGES, last])
    await page.locator(LINES, has_text=speaker.name).click()
    await until(page, "window.openingMs")
    return float(await page.evaluate("window.openingMs"))


# Frames


async def frames(people: People, node: Node, runs: Runs, count: int) -> None:
    reader = await JsonClient.register(node, "watcher")
    [speaker] = await chatty(node, reader, 1)
    person = await people.come(node, direct=True)
    await sign_in(person.page, reader.username)
    await opening(person.page, speaker)
    page = person.page
    for number in range(count):
        await page.evaluate(KEEP_DRAWING)
        await people.browser.start_tracing(page=page, categories=TRACED)
        await asyncio.sleep(IDLE_S)
        idle = seen_in(await people.browser.stop_tracing())
        await people.browser.start_tracing(page=page, categories=TRACED)
        await speak(speaker.client, reader.id, f"Live {number}")
        last = f"Live {number}: {LIVE_S * PER_SECOND} "
        await expect(page.locator(MESSAGES, has_text=last)).to_be_visible()
        busy = seen_in(await people.browser.stop_tracing())
        await page.evaluate("stopDrawing()")
        for figure, value in idle:
            note(runs, figure._replace(most=None, least=None), "nothing arrives", value)
        for figure, value in busy:
            note(runs, figure, f"{PER_SECOND} messages a second", value)
    await person.context.close()


async def speak(speaker: JsonClient, to: int, prefix: str) -> None:
    """250 messages in 5 s, by the clock."""
    clock = asyncio.get_running_loop()
    begin = clock.time()
    for n in range(1, LIVE_S * PER_SECOND + 1):
        await asyncio.sleep(begin + n / PER_SECOND - clock.time())
        text = f"{prefix}: {n} of many, " + "and so on and on. " * (n % 5)
        speaker.send(cmd=10, dstid=to, content=text, cid=f"{prefix} {n}")


def seen_in(trace: bytes) -> list[tuple[Figure, float]]:
    """What it says of the page's renderer, the one that drew most."""
    events = json.loads(trace)["traceEvents"]
    drawn = [event for event in events if event["name"] == "DrawFrame"]
    pid = statistics.mode(event["pid"] for event in drawn)
    times = [event["ts"] for event in drawn if event["pid"] == pid]
    dropped = sum(event["name"] == "DroppedFrame" and event["pid"] == pid for event in events)
    [main] = [
        event["tid"]
        for event in events
        if event["name"] == "thread_name"
        and event["pid"] == pid
        and event["args"]["name"] == "CrRendererMain"
    ]
    tasks = [
        event
        for event in events
        if event["name"] == "RunTask"
        and (event["pid"], event["tid"]) == (pid, main)
        and "tdur" in event
    ]
    seconds = (times[-1] - times[0]) / 1e6
    return [
        (FRAMES, (len(times) - 1) / seconds),
        (DROPPED, 100 * dropped / (dropped + len(times))),
        (LONGEST, max(task["dur"] for task in tasks) / 1000),
        (LONGEST_OWN, max(task["tdur"] for task in tasks) / 1000),
        (BUSY, sum(task["tdur"] for task in tasks) / 1000 / seconds),
    ]


PARTS: dict[str, Callable[..., Any]] = {
    "visits": first_visits,
    "opening": openings,
    "frames": frames,
}


async def measure(node: Node, chromium: Chromium, parts: list[str], count: int) -> Runs:
    runs: Runs = {}
    async with connected(chromium) as people:
        for part in parts:
            sys.stdout.write(f"{part}\n")
            await PARTS[part](people, node, runs, count)
        await JsonClient.close_all()
    return runs


def table(runs: Runs) -> str:
    """Medians, with the limits beside them."""
    lines = [
        "| what | median | least | most | limit | |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for (figure, when), values in runs.items():
        median = statistics.median(values)
        verdict = "" if not figure.limit else "yes" if figure.is_good(median) else "NO"
        cells = (f"{value:,.1f}" for value in (median, min(values), max(values)))
        limit = f"{figure.limit} {figure.unit}".strip() if figure.limit else ""
        lines.append(f"| {figure.name}, {when} | {' | '.join(cells)} | {limit} | {verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="directory that page.md is written to")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--json", type=Path, help="every run's figures, for programs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-page-") as directory, Chromium() as chromium:
        node = Node(Path(directory), {"TANDEM_LOG_LEVEL": "warning"}).start()
        try:
            parts = options.only or list(PARTS)
            runs = asyncio.run(measure(node, chromium, parts, options.runs))
        finally:
            node.stop()
    sys.stdout.write("\n" + table(runs))
    if options.out:
        report = REPORT.format(
            command=" ".join([parser.prog, *sys.argv[1:]]),
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            machine=machine(),
            runs=options.runs,
            table=table(runs),
        )
        (options.out / "page.md").write_text(report, encoding="utf-8")
    if options.json:
        named = {f"{figure.name}, {when}": values for (figure, when), values in runs.items()}
        options.json.write_text(json.dumps(named, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
