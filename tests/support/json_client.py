"""A JSON client for tests: register over HTTP, talk over WebSocket, wait for what is expected."""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.support.node import Node

PASSWORD = "correct horse battery"
OPENED: list["JsonClient"] = []
"""The clients of the running test, closed when it ends."""
SOCKETS: list[WebSocketClientConnection] = []
"""Raw connections of the running test, closed with it too."""
_names = itertools.count(1)


def fresh_name() -> str:
    """A username that no other test uses."""
    return f"user{next(_names)}.{id(_names) % 100_000}"


async def http(
    node: Node, method: str, path: str, body: Any = None, token: str = "", **headers: str
) -> tuple[int, Any, HTTPResponse]:
    """One HTTP request; status, decoded JSON body (or None), and the response itself."""
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    data = None
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    request = HTTPRequest(
        node.url + path, method, sent, data, allow_nonstandard_methods=True, request_timeout=60
    )
    response = await AsyncHTTPClient().fetch(request, raise_error=False)
    kind = response.headers.get("Content-Type", "")
    decoded = json.loads(response.body) if "json" in kind and response.body else None
    return response.code, decoded, response


class JsonClient:
    """One account; ``connect`` opens a WebSocket. Frames not yet asked for stay in ``frames``."""

    def __init__(self, node: Node, account: dict[str, Any], on: Node | None = None) -> None:
        """``on``: which node it uses; else the next one in turn."""
        self.service = node
        self.node = on or node.pick()
        self.id: int = account["id"]
        self.username: str = account["username"]
        self.jid: str = account["jid"]
        self.token: str = account["token"]
        self.refresh_token: str = account["refresh_token"]
        self.frames: deque[dict[str, Any]] = deque()
        self.close_code: int | None = None
        self.is_closed = False
        self.socket: WebSocketClientConnection | None = None
        self._news = asyncio.Event()
        OPENED.append(self)

    @classmethod
    async def register(cls, node: Node, username: str | None = None) -> "JsonClient":
        body = {"username": username or fresh_name(), "password": PASSWORD}
        on = node.pick()  # one turn for each client, or all would be on the same one of two nodes
        status, account, _ = await http(on, "POST", "/api/register", body)
        assert status == 201, account
        return cls(node, account, on)

    @classmethod
    async def online(cls, node: Node, username: str | None = None) -> "JsonClient":
        return await (await cls.register(node, username)).connect()

    def account(self) -> dict[str, Any]:
        """What :class:`JsonClient` and its like are made from."""
        return {
            "id": self.id,
            "username": self.username,
            "jid": self.jid,
            "token": self.token,
            "refresh_token": self.refresh_token,
        }

    def another_device(self) -> "JsonClient":
        """The same account on a second connection."""
        return JsonClient(self.service, self.account())

    async def connect(self) -> "JsonClient":
        self.close_code, self.is_closed = None, False
        self.socket = await websocket_connect(
            f"{self.node.chat_url}?id={self.id}&token={self.token}",
            on_message_callback=self._heard,
        )
        return self

    def _heard(self, raw: str | bytes | None) -> None:
        assert self.socket is not None
        if raw is None:
            self.is_closed = True
            self.close_code = self.socket.close_code
            self.socket.close()  # the server closed first; this lets go of the object
        else:
            self.frames.append(json.loads(raw))
        self._news.set()

    def send(self, **frame: Any) -> None:
        self.send_raw(json.dumps(frame))

    def send_raw(self, raw: str | bytes) -> None:
        assert self.socket is not None
        self.socket.write_message(raw, binary=isinstance(raw, bytes))

    async def expect(self, timeout_s: float = 10, **fields: Any) -> dict[str, Any]:
        """The first frame, come or coming, that has these fields; it is taken out of ``frames``."""

        def fits(frame: dict[str, Any]) -> bool:
            return all(frame.get(name) == value for name, value in fields.items())

        return await self.expect_that(fits, timeout_s, str(fields))

    async def expect_that(
        self, fits: Callable[[dict[str, Any]], bool], timeout_s: float = 10, what: str = ""
    ) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            while True:
                for frame in self.frames:
                    if fits(frame):
                        self.frames.remove(frame)
                        return frame
                assert self.socket is not None and not self.is_closed, (
                    f"closed with {self.close_code} while waiting for {what}"
                )
                self._news.clear()
                await self._news.wait()

    async def closed(self, timeout_s: float = 10) -> int | None:
        """Waits for the end of the connection; its close code."""
        assert self.socket is not None
        async with asyncio.timeout(timeout_s):
            while not self.is_closed:
                self._news.clear()
                await self._news.wait()
        return self.close_code

    async def settled(self) -> list[dict[str, Any]]:
        """All frames that came before the answer to a heartbeat sent now."""
        self.send(cmd=0)
        await self.expect(cmd=0)
        come = list(self.frames)
        self.frames.clear()
        return come

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()

    @staticmethod
    async def close_all() -> None:
        """Closes what the test left open, and waits for the ends."""
        while SOCKETS:
            SOCKETS.pop().close()
        while OPENED:
            client = OPENED.pop()
            if client.socket is not None and not client.is_closed:
                client.close()
                with suppress(TimeoutError):
                    await client.closed(5)

    async def say(self, to: int, content: str, cid: str, chat: int = 10) -> dict[str, Any]:
        """Sends one text and waits for its ack."""
        self.send(cmd=chat, dstid=to, content=content, cid=cid)
        return await self.expect(cmd=1, cid=cid)

    async def history(self, chat: int, dstid: int) -> list[dict[str, Any]]:
        """The whole conversation by HTTP."""
        messages: list[dict[str, Any]] = []
        while True:
            after = messages[-1]["seq"] if messages else 0
            path = f"/api/messages?chat={chat}&dstid={dstid}&after={after}&limit=200"
            status, page, _ = await http(self.node, "GET", path, token=self.token)
            assert status == 200, page
            messages.extend(page["messages"])
            if not page["more"]:
                return messages

    async def act(self, cmd: int, chat: int, dstid: int, ref: int, cid: str, **more: Any) -> Any:
        """Recalls, edits or reacts, and waits for the ack."""
        self.send(cmd=cmd, chat=chat, dstid=dstid, ref=ref, cid=cid, **more)
        return await self.expect(cmd=1, cid=cid)

    async def refused(self, **frame: Any) -> tuple[int, str]:
        """Sends what is answered with an error: its code and reason."""
        self.send(**frame)
        answer = await self.expect(cmd=2)
        return answer["code"], answer["reason"]

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """An HTTP request with this account's token: status and answer."""
        status, answer, _ = await http(self.node, method, path, body, token=self.token)
        return status, answer

    async def inbox(self) -> list[dict[str, Any]]:
        """The conversations, by HTTP."""
        status, answer = await self.call("GET", "/api/conversations")
        assert status == 200, answer
        lines: list[dict[str, Any]] = answer["conversations"]
        return lines

    async def line(self, dstid: int, chat: int = 10) -> dict[str, Any]:
        """One conversation of the inbox."""
        [line] = [one for one in await self.inbox() if (one["chat"], one["dstid"]) == (chat, dstid)]
        return line
