"""Where each user is in each conversation: pointers and settings, and by them the inbox."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern

from server.model import EPOCH_MS, GROUP, Tally, is_group
from server.ports import Document, End, Place, Pointer, Unread
from server.store.driver import DURABLE, TYPES
from server.store.failures import storage
from server.store.messages import TALLY, end_of

FRESH: Document = {"read": 0, "delivered": 0, "read_n": 0, "read_low": 0}
"""A place at the beginning of a conversation."""
_NOWHERE = End(0, 0, Tally())
_CONV = {"$ifNull": ["$conv", {"$concat": ["g", {"$toString": "$gid"}]}]}
_JOINED_ID = {"$multiply": [{"$subtract": ["$joined", EPOCH_MS]}, 4096]}
_LAST_ENTRY: Document = {
    "from": "messages",
    "let": {"conv": "$conv"},
    "as": "end",
    "pipeline": [
        {
            "$match": {
                "$expr": {
                    "$and": [
                        {"$gt": ["$_id", {"$concat": ["$$conv", ":"]}]},
                        {"$lt": ["$_id", {"$concat": ["$$conv", ";"]}]},
                    ]
                }
            }
        },
        {"$sort": {"_id": -1}},
        {"$limit": 1},
        {"$project": TALLY},
    ],
}


class MongoPlaces:
    """See :class:`server.ports.PlaceStore`.

    A group's members are places in it, ``_id`` ``<gid>:<userid>``; those in 1:1 conversations are
    beside them, ``_id`` ``<conv>:<userid>``.
    """

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        options: CodecOptions[Document] = CodecOptions(type_registry=TYPES)
        self._places = database.members.with_options(options, write_concern=DURABLE)
        durable = ReadConcern("majority")
        self._durable = self._places.with_options(read_concern=durable)
        self._messages = database.messages.with_options(options, read_concern=durable)

    async def add(self, conv: str, members: Sequence[int]) -> None:
        places = [
            UpdateOne(
                {"_id": place_id(conv, userid)},
                {"$setOnInsert": {"conv": conv, "userid": userid, **FRESH}},
                upsert=True,
            )
            for userid in members
        ]
        with storage():
            try:
                await self._places.bulk_write(places, ordered=False)
            except BulkWriteError:
                # Another node was first with one of them; a second time there is nothing to race.
                await self._places.bulk_write(places, ordered=False)

    async def of(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Document]:
        ids = {place_id(conv, userid): (conv, userid) for conv, userid in places}
        with storage():
            found = await self._places.find({"_id": {"$in": list(ids)}}).to_list(None)
        return {ids[place["_id"]]: place for place in found}

    async def of_conversation(self, conv: str) -> list[Document]:
        if is_group(conv):
            query: Document = {"gid": int(conv[1:])}
        else:
            users = {int(userid) for userid in conv.split("-")}
            query = {"_id": {"$in": [place_id(conv, userid) for userid in users]}}
        with storage():
            return await self._places.find(query).sort("userid", 1).to_list(None)

    async def singles_of(self, userid: int) -> list[str]:
        mine = self._places.find({"userid": userid, "conv": {"$exists": True}}, {"conv": 1})
        with storage():
            return [place["conv"] for place in await mine.to_list(None)]

    async def move(self, pointers: Sequence[Pointer]) -> None:
        moves = []
        for conv, userid, read, delivered, tally in pointers:
            mine = place_id(conv, userid)
            moves.append(UpdateOne({"_id": mine}, {"$max": {"delivered": delivered}}))
            if read:
                behind = {"_id": mine, "read": {"$lt": read}}
                at = {"read": read, "read_n": tally.messages, "read_low": tally.low}
                moves.append(UpdateOne(behind, {"$set": at}))
        with storage():
            await self._places.bulk_write(moves, ordered=False)

    async def set(self, conv: str, userid: int, fields: Mapping[str, Any], since: int) -> bool:
        mine, is_single = place_id(conv, userid), not is_group(conv)
        update: Document = {"$set": dict(fields)}
        if is_single:
            update["$setOnInsert"] = {"conv": conv, "userid": userid, "since": since, **FRESH}
        with storage():
            try:
                result = await self._places.update_one({"_id": mine}, update, upsert=is_single)
            except DuplicateKeyError:  # the conversation began in this moment
                result = await self._places.update_one({"_id": mine}, {"$set": dict(fields)})
        return bool(result.matched_count or result.upserted_id is not None)

    async def inbox(self, userid: int, before: tuple[int, str] | None, limit: int) -> list[Place]:
        pipeline: list[Document] = [
            {"$match": {"userid": userid}},
            {"$set": {"conv": _CONV}},
            {"$lookup": _LAST_ENTRY},
            {"$set": {"end": {"$first": "$end"}}},
            {"$set": {"order": {"$ifNull": [{"$max": ["$end.id", _JOINED_ID]}, "$since"]}}},
            # A 1:1 conversation begins with its first message, or with what is set of it.
            {"$match": {"order": {"$ne": None}}},
        ]
        if before is not None:
            order, conv = before
            earlier = [{"order": {"$lt": order}}, {"order": order, "conv": {"$lt": conv}}]
            pipeline.append({"$match": {"$or": earlier}})
        pipeline += [{"$sort": {"order": -1, "conv": -1}}, {"$limit": limit}]
        with storage():
            found = await (await self._durable.aggregate(pipeline)).to_list(None)
        places = []
        for fields in found:
            end = fields.pop("end", None)
            end = end_of(end) if end else _NOWHERE
            places.append(Place(fields.pop("conv"), fields.pop("order"), end, fields))
        return places

    async def unread(self, userid: int, above: Mapping[str, int]) -> Unread:
        groups = {conv: seq for conv, seq in above.items() if is_group(conv)}
        others = {"userid": {"$ne": userid}}
        with storage():
            recalled, mentions = await asyncio.gather(
                self._count({"recalled": True, **others}, _spans(above)),
                self._count({"at": {"$in": [userid, 0]}, **others}, _spans(groups)),
            )
        return Unread(recalled, set(mentions))

    async def sent(self, userid: int, spans: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        wanted = [
            {"conv": conv, "seq": {"$gt": above, "$lte": upto}}
            for conv, (above, upto) in spans.items()
        ]
        with storage():
            return await self._count({"cmd": GROUP, "userid": userid}, wanted)

    async def _count(self, match: Document, spans: Sequence[Document]) -> dict[str, int]:
        if not spans:
            return {}
        pipeline: list[Document] = [
            {"$match": match | {"$or": spans}},
            {"$group": {"_id": "$conv", "count": {"$sum": 1}}},
        ]
        found = await (await self._messages.aggregate(pipeline)).to_list(None)
        return {each["_id"]: each["count"] for each in found}

    async def forget_user(self, userid: int) -> None:
        with storage():
            await self._places.delete_many({"userid": userid, "gid": {"$exists": False}})


def _spans(above: Mapping[str, int]) -> list[Document]:
    """Together those with the same pointer, which mostly is 0: each costs as much as many keys."""
    convs: dict[int, list[str]] = {}
    for conv, seq in above.items():
        convs.setdefault(seq, []).append(conv)
    return [{"conv": {"$in": each}, "seq": {"$gt": seq}} for seq, each in convs.items()]


def place_id(conv: str, userid: int) -> str:
    return f"{conv[1:]}:{userid}" if is_group(conv) else f"{conv}:{userid}"
