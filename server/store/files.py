"""Whose uploads are whose."""

from collections.abc import Sequence
from typing import Any

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage


class MongoUploads:
    """See :class:`server.ports.UploadStore`."""

    def __init__(self, files: Collection) -> None:
        self._files = files

    async def insert(self, document: Document) -> None:
        with storage():
            await self._files.insert_one(document)

    async def usage(self, userid: int, since_ms: int) -> tuple[int, int, int]:
        pipeline: list[Document] = [
            {"$match": {"userid": userid, "created": {"$gt": since_ms}}},
            {
                "$group": {
                    "_id": None,
                    "count": {"$sum": 1},
                    "bytes": {"$sum": "$size"},
                    "oldest": {"$min": "$created"},
                }
            },
        ]
        with storage():
            found = await self._files.aggregate(pipeline).to_list(None)
        return (found[0]["count"], found[0]["bytes"], found[0]["oldest"]) if found else (0, 0, 0)

    async def of_user(self, userid: int) -> list[Document]:
        query = {"userid": userid, "gone": {"$exists": False}}
        with storage():
            return await self._files.find(query).sort("created", 1).to_list(None)

    async def give_up(self, userid: int, keys: Sequence[str] | None, due: int) -> list[str]:
        query: dict[str, Any] = {"userid": userid}
        if keys is not None:
            query["_id"] = {"$in": list(keys)}
        with storage():
            await self._files.update_many(
                query, {"$set": {"gone": True, "due": due}, "$unset": {"name": ""}}
            )
            found = await self._files.find(query, {"_id": 1}).to_list(None)
        return [document["_id"] for document in found]

    async def due(self, now_ms: int, limit: int) -> list[Document]:
        with storage():
            found = self._files.find({"due": {"$lte": now_ms}}).sort("due", 1).limit(limit)
            return await found.to_list(limit)

    async def settle(self, key: str) -> None:
        with storage():
            await self._files.update_one(
                {"_id": key, "gone": {"$exists": False}}, {"$unset": {"due": ""}}
            )

    async def postpone(self, key: str, due: int) -> None:
        with storage():
            await self._files.update_one({"_id": key}, {"$set": {"due": due}})

    async def remove(self, key: str) -> None:
        with storage():
            await self._files.delete_one({"_id": key})
