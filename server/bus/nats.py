"""The bus between nodes, on NATS core: at most once, and only where there is interest.

Each user and each group has a subject, ``<bus.subject>.<id>``; both kinds of id come out of one
counter. A node subscribes to those that it has connections for, so what nobody else wants stays
in the nats-server. What one loop turn publishes leaves in one write.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.protocol.parser import Parser

from server.deliveries import Delivery, Envelope, Event
from server.model import Message, User
from server.settings import Bus as BusSettings

log = logging.getLogger(__name__)

CONNECT_S = 2.0
RECONNECT_S = 0.5
PING_S = 5.0
"""A silent server is given up after two unanswered pings."""
SETTLE_S = 2.0
"""How long a new subscription may take before its user is let in all the same."""
POKES = 0
"""The topic that all nodes watch; no user or group has this id."""
BACKLOG_BYTES = 8 * 1024 * 1024
"""What waits for a slow nats-server; beyond it deliveries are left to the history."""


class Named(User, array_like=True, omit_defaults=True, gc=False):
    """A :class:`User` on the bus."""


class Carried(msgspec.Struct, array_like=True, tag=1, gc=False):
    """A :class:`Delivery` on the bus. ``body``: its message, as JSON clients get it."""

    body: bytes
    conv: str
    before: int
    author: Named
    recipient: Named | None
    resource: str = ""
    xml: str = ""


class Hint(msgspec.Struct, array_like=True, tag=2):
    """An :class:`Event` on the bus. ``kind``: which of the known bodies ``body`` is."""

    kind: int
    body: msgspec.Raw
    gid: int = 0
    but: list[int] = []
    author: Named | None = None
    name: str = ""


class Poke(msgspec.Struct, array_like=True, tag=3):
    """Says to all nodes that something changed, which they look up in the database."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Carried | Hint | Poke).decode
_decode_message = msgspec.json.Decoder(Message).decode
_match_head = re.compile(rb"MSG \S+ (\d+) (?:\S+ )?(\d+)\r\n").match
_POKE = _encode(Poke())


class _Parser(Parser):
    """Takes messages out of what was read, many a call; the rest is the client's own parser's."""

    def __init__(self, client: Client, taken: Callable[[int, bytes], None]) -> None:
        super().__init__(client)
        self._taken = taken

    async def parse(self, data: bytes = b"") -> None:
        if self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        at, taken = 0, self._taken
        while (head := _match_head(data, at)) is not None:
            start = head.end()
            end = start + int(head[2])
            if len(data) < end + 2:
                break
            taken(int(head[1]), data[start:end])
            at = end + 2
        if at < len(data):
            self.buf += data[at:]
            if not self.buf.startswith(b"MSG "):
                await super().parse()


class _Client(Client):
    """The NATS client without its task and queue for each subscription.

    A node has hundreds of thousands of them, of which each would take some KiB. What comes is
    handed over in the turn in which it was read: ``taken(sid, payload)``.
    """

    def __init__(self, taken: Callable[[int, bytes], None]) -> None:
        super().__init__()
        self._taken = taken
        self._ps = _Parser(self, taken)

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        self._taken(sid, data)

    def write(self, data: bytes) -> bool:
        """False: there is no connection now, or it has too much to write."""
        if not self.is_connected or self._transport is None:
            return False
        writer = self._transport._io_writer  # type: ignore[attr-defined]
        if writer.transport.get_write_buffer_size() > BACKLOG_BYTES:
            return False
        writer.write(data)
        return True


class NatsBus:
    """See :class:`server.ports.Bus`. ``bodies``: all kinds of an event's body."""

    is_shared = True

    def __init__(self, settings: BusSettings, bodies: Iterable[type[msgspec.Struct]]) -> None:
        self._settings = settings
        self._bodies = tuple(bodies)
        self._kinds = {body: kind for kind, body in enumerate(self._bodies)}
        self._decoders = [msgspec.msgpack.Decoder(body).decode for body in self._bodies]
        self._subject = f"{settings.subject}.".encode()
        self._loop = asyncio.get_running_loop()
        self._topics = {POKES}
        self._client = _Client(self._taken)
        self._out: list[bytes] = []
        self.lost = self._lost_before = 0
        self._largest = 0
        self._trouble = ""
        self._closing = False
        self._settling: asyncio.Future[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._deliver: Callable[[Any], None]
        self._poked: Callable[[], None]
        self._rejoined: Callable[[], None]

    def listen(
        self,
        deliver: Callable[[Any], None],
        poked: Callable[[], None],
        rejoined: Callable[[], None],
    ) -> None:
        self._deliver = deliver
        self._poked = poked
        self._rejoined = rejoined

    async def open(self) -> None:
        """Connects. Where no server answers soon, it goes on trying while the node starts."""
        self._connecting = asyncio.create_task(self._connect(), name="bus")
        await asyncio.wait({self._connecting}, timeout=CONNECT_S)

    async def close(self) -> None:
        self._closing = True
        self._flush()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        await self._client.close()

    async def _connect(self) -> None:
        """Until there is a connection. What breaks later, the client mends, or says it cannot."""
        servers = [url.strip() for url in self._settings.url.split(",")]
        options: dict[str, Any] = {
            "servers": servers,
            "name": "tandem",
            "no_echo": True,
            "dont_randomize": True,  # the first is the nearest
            "connect_timeout": CONNECT_S,
            "reconnect_time_wait": RECONNECT_S,
            "max_reconnect_attempts": -1,
            "ping_interval": PING_S,
            "max_outstanding_pings": 2,
            "error_cb": self._failed,
            "disconnected_cb": self._disconnected,
            "reconnected_cb": self._connected,
            "closed_cb": self._closed,
        }
        if self._settings.credentials:
            options["user_credentials"] = self._settings.credentials
        if any(url.startswith("tls://") for url in servers):
            options["tls"] = self._tls()
        while True:
            self._client = _Client(self._taken)
            try:
                await self._client.connect(**options)
            except Exception as error:
                # Whatever a library may raise: a node without its bus still serves.
                await self._failed(error)
                await asyncio.sleep(RECONNECT_S)
            else:
                return await self._connected()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._settings.tls_ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._settings.tls_certificate:
            context.load_cert_chain(self._settings.tls_certificate, self._settings.tls_key or None)
        return context

    async def _connected(self) -> None:
        log.info("bus_connected lost=%d", self.lost - self._lost_before)
        self._lost_before, self._trouble = self.lost, ""
        self._largest = self._client.max_payload
        subject = self._subject
        # Not left to the client, which knows of none.
        self._client.write(
            b"".join(b"SUB %b%d  %d\r\n" % (subject, topic, topic) for topic in self._topics)
        )
        self._poked()
        self._rejoined()

    async def _disconnected(self) -> None:
        if not self._closing:
            log.warning("bus_disconnected")

    async def _closed(self) -> None:
        """The client has given up, as it does when the server refuses something."""
        if not self._closing and self._connecting is not None and self._connecting.done():
            self._connecting = asyncio.create_task(self._connect(), name="bus")

    async def _failed(self, error: Exception) -> None:
        trouble = str(error) or type(error).__name__
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("bus_failed reason=%s", trouble)

    @property
    def is_up(self) -> bool:
        return bool(self._client.is_connected)

    @property
    def watched(self) -> int:
        return len(self._topics)

    def watch(self, topic: int) -> None:
        self._topics.add(topic)
        self._send(b"SUB %b%d  %d\r\n" % (self._subject, topic, topic))

    def unwatch(self, topic: int) -> None:
        self._topics.discard(topic)
        self._send(b"UNSUB %d\r\n" % topic)

    async def settled(self) -> None:
        if not self.is_up:
            return
        if self._settling is None:
            self._settling = asyncio.ensure_future(self._settle())
        await asyncio.shield(self._settling)

    async def _settle(self) -> None:
        # Thousands may come in one turn, and share the answer.
        await asyncio.sleep(0)
        self._settling = None
        self._flush()
        try:
            await self._client.flush(timeout=SETTLE_S)  # type: ignore[arg-type]
        except Exception as error:
            await self._failed(error)

    def publish(self, delivery: Envelope | Event) -> None:
        if isinstance(delivery, Event):
            kind = self._kinds[type(delivery.body)]
            body = msgspec.Raw(_encode(delivery.body))
            author = None if delivery.author is None else _named(delivery.author)
            hint = Hint(kind, body, author=author, name=delivery.name)
            if delivery.userids:
                self._publish_to(delivery.userids, _encode(hint))
            if delivery.gid:
                hint.gid, hint.but = delivery.gid, list(delivery.but)
                self._publish_to((delivery.gid,), _encode(hint))
        else:
            carried = Carried(
                delivery.json(),
                delivery.conv,
                delivery.before,
                _named(delivery.author),
                None if delivery.recipient is None else _named(delivery.recipient),
                delivery.resource,
                delivery.xml,
            )
            self._publish_to(delivery.owners, _encode(carried))
        self._deliver(delivery)

    def poke(self) -> None:
        self._publish_to((POKES,), _POKE)

    def _publish_to(self, topics: Iterable[int], data: bytes) -> None:
        out, subject, size = self._out, self._subject, len(data)
        if size > self._largest and self.is_up:
            # The server would end the connection.
            self.lost += 1
            return
        if not out:
            self._loop.call_soon(self._flush)
        for topic in topics:
            out.append(b"PUB %b%d %d\r\n%b\r\n" % (subject, topic, size, data))

    def _send(self, data: bytes) -> None:
        """With all else of this loop turn, when it ends."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and not self._client.write(b"".join(out)):
            # The history has it, and others find it there.
            self.lost += sum(each.startswith(b"PUB") for each in out)

    def _taken(self, topic: int, data: bytes) -> None:
        """Never raises: the client would stop reading."""
        try:
            taken = _decode(data)
            if type(taken) is Carried:
                self._deliver(
                    Delivery(
                        _decode_message(taken.body),
                        taken.conv,
                        taken.author,
                        taken.recipient,
                        taken.resource,
                        taken.xml,
                        taken.before,
                        taken.body,
                    )
                )
            elif type(taken) is Hint:
                body = self._decoders[taken.kind](taken.body)
                userids = () if taken.gid else (topic,)
                self._deliver(
                    Event(
                        userids,
                        body,
                        taken.gid,
                        taken.but or (),
                        author=taken.author,
                        name=taken.name,
                    )
                )
            else:
                self._poked()
        except Exception:
            log.exception("bus_message_failed topic=%d bytes=%d", topic, len(data))


def _named(user: User) -> Named:
    return Named(*msgspec.structs.astuple(user))
