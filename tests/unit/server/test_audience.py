"""Which topics a node listens for: ``server/audience.py``."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import pytest

from server import audience as module
from server.audience import Audience
from server.errors import StorageAway

ANN, BOB = 10_001, 10_002
CLUB, TEAM = 10_101, 10_102


class Town:
    """An audience over parts that remember what they were asked. ``away``: refused readings."""

    def __init__(self) -> None:
        self.watched: set[int] = set()
        self.connected: set[int] = set()
        self.caught_up: list[tuple[str, int, int]] = []
        self.floors: dict[tuple[int, int], int] = {}
        self.away = self.settlings = self.readings = 0
        self.slowly, self.is_read = asyncio.Event(), asyncio.Event()
        self.slowly.set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.groups = {ANN: [CLUB], BOB: [CLUB, TEAM]}
        parts: Any = self
        self.audience = Audience(parts, parts, parts, parts)
        self.audience.sequence = parts

    # The parts, as far as they are used.

    def of(self, userid: int) -> tuple[int, ...]:
        return (userid,) if userid in self.connected else ()

    async def gids_of(self, userid: int) -> list[int]:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise StorageAway("for a moment")
        return self.groups[userid]

    async def members(self, gid: int, userids: Collection[int]) -> list[dict[str, int]]:
        found = [
            {"userid": userid, "floor": self.floors.get((gid, userid), 0)}
            for userid in userids
            if gid in self.groups[userid]
        ]
        self.readings += 1
        self.is_read.set()
        await self.slowly.wait()
        if self.away:
            self.away -= 1
            raise StorageAway("for a moment")
        return found

    async def known(self) -> None:
        """All doubts about memberships are gone."""
        async with asyncio.timeout(5):
            while self.audience._unsure or self.audience._doubt.is_set():
                await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)

    def watch(self, topic: int) -> None:
        assert topic not in self.watched
        self.watched.add(topic)

    def unwatch(self, topic: int) -> None:
        self.watched.remove(topic)

    def unwatched(self, topic: int) -> None:
        assert topic not in self.watched

    async def settled(self) -> None:
        self.settlings += 1
        await self.gate.wait()

    def catch_up(self, conv: str, userid: int, floor: int) -> None:
        self.caught_up.append((conv, userid, floor))

    async def newest(self, owners: Sequence[int], after_id: int, before_id: int) -> dict[str, int]:
        return {}


def in_town(act: Callable[[Town], Awaitable[None]]) -> None:
    async def run() -> None:
        town = Town()
        town.audience.start()
        await act(town)
        await town.audience.close()

    asyncio.run(run())


def test_who_arrives_is_listened_for_with_all_groups() -> None:
    """A group of two who are here is listened for once."""

    async def act(town: Town) -> None:
        await town.audience.arrive(ANN)
        assert town.watched == {ANN, CLUB}
        await town.audience.arrive(BOB)
        assert town.watched == {ANN, BOB, CLUB, TEAM}
        assert set(town.audience.members(CLUB)) == {ANN, BOB}

    in_town(act)


def test_second_connection_waits_for_the_first_ones_listening() -> None:
    """Nobody is let in before the bus brings what is for them."""

    async def act(town: Town) -> None:
        town.gate.clear()
        first = asyncio.create_task(town.audience.arrive(ANN))
        async with asyncio.timeout(5):
            while not town.settlings:
                await asyncio.sleep(0)
        second = asyncio.create_task(town.audience.arrive(ANN))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not second.done()
        town.gate.set()
        async with asyncio.timeout(5):
            await asyncio.gather(first, second)
        assert town.settlings == 1

    in_town(act)


def test_who_left_is_listened_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes back meanwhile costs nothing; then only what nobody else wants is given up."""
    monkeypatch.setattr(module, "LINGER_S", 0.02)

    async def act(town: Town) -> None:
        for userid in (ANN, BOB):
            await town.audience.arrive(userid)
        town.connected = {ANN, BOB}
        town.audience._sweep()
        town.connected = {ANN}
        town.audience._sweep()
        assert town.watched == {ANN, BOB, CLUB, TEAM}
        await asyncio.sleep(0.03)
        town.audience._sweep()
        assert town.watched == {ANN, CLUB}
        assert set(town.audience.members(CLUB)) == {ANN}

    in_town(act)


def test_arrival_while_the_database_is_away_is_refused_and_leaves_nothing() -> None:
    """The next one succeeds."""

    async def act(town: Town) -> None:
        town.away = 1
        with pytest.raises(StorageAway):
            await town.audience.arrive(BOB)
        assert town.watched == set()
        await town.audience.arrive(BOB)
        assert town.watched == {BOB, CLUB, TEAM}

    in_town(act)


def test_membership_follows_changes() -> None:
    """Who joins is caught up from there; who leaves, or whose group ends, hears no more."""

    async def act(town: Town) -> None:
        await town.audience.arrive(ANN)
        town.groups[ANN], town.floors[TEAM, ANN] = [CLUB, TEAM], 7
        town.audience.joined(TEAM, [ANN, BOB])  # Bob is not connected here
        await town.known()
        assert town.caught_up == [(f"g{TEAM}", ANN, 7)]
        assert town.watched == {ANN, CLUB, TEAM}
        town.groups[ANN] = [CLUB]
        town.audience.left(TEAM, [ANN])
        assert town.watched == {ANN, CLUB}
        town.groups[ANN] = []
        town.audience.dissolved(CLUB)
        assert town.watched == {ANN}
        await town.known()
        assert town.watched == {ANN}

    in_town(act)


def test_news_in_the_wrong_order_change_nothing_of_what_is_so() -> None:
    """The news of a joining may come after those of the leaving, and the other way round."""

    async def act(town: Town) -> None:
        await town.audience.arrive(ANN)
        town.audience.left(TEAM, [ANN])
        town.audience.joined(TEAM, [ANN])  # she was, and is not any more
        await town.known()
        assert town.watched == {ANN, CLUB}
        assert town.caught_up == []
        town.groups[ANN], town.floors[TEAM, ANN] = [CLUB, TEAM], 9
        town.audience.joined(TEAM, [ANN])  # she is again
        town.audience.left(TEAM, [ANN])
        await town.known()
        assert town.watched == {ANN, CLUB, TEAM}
        assert town.caught_up == [(f"g{TEAM}", ANN, 9)]

    in_town(act)


def test_who_leaves_while_the_joining_is_looked_up_is_not_let_in() -> None:
    """What was read then is old."""

    async def act(town: Town) -> None:
        await town.audience.arrive(ANN)
        town.groups[ANN] = [CLUB, TEAM]
        town.slowly.clear()
        town.audience.joined(TEAM, [ANN])
        await town.is_read.wait()
        town.groups[ANN] = [CLUB]
        town.audience.left(TEAM, [ANN])
        town.slowly.set()
        await town.known()
        assert (town.readings, town.caught_up) == (2, [])
        assert town.watched == {ANN, CLUB}

    in_town(act)


def test_membership_is_looked_up_again_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is let in on mere news, and nobody forgotten."""
    monkeypatch.setattr(module, "AGAIN_S", 0.01)

    async def act(town: Town) -> None:
        await town.audience.arrive(ANN)
        town.groups[ANN] = [CLUB, TEAM]
        town.away = 2
        town.audience.joined(TEAM, [ANN])
        await town.is_read.wait()
        assert town.watched == {ANN, CLUB}
        async with asyncio.timeout(5):
            while TEAM not in town.watched:
                await asyncio.sleep(0.005)
        assert town.readings == 3

    in_town(act)
