"""Logged-in sessions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage
from server.store.lookup import Lookup

QUICK = WriteConcern(w=1)
"""For what may be lost."""


class MongoSessions:
    """See :class:`server.ports.SessionStore`."""

    def __init__(self, sessions: Collection, tickets: Collection) -> None:
        self._sessions = sessions
        self._tickets = tickets
        self._by_sid = Lookup(sessions)

    async def insert(self, document: Document) -> None:
        with storage():
            await self._sessions.insert_one(document)

    async def get(self, sid: str) -> Document | None:
        return await self._by_sid.get(sid)

    async def of_user(self, userid: int, limit: int) -> list[Document]:
        query = {"userid": userid, "expires": {"$gt": datetime.now(UTC)}}
        with storage():
            return await self._sessions.find(query).sort("seen", -1).limit(limit).to_list(limit)

    async def saw(self, seen: Mapping[str, int]) -> None:
        moves = [UpdateOne({"_id": sid}, {"$max": {"seen": at}}) for sid, at in seen.items()]
        with storage():
            await self._sessions.with_options(write_concern=QUICK).bulk_write(moves, ordered=False)

    async def rotate(self, sid: str, old_hash: bytes, changes: Mapping[str, Any]) -> bool:
        with storage():
            result = await self._sessions.update_one(
                {"_id": sid, "hash": old_hash}, {"$set": dict(changes)}
            )
        return bool(result.matched_count)

    async def spend(self, ticket: bytes, expires: datetime) -> bool:
        with storage():
            try:
                await self._tickets.insert_one({"_id": ticket, "expires": expires})
            except DuplicateKeyError:
                return False
        return True

    async def delete(self, sid: str) -> None:
        with storage():
            await self._sessions.delete_one({"_id": sid})

    async def delete_all(self, userid: int, but_sid: str) -> None:
        with storage():
            await self._sessions.delete_many({"userid": userid, "_id": {"$ne": but_sid}})
