"""Rooms as one node sees them: ``server/rooms.py``."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import StorageAway
from server.group_shapes import Note
from server.model import Group, Member, User
from server.rooms import Room, Rooms, Shift
from stanzas.jid import as_resource

GID = 10_000


class Town:
    """Groups and accounts as rooms ask for them; ``gate``: what reading users waits for."""

    def __init__(self, names: Iterable[tuple[str, str, str]]) -> None:
        """``names``: username, nickname and name in the group of each."""
        self.hears: list[Any] = []
        self.users_by_id: dict[int, User] = {}
        self.group: Group | None = Group(GID, "town", 1, {})
        self.slugs: dict[str, int] = {}
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        for number, (username, nickname, nick) in enumerate(names, 1):
            self.users_by_id[number] = User(number, username, f"{username}@localhost", nickname)
            self.add(number, nick)
        parts: Any = self
        self.rooms = Rooms(
            parts, parts, as_nick=as_resource, connected=self._connected, all_up_to=200
        )

    def add(self, userid: int, nick: str = "") -> None:
        assert self.group is not None
        role = "owner" if userid == 1 else "member"
        self.group.members[userid] = Member(userid, role, userid, 0, nick)  # type: ignore[arg-type]

    def changed(self, note: Note | None = None) -> None:
        for hears in self.hears[:1]:
            hears(GID, note or Note())

    async def load(self, gid: int) -> Group | None:
        return self.group if self.group is not None and gid == self.group.id else None

    async def by_slug(self, slug: str) -> int | None:
        return self.slugs.get(slug)

    async def users(self, userids: Iterable[int]) -> dict[int, User]:
        wanted = list(userids)
        await self.gate.wait()
        if self.away:
            raise StorageAway("for a moment")
        return {userid: self.users_by_id[userid] for userid in wanted}

    async def _connected(self, userids: Collection[int]) -> Iterable[int]:
        return ()


class Window:
    """Who looks at a room."""

    def __init__(self) -> None:
        self.shifts: list[Shift] = []
        self.notes: list[Note] = []
        self.words: list[str] = []

    def on_shifts(self, room: Room, shifts: Any, note: Note) -> None:
        self.shifts += shifts
        self.notes.append(note)

    def on_subject(self, room: Room, by: int) -> None:
        self.words.append(f"subject by {by}")

    def on_configuration(self, room: Room) -> None:
        self.words.append("configuration")

    def on_dissolved(self, room: Room, note: Note) -> None:
        self.words.append(f"dissolved for {note.instead}")


words = st.text("aA(), 0123é", max_size=6)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=8))
def test_no_two_members_have_one_nick(named: list[tuple[str, str]]) -> None:
    """Whatever they call themselves, be it what another one's nick would be made into."""

    async def act() -> None:
        people = [(f"u{n}", nickname, nick) for n, (nickname, nick) in enumerate(named)]
        # One who takes what the second would get beside the first.
        people.append(("thief", "", f"{named[0][0]} (2)"))
        people.append(("robber", "", f"{named[0][0]} (u1)"))
        town = Town(people)
        assert town.group is not None
        room = await town.rooms.look(town.group)
        assert len(room.nicks) == len(people) == len(room.ids)
        assert len({nick.casefold() for nick in room.nicks.values()}) == len(people)
        assert all(as_resource(nick) == nick for nick in room.nicks.values())

    asyncio.run(act())


def test_taken_name_with_number_is_no_door_to_anothers_name() -> None:
    """The third to be called Ann is neither Ann nor what the second one was made into."""

    async def act() -> None:
        town = Town(
            [("a", "", "Ann"), ("b", "", "Ann (c)"), ("x", "", "Ann (4)"), ("c", "Ann", "")]
        )
        assert town.group is not None
        room = await town.rooms.look(town.group)
        assert len(set(room.nicks.values())) == len(room.ids) == 4

    asyncio.run(act())


def test_who_comes_while_a_room_is_first_read_is_in_it() -> None:
    """The reading of before the change does not win over that of after it."""

    async def act() -> None:
        town, window = Town([("a", "", ""), ("b", "", "")]), Window()
        assert town.group is not None
        town.gate.clear()
        joining = asyncio.create_task(town.rooms.join(town.group, window))
        await asyncio.sleep(0)
        town.users_by_id[3] = User(3, "c", "c@localhost")
        town.add(3)
        town.changed()
        await asyncio.sleep(0)
        town.gate.set()
        room = await joining
        assert room.refreshing is not None
        await room.refreshing
        assert set(room.occupants) == {1, 2, 3}
        assert [shift.after.userid for shift in window.shifts if shift.after] == [3]
        await town.rooms.close()

    asyncio.run(act())


def test_change_that_is_read_before_it_is_heard_of_is_told_when_it_is_explained() -> None:
    """Who threw somebody out, and who worded the subject, is never taken from another change."""

    async def act() -> None:
        town, window = Town([("a", "", ""), ("b", "", ""), ("c", "", "")]), Window()
        assert town.group is not None
        room = await town.rooms.join(town.group, window)
        del town.group.members[3]
        town.group.announcement = "other"
        town.changed(Note(by=2))
        for _ in range(9):
            await asyncio.sleep(0)
        assert not window.shifts and not window.words
        town.changed(Note(by=1, is_subject=True))
        town.changed(Note(by=1, who=3, how="removed", why="so"))
        assert room.refreshing is not None
        await room.refreshing
        [shift] = window.shifts
        assert shift.after is None and [note.why for note in window.notes] == ["so"]
        assert window.words == ["subject by 1"]

    asyncio.run(act())


def test_change_that_nobody_explains_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while: what told of it was lost."""
    monkeypatch.setattr("server.rooms.NOTE_S", 0.01)

    async def act() -> None:
        town, window = Town([("a", "", ""), ("b", "", "")]), Window()
        assert town.group is not None
        room = await town.rooms.join(town.group, window)
        del town.group.members[2]
        town.changed(Note(by=1))
        assert room.refreshing is not None
        await room.refreshing
        assert [shift.after for shift in window.shifts] == [None]

    asyncio.run(act())


def test_room_is_forgotten_with_its_last_looker() -> None:
    """Also where it could not be read at all."""

    async def act() -> None:
        town, one, other = Town([("a", "", "")]), Window(), Window()
        assert town.group is not None
        town.away = True
        with pytest.raises(StorageAway):
            await town.rooms.join(town.group, one)
        assert not town.rooms._rooms
        town.away = False
        room = await town.rooms.join(town.group, one)
        assert await town.rooms.join(town.group, other) is room
        town.rooms.leave(room, one)
        assert town.rooms._rooms == {GID: room}
        town.rooms.leave(room, other)
        assert not town.rooms._rooms

    asyncio.run(act())


def test_dissolved_group_is_told_once_and_forgotten() -> None:
    """Nothing else is told after it."""

    async def act() -> None:
        town, window = Town([("a", "", "")]), Window()
        assert town.group is not None
        room = await town.rooms.join(town.group, window)
        town.group.members.clear()
        town.changed(Note(by=2))
        await asyncio.sleep(0)
        town.group = None
        town.changed(Note(by=1, instead="other", is_end=True))
        assert room.refreshing is not None
        await room.refreshing
        assert window.words == ["dissolved for other"] and not window.shifts
        assert not town.rooms._rooms

    asyncio.run(act())


def test_group_that_is_read_while_it_is_dissolved_is_dissolved_to_all() -> None:
    """Those who are gone already are not told that they were put out."""

    async def act() -> None:
        town, window = Town([("a", "", ""), ("b", "", ""), ("c", "", "")]), Window()
        assert town.group is not None
        room = await town.rooms.join(town.group, window)
        del town.group.members[2], town.group.members[3]
        town.changed(Note(by=1))
        for _ in range(9):
            await asyncio.sleep(0)
        town.changed(Note(by=1, instead="other", is_end=True))
        assert room.refreshing is not None
        await asyncio.wait_for(room.refreshing, 1)
        assert window.words == ["dissolved for other"] and not window.shifts

    asyncio.run(act())


def test_rooms_have_one_address() -> None:
    """A number is written in one way; a name of old leads to the group that has it now."""

    async def act() -> None:
        town = Town([("a", "", "")])
        assert await town.rooms.find(str(GID)) is town.group
        for local in (f"0{GID}", f"{GID}٣", "9" * 40, "", "-1", "nowhere"):
            assert await town.rooms.find(local) is None
        town.slugs["verona"] = GID
        assert await town.rooms.find("verona") is town.group
        town.group, town.slugs["verona"] = Group(GID + 1, "town", 1, {}), GID + 1
        assert await town.rooms.find("verona") is town.group
        del town.slugs["verona"]
        town.group = None
        assert await town.rooms.find("verona") is None

    asyncio.run(act())
