"""Groups and their members."""

from collections.abc import Collection as Ids
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError, OperationFailure

from server.model import Role
from server.ports import Document
from server.store.driver import DURABLE, Collection
from server.store.failures import storage
from server.store.lookup import Lookup

WRITE_CONFLICT = 112
"""With another transaction, which came first."""
OF_GROUPS: Document = {"gid": {"$exists": True}}


class MongoGroups:
    """See :class:`server.ports.GroupStore`. A member's ``_id`` is ``<gid>:<userid>``."""

    def __init__(self, groups: Collection, members: Collection, requests: Collection) -> None:
        self._groups = groups
        self._members = members
        self._requests = requests
        self._by_user = Lookup(members, "userid", OF_GROUPS)

    async def insert(self, group: Document, members: Sequence[Document]) -> bool:
        with storage():
            await self._members.insert_many(list(members))
            try:
                await self._groups.insert_one(group)
            except DuplicateKeyError:
                await self._members.delete_many({"gid": group["_id"]})
                return False
        return True

    async def get(self, gid: int) -> Document | None:
        with storage():
            return await self._groups.find_one({"_id": gid})

    async def by_slug(self, slug: str) -> int | None:
        with storage():
            found = await self._groups.find_one({"slug": slug}, {"_id": 1})
        return found["_id"] if found else None

    async def cast_out(self, gid: int, userid: int, is_out: bool) -> bool:
        change = {"$addToSet" if is_out else "$pull": {"outcasts": userid}}
        with storage():
            result = await self._groups.update_one({"_id": gid}, change)
        return bool(result.modified_count)

    async def update(self, gid: int, changes: Mapping[str, Any]) -> bool:
        with storage():
            result = await self._groups.update_one({"_id": gid}, {"$set": dict(changes)})
        return bool(result.matched_count)

    async def members(self, gid: int, userids: Ids[int] | None = None) -> list[Document]:
        query: Document = {"gid": gid}
        if userids is not None:
            query["userid"] = {"$in": list(userids)}
        with storage():
            return await self._members.find(query).to_list(None)

    async def page(self, gid: int, after: int, limit: int) -> list[Document]:
        query = {"gid": gid, "userid": {"$gt": after}}
        with storage():
            return await self._members.find(query).sort("userid", 1).limit(limit).to_list(None)

    async def of_user(self, userid: int) -> list[Document]:
        with storage():
            return await self._members.find({"userid": userid, **OF_GROUPS}).to_list(None)

    async def gids_of(self, userid: int) -> list[int]:
        return [member["gid"] for member in await self._by_user.all(userid)]

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
                is_new = True
            except DuplicateKeyError:
                is_new = False
            await self._requests.delete_one({"_id": member["_id"]})
        return is_new

    async def update_member(
        self, gid: int, userid: int, changes: Mapping[str, Any], roles: Sequence[Role]
    ) -> bool:
        with storage():
            result = await self._members.update_one(
                _member(gid, userid, roles), {"$set": dict(changes)}
            )
        return bool(result.matched_count)

    async def hand_over(self, gid: int, old: int, new: int) -> bool:
        steps: list[tuple[Collection, Document, Document]] = [
            (self._groups, {"_id": gid, "owner": old}, {"owner": new}),
            (self._members, _member(gid, old, ["owner"]), {"role": "admin"}),
            (
                self._members,
                _member(gid, new, ["admin", "member"]),
                {"role": "owner", "muted_until": 0},
            ),
        ]
        with storage():
            try:
                async with (
                    await self._groups.database.client.start_session() as session,
                    session.start_transaction(write_concern=DURABLE),
                ):
                    for collection, query, changes in steps:
                        changed = await collection.update_one(
                            query, {"$set": changes}, session=session
                        )
                        if not changed.matched_count:
                            await session.abort_transaction()
                            return False
            except OperationFailure as error:
                if error.code != WRITE_CONFLICT:
                    raise
                return False
        return True

    async def remove_member(self, gid: int, userid: int, roles: Sequence[Role]) -> bool:
        with storage():
            result = await self._members.delete_one(_member(gid, userid, roles))
        return bool(result.deleted_count)

    async def delete(self, gid: int) -> None:
        with storage():
            await self._members.delete_many({"gid": gid})
            await self._groups.delete_one({"_id": gid})


def _member(gid: int, userid: int, roles: Sequence[Role]) -> Document:
    return {"_id": f"{gid}:{userid}", "role": {"$in": list(roles)}}
