"""A raw XMPP client with stream management, whose connection can be cut at any byte."""

import asyncio
import base64
import re
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.support.json_client import PASSWORD, SOCKETS, JsonClient
from tests.support.node import Node

SM = "urn:xmpp:sm:3"
_CLIENT = " xmlns='jabber:client'"


class Cut(Exception):
    """The connection is gone."""


class Resuming:
    """One session over as many connections as it takes.

    ``come``: bodies received, in order. Stanzas stay in ``unacked`` until the server counted them.
    """

    def __init__(self, node: Node, account: JsonClient) -> None:
        self.node = node
        self.account = account
        self.come: list[str] = []
        self.unacked: list[str] = []
        self.handled = self.acked = 0
        self.number = ""
        self.resumed = self.max_s = 0
        self.failure = ""
        self._answers = 0
        self._acks = True
        self.news = asyncio.Event()
        self._left: list[asyncio.StreamWriter] = []
        self._web: WebSocketClientConnection | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None
        self._text = ""
        self._task: asyncio.Task[None] | None = None

    # The connection.

    async def connect(self, *, web: bool) -> None:
        """Logs in; after that nothing is bound or resumed yet."""
        if self._writer is not None:
            self._left.append(self._writer)
        self._text = ""
        self._web = self._reader = self._writer = None
        if web:
            request = HTTPRequest(f"ws://127.0.0.1:{self.node.port}/xmpp-websocket")
            self._web = await websocket_connect(request, subprotocols=["xmpp"])
            SOCKETS.append(self._web)
            opening = (
                "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
            )
        else:
            self._reader, self._writer = await asyncio.open_connection(
                self.node.address, self.node.xmpp_port
            )
            opening = (
                "<stream:stream xmlns='jabber:client' version='1.0' to='localhost' "
                "xmlns:stream='http://etherx.jabber.org/streams'>"
            )
        plain = base64.b64encode(f"\0{self.account.username}\0{PASSWORD}".encode()).decode()
        self.write(opening)
        await self.until("</stream:features>")
        self.write(
            f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        )
        await self.until("<success[^>]*>")
        self.write(opening)
        await self.until("</stream:features>")

    def write(self, xml: str) -> None:
        if self._web is not None:
            self._web.write_message(xml)
        elif self._writer is not None:
            is_header = xml.startswith("<stream:")
            self._writer.write((xml if is_header else xml.replace(_CLIENT, "", 1)).encode())

    def write_half(self, xml: str) -> None:
        """The first bytes of a stanza (over TCP), after which the connection is cut."""
        if self._writer is not None:
            self._writer.write(xml.encode()[: len(xml) // 2])

    async def read(self) -> None:
        if self._web is not None:
            frame = await self._web.read_message()
            if frame is None:
                raise Cut
            self._text += str(frame)
        elif self._reader is not None:
            try:
                data = await self._reader.read(65536)
            except OSError:
                raise Cut from None
            if not data:
                raise Cut
            self._text += data.decode()

    async def until(self, pattern: str) -> re.Match[str]:
        """Reads on; what was before the match is thrown away."""
        async with asyncio.timeout(20):
            while (found := re.search(pattern, self._text, re.DOTALL)) is None:
                await self.read()
        self._text = self._text[found.end() :]
        return found

    async def cut(self) -> None:
        """Without a word."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._web is not None:
            stream: Any = self._web.protocol
            if stream is not None:
                stream.stream.close()
        elif self._writer is not None:
            self._writer.transport.abort()
        for writer in self._left:
            writer.transport.abort()
        self._left.clear()
        await asyncio.sleep(0)

    # The session.

    async def start(
        self, *, web: bool, presence: bool = True, resumable: bool = True
    ) -> "Resuming":
        await self.connect(web=web)
        self.write(
            "<iq xmlns='jabber:client' type='set' id='b'>"
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        )
        await self.until("</bind></iq>")
        if resumable:
            self.write(f"<enable xmlns='{SM}' resume='true'/>")
            found = await self.until(rf"<enabled xmlns='{SM}'[^>]* id='([^']+)' max='(\d+)'[^>]*>")
            self.number, self.max_s = found[1], int(found[2])
        else:
            self.write(f"<enable xmlns='{SM}'/>")
            await self.until(rf"<enabled xmlns='{SM}'/>")
        self._task = asyncio.create_task(self._listen())
        if presence:
            self.send("<presence xmlns='jabber:client'/>")
        return self

    async def resume(self, *, web: bool) -> bool:
        """Goes on with the session; False where it is over."""
        await self.connect(web=web)
        self.ask_resume()
        found = await self.until(rf"<resumed xmlns='{SM}'[^>]* h='(\d+)'/>|<failed.*?</failed>")
        if found[1] is None:
            self.failure = found[0]
            return False
        self._ack(int(found[1]))
        self.resumed += 1
        for stanza in self.unacked:
            self.write(stanza)
        self._task = asyncio.create_task(self._listen())
        return True

    def stop_acking(self) -> None:
        """What comes from now on is not acked."""
        self._acks = False

    def stop(self) -> None:
        """The test reads by itself from now on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def asked(self, count: int) -> None:
        """So many answers to ``<r/>`` more have come."""
        wanted = self._answers + count
        async with asyncio.timeout(20):
            while self._answers < wanted:
                self.news.clear()
                await self.news.wait()

    def ask_resume(self) -> None:
        self.write(f"<resume xmlns='{SM}' h='{self.handled}' previd='{self.number}'/>")

    def send(self, stanza: str) -> None:
        self.unacked.append(stanza)
        self.write(stanza)

    def say(self, to: str, body: str) -> str:
        """Without an origin-id: nothing but the count keeps it from coming twice."""
        stanza = (
            f"<message xmlns='jabber:client' type='chat' to='{to}'><body>{body}</body></message>"
        )
        self.send(stanza)
        return stanza

    def _ack(self, h: int) -> None:
        assert h - self.acked <= len(self.unacked), "more was counted than sent"
        del self.unacked[: h - self.acked]
        self.acked = h

    async def _listen(self) -> None:
        while True:
            self._take()
            try:
                await self.read()
            except Cut:
                return

    def _take(self) -> None:
        while found := re.match(
            rf"<(r|a) xmlns='{SM}'(?: h='(\d+)')?/>"
            r"|<(message|presence|iq)\b(?:[^>]*/>|.*?</\3>)",
            self._text,
            re.DOTALL,
        ):
            self._text = self._text[found.end() :]
            if found[1] == "r" and self._acks:
                self.write(f"<a xmlns='{SM}' h='{self.handled}'/>")
            elif found[1] == "a":
                self._answers += 1
                self._ack(int(found[2]))
            elif found[1] == "r":
                pass
            else:
                self.handled += 1
                body = re.search("<body>(.*?)</body>", found[0], re.DOTALL)
                if body and found[3] == "message":
                    self.come.append(body[1])
            self.news.set()

    async def expect(self, count: int, timeout_s: float = 20) -> list[str]:
        """The bodies, when there are so many."""
        async with asyncio.timeout(timeout_s):
            while len(self.come) < count:
                self.news.clear()
                await self.news.wait()
        return self.come
