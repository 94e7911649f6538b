"""Accounts, the counter of ids, and the pointers of offline delivery."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage
from server.store.lookup import Lookup


class MongoAccounts:
    """See :class:`server.ports.AccountStore`."""

    def __init__(
        self,
        users: Collection,
        counters: Collection,
        pointers: Collection,
    ) -> None:
        self._users = users
        self._by_id = Lookup(users)
        self._counters = counters
        self._pointers = pointers

    async def next_id(self) -> int:
        with storage():
            counter = await self._counters.find_one_and_update(
                {"_id": "ids"}, {"$inc": {"next": 1}}, return_document=ReturnDocument.BEFORE
            )
        return int(counter["next"])

    async def insert(self, document: Document) -> str | None:
        with storage():
            try:
                await self._users.insert_one(document)
            except DuplicateKeyError as error:
                pattern = (error.details or {}).get("keyPattern", {})
                return str(next(iter(pattern), "username"))
        return None

    async def by_id(self, userid: int) -> Document | None:
        return await self._by_id.get(userid)

    async def by_ids(self, userids: Sequence[int]) -> list[Document]:
        with storage():
            return await self._users.find({"_id": {"$in": list(userids)}}).to_list(None)

    async def by_name(self, field: Literal["username", "mobile"], value: str) -> Document | None:
        with storage():
            return await self._users.find_one({field: value})

    async def by_prefix(self, prefix: str, limit: int) -> list[Document]:
        query = {"username": {"$regex": f"^{re.escape(prefix)}"}}
        with storage():
            return await self._users.find(query).sort("username", 1).limit(limit).to_list(None)

    async def update(self, userid: int, changes: Mapping[str, Any]) -> None:
        with storage():
            await self._users.update_one({"_id": userid}, {"$set": dict(changes)})

    async def everyone(self) -> list[Document]:
        with storage():
            return await self._users.find().sort("_id", 1).to_list(None)

    async def pointer(self, userid: int) -> int:
        with storage():
            found = await self._pointers.find_one({"_id": userid})
        return int(found["xmpp"]) if found else 0

    async def move_pointers(self, pointers: Mapping[int, int]) -> None:
        moves = [
            UpdateOne({"_id": userid}, {"$max": {"xmpp": pointer}}, upsert=True)
            for userid, pointer in pointers.items()
        ]
        with storage():
            await self._pointers.bulk_write(moves, ordered=False)
