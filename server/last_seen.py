"""When sessions and app passwords were last used: kept in memory and written now and then."""

import asyncio
import logging
from contextlib import suppress

from server.clients import now_ms
from server.errors import StorageAway
from server.passwords import app_number
from server.ports import AccountStore, SessionStore

log = logging.getLogger(__name__)

WRITE_EVERY_S = 120.0
"""So a session costs one write in two minutes, however often it connects."""
AT_ONCE = 1000


class LastSeen:
    """Coming and going of connections. A crash forgets two minutes of it."""

    def __init__(self, sessions: SessionStore, accounts: AccountStore) -> None:
        self._sessions = sessions
        self._accounts = accounts
        self._seen: dict[tuple[int, str], int] = {}
        self._task = asyncio.get_running_loop().create_task(self._run(), name="last-seen")

    def saw(self, userid: int, sid: str) -> None:
        """A connection of this session, or app password, came or went."""
        if sid:
            self._seen[userid, sid] = now_ms()

    def of(self, userid: int, sid: str) -> int:
        """What is not written yet, in milliseconds; 0 for nothing."""
        return self._seen.get((userid, sid), 0)

    async def close(self) -> None:
        self._task.cancel()
        with suppress(StorageAway):
            await self._write()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            try:
                await self._write()
            except StorageAway:
                continue
            except Exception:
                log.exception("last_seen_not_written")

    async def _write(self) -> None:
        while self._seen:
            batch = dict(list(self._seen.items())[:AT_ONCE])
            sessions: dict[str, int] = {}
            apps: dict[tuple[int, int], int] = {}
            for (userid, sid), at in batch.items():
                number = app_number(sid)
                if number is None:
                    sessions[sid] = at
                else:
                    apps[userid, number] = at
            if sessions:
                await self._sessions.saw(sessions)
            if apps:
                await self._accounts.used_app_passwords(apps)
            for key, at in batch.items():
                if self._seen.get(key) == at:
                    del self._seen[key]
