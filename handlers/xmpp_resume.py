"""What a session sends, whichever connection carries it: counted, acked and sent again (XEP-0198),
held back from a client that nobody looks at (XEP-0352).

A resumable session whose connection is lost hibernates: it stays bound, and what is sent to it
waits for the next connection.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from handlers.xmpp_codec import CLIENT_NAMESPACE, WEBSOCKET, XmppCodec
from server.clients import ClientNode, Pending
from server.errors import Close
from stanzas import client_state, stream_management
from stanzas.stream_management import Ledger
from stanzas.xml import Element

if TYPE_CHECKING:
    from handlers.xmpp import Transport, XmppSession

log = logging.getLogger(__name__)

SETTLE_S = 15.0
"""How long a client waits for the end of what it sent before: longer than the writer doubts."""


class Outgoing:
    """A session's way out; a :class:`handlers.xmpp.Transport` itself."""

    def __init__(self, session: "XmppSession", transport: "Transport") -> None:
        self.connection: Transport | None = transport
        self.codec = transport.codec
        self.address = transport.address
        self.ledger: Ledger | None = None
        self.number = ""
        """What the session is resumed by; empty: it cannot be."""
        self._session = session
        self._limits = session.services.settings.xmpp
        self._asked = self._asking = False
        self._is_more = False
        """Whether something was sent after the last question."""
        self._resuming = asyncio.Lock()
        self._is_active = True
        self._waiting: dict[tuple[str, bytes], bytes] = {}
        self._waiting_bytes = self._pauses = 0
        self._settled = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._noting: asyncio.Task[None] | None = None

    # A transport.

    def is_private(self) -> bool:
        return self.connection is not None and self.connection.is_private()

    @property
    def is_slow(self) -> bool:
        return self.connection is not None and self.connection.is_slow

    def tell(self, xml: str) -> None:
        if self.ledger is None and self._is_active and self.connection is not None:
            self.connection.tell(xml)
        else:
            self.send(self.codec.ready(xml))

    def send(self, data: bytes) -> None:
        if not self._is_active:
            key = client_state.can_wait(data)
            if key is not None:
                self._waiting_bytes += len(data) - len(self._waiting.pop(key, b""))
                self._waiting[key] = data
                limits = self._limits
                if (
                    len(self._waiting) <= limits.unacked_stanzas
                    and self._waiting_bytes <= limits.unacked_bytes
                ):
                    return
                self._flush()
                return
            self._flush()
        self._send(data)

    def _send(self, data: bytes) -> None:
        if self.ledger is not None:
            self.ledger.add(data, self._session.delivered)
            if self.connection is None:
                if not self.ledger.can_resume:
                    self._session.end(Close.SLOW_READER)
                return
            self._ask_soon()
        if self.connection is not None:
            self.connection.send(data)

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        for data in waiting.values():
            self._send(data)

    def start_tls(self) -> None:
        if self.connection is not None:
            self.connection.start_tls()

    def finish(self, *last_words: str, wait: bool = False) -> None:
        if self.connection is not None:
            self.connection.finish(*last_words, wait=wait)

    def end(self, why: Close) -> None:
        self._session.end(why)

    def abort(self) -> None:
        if self.connection is not None:
            self.connection.abort()

    def pause(self) -> None:
        if self.connection is not None:
            self._pauses += 1
            self.connection.pause()

    def resume(self) -> None:
        """Not of a pause that another connection had."""
        if self.connection is not None and self._pauses:
            self._pauses -= 1
            self.connection.resume()

    def adopt(self, session: "XmppSession | None") -> None:
        if self.connection is not None:
            self.connection.adopt(session)

    # Stream management.

    def _ask_soon(self) -> None:
        self._is_more = True
        if not self._asked and not self._asking:
            self._asking = True
            asyncio.get_running_loop().call_soon(self._ask)

    def _ask(self) -> None:
        self._asking = False
        if self.connection is not None and self.ledger is not None and self.ledger.queue:
            self._asked, self._is_more = True, False
            self.connection.tell(stream_management.ASK)

    def handle(self, element: Element) -> Pending:
        """One element of XEP-0198 or XEP-0352. Raises :class:`XmlError`."""
        tag, ledger, connection = element.tag, self.ledger, self.connection
        if connection is None:
            return None
        if tag in client_state.TAGS:
            self._is_active = tag == client_state.ACTIVE
            if self._is_active:
                self._flush()
        elif tag == stream_management.ENABLE:
            self._enable(element, connection)
        elif tag == stream_management.RESUME:
            return self._resume(element, connection)
        elif ledger is None:
            connection.tell(stream_management.failed("unexpected-request"))
        elif tag == stream_management.REQUEST:
            connection.tell(stream_management.answer(ledger.handled))
        else:
            self._asked = False
            self._ack(ledger, stream_management.count(element.get("h")))
            if self._is_more:  # not whoever is behind again and again: some never count all
                self._ask_soon()
        return None

    def _ack(self, ledger: Ledger, h: int) -> None:
        mark = ledger.acked(h)
        if mark and self._session.node is not None:
            self._session.services.offline.moved(self._session.node.userid, mark)

    def _enable(self, element: Element, connection: "Transport") -> None:
        if self._session.node is None or self.ledger is not None:
            connection.tell(stream_management.failed("unexpected-request"))
            return
        self.ledger = Ledger(self._limits.unacked_stanzas, self._limits.unacked_bytes)
        self._uncompressed(connection)
        if element.get("resume") in ("true", "1"):
            self.number = secrets.token_urlsafe(24)
        connection.tell(stream_management.enabled(self.number, self._limits.resume_s))

    def _uncompressed(self, connection: "Transport") -> None:
        """What is kept may have to be written to a connection of the other kind."""
        if connection.codec.xmlns:
            connection.codec = WEBSOCKET
        self.codec = connection.codec
        if self._session.node is not None:
            self._session.node.codec = self.codec

    async def guarded(self, of: object, pending: Awaitable[None]) -> None:
        """Awaits what a stanza is to do; it counts when that is done."""
        try:
            await pending
        finally:
            self.finish_stanza(of)

    def finish_stanza(self, of: object) -> None:
        """A stanza, or the message that it was, is done with."""
        if self.ledger is not None:
            self.ledger.finish(id(of))
            if self.ledger.is_settled:
                self._settled.set()

    # Resumption.

    @property
    def can_hibernate(self) -> bool:
        ledger = self.ledger
        return bool(self.number) and ledger is not None and ledger.can_resume

    def hibernate(self) -> None:
        """The connection is lost; the session is ended if no other one comes in time."""
        self.connection = None
        self._pauses = 0
        self._asked = False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.resume_s, self._session.end, Close.SILENT)
        if self.ledger is not None and self._session.node is not None:
            self._session.services.offline.left(self._session.node.userid)
            self._noting = loop.create_task(self._note(self.ledger, self._session.node))

    async def _note(self, ledger: Ledger, node: ClientNode) -> None:
        """Who comes too late, or to another node, is told how much of what was sent is done."""
        if await self._settle(ledger):
            self._session.services.connections.slept(node, self.number, ledger.handled)

    async def _settle(self, ledger: Ledger) -> bool:
        """Waits until all that came over the lost connection is done with; False: it takes long."""
        try:
            async with asyncio.timeout(SETTLE_S):
                while not ledger.is_settled:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """The session is over."""
        self.number = ""
        if self._timer is not None:
            self._timer.cancel()
        if self._noting is not None:
            self._noting.cancel()

    async def _resume(self, element: Element, connection: "Transport") -> None:
        new = self._session
        number, h = element.get("previd", ""), stream_management.count(element.get("h"))
        if new.user is None or new.node is not None:
            connection.tell(stream_management.failed("unexpected-request"))
            return
        handled: int | None = None
        # Of this account only.
        for node in new.services.clients.of(new.user.id):
            old = getattr(node, "session", None)
            if old is not None and old.transport.number and old.transport.number == number:
                if await old.transport.come_back(new, connection, h):
                    return
                if old.transport.connection is None:
                    old.end(Close.SILENT)  # nobody will come for it any more
                ledger = old.transport.ledger
                if ledger is not None and ledger.is_settled:
                    handled = ledger.handled
                break
        if handled is None:
            handled = await new.services.connections.gave_up(new.user.id, number)
        connection.tell(stream_management.failed("item-not-found", handled))

    async def come_back(self, new: "XmppSession", connection: "Transport", h: int) -> bool:
        """Goes on over the connection of another session; False where it is over."""
        async with self._resuming:
            session, ledger, number = self._session, self.ledger, self.number
            if not number or ledger is None:
                return False
            if self.connection is not None:  # that the client has given up
                self.connection.adopt(None)
                self.connection.finish(*session.stream.error("conflict", "resumed elsewhere"))
                self.hibernate()
            # The client sends again what is not counted now.
            if not await self._settle(ledger):
                return False
            if self._noting is not None:
                self._noting.cancel()
            if session.node is not None:
                await session.services.connections.woke(session.node, number)
            if new.is_closed:
                return True
            if self.number != number or not ledger.can_resume:
                return False
            self._ack(ledger, h)
            self._take_over(new, connection, ledger)
        why = await session.outdated()
        if why is not None:
            session.end(why)
        return True

    def _take_over(self, new: "XmppSession", connection: "Transport", ledger: Ledger) -> None:
        session, node, before = self._session, self._session.node, self.codec
        if node is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        services = session.services
        services.metrics.disconnected(before.name)
        services.addresses.leave(node.address)
        self.connection, self.address = connection, connection.address
        self._uncompressed(connection)
        node.address = connection.address
        services.metrics.connected(self.codec.name)
        services.addresses.enter(node.address)
        session.continue_as(new)
        connection.adopt(session)
        if node.unanswered >= services.settings.limits.unanswered_sends:
            self.pause()
        self._is_active = True
        if before is not self.codec:
            again = [kept._replace(data=_in(kept.data, self.codec)) for kept in ledger.queue]
            ledger.queue.clear()
            ledger.queue.extend(again)
            self._waiting = {key: _in(data, self.codec) for key, data in self._waiting.items()}
        connection.tell(stream_management.resumed(self.number, ledger.handled))
        for kept in ledger.queue:
            connection.send(kept.data)
        self._flush()
        if ledger.queue:
            self._ask_soon()
        log.debug("session_resumed again=%d", len(ledger.queue))


def _in(data: bytes, codec: XmppCodec) -> bytes:
    """A stanza that was written for the other transport."""
    if not codec.xmlns:  # out of its frame
        size = data[1] & 0x7F
        stanza = data[{126: 4, 127: 10}.get(size, 2) :].decode()
        return stanza.replace(CLIENT_NAMESPACE, "", 1).encode()
    name, rest = (stanza := data.decode())[: (at := _end_of_name(stanza))], stanza[at:]
    return codec.ready(f"{name}{CLIENT_NAMESPACE}{rest}")


def _end_of_name(stanza: str) -> int:
    return min(at for at in (stanza.find(mark) for mark in (" ", ">", "/")) if at > 0)
