"""The SDK under Node against a real server."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tests.support.node import ROOT, Node
from tests.support.nodejs import MISSING, NODE

REAL = ROOT / "tests" / "web" / "real"

pytestmark = pytest.mark.skipif(not NODE, reason=MISSING)


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
