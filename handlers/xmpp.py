"""An XMPP session, the same over TCP and WebSocket: login, binding, stanzas.

The transport gives it a stream's events one by one, and awaits what they return before the next:
that keeps the order of a connection's stanzas.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from typing import Protocol, get_args

from handlers.xmpp_codec import ForDevices, ForRoom, XmppCodec
from handlers.xmpp_interests import Interests
from handlers.xmpp_login import Login
from handlers.xmpp_memberships import Memberships
from handlers.xmpp_pep import PepQueries
from handlers.xmpp_presence import Attendance
from handlers.xmpp_queries import Queries
from handlers.xmpp_relay import Relay
from handlers.xmpp_resume import Outgoing
from handlers.xmpp_rooms import SessionRooms
from handlers.xmpp_roster import ContactQueries
from handlers.xmpp_sending import Sending
from server.acts import no_such_message
from server.clients import ClientNode, Pending, Pipe
from server.deliveries import (
    BlockChange,
    Copy,
    NodeEvent,
    Personal,
    RosterItem,
    Stanza,
    SubscriptionStanza,
    WebPresence,
)
from server.errors import ChatError, Close, StorageAway
from server.limits import Patience
from server.model import ACTS, GROUP, RECEIPT, SINGLE, TYPING, Message, User
from server.services import Services
from server.subscriptions import Kind as SubscriptionKind
from stanzas import jid, messages, ns, replies
from stanzas.stream import Event, Kind, Stream
from stanzas.xml import Element, XmlError, text

log = logging.getLogger(__name__)

_BIND = f"{{{ns.BIND}}}bind"
EARLY = 200
"""So many messages a device may get by name while it takes none, and not again when it does."""
_SUBSCRIPTIONS: dict[str, SubscriptionKind] = {kind: kind for kind in get_args(SubscriptionKind)}


class Transport(Pipe, Protocol):
    """What a session needs of its connection besides a pipe."""

    codec: XmppCodec
    address: str

    def is_private(self) -> bool:
        """Whether nobody can listen: TLS, or the same machine."""

    def tell(self, xml: str) -> None:
        """Sends one header, feature list or stanza."""

    def start_tls(self) -> None:
        """Says ``proceed`` and changes to TLS."""

    def adopt(self, session: "XmppSession | None") -> None:
        """What comes in is for this session from now on; None: for nobody."""

    def finish(self, *last_words: str, wait: bool = False) -> None:
        """Sends the last words and closes; ``wait``: after the peer has said its own."""


class XmppNode(ClientNode):
    """A bound resource. Messages reach it while it is available with priority 0 or above."""

    __slots__ = ("session",)

    session: "XmppSession"

    def deliver(self, data: bytes, message: Message) -> None:
        self.session.deliver(data, message)

    def presence(self) -> tuple[str, str]:
        return self.session.attendance.spoken()

    def take(self, body: Personal) -> None:
        self.session.take(body)


class XmppSession:
    """One connection's life after its first byte."""

    def __init__(self, services: Services, stream: Stream, transport: Transport) -> None:
        self.services = services
        self.stream = stream
        self.transport = Outgoing(self, transport)
        self.domain = services.settings.xmpp.domain
        self.xmlns = transport.codec.xmlns
        self.user: User | None = None
        self.node: XmppNode | None = None
        self.carbons = False
        self.has_queried_archive = False
        self._sid = ""
        self._login = Login(services, transport.is_private)
        self.attendance = Attendance(self)
        self.contacts = ContactQueries(self)
        self.relay = Relay(self)
        self.pep = PepQueries(self)
        self.interests = Interests(self)
        self._sending = Sending(self)
        self._queries = Queries(self)
        self.rooms = SessionRooms(self)
        self.memberships = Memberships(self)
        self._held: list[tuple[bytes, Message]] | None = None
        self._held_bytes = 0
        self._missed: set[int] = set()
        self._early: deque[int] = deque(maxlen=EARLY)
        self.delivered = self._confirmed = 0
        limit_s = services.settings.limits.login_time_s
        self._login_timer = asyncio.get_running_loop().call_later(limit_s, self._login_too_late)
        self._patience = Patience(services.settings.limits)
        self._is_newcomer = True
        self.is_closed = False
        services.newcomers.enter(transport.address)

    @property
    def me(self) -> str:
        """The bound full JID."""
        node = self.node
        return f"{node.user.jid}/{node.resource}" if node else ""

    # The stream.

    def handle(self, event: Event) -> Pending:
        """One event of the stream. Raises :class:`XmlError` for what ends it."""
        kind = event.kind
        if kind is Kind.STANZA:
            self._confirm()
            return self._stanza(event.element)
        if kind is Kind.MANAGEMENT:
            return self.transport.handle(event.element)
        if kind is Kind.OPENED:
            self._check_welcome()
            if self.user is None:
                self.stream.mechanisms = self._login.mechanisms()
            self.transport.tell(self.stream.header())
            self.transport.tell(self.stream.features())
        elif kind is Kind.STARTTLS:
            self.transport.start_tls()
        elif kind is Kind.SASL:
            return self._sasl(event.element)
        else:
            self._confirm()
            self.transport.number = ""
            self.transport.finish(self.stream.close())
        return None

    def fail(self, error: XmlError) -> None:
        """The peer's mistake: the stream error that it gets, and the end."""
        log.debug("stream_failed condition=%s", error.condition)
        self.transport.number = ""
        detail = str(error) if str(error) != error.condition else ""
        self.transport.finish(*self.stream.error(error.condition, detail, error.more))

    def end(self, why: Close) -> None:
        """Our own reason to end the stream. Who was only silent may come back."""
        if self.transport.connection is None:
            self.transport.number = ""
            asyncio.get_running_loop().call_soon(self._leave)
            return
        if why is not Close.SILENT:
            self.transport.number = ""
        self.transport.finish(*self.stream.error(why.stream_error, why.reason), wait=True)

    def on_close(self) -> None:
        """The connection is gone; called once for each."""
        self._end_login()
        if self.transport.can_hibernate and not self.services.draining:
            self.transport.hibernate()
        else:
            self._leave()

    def _leave(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self.transport.stop()
        node = self.node
        if node is None:
            return
        self.rooms.leave_all()
        self.memberships.stop()
        self.services.connections.unbind(node)
        self.services.offline.left(node.userid)
        self.attendance.leave()

    def continue_as(self, new: "XmppSession") -> None:
        """Goes on where another session has logged in."""
        new._end_login()
        new.is_closed = True
        self.user, self.stream, self._sid = new.user, new.stream, new._sid
        self.xmlns = self.transport.codec.xmlns
        self.stream.is_bound = True
        if self.node is not None:
            self.node.sid = new._sid

    async def outdated(self) -> Close | None:
        """Why the session may not go on."""
        return None if self.node is None else await self._login.outdated(self.node)

    def _confirm(self) -> None:
        """The client said something after it was sent these messages: it has them."""
        if self.transport.ledger is not None:
            return  # that tells it exactly
        if self.delivered > self._confirmed and self.node is not None:
            self._confirmed = self.delivered
            self.services.offline.moved(self.node.userid, self._confirmed)

    def _check_welcome(self) -> None:
        """Refuses a stream while the server stops, or one address opens too many."""
        services = self.services
        if services.draining:
            raise XmlError("system-shutdown")
        if self._is_newcomer and services.newcomers.is_over(self.transport.address):
            raise XmlError("policy-violation", "too many logins from this address at once")

    def _end_login(self) -> None:
        self._login_timer.cancel()
        if self._is_newcomer:
            self._is_newcomer = False
            self.services.newcomers.leave(self.transport.address)

    def _login_too_late(self) -> None:
        if self.node is None:
            self.fail(XmlError("connection-timeout", "log in sooner"))

    async def _sasl(self, element: Element) -> None:
        reply, identity = await self._login.step(element, self.transport.address)
        if identity is not None:
            self.user, self._sid = identity
            self.services.metrics.login("ok")
            self.stream.authenticated()
        self.transport.tell(reply)
        if self._login.has_tried_enough:
            raise XmlError("policy-violation", "too many failed logins")

    # Stanzas.

    def _stanza(self, stanza: Element) -> Pending:
        name = stanza.tag.rpartition("}")[2]
        asked = replies.origin(stanza)
        ledger = self.transport.ledger
        if ledger is None:
            return self._do(name, stanza, asked)
        ledger.begin(id(stanza))
        pending = self._do(name, stanza, asked)
        if pending is not None:
            return self.transport.guarded(stanza, pending)
        self.transport.finish_stanza(stanza)
        return None

    def _do(self, name: str, stanza: Element, asked: replies.Origin) -> Pending:
        try:
            if name == "message":
                return self._guarded(self._message(stanza, asked), asked)
            if name == "iq":
                return self._guarded(self._iq(stanza, asked), asked)
            return self._guarded(self._presence_stanza(stanza, asked), asked)
        except ChatError as error:
            self.refuse(asked, error)
        return None

    def _guarded(self, pending: Pending, asked: replies.Origin) -> Pending:
        return None if pending is None else self._answer_errors(pending, asked)

    async def _answer_errors(self, pending: Awaitable[None], asked: replies.Origin) -> None:
        try:
            await pending
        except ChatError as error:
            self.refuse(asked, error)
        except StorageAway:
            self.refuse(asked, ChatError("storage-away"))

    def refuse(self, asked: replies.Origin, error: ChatError) -> None:
        self.transport.finish_stanza(asked)
        log.debug("stanza_refused name=%s slug=%s", asked.name, error.slug)
        self.services.metrics.error(error.slug)
        if not asked.is_answer:
            self.transport.tell(replies.error(asked, self.me, self.xmlns, error))
        enough = self._patience.lost(error)
        if enough is not None:
            self.end(enough)

    def _message(self, stanza: Element, asked: replies.Origin) -> Pending:
        if self.rooms.owns(asked.to):
            return self.rooms.message(stanza, asked)
        return self._sending.handle(stanza, asked)

    async def recipient(self, address: str) -> tuple[User | None, str]:
        """The account and the resource that a JID names. Raises for what is not of this service."""
        to = jid.parse(address)
        if to.domain != self.domain:
            raise self.not_ours(to.domain)
        return (await self.find(to.local) if to.local else None), to.resource

    def not_ours(self, domain: str) -> ChatError:
        """What who writes to another domain is told."""
        is_near = domain.endswith(f".{self.domain}")
        condition = "service-unavailable" if is_near else "remote-server-not-found"
        return ChatError("not-found", "not served here", xmpp=condition)

    async def find(self, local: str) -> User | None:
        """The account that a JID's localpart names."""
        accounts = self.services.accounts
        known = accounts.cached_id(local)
        return await (accounts.find(local) if known is None else accounts.user(known))

    def submit(self, said: messages.Said, asked: replies.Origin) -> Pending:
        node, message = self.node, said.message
        if node is None:
            raise XmlError("not-authorized")
        if message.cmd == TYPING:
            return self.services.router.typing(message, node)
        if message.cmd == SINGLE and not said.of:
            self.in_flight(asked)
            return self.services.router.submit(message, node, said.xml, asked)
        return self.submit_of_another(said, node, asked)

    async def submit_of_another(
        self, said: messages.Said, node: XmppNode, asked: replies.Origin
    ) -> None:
        """What names another message by what XMPP clients know it as."""
        message, services = said.message, self.services
        is_for_room = GROUP in (message.cmd, message.chat)
        find = services.acts.named_in_group if is_for_room else services.acts.named
        of = await find(message.cmd, node.userid, message.dstid, said.of)
        if of is None and message.cmd not in (SINGLE, GROUP):
            services.router.count(node)
        if message.cmd == RECEIPT:
            if of is not None:  # a receipt for what is not there gets no error
                message.seq = of.seq
                services.receipts.submit(message, node, lambda error: self.refuse(asked, error))
            return
        if of is not None:
            message.ref = of.id
        elif message.cmd in ACTS:
            raise no_such_message()
        self.in_flight(asked)
        if message.cmd in ACTS:
            await services.router.act(message, node, said.xml, asked)
        else:
            pending = services.router.submit(message, node, said.xml, asked)
            if pending is not None:
                await pending

    def in_flight(self, asked: replies.Origin) -> None:
        """The stanza counts when the router has answered (see :class:`handlers.xmpp_codec`)."""
        if self.transport.ledger is not None:
            self.transport.ledger.also(id(asked))

    def _iq(self, stanza: Element, asked: replies.Origin) -> Pending:
        kind = stanza.get("type")
        if kind in ("result", "error"):
            if not self._is_full(asked.to):
                return self.interests.answered(stanza, asked)
            return self.relay.iq(stanza, kind, asked)
        if kind not in ("get", "set") or not asked.id or len(stanza) != 1:
            raise ChatError("bad-field", "an iq needs a type, an id and one child")
        child = stanza[0]
        if self.node is not None and self.rooms.owns(asked.to):
            return self.rooms.queries.handle(kind, child, asked)
        if child.tag == _BIND and kind == "set":
            return self._bind(child, asked)
        if self._is_full(asked.to):
            return self.relay.iq(stanza, kind, asked)
        return self._queries.handle(kind, child, asked)

    def _is_full(self, to: str) -> bool:
        """Whether it is the full JID of an account's resource."""
        if "/" not in to:
            return False
        address = jid.parse(to)
        return bool(address.local and address.resource) and address.domain == self.domain

    async def _bind(self, bind: Element, asked: replies.Origin) -> None:
        if self.node is not None or self.user is None:
            raise ChatError("conflict", "a resource is bound already", xmpp="not-allowed")
        wanted = (bind.findtext(f"{{{ns.BIND}}}resource") or "").strip()
        if wanted and not jid.is_resource(wanted):
            raise ChatError("bad-field", "not a resource")
        services, user = self.services, self.user
        services.addresses.check(self.transport.address)
        for other in services.clients.of(user.id):
            # Asleep under this name: its client has come without it.
            if not isinstance(other, XmppNode) or other.resource != wanted:
                continue
            if other.session.transport.connection is None:
                other.session._leave()
        await services.connections.arrive(user.id)
        key, resource = await services.connections.claim(user, wanted)
        if self.is_closed:
            services.connections.disclaim(key, user.id)
            return
        node = XmppNode(
            user,
            self.transport.codec,
            self.transport,
            sid=self._sid,
            device=resource,
            resource=resource,
            address=self.transport.address,
            key=key,
        )
        node.session = self
        node.hint = self.hint
        services.connections.bind(node)
        self.node = node
        self.stream.is_bound = True
        self._end_login()
        full = f"<bind xmlns='{ns.BIND}'><jid>{text(self.me)}</jid></bind>"
        self.transport.tell(replies.result(asked, self.me, self.xmlns, full))
        outdated = await self._login.outdated(node)
        if outdated is not None:
            node.end(outdated)

    # Presence, and what waited for it.

    def _presence_stanza(self, stanza: Element, asked: replies.Origin) -> Pending:
        if self.rooms.owns(asked.to):
            return self.rooms.presence(stanza, asked)
        kind = stanza.get("type") or ""
        if kind in _SUBSCRIPTIONS:
            return self.contacts.subscription(stanza, _SUBSCRIPTIONS[kind], asked)
        if kind == "probe":
            return self.attendance.probe(asked)
        if kind == "error":
            return self.relay.pass_on(stanza, kind, asked) if asked.to else None
        if kind not in ("", "unavailable"):
            raise ChatError("bad-field", "no such type of presence")
        if asked.to:
            return self.attendance.direct(stanza, kind, asked)
        return self.attendance.handle(stanza, kind)

    def take(self, body: Personal) -> None:
        """The router's: what the session has to put into its own words."""
        if isinstance(body, Stanza):
            self.relay.take(body)
        elif isinstance(body, Copy):
            self.relay.take_copy(body)
        elif isinstance(body, RosterItem | BlockChange):
            self.contacts.take(body)
        elif isinstance(body, WebPresence | SubscriptionStanza):
            self.attendance.take(body)
        elif isinstance(body, NodeEvent):
            self.interests.take(body)

    def hint(self, data: bytes) -> None:
        """The router's: a receipt or what is being typed, ready to be written."""
        if type(data) is ForRoom:
            self.rooms.hint(data)
        elif self.attendance.stanza:
            self.transport.send(data)

    def hold(self) -> None:
        """Live messages wait from now on, until what was missed is delivered."""
        self._held, self._held_bytes = [], 0

    def deliver(self, data: bytes, message: Message) -> None:
        """The router's: a live message, ready to be written."""
        if type(data) is ForRoom:
            self.rooms.deliver(data, message)
            return
        takes = self.attendance.priority >= 0
        ready: bytes | None = data if takes else None
        if type(data) is ForDevices:
            ready = self._for_this(data, takes)
        if ready is None:
            return
        if self._held is not None:
            self._held.append((data, message))
            self._held_bytes += len(data)
            if self._held_bytes > self.services.settings.limits.outbox_bytes:
                self._held.clear()  # they are in the history, as not handed out
                self.end(Close.SLOW_READER)
            return
        if message.id in self._missed:
            # It was in the history before it was given out live.
            self._missed.discard(message.id)
            return
        if takes:
            self.delivered = message.id
        else:
            self._early.append(message.id)
        self.transport.send(ready)

    def _for_this(self, data: ForDevices, takes: bool) -> bytes | None:
        """Itself, a copy, or nothing, as this is the device that it is for or another one."""
        if self.node is not None and data.resource == self.node.resource:
            return bytes(data)  # without the copy, where it is kept until it is acked
        if not (takes and self.carbons and data.has_copies):
            return None
        return self.transport.codec.ready(self.relay.copy(data.kind, data.forwarded))

    async def deliver_missed(self) -> None:
        """What came while no resource took messages; live ones are held until it is through."""
        node, services = self.node, self.services
        if node is None:
            return
        last = 0
        try:
            if not self.has_queried_archive:
                last = await services.offline.pointer(node.userid)
                limit = services.settings.xmpp.offline_messages
                missed = await services.history.missed(node.userid, last, limit)
                authors = await services.accounts.users(entry.message.userid for entry in missed)
                for entry in missed:
                    message = entry.message
                    if message.id in self._early:
                        continue
                    author = authors.get(message.userid)
                    stanza = messages.from_message(
                        message,
                        sender=author.jid if author else f"{message.userid}@{self.domain}",
                        recipient=node.user.jid,
                        archive=node.user.jid,
                        xml=entry.xml,
                        xmlns=self.xmlns,
                        delayed_by=self.domain,
                    )
                    self.delivered = max(self.delivered, message.id)
                    self.transport.tell(stanza)
                    self._missed.add(message.id)
                    last = message.id
        except StorageAway:
            # The pointer stays: the next presence finds them.
            log.info("missed_messages_not_read user=%d", node.userid)
        finally:
            held, self._held = self._held or [], None
            self.delivered = max(self.delivered, last)
            for data, message in held:
                self.deliver(data, message)
