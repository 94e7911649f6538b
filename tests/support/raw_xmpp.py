"""An XMPP client that hides nothing: what is on the wire, over TCP or as RFC 7395 frames."""

import asyncio
import base64
import re
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from lxml import etree
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.support.json_client import SOCKETS
from tests.support.node import Node

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STREAMS = "http://etherx.jabber.org/streams"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
T = TypeVar("T")


class RawXmpp:
    """One connection. Stanzas not yet taken are in ``come``; ``error``: the stream's, if any."""

    def __init__(self, node: Node, transport: str) -> None:
        self.node = node
        self.transport = transport
        self.come: deque[Any] = deque()
        self.error = ""
        self.is_closed = False
        self.me = ""
        self._news = asyncio.Event()
        self._numbers = 0
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._socket: WebSocketClientConnection | None = None
        self._parser = etree.XMLPullParser(events=("start", "end"))
        self._depth = 0

    async def login(self, username: str, password: str, resource: str) -> None:
        """Connects, authenticates and binds. Raises ``AssertionError`` where the server refuses."""
        await self.authenticate(username, password)
        wanted = f"<resource>{resource}</resource>" if resource else ""
        bound = await self.ask("set", f"<bind xmlns='{BIND}'>{wanted}</bind>")
        self.me = bound.findtext(f"{{{BIND}}}bind/{{{BIND}}}jid")
        assert self.me, etree.tostring(bound)

    async def authenticate(self, username: str, password: str) -> None:
        """Connects and authenticates; nothing is bound or resumed yet."""
        if self.transport == "tcp":
            reader, self._writer = await asyncio.open_connection(
                self.node.address, self.node.xmpp_port
            )
            self._reader = asyncio.create_task(self._read(reader))
        else:
            url = f"ws://{self.node.address}:{self.node.port}/xmpp-websocket"
            self._socket = await websocket_connect(
                HTTPRequest(url), on_message_callback=self._frame, subprotocols=["xmpp"]
            )
            SOCKETS.append(self._socket)
        self._open()
        await self.take(lambda e: e.tag == f"{{{STREAMS}}}features")
        plain = base64.b64encode(f"\0{username}\0{password}".encode()).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>")
        answer = await self.take(lambda e: e.tag.startswith(f"{{{SASL}}}"))
        assert answer.tag.endswith("success"), etree.tostring(answer)
        self._open()
        await self.take(lambda e: e.tag == f"{{{STREAMS}}}features")

    def _open(self) -> None:
        self._parser, self._depth = etree.XMLPullParser(events=("start", "end")), 0
        if self.transport == "tcp":
            self.send_raw(
                "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' "
                f"xmlns='jabber:client' xmlns:stream='{STREAMS}'>"
            )
        else:
            self.send_raw(f"<open xmlns='{FRAMING}' to='localhost' version='1.0'/>")

    async def ask(self, kind: str, child: str, to: str = "") -> Any:
        """An iq of our own; its answer."""
        self._numbers += 1
        number = f"raw{self._numbers}"
        whom = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{number}'{whom}>{child}</iq>")
        return await self.take(lambda e: e.tag.endswith("}iq") and e.get("id") == number)

    async def settle(self) -> None:
        """Waits until the server has processed what was sent."""
        await self.ask("get", "<ping xmlns='urn:xmpp:ping'/>", "localhost")

    def send(self, stanza: str) -> None:
        """One stanza, which need not have the namespace that its stream gives it."""
        if self.transport == "websocket" and not re.match(r"<[^>]*?\sxmlns=", stanza):
            stanza = re.sub(r"^<([\w:]+)", r"<\1 xmlns='jabber:client'", stanza)
        self.send_raw(stanza)

    def send_raw(self, text: str) -> None:
        if self._writer is not None:
            self._writer.write(text.encode())
        else:
            assert self._socket is not None
            self._socket.write_message(text)

    async def send_slowly(self, stanza: str) -> None:
        """One byte a packet; RFC 7395 has no such thing, so there it is one frame."""
        if self._writer is None:
            self.send(stanza)
            return
        self._writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY
        for at in range(len(raw := stanza.encode())):
            self._writer.write(raw[at : at + 1])
            await self._writer.drain()
            await asyncio.sleep(0)

    async def take(self, fits: Callable[[Any], Any], timeout_s: float = 6) -> Any:
        """The first stanza, come or coming, that fits. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout_s):
            while True:
                for element in self.come:
                    if fits(element):
                        self.come.remove(element)
                        return element
                if self.is_closed:
                    raise TimeoutError("the connection is closed")
                self._news.clear()
                await self._news.wait()

    async def ended(self, timeout_s: float = 6) -> None:
        async with asyncio.timeout(timeout_s):
            while not self.is_closed:
                self._news.clear()
                await self._news.wait()

    async def logout(self) -> None:
        """The end as it should be."""
        if not self.is_closed:
            end = "</stream:stream>" if self._writer is not None else f"<close xmlns='{FRAMING}'/>"
            self.send_raw(end)
            await self.ended()
        await self.cut()

    async def cut(self) -> None:
        """The connection is gone without a word."""
        if self._writer is not None:
            self._writer.transport.abort()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        self._over()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(65536):
                self._parser.feed(data)
                self._events()
        except (ConnectionError, etree.XMLSyntaxError):
            pass
        self._over()

    def _events(self) -> None:
        for event, element in self._parser.read_events():
            if event == "start":
                self._depth += 1
                continue
            self._depth -= 1
            if self._depth == 1:
                self._heard(element)
            elif self._depth == 0 and self._writer is not None:
                self._writer.write(b"</stream:stream>")  # the server waits for it

    def _frame(self, raw: str | bytes | None) -> None:
        if raw is None:
            self._over()
            return
        element = etree.fromstring(raw)
        if element.tag == f"{{{FRAMING}}}close":
            self._over()
        elif element.tag != f"{{{FRAMING}}}open":
            self._heard(element)

    def _heard(self, element: Any) -> None:
        if element.tag == f"{{{STREAMS}}}error":
            self.error = element[0].tag.rpartition("}")[2]
        else:
            self.come.append(element)
        self._news.set()

    def _over(self) -> None:
        self.is_closed = True
        self._news.set()
