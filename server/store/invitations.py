"""Ways into groups: invitation links and requests."""

from datetime import UTC, datetime

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage


class MongoInvitations:
    """See :class:`server.ports.InvitationStore`. A request's ``_id`` is ``<gid>:<userid>``."""

    def __init__(self, invitations: Collection, requests: Collection) -> None:
        self._invitations = invitations
        self._requests = requests

    async def insert(self, invitation: Document) -> None:
        with storage():
            await self._invitations.insert_one(_dated(invitation))

    async def get(self, code: str, now_ms: int) -> Document | None:
        with storage():
            found = await self._invitations.find_one({"_id": code, **_usable(now_ms)})
        return _plain(found) if found else None

    async def use(self, code: str) -> bool:
        with storage():
            result = await self._invitations.update_one(
                {"_id": code, "uses": {"$gt": 0}}, {"$inc": {"uses": -1}}
            )
        return bool(result.matched_count)

    async def of_group(self, gid: int, now_ms: int) -> list[Document]:
        query = {"gid": gid, **_usable(now_ms)}
        with storage():
            found = await self._invitations.find(query).sort("created", 1).to_list(None)
        return [_plain(invitation) for invitation in found]

    async def remove(self, gid: int, invitation: int) -> bool:
        with storage():
            result = await self._invitations.delete_one({"gid": gid, "id": invitation})
        return bool(result.deleted_count)

    async def add_request(self, request: Document) -> Document:
        with storage():
            stored: Document = await self._requests.find_one_and_update(
                {"_id": request["_id"]},
                {"$setOnInsert": _dated(request)},
                upsert=True,
                return_document=True,
            )
        return _plain(stored)

    async def get_request(self, gid: int, userid: int) -> Document | None:
        with storage():
            found = await self._requests.find_one({"_id": f"{gid}:{userid}"})
        return _plain(found) if found else None

    async def requests(self, gid: int, after: int, limit: int) -> list[Document]:
        query = {"gid": gid, "userid": {"$gt": after}}
        with storage():
            found = await self._requests.find(query).sort("userid", 1).limit(limit).to_list(None)
        return [_plain(request) for request in found]

    async def count_requests(self, gid: int) -> int:
        with storage():
            return int(await self._requests.count_documents({"gid": gid}))

    async def remove_request(self, gid: int, userid: int) -> bool:
        with storage():
            result = await self._requests.delete_one({"_id": f"{gid}:{userid}"})
        return bool(result.deleted_count)

    async def remove_requests_of(self, userid: int) -> None:
        with storage():
            await self._requests.delete_many({"userid": userid})


def _usable(now_ms: int) -> Document:
    """Those without ``uses`` can be used as often as one likes."""
    return {"expires": {"$gt": _date(now_ms)}, "uses": {"$ne": 0}}


def _date(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _dated(document: Document) -> Document:
    """The TTL index asks for a date."""
    return {**document, "expires": _date(document["expires"])}


def _plain(document: Document) -> Document:
    expires = document["expires"].replace(tzinfo=UTC)  # the driver's times do not say so
    return {**document, "expires": round(expires.timestamp() * 1000)}
