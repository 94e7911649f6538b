"""Pairs of users who are contacts or asked to be, and who blocks whom."""

import time

from pymongo.errors import DuplicateKeyError

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage
from server.store.lookup import Lookup


class MongoContacts:
    """See :class:`server.ports.ContactStore`."""

    def __init__(self, contacts: Collection) -> None:
        self._contacts = contacts
        self._by_user = Lookup(contacts, "users", fields=("users", "sees"))

    async def get(self, pair: str) -> Document | None:
        with storage():
            return await self._contacts.find_one({"_id": pair})

    async def put(self, document: Document) -> bool:
        # Of a pair that was removed and made anew, no version comes again.
        newer = {**document, "v": time.time_ns()}
        with storage():
            if "v" in document:
                known = {"_id": document["_id"], "v": document["v"]}
                result = await self._contacts.replace_one(known, newer)
                return bool(result.matched_count)
            try:
                await self._contacts.insert_one(newer)
            except DuplicateKeyError:
                return False
        return True

    async def remove(self, document: Document) -> bool:
        with storage():
            result = await self._contacts.delete_one({"_id": document["_id"], "v": document["v"]})
        return bool(result.deleted_count)

    async def of_user(self, userid: int) -> list[Document]:
        with storage():
            return await self._contacts.find({"users": userid}).to_list(None)

    async def watchers(self, userid: int) -> list[int]:
        found = await self._by_user.all(userid)
        return [other for each in found for other in each["sees"] if other != userid]

    async def count(self, userid: int) -> tuple[int, int]:
        item = f"items.{userid}"
        with storage():
            own = await self._contacts.count_documents({"users": userid, item: {"$exists": True}})
            others = await self._contacts.count_documents(
                {"users": userid, item: {"$exists": False}}
            )
        return own, others

    async def forget(self, userid: int) -> None:
        with storage():
            await self._contacts.delete_many({"users": userid})


class MongoBlocks:
    """See :class:`server.ports.BlockStore`. ``_id`` is who blocks, ``blocked`` whom."""

    def __init__(self, blocks: Collection) -> None:
        self._blocks = blocks
        self._by_owner = Lookup(blocks)
        self._by_blocked = Lookup(blocks, "blocked", fields=("blocked",))

    async def of_user(self, userid: int) -> list[int]:
        found = await self._by_owner.get(userid)
        return list(found["blocked"]) if found else []

    async def blockers(self, userid: int) -> list[int]:
        return [each["_id"] for each in await self._by_blocked.all(userid)]

    async def add(self, userid: int, other: int, most: int) -> bool:
        room = {"_id": userid, f"blocked.{most - 1}": {"$exists": False}}
        with storage():
            try:
                await self._blocks.update_one(room, {"$addToSet": {"blocked": other}}, upsert=True)
            except DuplicateKeyError:
                return False  # there is a list, and it has no room
        return True

    async def remove(self, userid: int, other: int) -> None:
        with storage():
            await self._blocks.update_one({"_id": userid}, {"$pull": {"blocked": other}})

    async def forget(self, userid: int) -> None:
        with storage():
            await self._blocks.delete_one({"_id": userid})
            await self._blocks.update_many({"blocked": userid}, {"$pull": {"blocked": userid}})
