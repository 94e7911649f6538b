"""An XMPP session, the same over TCP and WebSocket: login, binding, stanzas.

The transport gives it a stream's events one by one, and awaits what they return before the next:
that keeps the order of a connection's stanzas.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

from handlers.xmpp_codec import ForRoom, XmppCodec, is_own
from handlers.xmpp_login import Login
from handlers.xmpp_queries import Queries
from handlers.xmpp_rooms import SessionRooms
from server.acts import no_such_message
from server.clients import ClientNode, Pending, Pipe
from server.deliveries import Presence
from server.errors import ChatError, Close, StorageAway
from server.limits import Patience
from server.model import ACTS, GROUP, RECEIPT, SINGLE, TYPING, Message, User
from server.presence import MEMO_CHARS
from server.services import Services
from stanzas import jid, messages, ns, presence, replies
from stanzas.stream import Event, Kind, Stream
from stanzas.xml import Element, XmlError, attribute, serialise, text

log = logging.getLogger(__name__)

_BIND = f"{{{ns.BIND}}}bind"
_PRIORITY = f"{{{ns.CLIENT}}}priority"
_ERROR_TYPES = frozenset(("error", "headline"))


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

    def finish(self, *last_words: str, wait: bool = False) -> None:
        """Sends the last words and closes; ``wait``: after the peer has said its own."""


class XmppNode(ClientNode):
    """A bound resource. Messages reach it while it is available with priority 0 or above."""

    __slots__ = ("session",)

    session: "XmppSession"

    def deliver(self, data: bytes, message: Message) -> None:
        self.session.deliver(data, message)

    def presence(self) -> tuple[str, str]:
        return self.session.own_presence()


class XmppSession:
    """One connection's life after its first byte."""

    def __init__(self, services: Services, stream: Stream, transport: Transport) -> None:
        self.services = services
        self.stream = stream
        self.transport = transport
        self.domain = services.settings.xmpp.domain
        self.xmlns = transport.codec.xmlns
        self.user: User | None = None
        self.node: XmppNode | None = None
        self.carbons = False
        self.has_queried_archive = False
        self._sid = ""
        self._login = Login(services, transport.is_private)
        self._queries = Queries(self)
        self.rooms = SessionRooms(self)
        self._presence = ""
        self._priority = -1
        self._held: list[tuple[bytes, Message]] | None = None
        self._missed: set[int] = set()
        self._delivered = self._confirmed = 0
        limit_s = services.settings.limits.login_time_s
        self._login_timer = asyncio.get_running_loop().call_later(limit_s, self._login_too_late)
        self._patience = Patience(services.settings.limits)
        self._is_newcomer = True
        self._is_closed = False
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
            self.transport.finish(self.stream.close())
        return None

    def fail(self, error: XmlError) -> None:
        """The peer's mistake: the stream error that it gets, and the end."""
        log.debug("stream_failed condition=%s", error.condition)
        detail = str(error) if str(error) != error.condition else ""
        self.transport.finish(*self.stream.error(error.condition, detail))

    def end(self, why: Close) -> None:
        """Our own reason to end the stream."""
        self.transport.finish(*self.stream.error(why.stream_error, why.reason), wait=True)

    def on_close(self) -> None:
        """The connection is gone; called once."""
        self._end_login()
        self._is_closed = True
        node = self.node
        if node is None:
            return
        self.rooms.leave_all()
        self.services.connections.unbind(node)
        self.services.offline.left(node.userid)
        if self._presence:
            self._presence = ""
            self._tell_resources(self._unavailable())

    def _confirm(self) -> None:
        """The client said something after it was sent these messages: it has them."""
        if self._delivered > self._confirmed and self.node is not None:
            self._confirmed = self._delivered
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
        try:
            if name == "message":
                return self._guarded(self._message(stanza, asked), asked)
            if name == "iq":
                return self._guarded(self._iq(stanza, asked), asked)
            if self.rooms.owns(asked.to):
                return self._guarded(self.rooms.presence(stanza, asked), asked)
            return self._presence_stanza(stanza)
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
        log.debug("stanza_refused name=%s slug=%s", asked.name, error.slug)
        self.services.metrics.error(error.slug)
        self.transport.tell(replies.error(asked, self.me, self.xmlns, error))
        enough = self._patience.lost(error)
        if enough is not None:
            self.end(enough)

    def _message(self, stanza: Element, asked: replies.Origin) -> Pending:
        if stanza.get("type") in _ERROR_TYPES:
            return None
        if self.rooms.owns(asked.to):
            return self.rooms.message(stanza, asked)
        messages.check(stanza)
        said = messages.read(stanza)
        return None if said is None else self._address_and_submit(said, asked)

    async def _address_and_submit_cold(
        self, said: messages.Said, asked: replies.Origin, local: str
    ) -> None:
        recipient = await self.services.accounts.find(local)
        if recipient is None:
            raise ChatError("no-such-user", "there is no such account")
        said.message.dstid = recipient.id
        pending = self.submit(said, asked)
        if pending is not None:
            await pending

    def _address_and_submit(self, said: messages.Said, asked: replies.Origin) -> Pending:
        node = self.node
        if node is None:
            raise XmlError("not-authorized")
        if not asked.to:
            said.message.dstid = node.userid
            return self.submit(said, asked)
        to = jid.parse(asked.to)
        if to.domain != self.domain:
            self._cannot_reach(asked, to.domain)
            return None
        if not to.local:
            raise ChatError("not-found", "the server reads no messages")
        known = self.services.accounts.cached_id(to.local)
        if known is None:
            return self._address_and_submit_cold(said, asked, to.local)
        said.message.dstid = known
        return self.submit(said, asked)

    def submit(self, said: messages.Said, asked: replies.Origin) -> Pending:
        node, message = self.node, said.message
        if node is None:
            raise XmlError("not-authorized")
        if message.cmd == TYPING:
            return self.services.router.typing(message, node)
        if message.cmd == SINGLE and not said.of:
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
        if message.cmd in ACTS:
            await services.router.act(message, node, said.xml, asked)
        else:
            pending = services.router.submit(message, node, said.xml, asked)
            if pending is not None:
                await pending

    def _cannot_reach(self, asked: replies.Origin, domain: str) -> None:
        ours = domain.endswith(f".{self.domain}")
        condition = "service-unavailable" if ours else "remote-server-not-found"
        self.transport.tell(
            replies.error_of(asked, self.me, self.xmlns, condition, "cancel", "not served here")
        )

    def _iq(self, stanza: Element, asked: replies.Origin) -> Pending:
        kind = stanza.get("type")
        if kind in ("result", "error"):
            return None
        if kind not in ("get", "set") or not asked.id or len(stanza) != 1:
            raise ChatError("bad-field", "an iq needs a type, an id and one child")
        child = stanza[0]
        if self.node is not None and self.rooms.owns(asked.to):
            return self.rooms.queries.handle(kind, child, asked)
        if child.tag == _BIND and kind == "set":
            return self._bind(child, asked)
        return self._queries.handle(kind, child, asked)

    async def _bind(self, bind: Element, asked: replies.Origin) -> None:
        if self.node is not None or self.user is None:
            raise ChatError("conflict", "a resource is bound already")
        wanted = (bind.findtext(f"{{{ns.BIND}}}resource") or "").strip()
        if wanted and not jid.is_resource(wanted):
            raise ChatError("bad-field", "not a resource")
        services, user = self.services, self.user
        services.addresses.check(self.transport.address)
        await services.connections.arrive(user.id)
        key, resource = await services.connections.claim(user, wanted)
        if self._is_closed:
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

    def _presence_stanza(self, stanza: Element) -> Pending:
        """One's own presence; directed presence and subscriptions have nobody to go to yet."""
        kind = stanza.get("type")
        if stanza.get("to") or kind not in (None, "unavailable"):
            return None
        first, could_receive = not self._presence, self._priority >= 0
        if kind == "unavailable":
            self._presence, self._priority = "", -1
            self.rooms.leave_all()
            if first:
                return None
            self._show("offline")
            return self._announce(self._unavailable())
        self._priority = _priority(stanza)
        self._presence = self._stamped(stanza)
        self._show(*presence.shown(stanza, MEMO_CHARS))
        may_receive = self._priority >= 0 and not could_receive
        if may_receive:
            self._held = []
        return self._announce(self._presence, first, may_receive)

    def _show(self, state: str, memo: str = "") -> None:
        if self.node is not None:
            self.services.presence.show(self.node, state, memo)

    async def _announce(
        self, presence: str, first: bool = False, may_receive: bool = False
    ) -> None:
        """Tells one's own resources on all nodes, and the first time hears of theirs."""
        node, registry = self.node, self.services.connections.registry
        if node is None:
            return
        if registry is not None:
            # In the book before it is said: whoever is not there to hear it reads it.
            await registry.present(node, *self.own_presence())
        self._tell_resources(presence)
        if first:
            for other in self._available_sessions():
                if other is not self:
                    self._tell_presence(other._presence)
            if registry is not None:
                for theirs in await registry.presences(node.userid):
                    self._tell_presence(theirs)
        if may_receive:
            await self._deliver_missed()

    def own_presence(self) -> tuple[str, str]:
        """For the registry; both empty while the session is not available."""
        return (self._presence, self._unavailable()) if self._presence else ("", "")

    def hint(self, data: bytes) -> None:
        """The router's: a presence, ready to be written."""
        if type(data) is ForRoom:
            self.rooms.hint(data)
        elif self._presence:
            self.transport.send(data)

    def deliver(self, data: bytes, message: Message) -> None:
        """The router's: a live message, ready to be written."""
        if type(data) is ForRoom:
            self.rooms.deliver(data, message)
            return
        if self.node is None or self._priority < 0:
            return
        if is_own(message, self.node.userid) and not self.carbons:
            return
        if self._held is not None:
            self._held.append((data, message))
            return
        if message.id in self._missed:
            # It was in the history before it was given out live.
            self._missed.discard(message.id)
            return
        self.transport.send(data)
        self._delivered = message.id

    async def _deliver_missed(self) -> None:
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
                    self.transport.tell(stanza)
                    self._missed.add(message.id)
                    last = message.id
        except StorageAway:
            # The pointer stays: the next presence finds them.
            log.info("missed_messages_not_read user=%d", node.userid)
        finally:
            held, self._held = self._held or [], None
            self._delivered = max(self._delivered, last)
            for data, message in held:
                self.deliver(data, message)

    def _available_sessions(self) -> "list[XmppSession]":
        if self.node is None:
            return []
        return [
            node.session
            for node in self.services.clients.of(self.node.userid)
            if isinstance(node, XmppNode) and node.session._presence
        ]

    def _tell_resources(self, presence: str) -> None:
        if self.node is not None:
            body = Presence(self.node.user.jid, presence)
            self.services.router.notify((self.node.userid,), body)

    def _tell_presence(self, presence: str) -> None:
        """``presence`` has the place of its namespace and recipient left open."""
        bare = self.node.user.jid if self.node else ""
        head = f"<presence{self.xmlns} to='{attribute(bare)}'"
        self.transport.tell(head + presence)

    def _stamped(self, stanza: Element) -> str:
        inside = "".join(serialise(child) for child in stanza)
        return f" from='{attribute(self.me)}'>{inside}</presence>"

    def _unavailable(self) -> str:
        return f" from='{attribute(self.me)}' type='unavailable'/>"


def _priority(stanza: Element) -> int:
    """RFC 6121 section 4.7.2.3: -128 to 127, 0 when absent or no number."""
    try:
        return max(-128, min(127, int(stanza.findtext(_PRIORITY) or "0")))
    except ValueError:
        return 0
