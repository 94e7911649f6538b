"""What users publish by XMPP's personal eventing, and what their clients keep in private."""

import time
from collections.abc import AsyncIterator, Sequence
from collections.abc import Collection as SomeOf

from pymongo.errors import DuplicateKeyError

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage

BATCH = 100
"""Items are up to some hundred KB."""


class MongoPep:
    """See :class:`server.ports.PepStore`. ``seq``: the item's place in the order of its node.

    It goes on from the clock, so that of a node that was removed and made anew none comes again.
    """

    def __init__(self, nodes: Collection, items: Collection, private: Collection) -> None:
        self._nodes = nodes
        self._items = items
        self._private = private

    async def node(self, userid: int, node: str) -> Document | None:
        with storage():
            return await self._nodes.find_one({"_id": _key(userid, node)})

    async def nodes(self, userid: int) -> list[Document]:
        with storage():
            return await self._nodes.find({"userid": userid}).sort("node", 1).to_list(None)

    async def create(self, userid: int, node: str, config: Document, most: int) -> bool | None:
        made = {"_id": _key(userid, node), "userid": userid, "node": node, "config": config}
        with storage():
            if await self._nodes.count_documents({"userid": userid}, limit=most) >= most:
                return None
            try:
                await self._nodes.insert_one({**made, "seq": time.time_ns()})
            except DuplicateKeyError:
                return False
        return True

    async def configure(self, userid: int, node: str, config: Document) -> None:
        with storage():
            await self._nodes.update_one({"_id": _key(userid, node)}, {"$set": {"config": config}})

    async def put(self, userid: int, node: str, item: Document, keep: int) -> bool:
        with storage():
            found = await self._nodes.find_one_and_update(
                {"_id": _key(userid, node)},
                {"$inc": {"seq": 1}},
                projection={"seq": 1},
                return_document=True,
            )
            if found is None:
                return False
            which = {"userid": userid, "node": node, "item": item["item"]}
            seq = found["seq"]
            try:
                await self._items.update_one(
                    {**which, "seq": {"$lt": seq}}, {"$set": {**item, "seq": seq}}, upsert=True
                )
            except DuplicateKeyError:
                return True  # somebody has just replaced it
        await self.trim(userid, node, keep)
        return True

    async def trim(self, userid: int, node: str, keep: int) -> None:
        which = {"userid": userid, "node": node}
        with storage():
            found = self._items.find(which, {"seq": 1}).sort("seq", -1).skip(keep).limit(1)
            for oldest in await found.to_list(1):
                await self._items.delete_many({**which, "seq": {"$lte": oldest["seq"]}})

    async def items(
        self, userid: int, node: str, ids: Sequence[str] | None, limit: int
    ) -> list[Document]:
        query: Document = {"userid": userid, "node": node}
        if ids is not None:
            query["item"] = {"$in": list(ids)}
        with storage():
            return await self._items.find(query).sort("seq", -1).limit(limit).to_list(limit)

    async def last(self, userids: SomeOf[int], nodes: SomeOf[str]) -> AsyncIterator[Document]:
        which: Document = {"userid": {"$in": list(userids)}, "node": {"$in": list(nodes)}}
        newest = [
            {
                "$match": {
                    "$expr": {
                        "$and": [
                            {"$eq": ["$userid", "$$userid"]},
                            {"$eq": ["$node", "$$node"]},
                        ]
                    }
                }
            },
            {"$sort": {"seq": -1}},
            {"$limit": 1},
        ]
        pipeline: list[Document] = [
            {"$match": which},
            {
                "$lookup": {
                    "from": self._items.name,
                    "let": {"userid": "$userid", "node": "$node"},
                    "pipeline": newest,
                    "as": "items",
                }
            },
            {"$match": {"items": {"$ne": []}}},
        ]
        cursor = self._nodes.aggregate(pipeline, batchSize=BATCH)
        while True:
            with storage():
                batch = await cursor.to_list(BATCH)
            for each in batch:
                yield each
            if len(batch) < BATCH:
                return

    async def retract(self, userid: int, node: str, ids: Sequence[str]) -> int:
        query = {"userid": userid, "node": node, "item": {"$in": list(ids)}}
        with storage():
            return (await self._items.delete_many(query)).deleted_count

    async def purge(self, userid: int, node: str) -> None:
        with storage():
            await self._items.delete_many({"userid": userid, "node": node})

    async def remove(self, userid: int, node: str) -> bool:
        with storage():
            result = await self._nodes.delete_one({"_id": _key(userid, node)})
            await self._items.delete_many({"userid": userid, "node": node})
        return bool(result.deleted_count)

    async def private(self, userid: int, name: str) -> str:
        with storage():
            found = await self._private.find_one({"_id": _key(userid, name)})
        return found["xml"] if found else ""

    async def all_private(self, userid: int) -> list[str]:
        with storage():
            found = await self._private.find({"userid": userid}).sort("_id", 1).to_list(None)
        return [each["xml"] for each in found]

    async def keep_private(self, userid: int, name: str, xml: str, most: int) -> bool:
        key = _key(userid, name)
        with storage():
            known = await self._private.find_one({"_id": key}, {"_id": 1})
            if known is None:
                others = await self._private.count_documents({"userid": userid}, limit=most)
                if others >= most:
                    return False
            await self._private.update_one(
                {"_id": key}, {"$set": {"userid": userid, "xml": xml}}, upsert=True
            )
        return True

    async def forget(self, userid: int) -> None:
        with storage():
            for collection in (self._nodes, self._items, self._private):
                await collection.delete_many({"userid": userid})


def _key(userid: int, name: str) -> str:
    return f"{userid}:{name}"
