"""Groups: making them, their members, and the cache that the router fans out over."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Literal

import msgspec

from server.accounts import Accounts
from server.audience import Audience
from server.changes import Changes
from server.clients import now_ms
from server.errors import ChatError
from server.limits import Window
from server.model import GROUP, Group, Member, Role, clean_text, conversation
from server.ports import Document, End, GroupStore
from server.settings import Limits

CACHED = 20_000
"""Groups in memory with their members (about 100 bytes a member)."""
NAME_CHARS = 64
MEMO_CHARS = 1000
AVATAR_CHARS = 2048

GroupEvent = Literal["created", "joined", "left", "removed", "changed", "dissolved"]


class GroupChange(msgspec.Struct):
    """cmd 22: what happened to the group ``dstid``, to or by ``userid``."""

    event: GroupEvent
    dstid: int
    userid: int
    cmd: int = 22


class GroupView(msgspec.Struct):
    """A group as one of its members sees it. ``count``: members."""

    id: int
    name: str
    avatar: str
    memo: str
    owner: int
    role: Role
    count: int
    history: Literal["joined", "all"]
    muted_all: bool


class MemberView(msgspec.Struct):
    """A member as the others see it. Times are milliseconds since 1970 UTC, 0 for never."""

    id: int
    nickname: str
    nick: str
    role: Role
    muted_until: int
    joined: int


class Groups:
    """The groups. Outsiders get ``not-a-member``, whether the group exists or not."""

    def __init__(
        self,
        store: GroupStore,
        accounts: Accounts,
        limits: Limits,
        *,
        next_id: Callable[[], Awaitable[int]],
        end_of: Callable[[str], Awaitable[End | None]],
        notify: Callable[[Collection[int], Any, int, Collection[int]], None],
        changes: Changes,
        audience: Audience | None,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._limits = limits
        self._next_id = next_id
        self._end_of = end_of
        self._notify = notify
        self._changes = changes
        self._audience = audience
        self._forgotten = 0
        self._made = Window(limits.groups_per_hour * limits.rate_scale, 3600)
        self._cache: dict[int, Group] = {}
        changes.on("group", self._changed)

    def cached(self, gid: int) -> Group | None:
        return self._cache.get(gid)

    async def load(self, gid: int) -> Group | None:
        """The group with its members, or None."""
        group = self._cache.get(gid)
        if group is not None:
            return group
        while True:
            forgotten = self._forgotten
            document = await self._store.get(gid)
            if document is None:
                return None
            members = await self._store.members(gid)
            if forgotten == self._forgotten:
                break
        # Another loader may have come first, and changes since then went to its object.
        group = self._cache.get(gid)
        if group is None:
            group = Group(
                id=gid,
                name=document["name"],
                owner=document["owner"],
                members={member["userid"]: _member(member) for member in members},
                avatar=document["avatar"],
                memo=document["memo"],
                history=document["history"],
                muted_all=document["muted_all"],
            )
            if len(self._cache) >= CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[gid] = group
        return group

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._forgotten += 1
        self._cache.clear()

    def _changed(
        self,
        gid: int,
        joined: Sequence[Sequence[int]] = (),
        left: Sequence[int] = (),
        dissolved: bool = False,
    ) -> None:
        """On every node. ``joined``: users, each with the floor of what they may see."""
        group = self._cache.get(gid)
        if group is None:
            self._forgotten += 1  # somebody may be loading it
        elif not (
            all(userid in group.members for userid, _ in joined)
            and not any(userid in group.members for userid in left)
        ):
            self._forgotten += 1
            del self._cache[gid]
        if dissolved:
            self._cache.pop(gid, None)
        if self._audience is not None:
            for userid, floor in joined:
                self._audience.joined(gid, userid, floor)
            for userid in left:
                self._audience.left(gid, userid)
            if dissolved:
                self._audience.dissolved(gid)

    async def create(
        self, owner: int, name: str, members: Sequence[int], avatar: str = "", memo: str = ""
    ) -> GroupView:
        """Makes a group. Raises ``invalid``, ``no-such-user``, ``slow-down``."""
        name = clean_text(name.strip(), "name", NAME_CHARS)
        if not name:
            raise ChatError("invalid", "some fields are wrong", fields={"name": "is empty"})
        memo = clean_text(memo, "memo", MEMO_CHARS)
        if avatar and (
            not avatar.startswith(("http://", "https://")) or len(avatar) > AVATAR_CHARS
        ):
            raise ChatError("invalid", "some fields are wrong", fields={"avatar": "no web address"})
        wait = self._made.wait_s(str(owner))
        if wait:
            raise ChatError("slow-down", "too many new groups", retry_after=int(wait) + 1)
        everyone = list(dict.fromkeys([owner, *members]))
        if len(everyone) > self._limits.group_members:
            raise ChatError("too-long", f"at most {self._limits.group_members} members")
        known = await self._accounts.users(everyone)
        for userid in everyone:
            if userid not in known:
                raise ChatError("no-such-user", f"there is no user {userid}")
        gid = await self._next_id()
        now = now_ms()
        joined = [
            Member(userid, "owner" if userid == owner else "member", now, 0) for userid in everyone
        ]
        group = Group(gid, name, owner, {member.id: member for member in joined}, avatar, memo)
        document = msgspec.structs.asdict(group) | {"_id": gid, "created": now}
        del document["id"], document["members"]
        await self._store.insert(document, [_document(gid, member) for member in joined])
        self._made.count(str(owner))
        self._notify(everyone, GroupChange("created", gid, owner), 0, ())
        await self._changes.add("group", gid=gid, joined=[[userid, 0] for userid in everyone])
        return _view(group, owner)

    async def of_user(self, userid: int) -> list[GroupView]:
        """The groups that this user is in."""
        mine = {member["gid"]: member for member in await self._store.of_user(userid)}
        counts = await self._store.counts(list(mine))
        return [
            GroupView(
                id=document["_id"],
                name=document["name"],
                avatar=document["avatar"],
                memo=document["memo"],
                owner=document["owner"],
                role=mine[document["_id"]]["role"],
                count=counts.get(document["_id"], 0),
                history=document["history"],
                muted_all=document["muted_all"],
            )
            for document in await self._store.by_ids(list(mine))
        ]

    async def get(self, gid: int, userid: int) -> GroupView:
        """The group as this member sees it. Raises ``not-a-member``."""
        group, _ = await self.member(gid, userid)
        return _view(group, userid)

    async def member(self, gid: int, userid: int) -> tuple[Group, Member]:
        """The group and the user's place in it. Raises ``not-a-member``."""
        group = await self.load(gid)
        member = group.members.get(userid) if group else None
        if group is None or member is None:
            raise ChatError("not-a-member", "you are not a member of this group")
        return group, member

    async def members(
        self, gid: int, userid: int, after: int = 0, limit: int = 100
    ) -> tuple[list[MemberView], bool]:
        """Members with ids above ``after``, and whether there are more. Raises ``not-a-member``."""
        group, _ = await self.member(gid, userid)
        ids = sorted(member for member in group.members if member > after)
        page = ids[:limit]
        users = await self._accounts.users(page)
        views = [
            MemberView(
                id=member,
                nickname=users[member].nickname if member in users else "",
                nick="",
                role=group.members[member].role,
                muted_until=0,
                joined=group.members[member].joined,
            )
            for member in page
            if member in group.members
        ]
        return views, len(ids) > limit

    async def add(self, gid: int, actor: int, userid: int) -> None:
        """Owner or admin adds a user. Raises ``not-allowed``, ``no-such-user``, ``too-long`` …"""
        group, acting = await self.member(gid, actor)
        if acting.role == "member":
            raise ChatError("not-allowed", "only owner and admins add members")
        if userid in group.members:
            return
        if len(group.members) >= self._limits.group_members:
            raise ChatError("too-long", f"at most {self._limits.group_members} members")
        if await self._accounts.user(userid) is None:
            raise ChatError("no-such-user", f"there is no user {userid}")
        end = await self._end_of(conversation(GROUP, 0, gid))
        floor = end.seq if end else 0
        member = Member(userid, "member", now_ms(), floor)
        if await self._store.add_member(_document(gid, member, end)):
            group.members[userid] = member
            self._notify((userid,), GroupChange("joined", gid, userid), gid, (userid,))
            await self._changes.add("group", gid=gid, joined=[[userid, floor]])

    async def remove(self, gid: int, actor: int, userid: int) -> None:
        """A member leaves, or owner and admins remove one below them. The owner cannot leave."""
        group, acting = await self.member(gid, actor)
        target = group.members.get(userid)
        if target is None:
            raise ChatError("no-such-user", "not a member of this group")
        if userid == group.owner:
            raise ChatError("conflict", "the owner cannot leave; dissolve the group instead")
        if actor != userid and not _outranks(acting, target):
            raise ChatError("not-allowed", "only owner and admins remove members")
        if await self._store.remove_member(gid, userid):
            group.members.pop(userid, None)
            event: GroupEvent = "left" if actor == userid else "removed"
            self._notify((userid,), GroupChange(event, gid, userid), gid, (userid,))
            await self._changes.add("group", gid=gid, left=[userid])

    async def dissolve(self, gid: int, actor: int) -> None:
        """The owner ends the group. Raises ``not-a-member``, ``not-allowed``."""
        group, acting = await self.member(gid, actor)
        if acting.role != "owner":
            raise ChatError("not-allowed", "only the owner dissolves a group")
        await self._store.delete(gid)
        self._notify((), GroupChange("dissolved", gid, actor), gid, ())
        group.members.clear()
        await self._changes.add("group", gid=gid, dissolved=True)


def _outranks(acting: Member, target: Member) -> bool:
    ranks = ("member", "admin", "owner")
    return ranks.index(acting.role) > ranks.index(target.role)


def _view(group: Group, userid: int) -> GroupView:
    return GroupView(
        id=group.id,
        name=group.name,
        avatar=group.avatar,
        memo=group.memo,
        owner=group.owner,
        role=group.members[userid].role,
        count=len(group.members),
        history=group.history,
        muted_all=group.muted_all,
    )


def _member(document: Document) -> Member:
    return Member(document["userid"], document["role"], document["joined"], document["floor"])


def _document(gid: int, member: Member, end: End | None = None) -> Document:
    """``end``: where the group's log ends; what is before the joining does not count as unread."""
    return {
        "_id": f"{gid}:{member.id}",
        "gid": gid,
        "userid": member.id,
        "role": member.role,
        "joined": member.joined,
        "floor": member.floor,
        "read": member.floor,
        "read_n": end.tally.messages if end else 0,
        "delivered": member.floor,
    }
