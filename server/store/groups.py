"""Groups and their members."""

from collections.abc import Sequence

from pymongo.errors import DuplicateKeyError

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage
from server.store.lookup import Lookup


class MongoGroups:
    """See :class:`server.ports.GroupStore`. A member's ``_id`` is ``<gid>:<userid>``."""

    def __init__(self, groups: Collection, members: Collection) -> None:
        self._groups = groups
        self._members = members
        self._by_user = Lookup(members, "userid")

    async def insert(self, group: Document, members: Sequence[Document]) -> None:
        with storage():
            await self._groups.insert_one(group)
            await self._members.insert_many(list(members))

    async def get(self, gid: int) -> Document | None:
        with storage():
            return await self._groups.find_one({"_id": gid})

    async def members(self, gid: int) -> list[Document]:
        with storage():
            return await self._members.find({"gid": gid}).to_list(None)

    async def of_user(self, userid: int) -> list[Document]:
        with storage():
            mine = self._members.find({"userid": userid, "gid": {"$exists": True}})
            return await mine.to_list(None)

    async def gids_of(self, userid: int) -> list[int]:
        places = await self._by_user.all(userid)
        return [place["gid"] for place in places if "gid" in place]

    async def by_ids(self, gids: Sequence[int]) -> list[Document]:
        with storage():
            found = self._groups.find({"_id": {"$in": list(gids)}}).sort("_id", 1)
            return await found.to_list(None)

    async def counts(self, gids: Sequence[int]) -> dict[int, int]:
        pipeline: list[Document] = [
            {"$match": {"gid": {"$in": list(gids)}}},
            {"$group": {"_id": "$gid", "count": {"$sum": 1}}},
        ]
        with storage():
            found = await self._members.aggregate(pipeline).to_list(None)
        return {entry["_id"]: entry["count"] for entry in found}

    async def add_member(self, member: Document) -> bool:
        with storage():
            try:
                await self._members.insert_one(member)
            except DuplicateKeyError:
                return False
        return True

    async def remove_member(self, gid: int, userid: int) -> bool:
        with storage():
            result = await self._members.delete_one({"_id": f"{gid}:{userid}"})
        return bool(result.deleted_count)

    async def delete(self, gid: int) -> None:
        with storage():
            await self._members.delete_many({"gid": gid})
            await self._groups.delete_one({"_id": gid})
