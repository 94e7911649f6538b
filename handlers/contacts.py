"""Contacts and blocks over HTTP."""

from typing import Annotated

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from handlers.fields import ContactMemo
from handlers.profile import Users, public_profile
from server.contacts import ContactView
from server.model import Id


class NewContact(Input):
    """Whom to ask; ``memo`` is one's own name for them, and nobody else's to see."""

    id: Id
    memo: ContactMemo | None = None


class ContactName(Input):
    """One's own name for a contact; an empty one is none."""

    memo: ContactMemo


class ContactList(msgspec.Struct):
    """A page of contacts by id; with ``more``, the next one is behind the last id."""

    contacts: list[ContactView]
    more: bool


class ContactQuery(msgspec.Struct):
    """``after``: only ids above this one."""

    after: Id = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000


class OwnContacts(ApiHandler):
    """``/api/contacts``"""

    @endpoint()
    async def get(self, query: ContactQuery) -> ContactList:
        """List one's contacts, one's requests and those of others."""
        contacts = self.services.contacts
        return ContactList(*await contacts.of_user(self.identity.userid, query.after, query.limit))

    @endpoint("bad-field", "no-such-user", "blocked", "slow-down", status=201)
    async def post(self, body: NewContact) -> ContactView:
        """Ask somebody to become a contact, or accept who has asked.

        Again it changes the memo only.
        """
        contacts, userid = self.services.contacts, self.identity.userid
        await contacts.request(userid, body.id, body.memo)
        return await contacts.get(userid, body.id)


class OneContact(ApiHandler):
    """``/api/contacts/{id}``"""

    @endpoint("bad-field", "no-such-user")
    async def patch(self, id: int, body: ContactName) -> ContactView:
        """Change one's own name for a contact."""
        contacts, userid = self.services.contacts, self.identity.userid
        await contacts.rename(userid, id, body.memo)
        return await contacts.get(userid, id)

    @endpoint("no-such-user")
    async def delete(self, id: int) -> None:
        """Remove a contact for both, withdraw one's request, or refuse the other's."""
        await self.services.contacts.remove(self.identity.userid, id)


class Acceptance(ApiHandler):
    """``/api/contacts/{id}/accept``"""

    @endpoint("no-such-user", "blocked", "too-long", "invalid")
    async def post(self, id: int) -> ContactView:
        """Accept somebody's request. Again is no change."""
        contacts, userid = self.services.contacts, self.identity.userid
        await contacts.accept(userid, id)
        return await contacts.get(userid, id)


class OwnBlocks(ApiHandler):
    """``/api/blocks``"""

    @endpoint()
    async def get(self) -> Users:
        """List whom one has blocked."""
        services = self.services
        users = await services.accounts.users(await services.blocks.load(self.identity.userid))
        return Users([public_profile(users[userid]) for userid in sorted(users)], more=False)


class OneBlock(ApiHandler):
    """``/api/blocks/{id}``"""

    @endpoint("no-such-user", "too-long", "invalid")
    async def put(self, id: int) -> None:
        """Block somebody, who is not told. Again is no change."""
        await self.services.contacts.block(self.identity.userid, id)

    @endpoint("no-such-user", "invalid")
    async def delete(self, id: int) -> None:
        """Unblock somebody. Again is no change."""
        await self.services.contacts.unblock(self.identity.userid, id)
