"""The order of a conversation, whatever the bus does to it."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import sequence as module
from server.deliveries import Delivery, Envelope, Event
from server.errors import StorageAway
from server.model import VOID, Message, User, first_id_of
from server.ports import Stored
from server.sequence import Sequence

CONV = "10001-10002"
BEGAN = 1_790_000_000_000
"""When the log's first entry was made, in milliseconds since 1970; each next one 10 s later."""
EARLIER = BEGAN - 60_000


def made(seq: int) -> Message:
    return Message(
        id=first_id_of(BEGAN + 10_000 * seq), userid=10_001, cmd=10, dstid=10_002, seq=seq
    )


def delivery(seq: int) -> Delivery:
    before = made(seq - 1).id if seq > 1 else 0
    return Delivery(made(seq), CONV, User(10_001), User(10_002), "", "", before)


class Log:
    """The history of one conversation; ``away``: how many readings it refuses."""

    def __init__(self, seqs: Iterable[int]) -> None:
        self.stored = {seq: made(seq) for seq in seqs}
        self.reads = self.away = 0

    def _look(self) -> list[int]:
        self.reads += 1
        if self.away:
            self.away -= 1
            raise StorageAway("for a moment")
        return sorted(self.stored)

    async def entries(self, conv: str, after: int, before: int | None, limit: int) -> list[Stored]:
        found = [seq for seq in self._look() if after < seq and (before is None or seq < before)]
        await asyncio.sleep(0)
        return [Stored(self.stored[seq], "", conv) for seq in found[:limit]]

    async def page(
        self, conv: str, *, above: int, after: int | None, before: int, limit: int
    ) -> list[Message]:
        found = [seq for seq in self._look() if above < seq < before]
        await asyncio.sleep(0)
        return [self.stored[seq] for seq in found[-limit:]]

    async def void(self, conv: str, seq: int, ts: int) -> None:
        self._look()
        self.stored.setdefault(seq, Message(cmd=VOID, seq=seq))

    async def last(self, conv: str) -> Message | None:
        seqs = self._look()
        return self.stored[seqs[-1]] if seqs else None


class House:
    """A sequence over a log, and what it gave out. ``since``: when the listening began."""

    def __init__(self, log: Log, since: int | None = EARLIER) -> None:
        self.log = log
        self.since: int | None = since
        self.given: list[int] = []
        self.voids: list[int] = []
        self.to_one: list[int] = []
        messages: Any = log
        accounts: Any = self
        self.sequence = Sequence(
            messages,
            accounts,
            give=self._give,
            give_to=lambda userid, given: self.to_one.append(given.message.seq),
            saw=lambda conv, message: None,
            watched_since=lambda topics: self.since,
        )

    async def people(self, userids: Iterable[int]) -> dict[int, User]:
        return {userid: User(userid) for userid in userids}

    def _give(self, given: Delivery | Envelope | Event) -> None:
        assert not isinstance(given, Event)
        self.given.append(given.message.seq)
        if given.message.cmd == VOID:
            self.voids.append(given.message.seq)

    async def rest(self) -> None:
        """Until the sequence has nothing to do."""
        async with asyncio.timeout(5):
            while self.sequence._tasks:
                await asyncio.wait(set(self.sequence._tasks))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "OVERTAKEN_S", 0.0)
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.0005)
    monkeypatch.setattr(module, "VOID_S", 0.01)
    yield


@settings(max_examples=300, deadline=None)
@given(data=st.data(), count=st.integers(1, 30))
def test_losses_repeats_and_reorderings_change_nothing(data: st.DataObject, count: int) -> None:
    """From the first that arrives on, and from all that is younger than the listening."""
    arriving = data.draw(st.lists(st.integers(1, count), min_size=1, max_size=60))
    pauses = data.draw(st.sets(st.integers(0, len(arriving))))
    since = data.draw(st.integers(0, count + 1))
    away = data.draw(st.integers(0, 3))

    async def run() -> House:
        house = House(Log(range(1, count + 1)), BEGAN + 10_000 * since + 5000)
        house.log.away = away
        for n, seq in enumerate(arriving):
            house.sequence.arrive(delivery(seq))
            if n in pauses:
                await asyncio.sleep(0)
        await house.rest()
        return house

    given = asyncio.run(run()).given
    assert given == sorted(set(given)), "twice, or out of order"
    assert given == list(range(given[0], given[-1] + 1)), "a hole"
    assert given[-1] == max(arriving)
    # Nobody was listening at the time of those up to ``since``; later ones are all wanted.
    assert given[0] <= max(since + 1, min(arriving))


def test_in_order_nothing_is_read() -> None:
    """A conversation that began before this node listened to it, and goes on."""

    async def run() -> House:
        house = House(Log(()), since=BEGAN + 10_000 * 41 + 5000)
        for seq in range(42, 60):
            house.sequence.arrive(delivery(seq))
        return house

    house = asyncio.run(run())
    assert house.given == list(range(42, 60))
    assert house.log.reads == 0


def test_hole_in_the_history_becomes_a_void_once() -> None:
    """What nobody stored within the time is void, and the rest comes after it."""

    async def run() -> House:
        house = House(Log((1, 2, 4, 5, 8)))
        for seq in (1, 2, 5, 8):
            house.sequence.arrive(delivery(seq))
        await house.rest()
        house.sequence.arrive(delivery(9))
        return house

    house = asyncio.run(run())
    assert house.given == list(range(1, 10))
    assert house.voids == [3, 6, 7]
    assert [seq for seq, entry in house.log.stored.items() if entry.cmd == VOID] == [3, 6, 7]


def test_late_writer_wins_over_the_void(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that becomes durable while its hole is waited for is given at its place."""
    monkeypatch.setattr(module, "VOID_S", 5.0)

    async def run() -> House:
        house = House(Log((1, 3)))
        house.sequence.arrive(delivery(1))
        house.sequence.arrive(delivery(3))
        await asyncio.sleep(0.01)
        assert house.given == [1]
        house.log.stored[2] = made(2)
        await house.rest()
        return house

    house = asyncio.run(run())
    assert (house.given, house.voids) == ([1, 2, 3], [])


def test_lost_last_entries_are_given_when_they_are_looked_for() -> None:
    """Nothing follows that would show the hole: the history's newest does."""

    async def run() -> House:
        house = House(Log(range(1, 8)))
        for seq in (1, 2, 3):
            house.sequence.arrive(delivery(seq))
        await house.sequence.look(CONV, 3)
        assert house.log.reads == 0
        await house.sequence.look(CONV, 7)
        await house.rest()
        return house

    assert asyncio.run(run()).given == list(range(1, 8))


def test_looking_gives_what_came_since_the_listening_began() -> None:
    """Of a conversation of which nothing arrived at all; older entries are the clients' own."""

    async def run() -> House:
        house = House(Log(range(1, 8)), since=BEGAN + 10_000 * 4 + 5000)
        await house.sequence.look(CONV, 7)
        await house.rest()
        return house

    assert asyncio.run(run()).given == [5, 6, 7]


def test_after_a_time_of_not_listening_nothing_old_is_given() -> None:
    """The users left and came back: they have read what came meanwhile."""

    async def run() -> House:
        house = House(Log(range(1, 51)))
        house.sequence.arrive(delivery(1))
        house.since = None
        house.sequence.unwatched(10_001)
        house.since = BEGAN + 10_000 * 45 + 5000
        house.sequence.arrive(delivery(50))
        await house.rest()
        return house

    assert asyncio.run(run()).given == [1, *range(46, 51)]


def test_new_member_gets_what_came_since_the_joining_before_what_comes() -> None:
    """Those who were there before are not given it again."""

    async def run() -> House:
        house = House(Log(range(1, 7)))
        for seq in range(1, 6):
            house.sequence.arrive(delivery(seq))
        house.sequence.catch_up(CONV, 10_009, 3)
        await asyncio.sleep(0)
        house.sequence.arrive(delivery(6))
        assert house.given[-1] == 5, "the new member would miss the order"
        await house.rest()
        return house

    house = asyncio.run(run())
    assert house.to_one == [4, 5]
    assert house.given == list(range(1, 7))


def test_first_member_here_gets_what_came_before_anybody_listened() -> None:
    """The group was not watched on this node when these were published."""

    async def run() -> House:
        house = House(Log(range(1, 7)), since=BEGAN + 10_000 * 60)
        house.sequence.catch_up(CONV, 10_009, 4)
        await house.rest()
        house.sequence.arrive(delivery(7))
        return house

    assert asyncio.run(run()).given == [5, 6, 7]


def test_new_member_is_caught_up_though_the_place_was_not_found_before() -> None:
    """The history was away when it was looked for; nothing stays shut."""

    async def run() -> House:
        house = House(Log(range(1, 5)))
        house.log.away = 1
        await house.sequence.look(CONV, 4)
        await house.rest()
        house.sequence.catch_up(CONV, 10_009, 4)
        await house.rest()
        house.sequence.arrive(delivery(5))
        return house

    house = asyncio.run(run())
    assert (house.to_one, house.given) == ([], [1, 2, 3, 4, 5])


def test_new_member_and_those_after_are_served_though_the_history_is_away() -> None:
    """It reads by itself what it was not given; what comes later is live."""

    async def run() -> House:
        house = House(Log(range(1, 6)))
        house.log.away = 2
        await house.sequence.look(CONV, 4)
        await house.rest()
        house.sequence.catch_up(CONV, 10_009, 4)
        await house.rest()
        house.sequence.arrive(delivery(5))
        await house.rest()
        return house

    assert asyncio.run(run()).given == [1, 2, 3, 4, 5]


def test_one_of_two_who_leaves_does_not_end_the_listening() -> None:
    """Nothing is given again to the one who stays."""

    async def run() -> House:
        house = House(Log(range(1, 5)))
        for seq in (1, 2):
            house.sequence.arrive(delivery(seq))
        house.since = EARLIER + 30_000  # the other one's
        house.sequence.unwatched(10_001)
        house.sequence.arrive(delivery(4))
        await house.rest()
        return house

    assert asyncio.run(run()).given == [1, 2, 3, 4]


def test_conversations_beyond_the_bound_are_forgotten_and_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was given before is not given again."""
    monkeypatch.setattr(module, "GATES", 10)

    async def run() -> House:
        house = House(Log(range(1, 100)))
        house.sequence.arrive(delivery(1))
        house.sequence.arrive(delivery(2))
        for n in range(20):
            other = delivery(1)
            other.conv = f"{n + 1}-20000"
            house.sequence.arrive(other)
        assert len(house.sequence._gates) <= 11
        house.given.clear()
        house.sequence.arrive(delivery(3))
        await house.rest()
        return house

    assert asyncio.run(run()).given == [3]
