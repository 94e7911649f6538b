"""Groups: making and changing them, their members, and who may do what.

The rules are here, once, for both protocols. A member may what those of lower rank may; nobody
acts on members of equal or higher rank.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from server.accounts import Accounts
from server.audience import Audience
from server.changes import Changes
from server.clients import now_ms
from server.errors import ChatError
from server.group_cache import GroupCache
from server.group_shapes import (
    Departure,
    GroupChange,
    GroupEvent,
    GroupView,
    MemberView,
    Note,
    OwnRoom,
    clean_fields,
    group_view,
    member_view,
    own_room,
)
from server.limits import Window
from server.model import GROUP, Group, Member, Role, clean_text, conversation
from server.ports import Document, End, GroupStore
from server.settings import Limits

NICK_CHARS = 64
RANKS: tuple[Role, ...] = ("member", "admin", "owner")
OWNERS_ONLY = frozenset({"history", "join"})
"""What admins do not change: it opens the group or its past to others."""
EXPORTED = ("role", "nick", "muted_until", "joined")
CHANGED_MEANWHILE = "the group has changed meanwhile; look again"


def may_speak(group: Group, member: Member, at_ms: int) -> None:
    """Raises ``muted`` for who may not say anything in the group now."""
    if member.muted_until > at_ms:
        raise ChatError("muted", "you are muted in this group")
    if group.muted_all and member.role == "member":
        raise ChatError("muted", "only owner and admins speak in this group now")


class Groups:
    """The groups. Outsiders get ``not-a-member``, whether the group exists or not.

    ``blocks``: whether the first user blocks the second, and so is not to be added by that one.
    """

    def __init__(
        self,
        store: GroupStore,
        accounts: Accounts,
        limits: Limits,
        *,
        next_id: Callable[[], Awaitable[int]],
        end_of: Callable[[str], Awaitable[End | None]],
        notify: Callable[..., None],
        changes: Changes,
        audience: Audience | None,
        blocks: Callable[[int, int], Awaitable[bool]] | None = None,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._limits = limits
        self._next_id = next_id
        self._end_of = end_of
        self._notify = notify
        self._changes = changes
        self._audience = audience
        self._blocks = blocks
        self._made = Window(limits.groups_per_hour * limits.rate_scale, 3600)
        self._cache = cache = GroupCache(store)
        self.cached, self.known, self.load = cache.cached, cache.known, cache.load
        self.forget_all = cache.forget_all
        self.hears: list[Callable[[int, Note], None]] = []
        changes.on("group", self._changed)

    def _changed(
        self,
        gid: int,
        joined: Sequence[Sequence[int]] = (),
        left: Sequence[int] = (),
        changed: Sequence[int] = (),
        dissolved: bool = False,
        note: Mapping[str, Any] | None = None,
    ) -> None:
        """On every node. ``joined``: users, each with the floor of what they may see."""
        self._cache.outdate(gid, [*(userid for userid, _ in joined), *left, *changed])
        if dissolved:
            self._cache.forget(gid)
        if self._audience is not None:
            for userid, floor in joined:
                self._audience.joined(gid, userid, floor)
            for userid in left:
                self._audience.left(gid, userid)
            if dissolved:
                self._audience.dissolved(gid)
        for hears in self.hears:
            hears(gid, Note(**(note or {})))

    async def create(
        self,
        owner: int,
        name: str,
        members: Sequence[int],
        avatar: str = "",
        memo: str = "",
        slug: str = "",
    ) -> GroupView:
        """Makes a group. Raises ``invalid``, ``no-such-user``, ``not-allowed``, ``slow-down`` …,
        ``taken`` where another one's room has the name ``slug``."""
        fields = clean_fields({"name": name, "avatar": avatar, "memo": memo})
        wait = self._made.wait_s(str(owner))
        if wait:
            raise ChatError("slow-down", "too many new groups", retry_after=int(wait) + 1)
        everyone = list(dict.fromkeys([owner, *members]))
        self._check_room(len(everyone) - 1)
        known = await self._accounts.users(everyone)
        for userid in everyone:
            if userid not in known:
                raise ChatError("no-such-user", f"there is no user {userid}")
        await self._check_blocks(everyone, owner)
        gid = await self._next_id()
        now = now_ms()
        group: Document = {
            "_id": gid,
            "owner": owner,
            "history": "joined",
            "muted_all": False,
            "announcement": "",
            "join": "invite",
            "created": now,
            **fields,
        }
        if slug:
            group["slug"] = slug
        rows = [
            _document(gid, Member(userid, "owner" if userid == owner else "member", now, 0))
            for userid in everyone
        ]
        if slug:
            rows[0]["is_invited"] = True  # who makes a room by its name is on the way into it
        if not await self._store.insert(group, rows):
            raise ChatError("taken", "there is a room of this name")
        self._made.count(str(owner))
        self._notify(everyone, GroupChange("created", gid, owner), 0, ())
        await self._changes.add("group", gid=gid, joined=[[userid, 0] for userid in everyone])
        return group_view(group, "owner", len(everyone))

    async def look_again(self, gid: int, userid: int) -> Group | None:
        """The group, with this user's place in it read anew."""
        self._cache.outdate(gid, (userid,))
        return await self.load(gid)

    async def by_slug(self, slug: str) -> int | None:
        """The group whose room has this name."""
        return await self._store.by_slug(slug)

    async def of_user(self, userid: int) -> list[GroupView]:
        """The groups that this user is in."""
        mine = {member["gid"]: member for member in await self._store.of_user(userid)}
        counts = await self._store.counts(list(mine))
        return [
            group_view(group, mine[group["_id"]]["role"], counts.get(group["_id"], 0))
            for group in await self._store.by_ids(list(mine))
        ]

    async def rooms_of(self, userid: int) -> list[OwnRoom]:
        """The groups that this user is in, as the user's XMPP clients find them."""
        mine = {member["gid"]: member for member in await self._store.of_user(userid)}
        return [
            own_room(group, mine[group["_id"]]) for group in await self._store.by_ids(list(mine))
        ]

    async def mark_room(
        self, userid: int, gid: int, *, is_hidden: bool = False, is_invited: bool = False
    ) -> None:
        """See :class:`server.group_shapes.OwnRoom`; it is forgotten with the membership."""
        marks = {"is_hidden": is_hidden, "is_invited": is_invited}
        changes = {name: True for name, is_set in marks.items() if is_set}
        await self._store.update_member(gid, userid, changes, RANKS)

    async def get(self, gid: int, userid: int) -> GroupView:
        """The group as this member sees it. Raises ``not-a-member``."""
        group, _ = await self.member(gid, userid)
        # Who heard that something changed asks at once, maybe before this node has heard it.
        document = await self._store.get(gid)
        members = await self._store.members(gid, [userid])
        if document is None or not members:
            raise _not_a_member()
        return group_view(document, members[0]["role"], len(group.members))

    async def member(self, gid: int, userid: int) -> tuple[Group, Member]:
        """The group and the user's place in it. Raises ``not-a-member``."""
        group = await self.load(gid)
        member = group.members.get(userid) if group else None
        if group is None or member is None:
            raise _not_a_member()
        return group, member

    async def manager(self, gid: int, userid: int) -> tuple[Group, Member]:
        """Likewise for owner and admins. Raises ``not-allowed`` for other members."""
        group, member = await self.member(gid, userid)
        if member.role == "member":
            raise ChatError("not-allowed", "only owner and admins may do that")
        return group, member

    async def members(
        self, gid: int, userid: int, after: int = 0, limit: int = 100
    ) -> tuple[list[MemberView], bool]:
        """Members with ids above ``after``, and whether there are more. Raises ``not-a-member``."""
        await self.member(gid, userid)
        found = await self._store.page(gid, after, limit + 1)
        page = found[:limit]
        users = await self._accounts.users(member["userid"] for member in page)
        now = now_ms()
        views = [member_view(member, users.get(member["userid"]), now) for member in page]
        return views, len(found) > limit

    async def update(self, gid: int, actor: int, changes: Mapping[str, Any]) -> GroupView:
        """Changes ``name``, ``avatar``, ``memo``, ``announcement``, ``muted_all``; the owner also
        ``history`` and ``join``. Raises ``not-a-member``, ``not-allowed``, ``too-long`` …"""
        _, acting = await self.manager(gid, actor)
        if acting.role != "owner" and (refused := OWNERS_ONLY.intersection(changes)):
            raise ChatError(
                "not-allowed", f"only the owner changes {' and '.join(sorted(refused))}"
            )
        clean = clean_fields(changes)
        if clean and await self._store.update(gid, clean):
            await self._say_changed(gid, actor, is_subject="announcement" in clean)
        return await self.get(gid, actor)

    async def update_member(
        self,
        gid: int,
        actor: int,
        userid: int,
        *,
        role: Role | None = None,
        muted_until: int | None = None,
        nick: str | None = None,
    ) -> None:
        """What is None stays. The owner gives roles, with ``owner`` the group itself.

        ``muted_until`` (milliseconds since 1970 UTC, 0: not) and ``nick`` are set by those of
        higher rank, ``nick`` by the member too. Raises ``not-a-member``, ``no-such-user``,
        ``not-allowed``, ``conflict`` …
        """
        group, acting = await self.member(gid, actor)
        target = _target(group, userid)
        if role is not None and acting.role != "owner":
            raise ChatError("not-allowed", "only the owner gives roles")
        if muted_until is not None and target.role not in _below(acting.role):
            raise ChatError("not-allowed", "one mutes members of lower rank only")
        if nick is not None and actor != userid and target.role not in _below(acting.role):
            raise ChatError("not-allowed", "one names oneself and members of lower rank only")
        if role is not None and actor == userid:
            raise ChatError("conflict", "the owner stays it until another member is made owner")
        changes: dict[str, Any] = {}
        if role is not None:
            changes["role"] = role
        if muted_until is not None:
            changes["muted_until"] = muted_until
        if nick is not None:
            changes["nick"] = clean_text(nick.strip(), "nick", NICK_CHARS)
        if role == "owner":
            if len(changes) > 1:
                fields = {"role": "owner is given by itself, without other changes"}
                raise ChatError("invalid", "some fields are wrong", fields=fields)
            done = await self._hand_over(gid, actor, userid)
        elif changes:
            roles = RANKS if actor == userid else _below(acting.role)
            done = await self._store.update_member(gid, userid, changes, roles)
            if done:
                await self._say_changed(gid, actor, userid)
        else:
            return
        if not done:
            raise ChatError("conflict", CHANGED_MEANWHILE)

    async def _hand_over(self, gid: int, old: int, new: int) -> bool:
        done = await self._store.hand_over(gid, old, new)
        if done:
            await self._say_changed(gid, old, old, new)
        return done

    async def add(self, gid: int, actor: int, userid: int, *, is_invited: bool = False) -> None:
        """Owner or admin adds a user. ``is_invited``: whose XMPP clients are told by the way.

        Raises ``not-allowed``, ``no-such-user``, ``too-long`` …
        """
        group, _ = await self.manager(gid, actor)
        if userid not in group.members:
            await self._check_blocks((userid,), actor)
            if userid in group.outcasts:
                await self.cast_out(group, userid, is_out=False)
            await self.admit(group, userid, is_invited=is_invited)

    async def admit(self, group: Group, userid: int, *, is_invited: bool = False) -> None:
        """Makes the user a member, however invited.

        Raises ``no-such-user``, ``too-long``, and ``not-allowed`` for an outcast.
        """
        self.check_room(group)
        if userid in group.outcasts:
            raise ChatError("not-allowed", "this user cannot come into this group")
        if await self._accounts.user(userid) is None:
            raise ChatError("no-such-user", f"there is no user {userid}")
        gid = group.id
        end = await self._end_of(conversation(GROUP, 0, gid))
        floor = end.seq if end else 0
        member = Member(userid, "member", now_ms(), floor)
        document = _document(gid, member, end)
        if is_invited:
            document["is_invited"] = True
        if await self._store.add_member(document):
            group.members[userid] = member
            self._notify((userid,), GroupChange("joined", gid, userid), gid, (userid,))
            await self._changes.add("group", gid=gid, joined=[[userid, floor]])

    def check_room(self, group: Group) -> None:
        """Whether there is room for one more. Raises ``too-long``."""
        self._check_room(len(group.members))

    def _check_room(self, others: int) -> None:
        if others >= self._limits.group_members:
            raise ChatError("too-long", f"at most {self._limits.group_members} members")

    async def _check_blocks(self, userids: Sequence[int], actor: int) -> None:
        if self._blocks is not None:
            others = [userid for userid in userids if userid != actor]
            blocked = await asyncio.gather(*(self._blocks(userid, actor) for userid in others))
            for userid, is_blocked in zip(others, blocked, strict=True):
                if is_blocked:
                    raise ChatError("not-allowed", f"user {userid} cannot be added by you")

    async def cast_out(self, group: Group, userid: int, *, is_out: bool) -> bool:
        """Whether that is new. :class:`server.outcasts.Outcasts` has the rules."""
        done = await self._store.cast_out(group.id, userid, is_out)
        if userid in group.outcasts:
            group.outcasts.remove(userid)
        if is_out:
            group.outcasts.append(userid)
        if done:
            await self._changes.add("group", gid=group.id)
        return done

    async def remove(
        self, gid: int, actor: int, userid: int, *, how: Departure = "", why: str = ""
    ) -> None:
        """A member leaves, or one of higher rank removes the member. The owner cannot leave.

        Raises ``not-a-member``, ``no-such-user``, ``not-allowed``, ``conflict``.
        """
        group, acting = await self.member(gid, actor)
        target = _target(group, userid)
        if actor == userid:
            roles = _below("owner")
            if target.role not in roles:
                raise ChatError("conflict", "the owner hands the group over or dissolves it")
        else:
            roles = _below(acting.role)
            if target.role not in roles:
                raise ChatError("not-allowed", "one removes members of lower rank only")
        if not await self._store.remove_member(gid, userid, roles):
            raise ChatError("conflict", CHANGED_MEANWHILE)
        group.members.pop(userid, None)
        event: GroupEvent = "left" if actor == userid else "removed"
        self._notify((userid,), GroupChange(event, gid, userid), gid, (userid,))
        how = how or ("" if actor == userid else "removed")
        note = {"by": actor, "who": userid, "how": how, "why": why}
        await self._changes.add("group", gid=gid, left=[userid], note=note)

    async def dissolve(self, gid: int, actor: int, *, why: str = "", instead: str = "") -> None:
        """The owner ends the group. ``instead``: the JID of a room to go on in.

        Raises ``not-a-member``, ``not-allowed``.
        """
        group, acting = await self.member(gid, actor)
        if acting.role != "owner":
            raise ChatError("not-allowed", "only the owner dissolves a group")
        await self._store.delete(gid)
        # Each by name as well: the node of one who came a moment ago may not watch the group yet.
        # With the slug: nobody could look up any more which room that was.
        everyone = tuple(group.members)
        self._notify(everyone, GroupChange("dissolved", gid, actor), gid, everyone, group.slug)
        group.members.clear()
        note = {"by": actor, "why": why, "instead": instead, "is_end": True}
        await self._changes.add("group", gid=gid, dissolved=True, note=note)

    async def forget_user(self, userid: int) -> None:
        """The user leaves all groups, own ones to the admin or else the member of longest standing.

        Own groups without other members are dissolved. Safe to run again after ``StorageAway``.
        """
        for row in await self._store.of_user(userid):
            gid = row["gid"]
            self._cache.outdate(gid, (userid,))  # this node may not have heard of the joining yet
            group = await self.load(gid)
            if group is None or userid not in group.members:
                continue
            if group.owner == userid:
                heirs = sorted(
                    (member for member in group.members.values() if member.id != userid),
                    key=lambda member: (member.role != "admin", member.joined, member.id),
                )
                if not heirs:
                    await self.dissolve(gid, userid)
                    continue
                await self.update_member(gid, userid, heirs[0].id, role="owner")
            await self.remove(gid, userid, userid)

    async def export(self, userid: int) -> list[dict[str, Any]]:
        """What is stored of the user in groups, as JSON values."""
        mine = {member["gid"]: member for member in await self._store.of_user(userid)}
        exported: list[dict[str, Any]] = []
        for group in await self._store.by_ids(list(mine)):
            member = mine[group["_id"]]
            told = {"gid": group["_id"], "name": group["name"]}
            told |= {field: member[field] for field in EXPORTED if field in member}
            exported.append(told)
        return exported

    async def _say_changed(
        self, gid: int, actor: int, *userids: int, is_subject: bool = False
    ) -> None:
        """The group and these members of it are not as they were."""
        note = {"by": actor, "is_subject": is_subject}
        await self._changes.add("group", gid=gid, changed=list(userids), note=note)
        self._notify((), GroupChange("changed", gid, actor), gid, ())


def _below(role: Role) -> tuple[Role, ...]:
    return RANKS[: RANKS.index(role)]


def _target(group: Group, userid: int) -> Member:
    target = group.members.get(userid)
    if target is None:
        raise ChatError("no-such-user", "not a member of this group")
    return target


def _not_a_member() -> ChatError:
    return ChatError("not-a-member", "you are not a member of this group")


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
