"""XMPP over TCP (RFC 6120): STARTTLS on one port, TLS from the first byte on the other."""

import asyncio
import ipaddress
import logging
import secrets
import ssl
from collections import deque
from collections.abc import Awaitable, Iterator

from handlers import xmpp_codec
from handlers.certificates import make_context
from handlers.pipe import KEEPALIVE, Pipe
from handlers.xmpp import XmppSession
from server.errors import Close
from server.services import Services
from stanzas import ping
from stanzas.stream import Event, Stream, proceed
from stanzas.xml import Bounds, XmlError

log = logging.getLogger(__name__)

BACKLOG = 4096
HANDSHAKE_S = 15.0
PING_AFTER_S = 300.0
"""Silence after which the server asks whether the client is still there …"""
PING_WAIT_S = 60.0
"""… and how long it waits for any sign of life then."""


def bounds(services: Services) -> tuple[Bounds, Bounds]:
    """How much a stanza may be before login and after."""
    limits = services.settings.limits
    return (
        Bounds(limits.prelogin_bytes, limits.stanza_depth, limits.prelogin_elements),
        Bounds(limits.stanza_bytes, limits.stanza_depth),
    )


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class XmppServers:
    """The listeners of both ports."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Listens as ``[xmpp]`` says. Raises ``OSError`` where it cannot."""
        services, xmpp = self._services, self._services.settings.xmpp
        context = make_context(services.settings)
        loop = asyncio.get_running_loop()
        if xmpp.port:
            self._servers.append(
                await loop.create_server(
                    lambda: XmppConnection(services, context, direct=False),
                    xmpp.address,
                    xmpp.port,
                    backlog=BACKLOG,
                    reuse_port=bool(services.worker),
                )
            )
        if xmpp.tls_port:
            self._servers.append(
                await loop.create_server(
                    lambda: XmppConnection(services, context, direct=True),
                    xmpp.address,
                    xmpp.tls_port,
                    backlog=BACKLOG,
                    reuse_port=bool(services.worker),
                    ssl=context,
                    ssl_handshake_timeout=HANDSHAKE_S,
                )
            )

    async def close(self) -> None:
        for server in self._servers:
            server.close()


class XmppConnection(Pipe):
    """One TCP connection; a :class:`handlers.xmpp.Transport`."""

    codec = xmpp_codec.TCP

    def __init__(
        self,
        services: Services,
        context: ssl.SSLContext,
        *,
        direct: bool,
    ) -> None:
        super().__init__(services.settings.limits.outbox_bytes)
        self.address = ""
        self._services = services
        self._context = context
        self._is_tls = direct
        self._session: XmppSession | None = None
        self._stream: Stream | None = None
        self._coming: Iterator[Event] | None = None
        self._later: deque[bytes] = deque()
        self._pinged_at = 0.0
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        for level, option, value in KEEPALIVE:
            sock.setsockopt(level, option, value)
        self.address = (transport.get_extra_info("peername") or ("",))[0]
        settings = self._services.settings
        may_be_plain = settings.xmpp.plaintext == "loopback" and is_loopback(self.address)
        self._stream = Stream(
            settings.xmpp.domain,
            *bounds(self._services),
            starttls=None if self._is_tls else not may_be_plain,
        )
        self._session = XmppSession(self._services, self._stream, self)

    def is_private(self) -> bool:
        return self._is_tls or is_loopback(self.address)

    def tell(self, xml: str) -> None:
        self.send(xml.encode())

    def finish(self, *last_words: str, wait: bool = False) -> None:
        self.goodbye("".join(last_words).encode())
        if not wait:
            self.drop()

    def adopt(self, session: XmppSession | None) -> None:
        self._session = session

    def end(self, why: Close) -> None:
        if self._session is not None:
            self._session.end(why)

    def start_tls(self) -> None:
        """RFC 6120 section 5.4: what came behind the request is not looked at."""
        self._coming = None
        self._later.clear()
        self.tell(proceed())
        self.flush()
        self.pause()
        self._handshake = asyncio.get_running_loop().create_task(self._change_to_tls())

    async def _change_to_tls(self) -> None:
        transport, stream = self._transport, self._stream
        if transport is None or stream is None:
            return
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.debug("tls_failed reason=%s", type(error).__name__)
            transport.abort()
            return
        if secured is None or self._transport is None:
            return
        self._transport, self._write = secured, secured.write
        self._is_tls = True
        stream.starttls = None
        stream.restart()
        self.pauses = 0
        secured.resume_reading()

    # The pipe's hooks.

    def feed(self, data: bytes) -> None:
        self._later.append(data)

    def parse(self) -> None:
        session, stream = self._session, self._stream
        if session is None or stream is None:
            return
        try:
            while not self.pauses and not self.closing_at:
                session = self._session  # another one's, when that is resumed
                if session is None:
                    return
                if self._coming is None:
                    if not self._later:
                        return
                    self._coming = stream.receive(self._later.popleft())
                event = next(self._coming, None)
                if event is None:
                    self._coming = None
                    continue
                pending = session.handle(event)
                if pending is not None:
                    self.wait_for(self._failing(pending))
        except XmlError as error:
            if session is not None:
                session.fail(error)
        if self.closing_at:
            # Only the peer's own end is of interest now.
            if any(b"</stream:stream>" in data for data in self._later):
                self.drop()
            self._later.clear()

    async def _failing(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except XmlError as error:
            if self._session is not None:
                self._session.fail(error)

    def look_at_clock(self, now: float) -> None:
        super().look_at_clock(now)
        silent = now - self.heard_at
        if self.closing_at or self.pauses or silent < PING_AFTER_S:
            self._pinged_at = 0.0
        elif self._session is None or self._session.node is None:
            return
        elif not self._pinged_at:
            self._pinged_at = now
            number = f"ping-{secrets.token_hex(4)}"
            self.tell(ping.request(number, self._session.domain, self._session.me, ""))
        elif now - self._pinged_at > PING_WAIT_S:
            self.end(Close.SILENT)

    def closed(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
        if self._session is not None:
            self._session.on_close()
