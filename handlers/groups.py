"""Groups over HTTP: making, listing, changing, dissolving them, and their members."""

from typing import Annotated, Literal

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from handlers.fields import Announcement, GroupAvatar, GroupMemo, GroupName, Nick
from server.errors import ChatError
from server.group_shapes import GroupView, MemberView
from server.model import Id, Role


class NewGroup(Input):
    """``members`` are added beside the maker, who becomes the owner."""

    name: GroupName
    members: list[Id] = msgspec.field(default_factory=list)
    avatar: GroupAvatar = ""
    memo: GroupMemo = ""


class GroupChanges(Input):
    """What is to change; a field left out or null stays as it is, an empty one is cleared.

    ``history`` and ``join`` are the owner's.
    """

    name: GroupName | None = None
    avatar: GroupAvatar | None = None
    memo: GroupMemo | None = None
    announcement: Announcement | None = None
    history: Literal["joined", "all"] | None = None
    muted_all: bool | None = None
    join: Literal["invite", "request"] | None = None


class MemberChanges(Input):
    """What is to change; a field left out or null stays as it is.

    ``role``: ``owner`` hands the group over. ``muted_until``: milliseconds since 1970 UTC, 0 for
    not muted, 9007199254740991 for good.
    """

    role: Role | None = None
    muted_until: Id | None = None
    nick: Nick | None = None


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

    @endpoint("bad-field", "not-allowed", "no-such-user", "slow-down", status=201)
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

    @endpoint("not-a-member", "not-allowed", "bad-field", "too-long")
    async def patch(self, gid: int, body: GroupChanges) -> GroupView:
        """Change a group; owner and admins only."""
        given = {field: getattr(body, field) for field in body.__struct_fields__}
        changes = {field: value for field, value in given.items() if value is not None}
        return await self.services.groups.update(gid, self.identity.userid, changes)

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
        await self.services.groups.add(gid, self.identity.userid, body.id)
        return await view_of_member(self, gid, body.id)


class OneMember(ApiHandler):
    """``/api/groups/{gid}/members/{id}``"""

    @endpoint("not-a-member", "not-allowed", "no-such-user", "conflict", "bad-field", "too-long")
    async def patch(self, gid: int, id: int, body: MemberChanges) -> MemberView:
        """Give a role, mute, set a nick; one's own nick too. Or hand over the group one owns."""
        await self.services.groups.update_member(
            gid,
            self.identity.userid,
            id,
            role=body.role,
            muted_until=body.muted_until,
            nick=body.nick,
        )
        return await view_of_member(self, gid, id)

    @endpoint("not-a-member", "not-allowed", "no-such-user", "conflict")
    async def delete(self, gid: int, id: int) -> None:
        """Remove somebody, or leave."""
        await self.services.groups.remove(gid, self.identity.userid, id)


async def view_of_member(call: ApiHandler, gid: int, userid: int) -> MemberView:
    """One member. Raises ``no-such-user`` where that one went meanwhile."""
    members, _ = await call.services.groups.members(gid, call.identity.userid, userid - 1, 1)
    if not members or members[0].id != userid:
        raise ChatError("no-such-user", "not a member of this group")
    return members[0]
