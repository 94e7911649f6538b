"""What one session says to the resources of others and nobody keeps: iq, headlines, errors,
messages without a text."""

from typing import TYPE_CHECKING

from server.deliveries import Stanza
from server.errors import ChatError
from server.model import User
from stanzas import delivery, passing
from stanzas.replies import Origin
from stanzas.xml import Element, attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession


class Relay:
    """One session's end of it."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session

    def take(self, body: Stanza) -> None:
        """A stanza for this session, if it is the one that is named or takes any."""
        session = self._session
        node = session.node
        if node is None:
            return
        if body.resource:
            if body.resource == node.resource:
                self._tell(body, session.me)
        elif body.name == "presence":
            session.attendance.take(body)
        elif session.attendance.priority >= 0:
            self._tell(body, node.user.jid)

    async def iq(self, stanza: Element, kind: str, asked: Origin) -> None:
        """To a full JID. Only who sees the other's presence may ask; anybody may answer."""
        session, services = self._session, self._session.services
        node = session.node
        recipient, resource = await session.recipient(asked.to)
        is_answer = kind in ("result", "error")
        if node is None:
            return
        if recipient is None:
            if is_answer:
                return
            raise unavailable()
        if not is_answer:
            services.router.count(node)
            await services.blocks.look(node.userid, recipient.id)
            watchers = await services.contacts.watchers(recipient.id)
            if recipient.id != node.userid and node.userid not in watchers:
                raise unavailable()
        await self._send("iq", stanza, kind, recipient, resource)

    async def pass_on(self, stanza: Element, kind: str, asked: Origin) -> None:
        """What is not kept, by the rules of RFC 6121 section 8.5: a message, or any error."""
        session, services = self._session, self._session.services
        node = session.node
        if node is None:
            return
        recipient, resource = await session.recipient(asked.to or node.user.jid)
        if recipient is None:
            if kind == "error":
                return
            raise unavailable()
        if kind == "error":
            if await services.blocks.apart(node.userid, recipient.id):
                return
        else:
            services.router.count(node)
            await services.blocks.look(node.userid, recipient.id)
        await self._send(asked.name, stanza, kind, recipient, resource)

    async def check_normal(self, userid: int, resource: str) -> None:
        """A normal message goes to the resource that it names, or it is refused."""
        if not await self._session.services.connections.has(userid, resource):
            raise unavailable()

    async def _send(
        self, name: str, stanza: Element, kind: str, recipient: User, resource: str
    ) -> None:
        services = self._session.services
        to: delivery.To = "bare"
        if resource:
            is_there = await services.connections.has(recipient.id, resource)
            to = "match" if is_there else "no match"
        # Who of the others takes it is seen where they are.
        outcome = delivery.outcome(name, kind, to, "there")
        if outcome == "refuse":
            raise unavailable()
        if outcome != "ignore":
            where = resource if outcome == "one" else ""
            rest = passing.rest(stanza, self._session.me)
            services.router.notify((recipient.id,), Stanza(rest, name, where))

    def _tell(self, body: Stanza, to: str) -> None:
        session = self._session
        session.transport.tell(f"<{body.name}{session.xmlns} to='{attribute(to)}'{body.rest}")


def unavailable() -> ChatError:
    """Nobody is there, or nobody who takes it."""
    return ChatError("not-found", xmpp="service-unavailable")
