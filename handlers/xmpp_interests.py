"""What a session hears of what others publish: what its client's capabilities ask for (XEP-0163
section 4, XEP-0115)."""

import logging
import secrets
from collections import deque
from typing import TYPE_CHECKING

from server.clients import Pending
from server.deliveries import NodeEvent
from server.errors import StorageAway
from stanzas import caps, ns, pubsub
from stanzas.replies import Origin
from stanzas.xml import Element, attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

log = logging.getLogger(__name__)

HELD = 200
HELD_CHARS = 524_288
"""Events that wait while the client is asked, or is told what there was before them, and what is
published with them. The oldest go first."""


class Interests:
    """One session's. While nothing is known of its client, it hears of nothing."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self._caps: caps.Caps | None = None
        self._nodes: frozenset[str] = frozenset()
        self._question = ""
        self._held: deque[NodeEvent] | None = None
        self._held_chars = 0

    def saw(self, presence: Element | None) -> None:
        """The client's own presence for all, None: it is unavailable. :meth:`greet` follows."""
        said = None if presence is None else caps.read(presence)
        if said is None:
            self._caps, self._nodes, self._question, self._held = None, frozenset(), "", None
        elif said != self._caps:
            self._caps, self._question = said, ""
            self._hold()

    @property
    def are_known(self) -> bool:
        """Whether nothing is being asked, and nothing held back."""
        return self._held is None

    def wants(self, node: str) -> bool:
        return node in self._nodes

    async def greet(self) -> None:
        """After a presence: the last items of what its client hears of, or the question what."""
        said = self._caps
        if said is None:
            self._session.memberships.greet()
        if said is None or self._held is None or self._question:
            return
        known = self._session.services.capabilities.get(said.hash, said.ver)
        if known is None:
            self._ask(said)
        else:
            await self._hear(known)

    def answered(self, answer: Element, asked: Origin) -> Pending:
        """A result or error that came for the server."""
        said = self._caps
        if said is None or not self._question or asked.id != self._question:
            return None
        self._question = ""
        query = answer.find(f"{{{ns.DISCO_INFO}}}query")
        if query is None or answer.get("type") != "result":
            return self._hear(frozenset())
        wanted = caps.notify(query)
        if caps.verification(query, said.hash) == said.ver:
            self._session.services.capabilities.learn(said.hash, said.ver, wanted)
        else:
            log.debug("caps_not_verified hash=%s", said.hash)
        return self._hear(wanted)

    def take(self, event: NodeEvent) -> None:
        """Something was published, or taken back."""
        held = self._held
        if held is not None:
            held.append(event)
            self._held_chars += len(event.xml)
            while len(held) > HELD or self._held_chars > HELD_CHARS:
                self._held_chars -= len(held.popleft().xml)
        elif event.node in self._nodes:
            self._tell(event)

    def _hold(self) -> None:
        if self._held is None:
            self._held, self._held_chars = deque(), 0

    async def _hear(self, wanted: frozenset[str]) -> None:
        new, self._nodes = wanted - self._nodes, wanted
        self._hold()
        try:
            if new:
                await self._tell_last(new)
        finally:
            held, self._held = self._held or (), None
            for event in held:
                self.take(event)
        self._session.memberships.greet()

    async def _tell_last(self, nodes: frozenset[str]) -> None:
        session = self._session
        if session.node is None:
            return
        userid, pep = session.node.userid, session.services.pep
        room = pep.node_bytes
        try:
            async for last in pep.last(userid, nodes):
                if session.is_closed or last.node not in self._nodes:
                    return
                item = last.item
                room -= len(item.xml.encode())
                if room < 0:
                    log.info("last_items_cut_short user=%d", userid)
                    return
                self._write(
                    last.jid,
                    pubsub.event(last.node, "items", [item.id], item.xml, item.at, session.domain),
                )
        except StorageAway:
            log.info("last_items_not_read user=%d", userid)

    def _ask(self, said: caps.Caps) -> None:
        session = self._session
        self._question = f"caps-{secrets.token_hex(8)}"
        session.transport.tell(
            f"<iq{session.xmlns} type='get' id='{self._question}' from='{session.domain}' "
            f"to='{attribute(session.me)}'><query xmlns='{ns.DISCO_INFO}' "
            f"node='{attribute(said.node)}#{attribute(said.ver)}'/></iq>"
        )

    def _tell(self, event: NodeEvent) -> None:
        session = self._session
        own = session.node.user.jid if session.node else ""
        if session.transport.is_slow and event.jid != own:
            return
        self._write(
            event.jid,
            pubsub.event(event.node, event.what, event.ids, event.xml, event.at, session.domain),
        )

    def _write(self, sender: str, inside: str) -> None:
        session = self._session
        session.transport.tell(
            f"<message{session.xmlns} from='{attribute(sender)}' to='{attribute(session.me)}' "
            f"type='headline' id='{secrets.token_hex(8)}'>{inside}</message>"
        )
