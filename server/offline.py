"""How far each account's XMPP clients were handed their messages: the pointer of offline delivery.

Kept in memory while it moves and stored in the background, so that a crash repeats messages
(clients know them by their stanza-id) rather than leaving some out.
"""

import asyncio
import logging
from contextlib import suppress

from server.errors import StorageAway
from server.ports import AccountStore

log = logging.getLogger(__name__)

STORE_EVERY_S = 5.0


class Offline:
    """Pointers: message ids. They only move forward."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._moved: dict[int, int] = {}
        self._hurry = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="offline")

    async def pointer(self, userid: int) -> int:
        """Id of the last message handed to an XMPP client of this account, 0 for none."""
        stored = await self._store.pointer(userid)
        return max(stored, self._moved.get(userid, 0))

    def moved(self, userid: int, message_id: int) -> None:
        """An XMPP client has this message and all before it."""
        if message_id > self._moved.get(userid, 0):
            self._moved[userid] = message_id

    def left(self, userid: int) -> None:
        """An XMPP client is gone, and may be on another node in a moment."""
        if userid in self._moved:
            self._hurry.set()

    async def forget_user(self, userid: int) -> None:
        """The account is gone."""
        self._moved.pop(userid, None)
        await self._store.forget_pointer(userid)

    async def close(self) -> None:
        self._task.cancel()
        await self._flush()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(STORE_EVERY_S):
                    await self._hurry.wait()
            self._hurry.clear()
            await self._flush()

    async def _flush(self) -> None:
        if not self._moved:
            return
        storing = dict(self._moved)
        try:
            await self._store.move_pointers(storing)
        except StorageAway:
            return
        for userid, pointer in storing.items():
            if self._moved.get(userid) == pointer:
                del self._moved[userid]
