"""The lists in memory: ``server/blocks.py``."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server import blocks as module
from server.blocks import Blocks
from server.errors import ChatError

ANN, BOB, CAT = 10_001, 10_002, 10_003


class Desk:
    """Blocks over a store that can be stopped while it reads. ``reads``: who was asked for."""

    def __init__(self) -> None:
        self.lists: dict[int, list[int]] = {}
        self.reads: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._act: Callable[..., None]
        self.heard: list[tuple[int, int]] = []
        parts: Any = self
        self.blocks = Blocks(parts, parts)
        self.blocks.changed = lambda *users: self.heard.append(users)

    def on(self, kind: str, act: Callable[..., None]) -> None:
        self._act = act

    async def add(self, first: Any, *most: int, **fields: int) -> bool:
        """The store's, of a block, or the changes', of a change."""
        if fields:
            self._act(**fields)
        else:
            self.lists.setdefault(first, []).append(most[0])
        return True

    async def of_user(self, userid: int) -> list[int]:
        self.reads.append(userid)
        found = list(self.lists.get(userid, []))
        await self.gate.wait()
        return found


@pytest.mark.gen_test
async def test_lists_are_read_once_also_empty_ones() -> None:
    """Those without a block share one object."""
    desk = Desk()
    desk.lists[ANN] = [BOB]
    assert desk.blocks.check(BOB, CAT) is False
    await desk.blocks.look(BOB, CAT)
    assert desk.blocks.check(BOB, CAT) is True
    assert desk.blocks.cached(BOB) is desk.blocks.cached(CAT)
    with pytest.raises(ChatError, match="not-allowed"):
        await desk.blocks.look(BOB, ANN)
    for sender, recipient, slug in ((ANN, BOB, "blocked"), (BOB, ANN, "not-allowed")):
        with pytest.raises(ChatError, match=slug):
            desk.blocks.check(sender, recipient)
    assert desk.reads == [BOB, CAT, ANN]


@pytest.mark.gen_test
async def test_apart_is_either_direction_and_unknown_is_said() -> None:
    desk = Desk()
    desk.lists[ANN] = [BOB]
    assert desk.blocks.are_apart(ANN, BOB) is None
    assert await desk.blocks.apart(ANN, BOB)
    assert await desk.blocks.apart(BOB, ANN)
    assert desk.blocks.are_apart(BOB, ANN) is True
    assert await desk.blocks.apart(ANN, CAT) is False
    assert desk.blocks.are_apart(ANN, CAT) is False
    assert await desk.blocks.blocks_user(BOB, by=ANN)
    assert not await desk.blocks.blocks_user(ANN, by=BOB)


@pytest.mark.gen_test
async def test_list_that_changes_while_it_is_read_is_not_kept() -> None:
    """Who asked before the change may get it as it was, the next one may not."""
    desk = Desk()
    desk.gate.clear()
    loading = asyncio.create_task(desk.blocks.load(ANN))
    await asyncio.sleep(0)
    desk.lists[ANN] = [BOB]
    desk._act(userid=ANN, other=BOB)  # as another node's change comes
    desk.gate.set()
    assert await loading == set()
    assert desk.blocks.cached(ANN) is None
    assert await desk.blocks.load(ANN) == {BOB}
    assert desk.heard == [(ANN, BOB)]


@pytest.mark.gen_test
async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was read first goes."""
    monkeypatch.setattr(module, "CACHED", 2)
    desk = Desk()
    for userid in (ANN, BOB, CAT):
        await desk.blocks.load(userid)
    assert [desk.blocks.cached(userid) is None for userid in (ANN, BOB, CAT)] == [
        True,
        False,
        False,
    ]
