"""Uploads: who may upload what, whose file is whose, and how files go again.

A row in the database stands for each slot, made before the slot is given out. Storing the bytes
needs no database (a store may be elsewhere and not know ours), so a row is looked at once its slot
can no longer be used: without bytes it goes. What is deleted stays as a row without a name for a
day, since it counts for the day's quota and its slot may still be used.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Collection
from typing import Any

from server.clients import now_ms
from server.errors import ChatError, StorageAway
from server.files import FileStore, Offer, Slot
from server.files.names import UNKNOWN, clean_name, clean_type, key_in, new_key
from server.ports import Document, UploadStore
from server.settings import Settings

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
DAY_MS = 24 * 3600 * 1000
GRACE_S = 120.0
"""For clocks that differ and a last sync, before a slot is taken to be of no use any more."""
SWEEP_S = 300.0
SWEPT_AT_ONCE = 500


class Uploads:
    """Makes slots and forgets files."""

    def __init__(self, rows: UploadStore, files: FileStore, settings: Settings) -> None:
        self._rows = rows
        self._files = files
        self._limits = settings.files
        self._scale = settings.limits.rate_scale
        http = settings.http
        scheme = "https" if http.tls_certificate else "http"
        self._public_url = http.public_url.rstrip("/")
        self._address = f"{scheme}://{http.address}:{http.port}"
        self._task: asyncio.Task[None] | None = None

    async def slot(self, userid: int, name: str, size: int, type: str, origin: str = "") -> Offer:
        """Leave for ``userid`` to upload a file of exactly ``size`` bytes.

        ``type``: the Content-Type that it will be sent with; empty: not known, any will do.
        ``origin``: how the client reaches us, where ``http.public_url`` does not say.

        Raises ``invalid``, ``too-long``, ``slow-down``, and ``StorageAway`` from the database
        and the file store alike.
        """
        name, type = clean_name(name), type and clean_type(type)
        if size < 0:
            raise ChatError("invalid", "some fields are wrong", fields={"size": "is negative"})
        limit = self._limits.upload_bytes
        if size > limit:
            raise ChatError("too-long", f"a file may have {limit} bytes at most")
        await self._check_quotas(userid, size)
        await self._files.check(size)
        now = now_ms()
        key = new_key(type or UNKNOWN)
        row = {"_id": key, "userid": userid, "name": name, "size": size, "type": type or UNKNOWN}
        await self._rows.insert(row | {"created": now, "due": now + self._life_ms})
        try:
            # Again, with what others asked for at the same moment.
            await self._check_quotas(userid, 0, own=1)
        except ChatError:
            await self._rows.remove(key)
            raise
        slot = Slot(key, name, size, type, int(time.time()) + self._limits.slot_s)
        origin = self._origin(origin)
        return Offer(
            put=self._files.put_url(slot, origin),
            get=self._files.get_url(key, name, origin),
            headers={"Content-Type": type or UNKNOWN},
            expires_in=self._limits.slot_s,
        )

    async def forget(self, addresses: Collection[str], userid: int) -> None:
        """Deletes the files at these ``get`` addresses, as far as they are this user's."""
        keys = {key for address in addresses if (key := key_in(address))}
        if keys:
            await self._give_up(userid, list(keys))

    async def forget_user(self, userid: int) -> None:
        """Deletes all files of a user."""
        await self._give_up(userid, None)

    async def export(self, userid: int) -> list[dict[str, Any]]:
        """The user's files, oldest first: ``{name, size, type, created, url}``."""
        return [
            {name: row[name] for name in ("name", "size", "type", "created")}
            | {"url": self._files.get_url(row["_id"], row["name"], self._origin(""))}
            for row in await self._rows.of_user(userid)
        ]

    async def _give_up(self, userid: int, keys: list[str] | None) -> None:
        """The rows first: what cannot be deleted now is deleted when they are due."""
        for key in await self._rows.give_up(userid, keys, due=now_ms() + self._life_ms):
            try:
                await self._files.delete(key)
            except StorageAway as error:
                log.warning("file_not_deleted_yet reason=%s", error)

    async def _check_quotas(self, userid: int, size: int, own: int = 0) -> None:
        """``own``: how many of those that count are asked about."""
        now = now_ms()
        per_minute = max(1, int(self._limits.uploads_per_minute * self._scale))
        count, _, oldest = await self._rows.usage(userid, now - MINUTE_MS)
        if count - own >= per_minute:
            raise ChatError(
                "slow-down", "too many uploads; wait a while", retry_after=_wait(oldest, MINUTE_MS)
            )
        per_day = self._limits.bytes_per_day * self._scale
        _, taken, oldest = await self._rows.usage(userid, now - DAY_MS)
        if taken + size > per_day:
            detail = f"at most {int(per_day)} bytes in a day"
            raise ChatError("slow-down", detail, retry_after=_wait(oldest, DAY_MS))

    def _origin(self, origin: str) -> str:
        return self._public_url or origin or self._address

    @property
    def _life_ms(self) -> int:
        """After its making a slot cannot bring a file any more."""
        return int(1000 * (self._limits.slot_s + self._limits.upload_s + GRACE_S))

    def start(self) -> None:
        """Sweeps from now on."""
        self._task = asyncio.create_task(self._run(), name="uploads")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep(now_ms())
            except StorageAway as error:
                log.warning("uploads_not_swept reason=%s", error)
            except Exception:
                log.exception("uploads_not_swept")
            await asyncio.sleep(SWEEP_S * random.uniform(0.5, 1.5))  # noqa: S311

    async def sweep(self, now: int) -> None:
        """Sees to the rows that are due by now (ms), and to left parts of files."""
        await self._files.tidy()
        while rows := await self._rows.due(now, SWEPT_AT_ONCE):
            for row in rows:
                await self._see_to(row, now)

    async def _see_to(self, row: Document, now: int) -> None:
        """Afterwards it is not due by now any more."""
        key, ends = row["_id"], row["created"] + DAY_MS
        if row.get("gone"):
            await self._files.delete(key)
            if ends > now:
                await self._rows.postpone(key, ends)
            else:
                await self._rows.remove(key)
        elif await self._files.size(key) is None:
            await self._rows.remove(key)
        else:
            await self._rows.settle(key)


def _wait(oldest: int, period_ms: int) -> int:
    """Seconds until the oldest that counts does not."""
    return max(1, math.ceil((oldest + period_ms - now_ms()) / 1000))
