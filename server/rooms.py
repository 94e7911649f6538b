"""Groups as rooms: who is in them, under which names, as the XMPP clients of this node see it.

Every member is an occupant, connected or not. What a room shows is compared with the group
whenever that changes, on each node by itself, and who looks at it here is told the difference.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from server.accounts import Accounts
from server.clients import now_ms
from server.errors import StorageAway
from server.group_shapes import Note
from server.groups import Groups
from server.model import Group, Member, Role, User

log = logging.getLogger(__name__)

AGAIN_S = 1.0
NOTE_S = 2.0
"""How long a change that was read before it was heard of waits to be explained."""
SLUGS = 10_000
"""Rooms' names in memory."""
LONGEST_TIMER_S = 24 * 3600
CONFIGURATION = ("name", "memo", "history", "join", "muted_all")
"""Of a group: what rooms call their configuration."""


class Occupant(NamedTuple):
    """A member in a room. ``has_voice``: may speak."""

    userid: int
    jid: str
    nick: str
    role: Role
    has_voice: bool


class Shift(NamedTuple):
    """An occupant who came (no ``before``), went (no ``after``) or is another now."""

    before: Occupant | None
    after: Occupant | None


class Looker(Protocol):
    """Who looks at a room: an XMPP client that has joined it."""

    def on_shifts(self, room: "Room", shifts: Sequence[Shift], note: Note) -> None: ...

    def on_subject(self, room: "Room", by: int) -> None: ...

    def on_configuration(self, room: "Room") -> None: ...

    def on_dissolved(self, room: "Room", note: Note) -> None: ...


class Room:
    """One group's, while somebody here looks at it or asks.

    ``occupants``: those who are shown. ``nicks``: everybody's, by user, and ``ids`` by nick.
    ``local``: the left side of its JID.
    """

    __slots__ = (
        "configuration",
        "gid",
        "group",
        "ids",
        "local",
        "lookers",
        "news",
        "nicks",
        "notes",
        "occupants",
        "ready",
        "refreshing",
        "subject",
        "timer",
    )

    def __init__(self, group: Group) -> None:
        self.gid = group.id
        self.group = group
        self.local = group.slug or str(group.id)
        self.nicks: dict[int, str] = {}
        self.ids: dict[str, int] = {}
        self.occupants: dict[int, Occupant] = {}
        self.subject = group.announcement
        self.configuration: tuple[object, ...] = ()
        self.lookers: set[Looker] = set()
        self.ready = asyncio.Event()
        self.notes: list[Note] = []
        self.news = asyncio.Event()
        self.refreshing: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None


class Rooms:
    """One per node. ``as_nick``: a name as it can stand in a JID, empty if it cannot.

    ``all_up_to``: in groups of more members only those are shown who are ``connected``, who
    moderate, or who joined or spoke.
    """

    def __init__(
        self,
        groups: Groups,
        accounts: Accounts,
        *,
        as_nick: Callable[[str], str],
        connected: Callable[[Collection[int]], Awaitable[Iterable[int]]],
        all_up_to: int,
    ) -> None:
        self._groups = groups
        self._accounts = accounts
        self._as_nick = as_nick
        self._connected = connected
        self._all_up_to = all_up_to
        self._rooms: dict[int, Room] = {}
        self._slugs: dict[str, int] = {}
        groups.hears.append(self._group_changed)
        accounts.hears.append(self._user_changed)

    async def close(self) -> None:
        for room in list(self._rooms.values()):
            if room.refreshing is not None:
                room.refreshing.cancel()
                await asyncio.wait({room.refreshing})
            if room.timer is not None:
                room.timer.cancel()

    async def find(self, local: str) -> Group | None:
        """The group that the left side of a room's JID names."""
        if local.isascii() and local.isdigit():
            is_id = len(local) <= 16 and not local.startswith("0")
            group = await self._groups.load(int(local)) if is_id else None
            return None if group is None or group.slug else group
        known = gid = self._slugs.get(local)
        if gid is None:
            gid = await self._groups.by_slug(local)
            if gid is None:
                return None
            if len(self._slugs) >= SLUGS:
                self._slugs.clear()
            self._slugs[local] = gid
        group = await self._groups.load(gid)
        if group is None:
            self._slugs.pop(local, None)
            if known is not None:  # another group may have its name now
                return await self.find(local)
        return group

    async def look(self, group: Group) -> Room:
        """The room as it is now."""
        known = self._rooms.get(group.id)
        if known is not None:
            return known
        room = Room(group)
        await self._fill(room)
        # Somebody else may have been quicker.
        return self._rooms.get(group.id, room)

    async def join(self, group: Group, looker: Looker) -> Room:
        """``looker`` hears of the room from now on."""
        room = self._rooms.get(group.id)
        if room is None:
            room = self._rooms[group.id] = Room(group)
            room.lookers.add(looker)
            try:
                await self._fill(room)
            except BaseException:
                self.leave(room, looker)
                self._forget(room)
                raise
            finally:
                room.ready.set()
            return room
        await room.ready.wait()
        if self._rooms.get(group.id) is not room:  # it could not be read, or nobody is there now
            return await self.join(group, looker)
        room.lookers.add(looker)
        return room

    async def admit(self, room: Room, userid: int) -> None:
        """A member who was let in a moment ago may not be in the room that this node knows."""
        for _ in range(2):  # what is being read already may be older than the joining
            if userid not in room.nicks:
                self._refresh_soon(room)
                if room.refreshing is not None:
                    await asyncio.wait({room.refreshing})

    def leave(self, room: Room, looker: Looker) -> None:
        room.lookers.discard(looker)
        if not room.lookers:
            self._forget(room)

    def show(self, room: Room, user: User) -> None:
        """Who joins or says something is shown, also in a large group."""
        if user.id not in room.occupants:
            member = room.group.members.get(user.id)
            if member is not None and user.id in room.nicks:
                occupant = self._occupant(room.group, member, user.jid, room.nicks[user.id])
                room.occupants[user.id] = occupant
                for looker in list(room.lookers):
                    looker.on_shifts(room, [Shift(None, occupant)], Note())

    def nick(self, room: Room, author: User) -> str:
        """Also of who is not, or no longer, in the room."""
        return room.nicks.get(author.id) or self._plain_nick(author)

    def _plain_nick(self, user: User) -> str:
        named = self._as_nick(user.nickname) or self._as_nick(user.username)
        return named or str(user.id)

    def _forget(self, room: Room) -> None:
        if self._rooms.get(room.gid) is room:
            del self._rooms[room.gid]
        if room.timer is not None:
            room.timer.cancel()

    async def _fill(self, room: Room) -> dict[int, Occupant]:
        """Brings it up to date; gives the occupants from before."""
        group, before = room.group, room.occupants
        users = await self._accounts.users(list(group.members))
        room.nicks = self._nicks(group, users)
        room.ids = {nick: userid for userid, nick in room.nicks.items()}
        shown: Iterable[int] = group.members
        if len(group.members) > self._all_up_to:
            connected = set(await self._connected(list(group.members)))
            shown = [
                member.id
                for member in group.members.values()
                if member.role != "member" or member.id in connected or member.id in before
            ]
        room.occupants = {
            userid: self._occupant(
                group, group.members[userid], users[userid].jid, room.nicks[userid]
            )
            for userid in shown
            if userid in users and userid in group.members and userid in room.nicks
        }
        room.configuration = tuple(getattr(group, field) for field in CONFIGURATION)
        self._wait_for_voice(room)
        return before

    def _nicks(self, group: Group, users: dict[int, User]) -> dict[int, str]:
        """The same on every node. Names in the group before others', then by standing."""
        taken: set[str] = set()
        nicks: dict[int, str] = {}
        order = sorted(
            group.members.values(), key=lambda each: (not each.nick, each.joined, each.id)
        )
        for member in order:
            user = users.get(member.id)
            if user is None:
                continue
            wanted = self._as_nick(member.nick) or self._plain_nick(user)
            nick = wanted
            for other in (user.username, str(user.id)):
                if nick.casefold() in taken and other:
                    nick = f"{wanted} ({other})"
            for number in itertools.count(2):  # somebody took even that name
                if nick.casefold() not in taken:
                    break
                nick = f"{wanted} ({user.id}, {number})"
            taken.add(nick.casefold())
            nicks[member.id] = nick
        return nicks

    @staticmethod
    def _occupant(group: Group, member: Member, jid: str, nick: str) -> Occupant:
        is_muted = member.muted_until > now_ms() or (group.muted_all and member.role == "member")
        return Occupant(member.id, jid, nick, member.role, not is_muted)

    def _wait_for_voice(self, room: Room) -> None:
        """Looks again when the next one is no longer muted."""
        if room.timer is not None:
            room.timer.cancel()
            room.timer = None
        now = now_ms()
        ends = [each.muted_until for each in room.group.members.values() if each.muted_until > now]
        if ends and room.lookers:
            delay_s = min((min(ends) - now) / 1000 + 0.1, LONGEST_TIMER_S)
            loop = asyncio.get_running_loop()
            room.timer = loop.call_later(delay_s, self._refresh_soon, room)

    def _group_changed(self, gid: int, note: Note) -> None:
        room = self._rooms.get(gid)
        if room is not None:
            room.notes.append(note)
            room.news.set()
            self._refresh_soon(room)

    def _user_changed(self, userid: int) -> None:
        for room in list(self._rooms.values()):
            if userid in room.nicks:
                self._refresh_soon(room)

    def _refresh_soon(self, room: Room) -> None:
        if room.refreshing is None or room.refreshing.done():
            room.refreshing = asyncio.create_task(self._refresh(room), name="room")

    async def _refresh(self, room: Room) -> None:
        await room.ready.wait()
        while room.lookers:
            notes, room.notes = room.notes, []
            try:
                group = await self._groups.load(room.gid)
                if group is None or not group.members:
                    await self._dissolve(room, notes)
                    return
                room.group = group
                await self._compare(room, notes)
            except StorageAway:
                room.notes = notes + room.notes
                await asyncio.sleep(AGAIN_S)
                continue
            except Exception:
                log.exception("room_not_refreshed gid=%d", room.gid)
            if not room.notes:
                return

    async def _dissolve(self, room: Room, notes: Sequence[Note]) -> None:
        known = await self._explained(room, notes, lambda note: note.is_end)
        note = next((note for note in reversed(known) if note.is_end), Note())
        self._forget(room)
        self._slugs.pop(room.local, None)
        lookers, room.lookers = room.lookers, set()
        for looker in lookers:
            looker.on_dissolved(room, note)

    async def _compare(self, room: Room, notes: Sequence[Note]) -> None:
        subject, configuration = room.subject, room.configuration
        before = await self._fill(room)
        room.subject = room.group.announcement
        is_reworded = subject != room.subject
        is_configured = bool(configuration) and configuration != room.configuration
        shifts = [
            Shift(before.get(userid), room.occupants.get(userid))
            for userid in {**before, **room.occupants}
            if before.get(userid) != room.occupants.get(userid)
        ]
        lost = {old.userid for old, new in shifts if old is not None and new is None}
        wanted = [_is_of(userid) for userid in lost]
        if is_reworded:
            wanted.append(lambda note: note.is_subject)
        known = await self._explained(room, notes, *wanted)
        if any(note.is_end for note in known):  # it was read while it was being dissolved
            await self._dissolve(room, known)
            return
        gone = {note.who: note for note in known if note.who}
        last = known[-1] if known else Note()
        by_note: dict[Note, list[Shift]] = {}
        for shift in shifts:
            old, new = shift
            note = gone.get(old.userid, last) if old is not None and new is None else last
            by_note.setdefault(note, []).append(shift)
        by = next((note.by for note in reversed(known) if note.is_subject), last.by)
        for looker in list(room.lookers):
            for note, shifts in by_note.items():
                looker.on_shifts(room, shifts, note)
            if is_configured:
                looker.on_configuration(room)
            if is_reworded:
                looker.on_subject(room, by)

    @staticmethod
    async def _explained(
        room: Room, notes: Sequence[Note], *wanted: Callable[[Note], bool]
    ) -> list[Note]:
        """The notes, and those that came meanwhile, with one of each kind that is wanted.

        What is read may be newer than what was heard of so far.
        """
        try:
            async with asyncio.timeout(NOTE_S):
                while True:
                    known = [*notes, *room.notes]
                    is_over = any(note.is_end for note in known)
                    if is_over or all(any(map(is_wanted, known)) for is_wanted in wanted):
                        return known
                    room.news.clear()
                    await room.news.wait()
        except TimeoutError:
            return [*notes, *room.notes]


def _is_of(userid: int) -> Callable[[Note], bool]:
    return lambda note: note.who == userid
