"""How far conversations have come, told to the other nodes: ``server/tails.py``."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server import tails as module
from server.errors import StorageAway
from server.ports import Document
from server.tails import Tails

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Board:
    """What the nodes write on; ``away``: how many calls it refuses. A second passes a call."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.away = self.calls = 0

    def new_id(self) -> int:
        self.calls += 1
        return self.calls

    async def now(self) -> datetime:
        self.calls += 1
        if self.away:
            self.away -= 1
            raise StorageAway("for a moment")
        return BEGAN + timedelta(seconds=self.calls)

    async def add(self, change: Document) -> datetime:
        at = await self.now()
        self.documents.append({**change, "at": at})
        return at

    async def since(self, at: datetime, but: Sequence[Any] = ()) -> list[Document]:
        await self.now()
        return [d for d in self.documents if d["at"] >= at and d["_id"] not in but]


class Reader:
    """A node's tails, and what it looked for. It wants conversations of user 1."""

    def __init__(self, board: Board, node_id: str) -> None:
        self.looked: list[tuple[str, int]] = []
        self.heard = self.missed = 0
        store: Any = board
        self.tails = Tails(
            store,
            node_id,
            look=self._look,
            is_wanted=lambda conv: conv.startswith("1-"),
            heard=self._heard,
            missed=self._missed,
        )

    async def _look(self, conv: str, seq: int) -> None:
        self.looked.append((conv, seq))

    def _heard(self) -> None:
        self.heard += 1

    def _missed(self) -> None:
        self.missed += 1

    async def turn(self) -> None:
        """One round, without waiting for it."""
        self.tails._ripen()
        await self.tails._tell()
        await self.tails._read()


def with_two(act: Callable[[Board, Reader, Reader], Awaitable[None]]) -> None:
    async def run() -> None:
        board = Board()
        one, two = Reader(board, "one"), Reader(board, "two")
        for reader in (one, two):
            reader.tails._newest = await board.now()
        await act(board, one, two)

    asyncio.run(run())


def test_what_one_wrote_is_looked_for_by_the_other_once_and_where_it_is_wanted() -> None:
    """After a round, in which it comes by itself; only the highest seq is told."""

    async def act(board: Board, one: Reader, two: Reader) -> None:
        one.tails.wrote("1-2", 7)
        one.tails.wrote("1-2", 8)
        one.tails.wrote("3-4", 5)
        await one.turn()
        await two.turn()
        assert two.looked == []
        for _ in range(3):
            await one.turn()
            await two.turn()
        assert two.looked == [("1-2", 8)]
        assert one.looked == []

    with_two(act)


def test_what_could_not_be_told_is_told_later() -> None:
    """With what came since."""

    async def act(board: Board, one: Reader, two: Reader) -> None:
        one.tails.wrote("1-2", 7)
        await one.turn()
        one.tails.wrote("1-2", 9)
        one.tails.wrote("1-3", 1)
        board.away = 1
        with pytest.raises(StorageAway):
            await one.turn()
        await one.turn()
        await two.turn()
        assert sorted(two.looked) == [("1-2", 9), ("1-3", 1)]

    with_two(act)


def test_many_are_told_in_several_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left out."""
    monkeypatch.setattr(module, "CONVERSATIONS", 10)

    async def act(board: Board, one: Reader, two: Reader) -> None:
        for n in range(25):
            one.tails.wrote(f"1-{n}", n)
        await one.turn()
        await one.turn()
        assert [len(document["convs"]) for document in board.documents] == [10, 10, 5]
        await two.turn()
        assert sorted(two.looked) == sorted((f"1-{n}", n) for n in range(25))

    with_two(act)


def test_who_stops_tells_the_last_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since nobody else knows it; and a database that is away does not hold the stop up."""
    monkeypatch.setattr(module, "TELL_S", 3600.0)

    async def act(board: Board, one: Reader, two: Reader) -> None:
        await one.tails.start()
        one.tails.wrote("1-2", 7)
        await one.tails.close()
        await two.turn()
        assert two.looked == [("1-2", 7)]
        await two.tails.start()
        two.tails.wrote("1-2", 8)
        board.away = 1
        await two.tails.close()

    with_two(act)


def test_rounds_say_whether_all_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was kept from reading for longer than tails are kept has missed some."""
    monkeypatch.setattr(module, "TELL_S", 0.001)

    async def act(board: Board, one: Reader, two: Reader) -> None:
        await one.tails.start()
        async with asyncio.timeout(5):
            while one.heard < 3:
                await asyncio.sleep(0.001)
        assert one.missed == 0
        monkeypatch.setattr(module, "KEPT_S", 0.0)
        async with asyncio.timeout(5):
            while not one.missed:
                await asyncio.sleep(0.001)
        await one.tails.close()

    with_two(act)
