"""XMPP over WebSocket (RFC 7395): ``/xmpp-websocket``, subprotocol ``xmpp``, one stanza a frame."""

from collections.abc import Awaitable

from tornado.web import HTTPError

from handlers import xmpp_codec
from handlers.frames import close_frame, frame
from handlers.origin import check_origin
from handlers.wire import Wire, WireHandler
from handlers.xmpp import XmppSession
from handlers.xmpp_stream import bounds, is_loopback
from server.clients import Pending
from server.errors import ChatError, Close
from server.services import Services
from stanzas.stream import Stream
from stanzas.xml import XmlError

NORMAL = 1000
POLICY = 1008


class XmppSocketHandler(WireHandler):
    """The handshake. A token in the URL gives no rights: login is SASL's."""

    def initialize(self, services: Services) -> None:
        self.services = services
        limits = services.settings.limits
        self.max_message_bytes = limits.stanza_bytes
        self.outbox_bytes = limits.outbox_bytes
        # Clients keep such a socket open with whitespace or pings, or find out by TCP.
        self.silence_s = 0
        self.compression = services.settings.http.compression

    def prepare(self) -> None:
        """Raises ``HTTPError``: 403 foreign origin, 400 no ``xmpp``, 429 too many, 503 draining."""
        check_origin(self)
        if self.services.draining:
            raise HTTPError(503)
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if "xmpp" not in [name.strip() for name in offered.split(",")]:
            raise HTTPError(400, "the subprotocol must be xmpp")
        try:
            self.services.addresses.check(self.request.remote_ip or "")
        except ChatError as error:
            raise HTTPError(429) from error

    def select_subprotocol(self, subprotocols: list[str]) -> str:
        return "xmpp"

    def open(self, *args: str, **kwargs: str) -> None:
        address = self.request.remote_ip or ""
        may_be_plain = self.services.settings.xmpp.plaintext == "loopback"
        is_private = self.request.protocol == "https" or (may_be_plain and is_loopback(address))
        self.session = XmppSocket(self.services, self.wire, address, is_private=is_private)


class XmppSocket:
    """Ties a wire to an XMPP session; a :class:`handlers.xmpp.Transport`."""

    def __init__(self, services: Services, wire: Wire, address: str, *, is_private: bool) -> None:
        self.address = address
        plain, deflated = xmpp_codec.WEBSOCKET, xmpp_codec.DEFLATED_WEBSOCKET
        self.codec = deflated if wire.deflates else plain
        self._wire = wire
        self._is_private = is_private
        self._stream = Stream(services.settings.xmpp.domain, *bounds(services), websocket=True)
        self._session: XmppSession | None = XmppSession(services, self._stream, self)

    # A wire's session.

    def on_message(self, payload: bytes) -> Pending:
        session = self._session
        if session is None:
            return None
        try:
            for event in self._stream.receive(payload):
                pending = session.handle(event)
                if pending is not None:
                    return self._failing(pending)
        except XmlError as error:
            session.fail(error)
        return None

    async def _failing(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except XmlError as error:
            if self._session is not None:
                self._session.fail(error)

    def on_close(self) -> None:
        if self._session is not None:
            self._session.on_close()

    # A session's transport.

    def is_private(self) -> bool:
        return self._is_private

    def tell(self, xml: str) -> None:
        self._wire.send(self.codec.ready(xml))

    def adopt(self, session: XmppSession | None) -> None:
        self._session = session

    def start_tls(self) -> None:
        """Not over WebSocket: TLS is below it."""

    def finish(self, *last_words: str, wait: bool = False) -> None:
        failed = len(last_words) > 1
        frames = b"".join(frame(words.encode()) for words in last_words)
        self._wire.goodbye(frames + close_frame(POLICY if failed else NORMAL))

    @property
    def is_slow(self) -> bool:
        return self._wire.is_slow

    def send(self, data: bytes) -> None:
        self._wire.send(data)

    def end(self, why: Close) -> None:
        if self._session is not None:
            self._session.end(why)

    def abort(self) -> None:
        self._wire.abort()

    def pause(self) -> None:
        self._wire.pause()

    def resume(self) -> None:
        self._wire.resume()
