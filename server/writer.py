"""The group-commit writer: gives messages their id and seq and makes them durable.

No timer: while one insert is in flight the next batch collects, so an idle server writes at once
and a busy one merges hundreds. Inserts are ordered, so what survives of a connection's sends to a
conversation is always a prefix of them.

Recalls, edits and reactions are applied to their messages as soon as they are stored, and before
anybody hears of them.

An insert whose outcome is unknown is tried again with the same ids until it is known: what the
database has by then counts as stored, the rest is stored now. Its senders hear 503 after
``hold_s``; if the message turns out to be stored they get its ack after all.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from server.acts import Acts
from server.clients import now_ms
from server.deliveries import NOTHING_YET, Envelope
from server.errors import ChatError, StorageAway
from server.metrics import Metrics
from server.model import GROUP, SINGLE, Known, Message, Tally, first_id_of, is_group
from server.ports import End, Inserted, MessageStore, PlaceStore, Stored

log = logging.getLogger(__name__)

BATCH_DOCUMENTS = 1000
BATCH_BYTES = 4 * 1024 * 1024
QUEUE_WAIT_S = 2.5
"""A message that was not handed to the database by then is refused: the promise is 3 s."""
HEADS = 100_000
"""Conversations whose last seq is kept in memory (about 20 MiB)."""
CONTENDED_S = 1.0
"""How long a conversation whose place another node took is thought to be written there too."""

_TICK_S = 0.25
_AWAY = "the history cannot be written now; send again with the same cid"


class _Head:
    """Where a conversation's log ends."""

    __slots__ = ("id", "seq", "tally")

    def __init__(self, end: End | None) -> None:
        self.seq, self.id, self.tally = end or (0, 0, NOTHING_YET)


class Writer:
    """Bounded queue and one task. ``stored`` and ``refused`` tell the router, in order."""

    def __init__(
        self,
        messages: MessageStore,
        places: PlaceStore,
        acts: Acts,
        metrics: Metrics,
        *,
        queue_documents: int,
        queue_bytes: int,
        hold_s: float,
        stored: Callable[[Sequence[Envelope]], None],
        refused: Callable[[Envelope, ChatError], None],
    ) -> None:
        self._messages = messages
        self._places = places
        self._acts = acts
        self._metrics = metrics
        self._queue_documents = queue_documents
        self._queue_bytes = queue_bytes
        self._hold_s = hold_s
        self._stored = stored
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._queue: list[Envelope] = []
        self._bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._flushing: list[Envelope] = []
        self._done: list[Envelope] = []
        self._flush_began = 0.0
        self._away = False
        self._stopping = False
        self._heads: dict[str, _Head] = {}
        self._contended: dict[str, float] = {}
        self._last_id = 0
        self._task = self._loop.create_task(self._run(), name="writer")
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        metrics.queue_depth = lambda: len(self._queue) + len(self._flushing)

    def submit(self, envelope: Envelope) -> None:
        """Queues a message. Raises ``stopping`` or, with nothing stored, ``storage-away``."""
        if self._stopping:
            raise ChatError("stopping", "the server is stopping; send again with the same cid")
        size = envelope.size
        if (
            self._away
            or len(self._queue) >= self._queue_documents
            or self._bytes + size > self._queue_bytes
        ):
            raise ChatError("storage-away", _AWAY)
        envelope.queued_at = self._loop.time()
        self._queue.append(envelope)
        self._bytes += size
        if self._wake is not None:
            self._wake.set_result(None)
            self._wake = None

    def saw(self, conv: str, message: Message) -> None:
        """Another node stored this entry: the next one of this node comes behind it."""
        head = self._heads.get(conv)
        if head is None or message.seq <= head.seq:
            return
        if message.seq > head.seq + 1:
            del self._heads[conv]  # how much is in between is not known
            return
        head.tally = _counted(head.tally, message)
        head.seq, head.id = message.seq, max(head.id, message.id)

    async def close(self, grace_s: float) -> bool:
        """Refuses new messages and stores what is queued. False: not done within ``grace_s``."""
        self._stopping = True
        if self._wake is not None:
            self._wake.set_result(None)
            self._wake = None
        done, _ = await asyncio.wait({self._task}, timeout=grace_s)
        self._ticker.cancel()
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task})
        return bool(done)

    async def _run(self) -> None:
        while True:
            if not self._queue:
                self._tell_stored()
                if self._stopping:
                    return
                self._wake = self._loop.create_future()
                await self._wake
                continue
            batch = self._take()
            try:
                await self._flush(batch)
            except Exception:
                log.exception("flush_failed documents=%d", len(batch))
                for envelope in self._flushing:
                    self._heads.pop(envelope.conv, None)
                    self._refuse(envelope, ChatError("internal-error"))
            finally:
                self._flushing = []
                self._away = False

    def _take(self) -> list[Envelope]:
        size, count = 0, 0
        for envelope in self._queue:
            size += envelope.size
            count += 1
            if count == BATCH_DOCUMENTS or size > BATCH_BYTES:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        self._bytes = self._bytes - size if self._queue else 0
        return batch

    async def _flush(self, batch: list[Envelope]) -> None:
        began = self._flush_began = self._loop.time()
        self._flushing = batch
        try:
            await self._load_heads({envelope.conv for envelope in batch})
        except StorageAway as away:
            self._give_up(away)
            return
        if self._contended:
            self._put_contended_last(began)
        self._place(self._flushing)
        in_doubt = False
        while self._flushing:
            try:
                if in_doubt:
                    await self._settle(await self._messages.stored_prefix(self._unstored()))
                    if not self._flushing:
                        break
                inserted = await self._insert([e.document for e in self._unstored()])
                await self._settle(inserted.stored)
                if inserted.duplicate:
                    await self._resolve(in_doubt, inserted.duplicate)
                in_doubt = False
            except StorageAway as away:
                if not (in_doubt or away.maybe_done):
                    self._give_up(away)
                    return
                if not in_doubt:
                    log.warning("write_in_doubt documents=%d reason=%s", len(self._flushing), away)
                in_doubt = True
                self._tell_stored()
                await asyncio.sleep(_TICK_S)
        self._metrics.batch(len(batch), self._loop.time() - began)

    def _put_contended_last(self, now: float) -> None:
        """Where another node writes too, the rest of the batch need not be inserted again."""
        for conv in [c for c, at in self._contended.items() if now - at > CONTENDED_S]:
            del self._contended[conv]
        self._flushing = sorted(self._flushing, key=lambda each: each.conv in self._contended)

    def _unstored(self) -> list[Envelope]:
        """What of the flush is still to be stored: repeats are only waiting for their turn."""
        return [envelope for envelope in self._flushing if not envelope.dup]

    async def _load_heads(self, convs: set[str]) -> None:
        # Again, for those that other nodes' entries have made useless meanwhile.
        while missing := [conv for conv in convs if conv not in self._heads]:
            self._tell_stored()
            while len(self._heads) + len(missing) > HEADS and self._heads:
                del self._heads[next(iter(self._heads))]
            for conv in convs:
                if conv not in self._heads and conv not in missing:
                    missing.append(conv)
            await asyncio.gather(*(self._load_head(conv) for conv in missing))

    async def _load_head(self, conv: str) -> None:
        last = await self._messages.last(conv)
        if last is None and not is_group(conv):
            await self._places.add(conv, [int(part) for part in set(conv.split("-"))])
        self._heads[conv] = _Head(last)

    def _place(self, envelopes: list[Envelope]) -> None:
        """Gives id, seq and ts; encodes each document alone, so that none sinks the others."""
        now = now_ms()
        base = first_id_of(now)
        unfit: list[Envelope] = []
        for envelope in envelopes:
            message, head = envelope.message, self._heads[envelope.conv]
            self._last_id = max(base, self._last_id + 1)
            message.id = max(self._last_id, head.id + 1)
            message.seq = head.seq + 1
            envelope.before = head.id
            message.ts = now
            tally = envelope.tally = _counted(head.tally, message)
            try:
                envelope.document = self._messages.encode(
                    Stored(message, envelope.xml, envelope.conv), envelope.owners, tally
                )
            except ValueError as error:
                log.debug("document_unfit reason=%s", error)
                unfit.append(envelope)
                continue
            head.seq, head.id, head.tally = message.seq, message.id, tally
        for envelope in unfit:
            self._flushing.remove(envelope)
            self._refuse(envelope, ChatError("bad-field", "the message cannot be stored"))

    async def _settle(self, stored: int) -> None:
        """So many more new messages are durable; they and the repeats among them are told."""
        count, new = 0, stored
        for envelope in self._flushing:
            if not envelope.dup:
                if not new:
                    break
                new -= 1
            count += 1
        if not count:
            return
        settled = self._flushing[:count]
        acts = [envelope for envelope in settled if envelope.target is not None]
        if acts:
            await self._acts.apply(acts)
        self._metrics.stored += stored
        self._done += settled
        self._flushing = self._flushing[count:]

    async def _insert(self, documents: Sequence[bytes]) -> Inserted:
        """Meanwhile those of the batch before are acked and delivered."""
        inserting = asyncio.ensure_future(self._messages.insert(documents))
        if self._done:
            # One turn gives it to the transport, whose end writes it.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._tell_stored()
        return await inserting

    def _tell_stored(self) -> None:
        done, self._done = self._done, []
        try:
            if done:
                self._stored(done)
        except Exception:
            # They are stored, and found in the history; the writer must go on.
            log.exception("stored_not_told documents=%d", len(done))

    async def _resolve(self, in_doubt: bool, duplicate: str) -> None:
        """The first ran into a unique index: its own earlier try, its cid, or its place."""
        self._tell_stored()
        envelope = self._unstored()[0]
        if in_doubt and await self._messages.is_there(envelope):
            raise StorageAway("stored, but not yet on a majority")
        # Whose place was taken has a cid that is looked for when it finds a place.
        lost = duplicate == "place" and not in_doubt
        repeats = [] if lost else await self._find_repeats()
        moved = {repeat.conv for repeat, _ in repeats} | {envelope.conv}
        heads = await asyncio.gather(*(self._messages.last(conv) for conv in moved))
        for conv, last in zip(moved, heads, strict=True):
            self._heads[conv] = _Head(last)
        for repeat, known in repeats:
            if self._acts.is_same(known, repeat.message):
                repeat.message, repeat.dup = known.message, True
            else:
                self._flushing.remove(repeat)
                detail = "this cid named another message of yours before"
                self._refuse(repeat, ChatError("cid-reused", detail))
        if not repeats:
            log.debug("place_taken conv=%s seq=%d", envelope.conv, envelope.message.seq)
            self._contended[envelope.conv] = self._loop.time()
        self._place([later for later in self._unstored() if later.conv in moved])
        await self._settle(0)

    async def _find_repeats(self) -> list[tuple[Envelope, Known]]:
        """Those of the flush whose cid is in the history, with what it names there."""
        cids: dict[tuple[str, int], list[str]] = {}
        unstored = self._unstored()
        for envelope in unstored:
            if envelope.message.cid:
                key = (envelope.conv, envelope.message.userid)
                cids.setdefault(key, []).append(envelope.message.cid)
        found = await asyncio.gather(
            *(self._messages.by_cids(conv, userid, named) for (conv, userid), named in cids.items())
        )
        known = dict(zip(cids, found, strict=True))
        repeats = []
        for envelope in unstored:
            message = envelope.message
            first = known.get((envelope.conv, message.userid), {}).get(message.cid)
            if first is not None and message.cid:
                repeats.append((envelope, first))
        return repeats

    def _give_up(self, away: StorageAway) -> None:
        """Nothing of the flush reached the database, nor will the queue behind it."""
        self._tell_stored()
        log.warning("storage_away documents=%d reason=%s", len(self._flushing), away)
        refused, self._flushing = self._flushing + self._queue, []
        self._queue, self._bytes = [], 0
        for envelope in refused:
            self._heads.pop(envelope.conv, None)
            self._refuse(envelope, ChatError("storage-away", _AWAY))

    def _refuse(self, envelope: Envelope, error: ChatError) -> None:
        if not envelope.answered:
            self._refused(envelope, error)

    def _tick(self) -> None:
        """Tells senders of what waits too long; the flush itself goes on."""
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        now = self._loop.time()
        if self._queue and self._flushing and now - self._queue[0].queued_at > QUEUE_WAIT_S:
            if now - self._flush_began <= QUEUE_WAIT_S:
                return
            self._away = True
            refused, self._queue, self._bytes = self._queue, [], 0
            for envelope in refused:
                self._refuse(envelope, ChatError("storage-away", _AWAY))
        if self._flushing and now - self._flush_began > self._hold_s:
            for envelope in self._flushing:
                self._refuse(envelope, ChatError("storage-away", _AWAY))


def _counted(tally: Tally, message: Message) -> Tally:
    """The next entry's."""
    cmd = message.cmd
    if cmd == SINGLE:
        is_low = message.userid <= message.dstid
        return Tally(tally.messages + 1, tally.low + is_low, message.seq)
    return Tally(tally.messages + 1, 0, message.seq) if cmd == GROUP else tally
