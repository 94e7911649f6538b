"""One's own account, and what others may see of theirs."""

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from server.accounts import Me
from server.errors import ChatError
from server.model import User


class Profile(msgspec.Struct):
    """What everybody may see of an account."""

    id: int
    username: str
    jid: str
    nickname: str
    avatar: str
    sex: str
    memo: str


class Users(msgspec.Struct):
    """A page of accounts."""

    users: list[Profile]
    more: bool


class ProfileChanges(Input):
    """What is to change; a field left out or null stays as it is, an empty one is cleared."""

    nickname: str | None = None
    avatar: str | None = None
    sex: str | None = None
    memo: str | None = None


class NewPassword(Input):
    """The present password and the next one."""

    old: str
    new: str


class UserQuery(msgspec.Struct):
    """``q``: beginning of a username, or a whole id or mobile number."""

    q: str


def public_profile(user: User) -> Profile:
    """All fields, empty ones too."""
    return msgspec.convert(user, Profile, from_attributes=True)


class OwnProfile(ApiHandler):
    """``/api/me``"""

    @endpoint()
    async def get(self) -> Me:
        """Read one's own profile."""
        return await self.services.accounts.me(self.identity.userid)

    @endpoint()
    async def patch(self, body: ProfileChanges) -> Me:
        """Change one's own profile."""
        given = {field: getattr(body, field) for field in body.__struct_fields__}
        changes = {field: text for field, text in given.items() if text is not None}
        return await self.services.accounts.update_me(self.identity.userid, changes)


class OwnPassword(ApiHandler):
    """``/api/me/password``"""

    @endpoint("not-allowed", "slow-down", "busy")
    async def post(self, body: NewPassword) -> None:
        """Change one's own password; every other session ends."""
        services, identity = self.services, self.identity
        try:
            await services.accounts.log_in(
                userid=identity.userid, password=body.old, address=self.address
            )
        except ChatError as error:
            if error.slug != "not-logged-in":
                raise
            # Not 401: that would tell the client that its token is bad.
            fields = {"old": "this is not the password"}
            raise ChatError("not-allowed", "the old password is wrong", fields=fields) from error
        try:
            await services.accounts.set_password(identity.userid, body.new)
        except ChatError as error:
            if error.fields and "password" in error.fields:
                fields = {"new": error.fields["password"]}
                raise ChatError(error.slug, error.detail, fields=fields) from error
            raise
        await services.tokens.end_all(identity.userid, but_sid=identity.sid)


class UserProfile(ApiHandler):
    """``/api/users/{id}``"""

    @endpoint("no-such-user")
    async def get(self, id: int) -> Profile:
        """Read the public profile of an account."""
        user = await self.services.accounts.user(id)
        if user is None:
            raise ChatError("no-such-user")
        return public_profile(user)


class UserSearch(ApiHandler):
    """``/api/users``"""

    @endpoint()
    async def get(self, query: UserQuery) -> Users:
        """Find accounts by the beginning of a username, by id or by mobile number."""
        found = await self.services.accounts.search(query.q)
        return Users([public_profile(user) for user in found], more=False)
