"""Groups in memory: ``server/group_cache.py``."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import group_cache as module
from server.errors import StorageAway
from server.group_cache import GroupCache
from server.ports import Document

GID, MEMBERS = 10_000, range(1, 5)


class Shelf:
    """Groups as they are written down, and how they are read: slowly. ``away``: refused readings.

    ``asked``: which members each reading wanted, None for all.
    """

    def __init__(self) -> None:
        self.name = "first"
        self.rows = {1: _row(1)}
        self.asked: list[set[int] | None] = []
        self.away = 0
        self.is_dissolved = False
        parts: Any = self
        self.cache = GroupCache(parts)

    async def get(self, gid: int) -> Document | None:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise StorageAway("for a moment")
        if gid != GID or self.is_dissolved:
            return None
        return {"_id": GID, "name": self.name, "owner": 1}

    async def members(self, gid: int, userids: Collection[int] | None) -> list[Document]:
        await asyncio.sleep(0)
        self.asked.append(None if userids is None else set(userids))
        found = [dict(row) for id, row in self.rows.items() if userids is None or id in userids]
        await asyncio.sleep(0)
        return found

    def shows(self) -> dict[int, int]:
        """Who is a member in memory, and muted until when."""
        group = self.cache.cached(GID)
        assert group is not None
        return {member.id: member.muted_until for member in group.members.values()}

    def has(self) -> dict[int, int]:
        return {userid: row["muted_until"] for userid, row in self.rows.items()}


def _row(userid: int, muted_until: int = 0) -> Document:
    return {
        "userid": userid,
        "role": "member",
        "joined": 0,
        "floor": 0,
        "muted_until": muted_until,
    }


def test_what_changed_is_read_again_and_nothing_else() -> None:
    """Of a large group that is a few members; the object stays the same for who holds it."""

    async def main() -> None:
        shelf = Shelf()
        shelf.rows |= {userid: _row(userid) for userid in MEMBERS}
        group = await shelf.cache.load(GID)
        assert shelf.cache.cached(GID) is group is not None
        shelf.rows[2], shelf.name = _row(2, 7), "second"
        del shelf.rows[3]
        shelf.cache.outdate(GID, [2, 3])
        assert shelf.cache.cached(GID) is None
        assert shelf.cache.known(GID) is group
        assert await shelf.cache.load(GID) is group
        assert (shelf.shows(), group.name) == (shelf.has(), "second")
        assert shelf.asked == [None, {2, 3}]

    asyncio.run(main())


def test_those_who_ask_at_once_share_one_reading() -> None:
    """Thousands may write to a group in the moment after it changed."""

    async def main() -> None:
        shelf = Shelf()
        loads = [asyncio.create_task(shelf.cache.load(GID)) for _ in range(20)]
        await asyncio.sleep(0)
        loads[0].cancel()
        groups = await asyncio.gather(*loads[1:])
        assert len(set(map(id, groups))) == len(shelf.asked) == 1

    asyncio.run(main())


def test_after_a_failed_reading_all_is_read_again() -> None:
    """What was to be read again is not forgotten with the failure."""

    async def main() -> None:
        shelf = Shelf()
        await shelf.cache.load(GID)
        shelf.rows[2] = _row(2)
        shelf.cache.outdate(GID, [2])
        shelf.away = 1
        with pytest.raises(StorageAway):
            await shelf.cache.load(GID)
        await shelf.cache.load(GID)
        assert shelf.shows() == shelf.has()

    asyncio.run(main())


def test_what_is_no_group_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a dissolved one; and of groups there is a bounded number."""
    monkeypatch.setattr(module, "CACHED", 3)

    async def main() -> None:
        shelf = Shelf()
        await shelf.cache.load(GID)
        for gid in range(1, 20):
            assert await shelf.cache.load(gid) is None
        assert shelf.cache.cached(GID) is not None
        shelf.is_dissolved = True
        shelf.cache.outdate(GID, ())
        assert await shelf.cache.load(GID) is None
        assert shelf.cache.known(GID) is None

    asyncio.run(main())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(MEMBERS), st.integers(0, 3)),
        st.tuples(st.just("hear"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("load"), st.just(0), st.just(0)),
        st.tuples(st.just("turn"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_in_whatever_order_changes_are_heard_the_end_is_what_is_written_down(
    steps: list[tuple[str, int, int]],
) -> None:
    """Also those that are heard while it is read, late, or while another one is written."""

    async def main() -> None:
        shelf, unheard = Shelf(), list[int]()
        loads: list[asyncio.Task[Any]] = []
        for what, number, muted_until in steps:
            if what == "write":
                if muted_until == 3:
                    shelf.rows.pop(number, None)
                else:
                    shelf.rows[number] = _row(number, muted_until)
                unheard.append(number)
            elif what == "hear" and unheard:
                shelf.cache.outdate(GID, [unheard.pop(number % len(unheard))])
            elif what == "load":
                loads.append(asyncio.create_task(shelf.cache.load(GID)))
            await asyncio.sleep(0)
        for userid in unheard:
            shelf.cache.outdate(GID, [userid])
        await asyncio.gather(*loads)
        await shelf.cache.load(GID)
        assert shelf.shows() == shelf.has()

    asyncio.run(main())
