"""The deletion of an account: at once for everybody, and then to the end, whatever happens.

First the account is marked: from then on nobody can log in or send to it, and its connections
close. Then all that is the person's own is forgotten, service by service. A minute later that is
done once more, for what another node did in the account's name before it knew; and by whichever
node is there, so that it is also done where the first one died in the middle.

What stays is a document with the id, which is never given again, and for a while its names.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from server.changes import Changes
from server.clients import now_ms
from server.errors import ChatError, StorageAway
from server.ports import AccountStore
from server.profile import renamed

log = logging.getLogger(__name__)

AGAIN_S = 60.0

Forget = Callable[[int], Awaitable[None]]
"""Removes what a service has of an account. Again is no change."""


class Departures:
    """``forget``: in this order."""

    def __init__(self, store: AccountStore, changes: Changes, forget: Sequence[Forget]) -> None:
        self._store = store
        self._changes = changes
        self._forget = forget
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Takes up what was left unfinished, now and then."""
        self._task = asyncio.create_task(self._run(), name="departures")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def leave(self, userid: int) -> None:
        """Deletes an account. When the database goes away in the middle, the rest is done later."""
        await self.mark(userid, now_ms())
        with suppress(StorageAway):
            await self._strip(userid)

    async def mark(self, userid: int, taken_up_ms: int = 0) -> None:
        """From now on there is no such account. Whoever marks it before now leaves the rest to the
        running nodes. Raises ``no-such-user``, ``conflict``.
        """
        document = await self._store.by_id(userid)
        if document is None or "deleted" in document:
            raise ChatError("no-such-user")
        kept = renamed(document, None, leaves=True)
        del kept["username"]  # goes with all else
        outcome = await self._store.update(
            userid,
            {"deleted": now_ms(), "leaving": taken_up_ms, **kept},
            {name: document.get(name) for name in ("username", "former")},
        )
        if outcome:
            raise ChatError("conflict", "the account was changed at the same moment; try again")
        await self._changes.add("departed", userid=userid)

    async def _strip(self, userid: int) -> None:
        for forget in self._forget:
            await forget(userid)
        await self._store.strip(userid)

    async def _run(self) -> None:
        while True:
            try:
                await self._store.free_names(now_ms())
                await self._finish_all()
            except StorageAway:
                log.info("departures_put_off")
            except Exception:
                log.exception("departures_failed")
            await asyncio.sleep(AGAIN_S)

    async def _finish_all(self) -> None:
        while True:
            now = now_ms()
            userid = await self._store.take_leaver(now - int(AGAIN_S * 1000), now)
            if userid is None:
                return
            try:
                await self._strip(userid)
            except StorageAway:
                raise
            except Exception:
                log.exception("departure_failed user=%d", userid)
                continue
            await self._store.finish_leaving(userid)
            log.info("departed user=%d", userid)
