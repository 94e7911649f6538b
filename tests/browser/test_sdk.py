"""The SDK against a real server: under Node, and in tabs of a browser."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Page
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tests.support.browser import People, until
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import ROOT, Node
from tests.support.nodejs import MISSING, NODE

REAL = ROOT / "tests" / "web" / "real"

needs_node = pytest.mark.skipif(not NODE, reason=MISSING)


async def run(script: Path, **env: str) -> None:
    """``node --test`` over one file; its report is shown when it fails."""
    process = await asyncio.create_subprocess_exec(
        *(NODE, "--test", str(script)),
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode()[-6000:]


@needs_node
@pytest.mark.gen_test(timeout=120)
async def test_people_chat_by_the_sdk(node: Node) -> None:
    """Chat, acts, receipts, paging, groups, files, search, tokens, logout."""
    await run(REAL / "chat.mjs", TANDEM_URL=node.url)


class Control(RequestHandler):
    """What a script may have done with the server."""

    def initialize(self, deeds: dict[str, Callable[[], object]]) -> None:
        self.deeds = deeds

    def post(self, name: str) -> None:
        self.deeds[name]()


@needs_node
@pytest.mark.gen_test(timeout=180)
async def test_sdk_loses_nothing_when_the_server_is_killed(own_node: Node) -> None:
    """Three deaths in the middle of sending: each line once, in order, on both sides."""
    own_node.start()
    deeds = {"kill": own_node.kill, "start": own_node.start}
    socket, port = bind_unused_port()
    server = HTTPServer(Application([(r"/(\w+)", Control, {"deeds": deeds})]))
    server.add_socket(socket)
    try:
        control = f"http://127.0.0.1:{port}"
        await run(REAL / "outage.mjs", TANDEM_URL=own_node.url, CONTROL=control)
    finally:
        server.stop()


COUNTED = """
  globalThis.sockets = 0;
  const Plain = WebSocket;
  globalThis.WebSocket = class extends Plain {
    constructor(url) { super(url); globalThis.sockets++; }
  };
"""


async def enter(page: Page, account: JsonClient) -> None:
    """The SDK alone, on a page without anything else, as ``client``."""
    await page.evaluate(
        """async ([who, password]) => {
          const { Tandem } = await import("/sdk/tandem.js");
          globalThis.client = new Tandem();
          if (!client.user) await client.login(who, password);
          await client.start();
        }""",
        [account.username, PASSWORD],
    )


def texts(key: str) -> str:
    return (
        f"(client.conversation('{key}')?.timeline.entries ?? []).map(({{ content }}) => content)"
        ".join()"
    )


@pytest.mark.gen_test(timeout=90)
async def test_tabs_of_a_browser_share_connection_outbox_and_messages(
    node: Node, people: People
) -> None:
    """One socket for three tabs, whichever is closed; what could not be sent is after a reload."""
    ann, ben = await JsonClient.register(node), await JsonClient.online(node)
    key = f"10/{ben.id}"
    person = await people.come(node, "/sdk/tandem.js")
    await person.context.add_init_script(COUNTED)
    await person.page.reload()
    tabs = [person.page, *[await person.open("/sdk/tandem.js") for _ in range(2)]]
    for tab in tabs:
        await enter(tab, ann)
        await until(tab, "client.state === 'online'")
    assert [await tab.evaluate("sockets") for tab in tabs] == [1, 0, 0]
    await tabs[2].evaluate(f"client.send({{ chat: 10, dstid: {ben.id} }}, 'one')")
    assert (await ben.expect(cmd=10))["content"] == "one"
    ben.send(cmd=10, dstid=ann.id, content="two", cid="x")
    for tab in tabs:
        await until(tab, f"{texts(key)} === 'one,two'")
        await until(tab, "client.pending().length === 0")
    await tabs[0].close()
    await until(tabs[1], "client.state === 'online' && sockets === 1")
    await tabs[2].evaluate(f"client.send({{ chat: 10, dstid: {ben.id} }}, 'three')")
    assert (await ben.expect(cmd=10))["content"] == "three"
    await until(tabs[1], f"{texts(key)} === 'one,two,three'")
    await tabs[2].close()
    await person.cut()
    await until(tabs[1], "client.state === 'waiting'")
    for text in ("four", "five"):
        await tabs[1].evaluate(f"client.send({{ chat: 10, dstid: {ben.id} }}, '{text}')")
    # A later write of the same store: what was said before is in it now.
    await tabs[1].evaluate(
        """new Promise((done) => {
          const opening = indexedDB.open("tandem");
          opening.onsuccess = () => {
            const change = opening.result.transaction("pairs", "readwrite");
            change.objectStore("pairs").put(1, "test");
            change.oncomplete = done;
          };
        })"""
    )
    await tabs[1].close()
    await person.come_back()
    again = await person.open("/sdk/tandem.js")
    await enter(again, ann)
    assert [(await ben.expect(cmd=10))["content"] for _ in range(2)] == ["four", "five"]
    await until(again, "client.pending().length === 0")
    assert await again.evaluate(texts(key)) == "one,two,three,four,five"


@pytest.mark.gen_test(timeout=60)
async def test_file_goes_up_from_a_browser_with_progress(node: Node, people: People) -> None:
    """By XMLHttpRequest, whose upload can be watched, and ended."""
    ann = await JsonClient.register(node)
    person = await people.come(node, "/sdk/tandem.js")
    await enter(person.page, ann)
    parts, address = await person.page.evaluate(
        """(async () => {
          const parts = [];
          const onProgress = (part) => parts.push(part);
          const file = new Blob(["x".repeat(300_000)], { type: "audio/webm;codecs=opus" });
          return [parts, await client.upload(file, { name: "a.webm", onProgress })];
        })()"""
    )
    assert parts == sorted(parts) and parts[-1] == 1 and len(parts) > 1
    assert await person.page.evaluate(
        "address => fetch(address).then(async (answer) => (await answer.blob()).size)", address
    ) == (300_000)
    told = await person.page.evaluate(
        """(async () => {
          const wish = new AbortController();
          const onProgress = () => wish.abort(new Error("no more"));
          const file = new Blob(["x".repeat(5_000_000)]);
          try {
            await client.upload(file, { onProgress, signal: wish.signal });
          } catch (error) {
            return error.message;
          }
        })()"""
    )
    assert told == "no more"
