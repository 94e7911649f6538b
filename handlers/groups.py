"""Groups over HTTP: making, listing, dissolving them, and their members."""

from typing import Annotated

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from server.groups import GroupView, MemberView
from server.model import Id


class NewGroup(Input):
    """``members`` are added beside the maker, who becomes the owner."""

    name: str
    members: list[Id] = msgspec.field(default_factory=list)
    avatar: str = ""
    memo: str = ""


class NewMember(Input):
    """Whom to add."""

    id: Id


class GroupList(msgspec.Struct):
    """One's groups."""

    groups: list[GroupView]
    more: bool


class MemberList(msgspec.Struct):
    """A page of members by id; with ``more``, the next one is behind the last id."""

    members: list[MemberView]
    more: bool


class MemberQuery(msgspec.Struct):
    """``after``: only ids above this one."""

    after: Id = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class OwnGroups(ApiHandler):
    """``/api/groups``"""

    @endpoint()
    async def get(self) -> GroupList:
        """List the groups one is in."""
        return GroupList(await self.services.groups.of_user(self.identity.userid), more=False)

    @endpoint("bad-field", "no-such-user", "too-long", "slow-down", status=201)
    async def post(self, body: NewGroup) -> GroupView:
        """Make a group."""
        return await self.services.groups.create(
            self.identity.userid, body.name, body.members, body.avatar, body.memo
        )


class OneGroup(ApiHandler):
    """``/api/groups/{gid}``"""

    @endpoint("not-a-member")
    async def get(self, gid: int) -> GroupView:
        """Read a group one is in."""
        return await self.services.groups.get(gid, self.identity.userid)

    @endpoint("not-a-member", "not-allowed")
    async def delete(self, gid: int) -> None:
        """Dissolve a group one owns."""
        await self.services.groups.dissolve(gid, self.identity.userid)


class GroupMembers(ApiHandler):
    """``/api/groups/{gid}/members``"""

    @endpoint("not-a-member")
    async def get(self, gid: int, query: MemberQuery) -> MemberList:
        """List the members of a group one is in."""
        members, more = await self.services.groups.members(
            gid, self.identity.userid, query.after, query.limit
        )
        return MemberList(members, more)

    @endpoint("not-a-member", "not-allowed", "no-such-user", "too-long", status=201)
    async def post(self, gid: int, body: NewMember) -> MemberView:
        """Add somebody; owner and admins only. Adding a member again changes nothing."""
        groups, userid = self.services.groups, self.identity.userid
        await groups.add(gid, userid, body.id)
        members, _ = await groups.members(gid, userid, body.id - 1, 1)
        return members[0]


class OneMember(ApiHandler):
    """``/api/groups/{gid}/members/{id}``"""

    @endpoint("not-a-member", "not-allowed", "no-such-user", "conflict")
    async def delete(self, gid: int, id: int) -> None:
        """Remove somebody, or leave."""
        await self.services.groups.remove(gid, self.identity.userid, id)
