"""Accounts, the counter of ids, and the pointers of offline delivery."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage
from server.store.lookup import Lookup

QUICK = WriteConcern(w=1)
"""For what may be lost."""

_LIVING = {"deleted": {"$exists": False}}
_NAMES = {
    "$concatArrays": [
        {"$cond": [{"$ifNull": ["$username", False]}, ["$username"], []]},
        "$former.name",
    ]
}


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
                return _taken(error)
        return None

    async def by_id(self, userid: int) -> Document | None:
        return await self._by_id.get(userid)

    async def by_ids(self, userids: Sequence[int]) -> list[Document]:
        with storage():
            return await self._users.find({"_id": {"$in": list(userids)}}).to_list(None)

    async def by_name(self, field: Literal["username", "mobile"], value: str) -> Document | None:
        with storage():
            return await self._users.find_one({field: value, **_LIVING})

    async def by_prefix(self, prefix: str, limit: int) -> list[Document]:
        query = {"username": {"$regex": f"^{re.escape(prefix)}"}, **_LIVING}
        with storage():
            return await self._users.find(query).sort("username", 1).limit(limit).to_list(None)

    async def update(
        self, userid: int, changes: Mapping[str, Any], expected: Mapping[str, Any] = {}
    ) -> Literal["", "username", "mobile", "changed"]:
        given = {name: value for name, value in changes.items() if value is not None}
        gone = {name: "" for name, value in changes.items() if value is None}
        operators = {name: part for name, part in (("$set", given), ("$unset", gone)) if part}
        with storage():
            try:
                result = await self._users.update_one(
                    {"_id": userid, **_LIVING, **expected}, operators
                )
            except DuplicateKeyError as error:
                return _taken(error)
        return "" if result.matched_count else "changed"

    async def everyone(self) -> list[Document]:
        with storage():
            return await self._users.find(_LIVING).sort("_id", 1).to_list(None)

    async def used_app_passwords(self, used: Mapping[tuple[int, int], int]) -> None:
        moves = []
        for (userid, number), at in used.items():
            field = f"app_passwords.{number}"
            query = {"_id": userid, field: {"$exists": True}}
            moves.append(UpdateOne(query, {"$max": {f"{field}.used": at}}))
        with storage():
            await self._users.with_options(write_concern=QUICK).bulk_write(moves, ordered=False)

    async def free_names(self, now_ms: int) -> None:
        kept = {"$filter": {"input": "$former", "cond": {"$gt": ["$$this.until", now_ms]}}}
        with storage():
            await self._users.update_many(
                {"former.until": {"$lte": now_ms}},
                [{"$set": {"former": kept}}, {"$set": {"names": _NAMES}}],
            )

    async def take_leaver(self, before_ms: int, now_ms: int) -> int | None:
        with storage():
            found = await self._users.find_one_and_update(
                {"leaving": {"$lt": before_ms}}, {"$set": {"leaving": now_ms}}
            )
        return int(found["_id"]) if found else None

    async def strip(self, userid: int) -> None:
        kept = {name: f"${name}" for name in ("_id", "deleted", "leaving", "former")}
        with storage():
            await self._users.update_one(
                {"_id": userid, "deleted": {"$exists": True}},
                [{"$replaceWith": {**kept, "names": "$former.name"}}],
            )

    async def finish_leaving(self, userid: int) -> None:
        with storage():
            await self._users.update_one({"_id": userid}, {"$unset": {"leaving": ""}})

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

    async def forget_pointer(self, userid: int) -> None:
        with storage():
            await self._pointers.delete_one({"_id": userid})


def _taken(error: DuplicateKeyError) -> Literal["username", "mobile"]:
    """Which field's value another account has, or keeps."""
    return "mobile" if "mobile" in (error.details or {}).get("keyPattern", {}) else "username"
