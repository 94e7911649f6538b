"""A session's contacts: the roster and subscriptions (RFC 6121), and who is blocked (XEP-0191)."""

import secrets
from typing import TYPE_CHECKING

from server.clients import Pending
from server.deliveries import BlockChange, RosterItem
from server.errors import ChatError
from server.model import User
from server.subscriptions import Kind
from stanzas import blocking, jid, passing, replies, roster
from stanzas.replies import Origin
from stanzas.xml import Element, attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession


class ContactQueries:
    """One session's requests, and what it is pushed once it has asked for the list."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self.has_roster = False
        self._has_blocklist = False

    async def subscription(self, stanza: Element, kind: Kind, asked: Origin) -> None:
        """Takes a subscription stanza to a user; a resource in its address means nothing."""
        session, userid = self._session, self._userid()
        self._count()
        contact, _ = await session.recipient(asked.to)
        if contact is not None:
            note = passing.inside(stanza)
            await session.services.contacts.subscription(userid, contact.id, kind, note)

    def get(self, query: Element, asked: Origin) -> Pending:
        return self._get(query.get("ver"), asked)

    async def _get(self, known: str | None, asked: Origin) -> None:
        self._count()
        self.has_roster = True
        rosters = self._session.services.contacts.rosters
        items, version = await rosters.of_user(self._userid())
        if known == version:
            self._reply(asked)
        else:
            told = version if known is not None else ""
            self._reply(asked, roster.answer(map(_item, items), told))

    def set(self, query: Element, asked: Origin) -> Pending:
        return self._set(roster.read(query), asked)

    async def _set(self, wish: roster.Wish, asked: Origin) -> None:
        self._count()
        contacts = self._session.services.contacts
        other = await self._named(wish.jid)
        if wish.remove:
            await contacts.remove(self._userid(), other.id)
        elif other.id == self._userid():
            raise ChatError("not-allowed", "you are not your own contact", xmpp="not-allowed")
        else:
            await contacts.keep(self._userid(), other.id, wish.name, wish.groups)
        self._reply(asked)

    def blocklist(self, _: Element, asked: Origin) -> Pending:
        return self._blocklist(asked)

    async def _blocklist(self, asked: Origin) -> None:
        self._count()
        self._has_blocklist = True
        services = self._session.services
        users = await services.accounts.users(await services.blocks.read(self._userid()))
        jids = sorted(user.jid for user in users.values())
        self._reply(asked, blocking.listing("blocklist", jids))

    def block(self, request: Element, asked: Origin) -> Pending:
        return self._block(blocking.read(request), asked)

    async def _block(self, jids: list[str], asked: Origin) -> None:
        self._count()
        for user in [await self._named(each) for each in jids]:
            await self._session.services.contacts.block(self._userid(), user.id)
        self._reply(asked)

    def unblock(self, request: Element, asked: Origin) -> Pending:
        return self._unblock(blocking.read(request), asked)

    async def _unblock(self, jids: list[str], asked: Origin) -> None:
        self._count()
        services = self._session.services
        if jids:
            userids = [(await self._named(each)).id for each in jids]
        else:
            userids = sorted(await services.blocks.read(self._userid()))
        for userid in userids:
            await services.contacts.unblock(self._userid(), userid)
        self._reply(asked)

    def take(self, body: RosterItem | BlockChange) -> None:
        """A change of a list, for the sessions that have asked for it."""
        if isinstance(body, RosterItem):
            if self.has_roster:
                self._push(roster.answer((_item(body),), body.version))
        elif self._has_blocklist:
            self._push(blocking.listing("block" if body.blocked else "unblock", body.jids))

    def _push(self, inside: str) -> None:
        session = self._session
        session.transport.tell(
            f"<iq{session.xmlns} type='set' id='push-{secrets.token_hex(6)}' "
            f"to='{attribute(session.me)}'>{inside}</iq>"
        )

    async def _named(self, text: str) -> User:
        """The account that a bare JID names; there is nobody else to have on a list."""
        address = jid.parse(text)
        session = self._session
        user = None
        if address.domain == session.domain and address.local and not address.resource:
            user = await session.find(address.local)
        if user is None:
            raise ChatError("no-such-user", "no account of this service")
        return user

    def _count(self) -> None:
        if self._session.node is not None:
            self._session.services.router.count(self._session.node)

    def _userid(self) -> int:
        node = self._session.node
        if node is None:
            raise ChatError("not-logged-in")
        return node.userid

    def _reply(self, asked: Origin, inside: str = "") -> None:
        session = self._session
        session.transport.tell(replies.result(asked, session.me, session.xmlns, inside))


def _item(item: RosterItem) -> str:
    return roster.item(item.jid, item.name, item.groups, item.subscription, item.asks)
