"""A session's presence: who hears of it, and of whose it hears (RFC 6121 section 4)."""

import asyncio
import logging
from typing import TYPE_CHECKING

from server.clients import Pending
from server.deliveries import Stanza, SubscriptionStanza, WebPresence
from server.errors import ChatError, StorageAway
from server.model import WEB
from server.presence import MEMO_CHARS
from stanzas import ns, passing, presence
from stanzas.replies import Origin
from stanzas.xml import Element, attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

log = logging.getLogger(__name__)

DIRECTED = 100
"""Whom a session may have shown itself to without their being contacts."""
PRESENCE_CHARS = 16_384
"""More is not for all contacts to hear, each of whom gets a copy."""
AT_ONCE = 20
LOOK_S = 0.05
_PRIORITY = f"{{{ns.CLIENT}}}priority"
_farewells: set[asyncio.Task[None]] = set()


class Attendance:
    """``stanza``: the presence that is broadcast, empty while the session is not available."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self.stanza = ""
        self.priority = -1
        self._directed: dict[tuple[int, str], None] = {}
        self._order = asyncio.Lock()

    def handle(self, stanza: Element, kind: str) -> Pending:
        """One's own presence, for everybody who sees it."""
        session = self._session
        said = passing.rest(stanza, session.me)
        if session.node is not None:
            is_said = len(said) <= PRESENCE_CHARS
            session.services.router.count(session.node, len(said) if is_said else 0)
        first, could_receive = not self.stanza, self.priority >= 0
        if kind == "unavailable":
            self.stanza, self.priority = "", -1
            session.interests.saw(None)
            session.rooms.leave_all()
            if first and not self._directed:
                return None
            self._show("offline")
            return self._leave(said if len(said) <= PRESENCE_CHARS else self._farewell())
        if len(said) > PRESENCE_CHARS:
            raise ChatError("too-long", f"a presence has at most {PRESENCE_CHARS} characters")
        self.priority = priority_of(stanza)
        self.stanza = said
        self._show(*presence.shown(stanza, MEMO_CHARS))
        session.interests.saw(stanza)
        may_receive = self.priority >= 0 and not could_receive
        if may_receive:
            session.hold()
        return self._announce(self.stanza, first, may_receive)

    async def direct(self, stanza: Element, kind: str, asked: Origin) -> None:
        """Presence to one user, or to one of their resources, who need not be a contact."""
        session, services = self._session, self._session.services
        node = session.node
        if node is None:
            return
        services.router.count(node)
        recipient, resource = await session.recipient(asked.to)
        if recipient is None:
            return
        if recipient.id in await services.blocks.load(node.userid):
            raise ChatError("blocked", "you have blocked this user")
        if node.userid in await services.blocks.load(recipient.id):
            return
        target = (recipient.id, resource)
        if kind == "unavailable":
            self._directed.pop(target, None)
        elif len(self._directed) < DIRECTED or target in self._directed:
            self._directed[target] = None
        else:
            raise ChatError("slow-down", f"at most {DIRECTED} directed presences", retry_after=60)
        rest = passing.rest(stanza, session.me)
        services.router.notify((recipient.id,), Stanza(rest, resource=resource))

    async def probe(self, asked: Origin) -> None:
        """A client asks for the presence of a contact."""
        session, services = self._session, self._session.services
        node = session.node
        if node is None:
            return
        services.router.count(node)
        contact, resource = await session.recipient(asked.to)
        if contact is None:
            return
        if contact.id != node.userid and node.userid not in await services.contacts.watchers(
            contact.id
        ):
            return
        sender = f"{contact.jid}/{resource}" if resource else contact.jid
        found = await services.presence.for_xmpp((contact.id,))
        if resource:
            found = [each for each in found if _is_of(sender, each)]
        for body in found:
            self.take(body)
        if not found:
            self._tell(f" from='{attribute(sender)}' type='unavailable'/>")

    def leave(self) -> None:
        """The connection is gone."""
        if self.stanza or self._directed:
            self.stanza = ""
            task = asyncio.get_running_loop().create_task(self._leave(self._farewell()))
            _farewells.add(task)
            task.add_done_callback(_farewells.discard)

    def spoken(self) -> tuple[str, str]:
        """For the registry; both empty while the session is not available."""
        return (self.stanza, self._farewell()) if self.stanza else ("", "")

    def take(self, body: Stanza | WebPresence | SubscriptionStanza) -> None:
        """A presence for this session, if it is one that hears of it."""
        if isinstance(body, SubscriptionStanza):
            # Requests are for those who are available, what comes of them is for the roster.
            if self.stanza or (body.kind != "subscribe" and self._session.contacts.has_roster):
                head = f" from='{attribute(body.jid)}' type='{body.kind}'"
                self._tell(f"{head}>{body.note}</presence>" if body.note else f"{head}/>")
            return
        if not self.stanza:
            return
        # Even if the client is slow to read: there is nothing that would tell it later.
        if isinstance(body, WebPresence):
            self._tell(presence.of_state(f"{body.jid}/{WEB}", body.state, body.memo))
        else:
            self._tell(body.rest)

    async def _announce(self, stanza: str, first: bool, may_receive: bool) -> None:
        session = self._session
        node, services = session.node, session.services
        if node is None:
            return
        registry = services.connections.registry
        async with self._order:  # nobody may hear the farewell before the presence
            if session.is_closed:
                return
            if registry is not None:
                # In the book before it is said: whoever is not there to hear it reads it.
                await registry.present(node, stanza, self._farewell())
            await services.presence.speak(node.userid, stanza)
        try:
            if first:
                await self._hear(node.userid)
        except StorageAway:
            log.info("presences_not_read user=%d", node.userid)
        await session.interests.greet()
        if may_receive:
            session.memberships.greet()
            await session.deliver_missed()

    async def _hear(self, userid: int) -> None:
        """What there is to hear for who was not there: presences, and requests that wait."""
        services = self._session.services
        own = await services.presence.spoken((userid,))
        seen, requests = await services.contacts.rosters.greeting(userid)
        found: list[Stanza | WebPresence | SubscriptionStanza] = [
            *(Stanza(rest) for rest, _ in own if rest != self.stanza),
            *await services.presence.for_xmpp(seen),
            *(SubscriptionStanza(jid, "subscribe", note) for jid, note in requests),
        ]
        for number, body in enumerate(found, 1):
            self.take(body)
            if number % AT_ONCE == 0:
                await self._let_read()

    async def _let_read(self) -> None:
        """Waits until what was told is on its way: no outbox holds all contacts' presences."""
        session = self._session
        await asyncio.sleep(0)
        while session.transport.is_slow and not session.is_closed:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(LOOK_S)

    async def _leave(self, farewell: str) -> None:
        session = self._session
        node, services = session.node, session.services
        if node is None:
            return
        registry = services.connections.registry
        directed, self._directed = self._directed, {}
        async with self._order:
            if registry is not None and not services.draining:
                # Out of the book before it is said, or who comes meanwhile would see a ghost.
                await registry.present(node, "", "")
            await services.presence.speak(node.userid, farewell)
        try:
            watchers = await services.contacts.watchers(node.userid)
        except StorageAway:
            watchers = ()
        for userid, resource in directed:
            if userid not in watchers and userid != node.userid:
                services.router.notify((userid,), Stanza(farewell, resource=resource))

    def _show(self, state: str, memo: str = "") -> None:
        if self._session.node is not None:
            self._session.services.presence.show(self._session.node, state, memo)

    def _tell(self, rest: str) -> None:
        session = self._session
        bare = session.node.user.jid if session.node else ""
        session.transport.tell(f"<presence{session.xmlns} to='{attribute(bare)}'{rest}")

    def _farewell(self) -> str:
        return f" from='{attribute(self._session.me)}' type='unavailable'/>"


async def farewells(timeout_s: float) -> None:
    """Waits until those who left are out of sight."""
    if _farewells:
        await asyncio.wait(_farewells, timeout=timeout_s)


def _is_of(sender: str, body: Stanza | WebPresence) -> bool:
    if isinstance(body, WebPresence):
        return sender == f"{body.jid}/{WEB}"
    return body.rest.startswith(f" from='{attribute(sender)}'")


def priority_of(stanza: Element) -> int:
    """RFC 6121 section 4.7.2.3: -128 to 127, 0 when absent or no number."""
    try:
        return max(-128, min(127, int(stanza.findtext(_PRIORITY) or "0")))
    except ValueError:
        return 0
