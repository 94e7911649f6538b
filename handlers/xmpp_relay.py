"""What one session says to the resources of others and nobody keeps: iq, headlines, errors,
messages without a text."""

import asyncio
from typing import TYPE_CHECKING

from server.deliveries import Copy, Event, Stanza
from server.errors import ChatError
from server.model import User
from stanzas import carbons, delivery, ns, passing
from stanzas.replies import Origin
from stanzas.xml import Element, attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession


FOUND = 100
FOUND_S = 5.0
"""Whose connections are known of for how long without asking the database again."""


class Relay:
    """One session's end of it."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self._found: dict[tuple[int, str], float] = {}

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
        """To a full JID. Only who sees the other's presence may ask; all but who is blocked may
        answer."""
        session, services = self._session, self._session.services
        node = session.node
        if node is None:
            return
        services.router.count(node)
        recipient, resource = await session.recipient(asked.to)
        is_answer = kind in ("result", "error")
        if recipient is None:
            if is_answer:
                return
            raise unavailable()
        if is_answer:
            if await services.blocks.apart(node.userid, recipient.id):
                return
        else:
            await services.blocks.look(node.userid, recipient.id)
            watchers = await services.contacts.watchers(recipient.id)
            if recipient.id != node.userid and node.userid not in watchers:
                raise unavailable()
        await self._send("iq", stanza, kind, recipient, resource)

    def take_copy(self, body: Copy) -> None:
        """A message of which this device may want a copy."""
        session = self._session
        node = session.node
        if node is None or not session.carbons or session.attendance.priority < 0:
            return
        if body.but != node.resource:
            session.transport.tell(self.copy(body.kind, body.stanza, body.of))

    def copy(self, kind: carbons.Kind, forwarded: str, of: str = "chat") -> str:
        """One for this device."""
        session = self._session
        account = session.node.user.jid if session.node else ""
        return carbons.copy(
            kind, forwarded, account=account, to=session.me, xmlns=session.xmlns, of=of
        )

    def copy_sent(self, stanza: Element, kind: str, asked: Origin) -> None:
        """Shows the sender's other devices a message that is not kept."""
        node, router = self._session.node, self._session.services.router
        if node is not None and asked.to and carbons.is_eligible(stanza, kind):
            copy = Copy(self._forwarded(stanza, asked), "sent", node.resource, kind)
            router.publish(Event((node.userid,), copy, sender=node))

    def _forwarded(self, stanza: Element, asked: Origin) -> str:
        rest = passing.rest(stanza, self._session.me)
        return f"<message xmlns='{ns.CLIENT}' to='{attribute(asked.to)}'{rest}"

    async def pass_on(
        self, stanza: Element, kind: str, asked: Origin, *, says_something: bool = False
    ) -> None:
        """What is not kept, by the rules of RFC 6121 section 8.5: a message, or any error.

        ``says_something``: it is refused where the sender may know that nobody is there.
        """
        session, services = self._session, self._session.services
        node = session.node
        if node is None:
            return
        services.router.count(node)
        recipient, resource = await session.recipient(asked.to or node.user.jid)
        if recipient is None:
            if kind == "error":
                return
            raise unavailable()
        if kind == "error":
            if await services.blocks.apart(node.userid, recipient.id):
                return
        else:
            await services.blocks.look(node.userid, recipient.id)
        if says_something:
            await self._check_anybody_is_there(node.userid, recipient.id)
        where = await self._send(asked.name, stanza, kind, recipient, resource)
        if asked.name == "message" and where is not None:
            if where and carbons.is_eligible(stanza, kind):
                copy = Copy(self._forwarded(stanza, asked), "received", where, kind)
                services.router.notify((recipient.id,), copy)
            if recipient.id != node.userid:
                self.copy_sent(stanza, kind, asked)

    async def _check_anybody_is_there(self, userid: int, recipient: int) -> None:
        services = self._session.services
        watchers = await services.contacts.watchers(recipient)
        if userid != recipient and userid not in watchers:
            return  # whose presence that is, is not for everybody to know
        if not await services.presence.spoken((recipient,)):
            raise unavailable()

    def has_found(self, userid: int, resource: str) -> bool:
        """Whether :meth:`finds` has found it some seconds ago."""
        until = self._found.get((userid, resource))
        return until is not None and until > asyncio.get_running_loop().time()

    async def finds(self, userid: int, resource: str) -> bool:
        """Whether the user has a connection of this name, or had one some seconds ago."""
        if self.has_found(userid, resource):
            return True
        is_there = await self._session.services.connections.has(userid, resource)
        if is_there:
            if len(self._found) >= FOUND:
                self._found.clear()
            self._found[userid, resource] = asyncio.get_running_loop().time() + FOUND_S
        return is_there

    async def _send(
        self, name: str, stanza: Element, kind: str, recipient: User, resource: str
    ) -> str | None:
        """The one resource that it goes to, empty for all; None: nobody gets it."""
        services = self._session.services
        to: delivery.To = "bare"
        if resource:
            is_there = await services.connections.has(recipient.id, resource)
            to = "match" if is_there else "no match"
        # Who of the others takes it is seen where they are.
        outcome = delivery.outcome(name, kind, to, "there")
        if outcome == "refuse":
            raise unavailable()
        if outcome == "ignore":
            return None
        where = resource if outcome == "one" else ""
        rest = passing.rest(stanza, self._session.me)
        services.router.notify((recipient.id,), Stanza(rest, name, where))
        return where

    def _tell(self, body: Stanza, to: str) -> None:
        session = self._session
        session.transport.tell(f"<{body.name}{session.xmlns} to='{attribute(to)}'{body.rest}")


def unavailable() -> ChatError:
    """Nobody is there, or nobody who takes it."""
    return ChatError("not-found", xmpp="service-unavailable")
