"""How far conversations have come, told to all nodes by way of the database.

A lost message shows by the hole before the next one, a lost last message does not. So each node
writes down every few seconds which conversations it stored something in, up to which seq, and
reads what the others did: what the bus should have brought by then and did not is fetched from the
history, also while there is no bus.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from server.changes import OVERLAP
from server.errors import StorageAway
from server.ports import ChangeStore

log = logging.getLogger(__name__)

TELL_S = 3.0
KEPT_S = 240.0
"""The database keeps what was told for 300."""
CONVERSATIONS = 10_000
"""Told in one document, of some 300 KB."""


class Tails:
    """One per node of a service of several, ``node_id``.

    ``look(conv, seq)``: there are entries up to ``seq``. ``is_wanted(conv)``: whether somebody here
    gets what is written there. ``heard``: called when all that was told is known; ``missed``: when
    some of it was not read in time.
    """

    def __init__(
        self,
        store: ChangeStore,
        node_id: str,
        *,
        look: Callable[[str, int], Awaitable[None]],
        is_wanted: Callable[[str], bool],
        heard: Callable[[], None],
        missed: Callable[[], None],
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._look = look
        self._is_wanted = is_wanted
        self._heard = heard
        self._missed = missed
        self._fresh: dict[str, int] = {}
        self._ripe: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._newest: datetime
        self._seen: dict[Any, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    def wrote(self, conv: str, seq: int) -> None:
        """This node stored the entry ``seq``."""
        self._fresh[conv] = seq

    async def start(self) -> None:
        """Hears what others write from now on. Raises ``StorageAway``."""
        self._newest = await self._store.now()
        self._task = asyncio.create_task(self._run(), name="tails")

    async def close(self) -> None:
        """Tells what is not told yet, since nobody else knows it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._ripen()
            self._ripen()
            try:
                await self._tell()
            except StorageAway:
                log.info("tails_not_told conversations=%d", len(self._untold))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while True:
            await asyncio.sleep(TELL_S)
            self._ripen()
            try:
                await self._tell()
                await self._read()
            except StorageAway:
                continue
            except Exception:
                log.exception("tails_failed")
                continue
            if loop.time() - read_at > KEPT_S:
                log.warning("tails_missed seconds=%.0f", loop.time() - read_at)
                self._missed()
            else:
                self._heard()
            read_at = loop.time()

    def _ripen(self) -> None:
        """What was written a moment ago is on its way by itself, and told the next time."""
        self._untold |= self._ripe
        self._ripe, self._fresh = self._fresh, {}

    async def _tell(self) -> None:
        while self._untold:
            told = dict(list(self._untold.items())[:CONVERSATIONS])
            await self._store.add(
                {
                    "_id": self._store.new_id(),
                    "node": self._node_id,
                    "convs": list(told),
                    "seqs": list(told.values()),
                }
            )
            for conv in told:
                del self._untold[conv]

    async def _read(self) -> None:
        oldest = self._newest - OVERLAP
        for known in [key for key, at in self._seen.items() if at < oldest]:
            del self._seen[known]
        for tails in await self._store.since(oldest, but=list(self._seen)):
            self._seen[tails["_id"]] = tails["at"]
            self._newest = max(self._newest, tails["at"])
            if tails["node"] != self._node_id:
                await self.hear(tails["convs"], tails["seqs"])

    async def hear(self, convs: Sequence[str], seqs: Sequence[int]) -> None:
        """What another node told."""
        is_wanted, look = self._is_wanted, self._look
        for conv, seq in zip(convs, seqs, strict=True):
            if is_wanted(conv):
                await look(conv, seq)
