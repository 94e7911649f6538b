"""Which node has whose connections, and which nodes are alive."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import InsertOne, UpdateOne
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

    async def edit(self, edits: Mapping[str, Mapping[str, Any]]) -> None:
        with storage():
            await self._connections.bulk_write(
                [UpdateOne({"_id": key}, {"$set": dict(edits[key])}) for key in edits],
                ordered=False,
            )

    async def hush(self, keys: Sequence[str]) -> None:
        with storage():
            await self._connections.update_many(
                {"_id": {"$in": list(keys)}}, {"$unset": {"state": ""}}
            )

    async def remove(self, keys: Sequence[str]) -> None:
        with storage():
            await self._connections.delete_many({"_id": {"$in": list(keys)}})

    async def of_users(self, userids: Sequence[int]) -> list[Document]:
        with storage():
            return await self._connections.find({"userid": {"$in": list(userids)}}).to_list(None)

    async def of_node(self, node: str) -> list[Document]:
        with storage():
            return await self._connections.find({"node": node}).to_list(None)

    async def nodes(self) -> list[str]:
        with storage():
            return list(await self._connections.distinct("node"))

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


class MongoPresences:
    """See :class:`server.ports.PresenceStore`. Who is ``gone`` is forgotten a day later."""

    def __init__(self, presences: Collection) -> None:
        self._presences = presences

    async def of_users(self, userids: Sequence[int]) -> list[Document]:
        with storage():
            return await self._presences.find({"_id": {"$in": list(userids)}}).to_list(None)

    async def replace(self, documents: Sequence[Document]) -> set[int]:
        changes = []
        for each in documents:
            fields = {**each, "v": each["v"] + 1}
            del fields["_id"]
            change: Document = {"$set": fields, "$unset": {"gone": ""}}
            if each["state"] == "offline":
                change = {"$set": {**fields, "gone": datetime.now(UTC)}}
            changes.append(UpdateOne({"_id": each["_id"], "v": each["v"]}, change, upsert=True))
        with storage():
            try:
                await self._presences.bulk_write(changes, ordered=False)
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if any(one["code"] != DUPLICATE_KEY for one in failed):
                    raise
                # One of another version is there, so the upsert ran into its _id.
                return {documents[one["index"]]["_id"] for one in failed}
        return set()
