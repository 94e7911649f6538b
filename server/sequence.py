"""Each conversation in the order of its seq, each entry once, whichever node stored it.

The bus may lose, repeat and reorder. A hole is filled from the history; one that the history has
too, for ten seconds, becomes a void for good, so that nobody waits for ever and nobody skips.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from server.accounts import Accounts
from server.clients import now_ms
from server.deliveries import Delivery, Envelope, Event
from server.errors import StorageAway
from server.model import Message, User, is_group, ms_of
from server.ports import MessageStore, Stored

log = logging.getLogger(__name__)

GATES = 100_000
"""Conversations whose place is remembered (about 60 MiB)."""
OVERTAKEN_S = 0.05
"""What another node's entry overtook is mostly here by then."""
VOID_S = 10.0
LOOK_AGAIN_S = 0.5
FILLS = 50
"""Conversations read at once."""
SLACK_MS = 2000
"""How much the nodes' clocks, and so the times in ids, may differ."""
PAGE = 200


class _Gate:
    """How far a conversation was given out: ``seq``, None when it is not known.

    ``held``: what waits, None for the most part. ``filling``: it is being read for. ``shut``: how
    many catch up with it, for whom even what is next has to wait.
    """

    __slots__ = ("filling", "held", "seq", "shut")

    def __init__(self, seq: int | None) -> None:
        self.seq = seq
        self.filling = False
        self.shut = 0
        self.held: dict[int, Delivery | Envelope] | None = None


class Sequence:
    """``give``: what is next in its conversation. ``saw``: it is in the history.

    ``watched_since(topics)``: since when, in milliseconds since 1970, the bus brings what is for
    one of these users or groups; None: it does not.
    """

    def __init__(
        self,
        messages: MessageStore,
        accounts: Accounts,
        *,
        give: Callable[[Delivery | Envelope | Event], None],
        give_to: Callable[[int, Delivery], None],
        saw: Callable[[str, Message], None],
        watched_since: Callable[[Iterable[int]], int | None],
    ) -> None:
        self._messages = messages
        self._accounts = accounts
        self._give = give
        self._give_to = give_to
        self._saw = saw
        self._watched_since = watched_since
        self._gates: dict[str, _Gate] = {}
        self._convs: dict[int, set[str]] = {}
        self._evicted_at = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.filled = 0
        self.voided = 0

    def arrive(self, delivery: Delivery | Envelope | Event) -> None:
        """Whatever the bus brings, or this node published."""
        if isinstance(delivery, Event):
            self._give(delivery)
            return
        conv, message = delivery.conv, delivery.message
        if delivery.node is None:
            self._saw(conv, message)
        gate = self._gates.get(conv)
        if gate is None:
            gate = self._open(delivery)
        if gate.held is None:
            seq = gate.seq
            if seq is not None:
                if message.seq == seq + 1:
                    gate.seq = message.seq
                    self._give(delivery)
                    return
                if message.seq <= seq:
                    return
            gate.held = {}
            self._start(self._fill(conv, gate))
        gate.held[message.seq] = delivery
        self._drain(gate)

    async def look(self, conv: str, newest: int) -> None:
        """The history has entries up to ``newest``: gives out those that were not."""
        gate = self._gates.get(conv) or self._new(conv, None)
        if gate.held is not None or (gate.seq is not None and gate.seq >= newest):
            return
        gate.held = {}
        self._start(self._fill(conv, gate, newest))
        while len(self._tasks) > FILLS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def is_wanted(self, conv: str) -> bool:
        """Whether the bus brings it here."""
        return self._watched_since(_topics(conv)) is not None

    def unwatched(self, topic: int) -> None:
        """What is published for this user or group does not come any more."""
        for conv in list(self._convs.get(topic, ())):
            if self._watched_since(_topics(conv)) is None:
                self._close(conv)

    def catch_up(self, conv: str, userid: int, floor: int) -> None:
        """A new member of a group, connected here, gets what is above ``floor``."""
        gate = self._gates.get(conv) or self._new(conv, floor)
        # From this moment on, or the new member would get what comes before what was.
        gate.shut += 1
        if gate.held is None:
            gate.held = {}
        self._start(self._catch_up(conv, gate, userid, floor))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _open(self, delivery: Delivery | Envelope) -> _Gate:
        message = delivery.message
        seq: int | None = None
        if message.seq == 1 or (
            delivery.before and ms_of(delivery.before) < self._since(delivery.conv)
        ):
            seq = message.seq - 1
        return self._new(delivery.conv, seq)

    def _new(self, conv: str, seq: int | None) -> _Gate:
        if len(self._gates) >= GATES:
            self._evicted_at = now_ms()
            for old in list(self._gates)[: GATES // 10]:
                self._close(old)
        gate = self._gates[conv] = _Gate(seq)
        for topic in _topics(conv):
            self._convs.setdefault(topic, set()).add(conv)
        return gate

    def _close(self, conv: str) -> None:
        if self._gates[conv].held is None:
            del self._gates[conv]
            for topic in _topics(conv):
                convs = self._convs[topic]
                convs.discard(conv)
                if not convs:
                    del self._convs[topic]

    def _since(self, conv: str) -> int:
        """What is older was given out, or is for those who came later to read by themselves."""
        since = self._watched_since(_topics(conv))
        return max(now_ms() if since is None else since, self._evicted_at) - SLACK_MS

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fill(self, conv: str, gate: _Gate, newest: int = 0) -> None:
        """Reads what is missing, until nothing waits. ``newest``: the history's last, if known."""
        gate.filling = True
        loop = asyncio.get_running_loop()
        if not newest:
            await asyncio.sleep(OVERTAKEN_S)
        hole_since = loop.time()
        hole = gate.seq
        try:
            while True:
                self._drain(gate)
                if not gate.held and (gate.seq is not None and gate.seq >= newest):
                    return
                try:
                    if gate.seq is None:
                        await self._find_place(conv, gate, newest)
                        continue
                    await self._read(conv, gate)
                    self._drain(gate)
                    if gate.held and gate.seq + 1 in gate.held:
                        hole_since = loop.time()  # no hole: somebody is catching up
                    if gate.held and loop.time() - hole_since > VOID_S and hole == gate.seq:
                        await self._make_void(conv, gate.seq + 1)
                        hole_since = loop.time()
                        continue
                except StorageAway:
                    hole_since = loop.time()
                if gate.seq != hole:
                    hole, hole_since = gate.seq, loop.time()
                elif not gate.held:
                    return  # what was said to be the newest is not there (any more)
                else:
                    await asyncio.sleep(LOOK_AGAIN_S)
        except Exception:
            log.exception("sequence_failed conv=%s", conv)
            gate.seq = None
        finally:
            gate.filling = False
            if not gate.shut:
                gate.held = None

    def _drain(self, gate: _Gate) -> None:
        held = gate.held
        if not held or gate.seq is None or gate.shut:
            return
        while held:
            delivery = held.pop(gate.seq + 1, None)
            if delivery is None:
                break
            gate.seq = delivery.message.seq
            self._give(delivery)
        for seq in [seq for seq in held if seq <= gate.seq]:
            del held[seq]

    async def _find_place(self, conv: str, gate: _Gate, newest: int) -> None:
        """Where those who listen here have come to: behind the last from before they did."""
        since = self._since(conv)
        place = min(gate.held) if gate.held else newest + 1
        while True:
            page = await self._messages.page(conv, above=0, after=None, before=place, limit=PAGE)
            missed = [message for message in page if ms_of(message.id) >= since]
            if missed:
                place = missed[0].seq
            if len(missed) < PAGE:
                gate.seq = place - 1
                return

    async def _read(self, conv: str, gate: _Gate) -> None:
        """From the history, what follows; as much as one page holds."""
        assert gate.seq is not None and gate.held is not None  # noqa: S101
        before = min(gate.held) if gate.held else None
        found = await self._messages.entries(conv, gate.seq, before, PAGE)
        for delivery in await self._deliveries(found):
            gate.held.setdefault(delivery.message.seq, delivery)
        if gate.seq + 1 in gate.held:
            self.filled += len(found)
            log.info("hole_filled conv=%s seq=%d entries=%d", conv, gate.seq + 1, len(found))

    async def _make_void(self, conv: str, seq: int) -> None:
        """If somebody stores an entry there first, that one is read instead."""
        await self._messages.void(conv, seq, now_ms())
        self.voided += 1
        log.warning("void_made conv=%s seq=%d", conv, seq)

    async def _catch_up(self, conv: str, gate: _Gate, userid: int, floor: int) -> None:
        newest, above = 0, floor
        try:
            last = await self._messages.last(conv)
            newest = last.seq if last else 0
            while gate.seq is None:
                if gate.filling:
                    await asyncio.sleep(OVERTAKEN_S)
                else:
                    await self._find_place(conv, gate, newest)
            while above < gate.seq:
                found = await self._messages.entries(conv, above, gate.seq + 1, PAGE)
                for delivery in await self._deliveries(found):
                    self._give_to(userid, delivery)
                if not found:
                    break
                above = found[-1].message.seq
        except StorageAway:
            log.info("member_not_caught_up conv=%s user=%d", conv, userid)
        except Exception:
            log.exception("member_not_caught_up conv=%s user=%d", conv, userid)
        gate.shut -= 1
        if gate.shut or gate.filling:
            return
        if gate.held or gate.seq is not None:
            # Also what came before anybody here listened for this group, and was not brought.
            await self._fill(conv, gate, newest)
        else:
            gate.held = None

    async def _deliveries(self, entries: list[Stored]) -> list[Delivery]:
        users: set[int] = set()
        for entry in entries:
            users.add(entry.message.userid)
            if not is_group(entry.conv):
                users.add(entry.message.dstid)
        known = await self._accounts.people(users - {0})
        deliveries = []
        for entry in entries:
            message = entry.message
            author = known.get(message.userid) or User(message.userid)
            recipient = None if is_group(entry.conv) else known.get(message.dstid)
            deliveries.append(Delivery(message, entry.conv, author, recipient, "", entry.xml, 0))
        return deliveries


def _topics(conv: str) -> tuple[int, ...]:
    """Whose connections a conversation is for: its two users, or the group."""
    if is_group(conv):
        return (int(conv[1:]),)
    low, _, high = conv.partition("-")
    return int(low), int(high)
