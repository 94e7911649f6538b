"""One's own account, and what others may see of theirs."""

import msgspec

from handlers.account import Farewell, OwnerHandler
from handlers.api import ApiHandler, Input, endpoint
from handlers.fields import Avatar, Memo, Mobile, Nickname, Sex, Username
from server.errors import ChatError
from server.model import User
from server.profile import Me


class Profile(msgspec.Struct, omit_defaults=True):
    """What everybody may see of an account. ``deleted``: there is nothing left to see."""

    id: int
    username: str
    jid: str
    nickname: str
    avatar: str
    sex: str
    memo: str
    deleted: bool = False


class Users(msgspec.Struct):
    """A page of accounts."""

    users: list[Profile]
    more: bool


class ProfileChanges(Input):
    """What is to change; a field left out or null stays as it is, an empty one is cleared."""

    username: Username | None = None
    mobile: Mobile | None = None
    nickname: Nickname | None = None
    avatar: Avatar | None = None
    sex: Sex | None = None
    memo: Memo | None = None


class UserQuery(msgspec.Struct):
    """``q``: beginning of a username, or a whole id or mobile number."""

    q: str


def public_profile(user: User) -> Profile:
    """All fields, empty ones too."""
    return msgspec.convert(user, Profile, from_attributes=True)


class OwnProfile(OwnerHandler):
    """``/api/me``"""

    @endpoint()
    async def get(self) -> Me:
        """Read one's own profile."""
        return await self.services.profiles.read(self.identity.userid)

    @endpoint("taken", "conflict", "slow-down")
    async def patch(self, body: ProfileChanges) -> Me:
        """Change one's own profile, all of it or nothing.

        A username that is given up is kept for its owner for 30 days, three at most. XMPP streams
        under the old name end.
        """
        given = {field: getattr(body, field) for field in body.__struct_fields__}
        changes = {field: text for field, text in given.items() if text is not None}
        return await self.services.profiles.change(self.identity.userid, changes)

    @endpoint("not-allowed", "conflict", "slow-down", "busy")
    async def delete(self, body: Farewell) -> None:
        """Delete one's own account.

        Its connections are closed with 4403. What it said stays with the others, as said by a
        deleted account; all else is gone.
        """
        await self.confirm("password", body.password)
        await self.services.departures.leave(self.identity.userid)


class UserProfile(ApiHandler):
    """``/api/users/{id}``"""

    @endpoint("no-such-user")
    async def get(self, id: int) -> Profile:
        """Read the public profile of an account; of a deleted one only that it is."""
        found = await self.services.accounts.people([id])
        if id not in found:
            raise ChatError("no-such-user")
        return public_profile(found[id])


class UserSearch(ApiHandler):
    """``/api/users``"""

    @endpoint()
    async def get(self, query: UserQuery) -> Users:
        """Find accounts by the beginning of a username, by id or by mobile number."""
        found = await self.services.accounts.search(query.q)
        return Users([public_profile(user) for user in found], more=False)
