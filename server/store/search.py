"""The search's terms, how far each conversation is indexed, and the texts that are looked at."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from server.errors import StorageAway
from server.model import MAX_ID, first_id_of
from server.ports import Document, Found, Scope, Stored, Terms
from server.store.driver import DURABLE
from server.store.failures import REFUSED_FOR_NOW, storage
from server.store.messages import A_DAY_MS, DUPLICATE_KEY, _keys, _stored, entry_key

QUICK = WriteConcern(w=1)
"""For marks: one that is lost is found again. Terms are durable before their mark is written."""
TERMS_INDEX = [("block", 1), ("grams", 1), ("id", -1)]
BLOCK = 128
"""Messages of a conversation whose terms are side by side in the index. They fill a few of its
pages, and a new message touches no more than these, however long the conversation. In return a
search has to begin anew in each block."""
MERGED = 200
"""Blocks in one query: of so many MongoDB merges the index's own order, of more it sorts."""


class MongoSearch:
    """See :class:`server.ports.SearchStore`. Keys are those of the messages.

    A message without text has no terms; one that was changed has some, be it none at all, so that
    what another node read before the change comes too late.
    """

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._messages = database.messages
        self._durable = database.messages.with_options(read_concern=ReadConcern("majority"))
        self._terms: AsyncCollection[Document] = database.terms
        self._marks: AsyncCollection[Document] = database.indexed

    async def marks(self, convs: Collection[str]) -> dict[str, int]:
        with storage():
            found = await self._marks.find({"_id": {"$in": list(convs)}}).to_list(None)
        return {mark["_id"]: int(mark["seq"]) for mark in found}

    async def mark(self, marks: Mapping[str, int]) -> None:
        moves = [
            UpdateOne({"_id": conv}, {"$max": {"seq": seq}}, upsert=True)
            for conv, seq in marks.items()
        ]
        with storage():
            await self._marks.with_options(write_concern=QUICK).bulk_write(moves, ordered=False)

    async def read(self, places: Sequence[tuple[str, int]]) -> list[Stored]:
        keys = [entry_key(conv, seq) for conv, seq in places]
        with storage():
            found = await self._durable.find({"_id": {"$in": keys}}).sort("_id", 1).to_list(None)
        for document in found:
            if document.get("recalled"):
                document.pop("content", None)
                document.pop("memo", None)
        return [_stored(document) for document in found]

    async def add(self, terms: Sequence[Terms]) -> None:
        # The bare command, as for messages: the driver need not look into each document.
        command: Document = {
            "insert": self._terms.name,
            "documents": [RawBSONDocument(bson.encode(_document(each))) for each in terms],
            "ordered": False,
            "writeConcern": DURABLE.document,
        }
        with storage():
            answer = await self._terms.database.command(command)
        if "writeConcernError" in answer:
            raise StorageAway("not yet on a majority")
        for failed in answer.get("writeErrors", ()):
            if failed["code"] in REFUSED_FOR_NOW:
                raise StorageAway(f"refused with code {failed['code']}")
            if failed["code"] != DUPLICATE_KEY:
                raise OperationFailure(failed["errmsg"], failed["code"])

    async def put(self, terms: Sequence[Terms]) -> None:
        writes = [
            ReplaceOne({"_id": entry_key(each.conv, each.seq)}, _document(each), upsert=True)
            for each in terms
        ]
        with storage():
            await self._terms.with_options(write_concern=DURABLE).bulk_write(writes, ordered=False)

    async def find(
        self, scope: Scope, upto_id: int, but: Sequence[Found], limit: int
    ) -> list[Found]:
        blocks = [
            _block(conv, first)
            for conv, (above, upto) in scope.spans.items()
            for first in range(above - above % BLOCK + 1, upto + 1, BLOCK)
        ]
        parts = [blocks[at : at + MERGED] for at in range(0, len(blocks), MERGED)]
        queries = [_query(scope, part, upto_id, but) for part in parts]
        found = await asyncio.gather(*(self._find(query, limit) for query in queries))
        return sorted((one for part in found for one in part), key=_newest_first)[:limit]

    async def _find(self, query: Document, limit: int) -> list[Found]:
        cursor = self._terms.find(query, {"id": 1}).sort("id", -1).limit(limit).hint(TERMS_INDEX)
        with storage():
            found = await cursor.to_list(limit)
        return [Found(*_place(each["_id"]), int(each["id"])) for each in found]

    async def sample(self, count: int) -> list[list[str]]:
        pipeline: list[Document] = [{"$sample": {"size": count}}, {"$project": {"grams": 1}}]
        with storage():
            found = await (await self._terms.aggregate(pipeline)).to_list(None)
        return [document["grams"] for document in found]


def _query(scope: Scope, blocks: Sequence[str], upto_id: int, but: Sequence[Found]) -> Document:
    if scope.until_ms is not None:
        upto_id = min(upto_id, first_id_of(scope.until_ms + A_DAY_MS))
    query: Document = {
        "block": {"$in": blocks},
        "grams": scope.grams[0],
        "id": {"$lte": upto_id, "$gte": min(first_id_of(scope.since_ms or 0), MAX_ID)},
    }
    if len(scope.grams) > 1:
        # In an expression, lest the planner tries each of them as the way into the index.
        query["$expr"] = {"$setIsSubset": [{"$literal": list(scope.grams[1:])}, "$grams"]}
    if scope.userid is not None:
        query["userid"] = scope.userid
    if scope.media is not None:
        query["media"] = scope.media
    if scope.since_ms is not None:
        query.setdefault("ts", {})["$gte"] = scope.since_ms
    if scope.until_ms is not None:
        query.setdefault("ts", {})["$lte"] = scope.until_ms
    if but:
        query["_id"] = {"$nin": [entry_key(each.conv, each.seq) for each in but]}
    # Only a block that is cut in two has others' messages in it.
    cut = [(conv, above) for conv, (above, _) in scope.spans.items() if above % BLOCK]
    if cut:
        query["$nor"] = [
            {"_id": _keys(conv, above - above % BLOCK, above + 1)} for conv, above in cut
        ]
    return query


def _place(key: str) -> tuple[str, int]:
    conv, _, seq = key.rpartition(":")
    return conv, int(seq)


def _block(conv: str, seq: int) -> str:
    return f"{conv}:{(seq - 1) // BLOCK}"


def _newest_first(found: Found) -> tuple[int, str]:
    return -found.id, found.conv


def _document(terms: Terms) -> Document:
    return {
        "_id": entry_key(terms.conv, terms.seq),
        "block": _block(terms.conv, terms.seq),
        "id": terms.id,
        "userid": terms.userid,
        "media": terms.media,
        "ts": terms.ts,
        "grams": terms.grams,
    }
