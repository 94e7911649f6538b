"""Keeps the search's index just behind the history.

The writer only says how far conversations have come (:meth:`Indexer.wrote`, nothing but a
dictionary entry). A task reads what is new from the history, seq by seq, stores its terms and then
moves the conversation's mark. So whatever dies in between is done again from the mark, by
whichever node next writes in the conversation or searches it.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from server.clients import now_ms
from server.errors import StorageAway
from server.grams import fold, grams
from server.model import GROUP, SINGLE, Message
from server.ports import MessageStore, SearchStore, Stored, Terms

log = logging.getLogger(__name__)

TURN_MESSAGES = 200
TURN_CONVERSATIONS = 100
SLICE_S = 0.004
"""The event loop is held no longer than about this at once."""
BEHIND = 100_000
"""Conversations remembered as not indexed to their end (about 15 MiB)."""
CHECKED_S = 60.0
"""So long a conversation is taken to be indexed to its end, or known to be behind."""
REST_S = 0.1
"""Between two turns, so that they have something to do; a message that comes alone is indexed
within this time."""
BUSY = 500
"""Messages that this node stores in a second, from which on it is busy with them."""
BUSY_RESTS = 9
"""Then the rest is so many times as long as the turn was: the index gets a tenth of the time."""
LONGEST_REST_S = 5.0
HOLE_MS = 10_000
"""What is not there by then never will be: as everywhere, it becomes a void."""
WAIT_S = 1.0
"""How long a search waits for what is behind."""


class Indexer:
    """One per node. Any number may index the same conversation."""

    def __init__(self, store: SearchStore, messages: MessageStore) -> None:
        self._store = store
        self._messages = messages
        self._written = 0
        self._behind: dict[str, int] = {}
        self._checked: dict[str, float] = {}
        self._lock = asyncio.Lock()
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def behind(self) -> int:
        """Conversations known to be indexed not quite."""
        return len(self._behind)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="indexer")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._wake = None

    def wrote(self, conv: str, seq: int) -> None:
        """The history has an entry at ``seq``."""
        self._written += 1
        behind = self._behind
        if behind.get(conv, 0) < seq:
            behind[conv] = seq
            if len(behind) > BEHIND:
                # The next search of it will see.
                forgotten = next(iter(behind))
                del behind[forgotten]
                self._checked.pop(forgotten, None)
        if self._wake is not None:
            self._wake.set_result(None)
            self._wake = None

    def saw(self, conv: str) -> None:
        """Another node stored something there, and will index it soon."""
        self._checked.pop(conv, None)

    async def changed(self, places: Sequence[tuple[str, int]]) -> None:
        """These messages (conversation, seq) were recalled or edited: what they were found by goes.

        To be awaited after the history has them as they are now. Raises ``StorageAway``.
        """
        now = {(entry.conv, entry.message.seq): entry for entry in await self._store.read(places)}
        await self._store.put(
            [
                _terms(now[conv, seq]) if (conv, seq) in now else Terms(conv, seq, 0, 0, 0, 0, [])
                for conv, seq in places
            ]
        )

    async def catch_up(self, convs: Sequence[str]) -> dict[str, int]:
        """Until these are indexed to their end, or for a second. Their marks, where they have any.

        Raises ``StorageAway``.
        """
        marks = await self._store.marks(convs)
        await self._check(convs, marks)
        deadline = time.monotonic() + WAIT_S
        mine = [conv for conv in convs if conv in self._behind]
        if not mine:
            return marks
        while mine and time.monotonic() < deadline:
            async with self._lock:
                if not await self._turn(mine[:TURN_CONVERSATIONS]):
                    break
            mine = [conv for conv in mine if conv in self._behind]
        return await self._store.marks(convs)

    async def _check(self, convs: Sequence[str], marks: Mapping[str, int]) -> None:
        """Another node may have died before it indexed what it wrote, or this one before."""
        now = time.monotonic()
        unchecked = [c for c in convs if now - self._checked.get(c, -CHECKED_S) >= CHECKED_S]
        if not unchecked:
            return
        nexts = await self._store.read([(conv, marks.get(conv, 0) + 1) for conv in unchecked])
        if nexts:
            lasts = await self._messages.lasts([entry.conv for entry in nexts])
            for conv, last in lasts.items():
                self.wrote(conv, last.seq)
        while len(self._checked) + len(unchecked) > BEHIND and self._checked:
            del self._checked[next(iter(self._checked))]
        self._checked |= dict.fromkeys(unchecked, now)

    async def _run(self) -> None:
        written, at = self._written, time.monotonic()
        while True:
            if not self._behind:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
            began = time.monotonic()
            try:
                async with self._lock:
                    convs = list(itertools.islice(self._behind, TURN_CONVERSATIONS))
                    done = await self._turn(convs)
            except StorageAway as away:
                log.info("index_waits conversations=%d reason=%s", len(self._behind), away)
                done = 0
            except Exception:
                log.exception("index_failed")
                done = 0
            now = time.monotonic()
            busy = self._written - written > BUSY * (now - at)
            if not done:
                rest = 1.0
            elif busy:
                rest = min(max(REST_S, BUSY_RESTS * (now - began)), LONGEST_REST_S)
            else:
                rest = REST_S if done < TURN_MESSAGES else (now - began) / 2
            written, at = self._written, now
            await asyncio.sleep(rest)

    async def _turn(self, convs: Sequence[str]) -> int:
        """Indexes some of what these conversations are behind. How many entries it got on."""
        marks = await self._store.marks(convs)
        places: list[tuple[str, int]] = []
        upto: dict[str, int] = {}
        room = TURN_MESSAGES
        for left, conv in zip(range(len(convs), 0, -1), convs, strict=True):
            mark, goal = marks.setdefault(conv, 0), self._behind.get(conv, 0)
            upto[conv] = min(goal, mark + max(1, room // left))
            new = range(mark + 1, upto[conv] + 1)
            room -= len(new)
            places += [(conv, seq) for seq in new]
            if new and upto[conv] < goal:
                places.append((conv, goal))  # shows how old a hole before it is
        entries = await self._store.read(places) if places else []
        passed, voided = [], 0
        for conv, log_of_it in itertools.groupby(entries, key=lambda entry: entry.conv):
            seq = marks[conv]
            for entry in log_of_it:
                if entry.message.seq > seq + 1:
                    hole = range(seq + 1, min(entry.message.seq, upto[conv] + 1))
                    voided += await self._void(conv, hole, entry.message.ts)
                    break
                passed.append(entry)
                seq += 1
        if terms := await self._cut(passed):
            await self._store.add(terms)
        moved = {entry.conv: entry.message.seq for entry in passed}
        if moved:
            await self._store.mark(moved)
        for conv in convs:
            goal = self._behind.pop(conv, 0)
            if goal > moved.get(conv, marks[conv]):
                self._behind[conv] = goal  # behind the others, whose turn it is now
        return len(passed) + voided

    async def _void(self, conv: str, hole: range, next_ts: int) -> int:
        """Makes voids of a hole that is old enough, to be read like all else in the next turn."""
        now = now_ms()
        if now - next_ts < HOLE_MS:
            return 0
        for seq in hole:
            await self._messages.void(conv, seq, now)
        return len(hole)

    @staticmethod
    async def _cut(entries: Iterable[Stored]) -> list[Terms]:
        found: list[Terms] = []
        began = time.monotonic()
        for entry in entries:
            terms = _terms(entry)
            if terms.grams:
                found.append(terms)
            if time.monotonic() - began > SLICE_S:
                await asyncio.sleep(0)
                began = time.monotonic()
        return found


def searched_text(message: Message) -> str:
    """What of a message is searched, folded; empty for what is no message, or was recalled."""
    if message.cmd not in (SINGLE, GROUP):
        return ""
    return fold(f"{message.content}\n{message.memo}" if message.memo else message.content)


def _terms(entry: Stored) -> Terms:
    message = entry.message
    return Terms(
        entry.conv,
        message.seq,
        message.id,
        message.userid,
        message.media,
        message.ts,
        grams(searched_text(message)),
    )
