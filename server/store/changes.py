"""Changes that all nodes read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage

MOST = 10_000


class MongoChanges:
    """See :class:`server.ports.ChangeStore`. ``at`` is the database's clock, not the nodes'."""

    def __init__(self, changes: Collection) -> None:
        self._changes = changes

    def new_id(self) -> Any:
        return ObjectId()

    async def now(self) -> datetime:
        with storage():
            answer = await self._changes.database.client.admin.command("hello")
        return _utc(answer["localTime"])

    async def add(self, change: Document) -> datetime:
        fields = {name: {"$literal": value} for name, value in change.items() if name != "_id"}
        with storage():
            added = await self._changes.find_one_and_update(
                {"_id": change["_id"]},
                [{"$set": {**fields, "at": "$$NOW"}}],
                upsert=True,
                return_document=True,
            )
        return _utc(added["at"])

    async def since(self, at: datetime, but: Sequence[Any] = ()) -> list[Document]:
        query = {"at": {"$gte": at}, "_id": {"$nin": list(but)}}
        with storage():
            found = await self._changes.find(query).sort("at", 1).to_list(MOST)
        for change in found:
            change["at"] = _utc(change["at"])
        return found


def _utc(moment: datetime) -> datetime:
    """The driver's times are UTC and do not say so."""
    return moment.replace(tzinfo=UTC)
