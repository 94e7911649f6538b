"""Which node has whose connections, and which nodes are alive."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import InsertOne
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.write_concern import WriteConcern

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage

DUPLICATE_KEY = 11000
QUICK = WriteConcern(w=1)
"""All of it is known to its node, which writes it again after a loss."""


class MongoConnections:
    """See :class:`server.ports.ConnectionStore`. Leases end by the database's clock."""

    def __init__(self, connections: Collection, nodes: Collection) -> None:
        self._connections = connections.with_options(write_concern=QUICK)
        self._nodes = nodes

    async def insert(self, documents: Sequence[Document]) -> None:
        with storage():
            try:
                await self._connections.bulk_write(
                    [InsertOne(document) for document in documents], ordered=False
                )
            except BulkWriteError as error:
                if any(one["code"] != DUPLICATE_KEY for one in error.details["writeErrors"]):
                    raise

    async def claim(self, document: Document) -> Document | None:
        with storage():
            try:
                await self._connections.insert_one(document)
            except DuplicateKeyError:
                return await self._connections.find_one(
                    {"userid": document["userid"], "resource": document["resource"]}
                )
        return None

    async def set(self, key: str, fields: Mapping[str, Any]) -> None:
        with storage():
            await self._connections.update_one({"_id": key}, {"$set": dict(fields)})

    async def remove(self, keys: Sequence[str]) -> None:
        with storage():
            await self._connections.delete_many({"_id": {"$in": list(keys)}})

    async def of_users(self, userids: Sequence[int]) -> list[Document]:
        with storage():
            return await self._connections.find({"userid": {"$in": list(userids)}}).to_list(None)

    async def of_node(self, node: str) -> list[Document]:
        with storage():
            return await self._connections.find({"node": node}).to_list(None)

    async def renew(self, node: str, lease_s: float) -> bool:
        expires = {"$add": ["$$NOW", int(lease_s * 1000)]}
        with storage():
            # Matches a lease that is good only: one that ran out begins anew.
            result = await self._nodes.update_one(
                {"_id": node, "$expr": {"$gt": ["$expires", "$$NOW"]}},
                [{"$set": {"expires": expires}}],
            )
            if result.matched_count:
                return True
            await self._nodes.update_one(
                {"_id": node}, [{"$set": {"expires": expires}}], upsert=True
            )
        return False

    async def alive(self) -> list[str]:
        with storage():
            found = await self._nodes.find({"$expr": {"$gt": ["$expires", "$$NOW"]}}).to_list(None)
        return [node["_id"] for node in found]

    async def bury(self, node: str) -> None:
        with storage():
            await self._connections.delete_many({"node": node})
            await self._nodes.delete_one({"_id": node})
