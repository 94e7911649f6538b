"""The conversations' log and the list of 1:1 conversations."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import bson
import msgspec
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern

from server.errors import StorageAway
from server.model import VOID, Message
from server.ports import Document, Inserted, Placed, Stored
from server.store.driver import DURABLE, Collection
from server.store.failures import REFUSED_FOR_NOW, storage

DUPLICATE_KEY = 11000
LARGEST_SEQ = 10**16 - 1
LARGEST_DOCUMENT = 8 * 1024 * 1024
MESSAGES = {"$in": [10, 11]}

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class MongoMessages:
    """See :class:`server.ports.MessageStore`. ``_id`` is ``<conv>:<seq in 16 digits>``.

    So ``_id`` makes (conv, seq) unique and is what a conversation is read by. Ids rise with seq,
    as the writer sees to, and so are unique within a conversation too.
    """

    def __init__(self, collection: AsyncCollection[Document], write_timeout_s: float) -> None:
        self._collection = collection
        self._write_timeout_s = write_timeout_s
        self._durable = collection.with_options(read_concern=ReadConcern("majority"))
        self._voids = collection.with_options(write_concern=DURABLE)
        # Typed as plain documents by with_options, whatever the codec makes of them.
        self._raw: Any = collection.with_options(codec_options=_RAW)
        self._raw_durable: Any = self._raw.with_options(read_concern=ReadConcern("majority"))

    def encode(self, entry: Stored, owners: Sequence[int]) -> bytes:
        message = entry.message
        document: Document = {"_id": _key(entry.conv, message.seq), "conv": entry.conv}
        # Without the empty fields: Message omits its defaults.
        document |= msgspec.to_builtins(message)
        if entry.xml:
            document["xml"] = entry.xml
        document["owners"] = owners
        try:
            encoded = bson.encode(document)
        except (bson.errors.BSONError, OverflowError, UnicodeError) as error:
            raise ValueError(type(error).__name__) from error
        if len(encoded) > LARGEST_DOCUMENT:
            raise ValueError("too large")
        return encoded

    async def insert(self, documents: Sequence[bytes]) -> Inserted:
        # The bare command: insert_many would look into each document, which are encoded already.
        command: Document = {
            "insert": self._collection.name,
            "documents": [RawBSONDocument(document) for document in documents],
            "ordered": True,
            "writeConcern": DURABLE.document,
        }
        with storage(self._write_timeout_s):
            answer = await self._collection.database.command(command)
        if "writeConcernError" in answer:
            raise StorageAway("not yet on a majority")
        if "writeErrors" not in answer:
            return Inserted(len(documents), "")
        failed = answer["writeErrors"][0]
        if failed["code"] == DUPLICATE_KEY:
            return Inserted(failed["index"], "place" if "_id" in failed["keyPattern"] else "cid")
        if failed["code"] in REFUSED_FOR_NOW:
            raise StorageAway(f"refused with code {failed['code']}")
        raise OperationFailure(failed["errmsg"], failed["code"])

    async def stored_prefix(self, placed: Sequence[Placed]) -> int:
        keys = [_key(each.conv, each.message.seq) for each in placed]
        found: dict[str, bytes] = {}
        with storage():
            for document in await self._raw_durable.find({"_id": {"$in": keys}}).to_list(None):
                found[document["_id"]] = document.raw
        count = 0
        for key, each in zip(keys, placed, strict=True):
            if found.get(key) != each.document:
                break
            count += 1
        return count

    async def is_there(self, placed: Placed) -> bool:
        with storage():
            found = await self._raw.find_one({"_id": _key(placed.conv, placed.message.seq)})
        return found is not None and found.raw == placed.document

    async def by_cids(self, conv: str, userid: int, cids: Sequence[str]) -> dict[str, Message]:
        query = {"conv": conv, "userid": userid, "cid": {"$in": list(cids)}}
        with storage():
            documents = await self._durable.find(query).to_list(None)
        return {found["cid"]: _message(found) for found in documents}

    async def last(self, conv: str) -> Message | None:
        with storage():
            found = await self._collection.find_one({"_id": _keys(conv)}, sort=[("_id", -1)])
        return _message(found) if found else None

    async def lasts(self, convs: Sequence[str]) -> dict[str, Message]:
        found = await asyncio.gather(*(self.last(conv) for conv in convs))
        return {conv: last for conv, last in zip(convs, found, strict=True) if last is not None}

    async def page(
        self, conv: str, *, above: int, after: int | None, before: int | None, limit: int
    ) -> list[Message]:
        keys = _keys(conv, max(above, after or 0), before)
        cursor = self._durable.find({"_id": keys}).sort("_id", -1 if after is None else 1)
        cursor.limit(limit)
        with storage():
            found = [_message(document) for document in await cursor.to_list(limit)]
        return found if after is not None else found[::-1]

    async def entries(self, conv: str, after: int, before: int | None, limit: int) -> list[Stored]:
        cursor = self._durable.find({"_id": _keys(conv, after, before)}).sort("_id", 1)
        with storage():
            return [_stored(found) for found in await cursor.limit(limit).to_list(limit)]

    async def newest(self, owners: Sequence[int], after_id: int, before_id: int) -> dict[str, int]:
        pipeline: list[Document] = [
            {
                "$match": {
                    "owners": {"$in": list(owners)},
                    "id": {"$gt": after_id, "$lt": before_id},
                }
            },
            {"$group": {"_id": "$conv", "seq": {"$max": "$seq"}}},
        ]
        with storage():
            found = await (await self._durable.aggregate(pipeline)).to_list(None)
        return {each["_id"]: int(each["seq"]) for each in found}

    async def void(self, conv: str, seq: int, ts: int) -> None:
        document = {"_id": _key(conv, seq), "conv": conv, "cmd": VOID, "seq": seq, "ts": ts}
        with storage(self._write_timeout_s), suppress(DuplicateKeyError):
            await self._voids.insert_one(document)

    async def count_of_others(self, conv: str, userid: int, above: int) -> int:
        query = {"_id": _keys(conv, above), "userid": {"$ne": userid}, "cmd": MESSAGES}
        with storage():
            return int(await self._collection.count_documents(query))

    async def archive(
        self,
        owner: int,
        *,
        conv: str | None,
        start_ms: int | None,
        end_ms: int | None,
        after_id: int | None,
        before_id: int | None,
        limit: int,
        backward: bool,
    ) -> list[Stored]:
        query = _archive_query(owner, conv, start_ms, end_ms, after_id, before_id)
        cursor = self._durable.find(query).sort("id", -1 if backward else 1).limit(limit)
        with storage():
            found = [_stored(document) for document in await cursor.to_list(limit)]
        return found[::-1] if backward else found

    async def archive_count(
        self,
        owner: int,
        *,
        conv: str | None,
        start_ms: int | None,
        end_ms: int | None,
        before_id: int | None = None,
    ) -> int:
        query = _archive_query(owner, conv, start_ms, end_ms, None, before_id)
        with storage():
            return int(await self._durable.count_documents(query))

    async def archive_has(self, owner: int, message_id: int) -> bool:
        with storage():
            found = await self._durable.find_one({"owners": owner, "id": message_id}, {"_id": 1})
        return found is not None

    async def missed(self, userid: int, after_id: int, limit: int) -> list[Stored]:
        query = {
            "owners": userid,
            "id": {"$gt": after_id},
            "userid": {"$ne": userid},
            "cmd": MESSAGES,
        }
        cursor = self._durable.find(query).sort("id", -1).limit(limit)
        with storage():
            found = [_stored(document) for document in await cursor.to_list(limit)]
        return found[::-1]


class MongoConversations:
    """See :class:`server.ports.ConversationStore`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def add(self, conv: str, members: Sequence[int]) -> None:
        with storage():
            try:
                await self._collection.update_one(
                    {"_id": conv}, {"$setOnInsert": {"members": list(members)}}, upsert=True
                )
            except DuplicateKeyError:
                return  # another node was first

    async def of_user(self, userid: int) -> list[str]:
        with storage():
            found = await self._collection.find({"members": userid}).to_list(None)
        return [document["_id"] for document in found]


def _key(conv: str, seq: int) -> str:
    return f"{conv}:{seq:016d}"


def _keys(conv: str, above: int = 0, before: int | None = None) -> Document:
    """The keys of a conversation's entries with ``above`` < seq < ``before``."""
    return {"$gt": _key(conv, above), "$lt": _key(conv, LARGEST_SEQ if before is None else before)}


def _message(document: Document) -> Message:
    return msgspec.convert(document, Message)


def _stored(document: Document) -> Stored:
    return Stored(_message(document), document.get("xml", ""), document["conv"])


def _archive_query(
    owner: int,
    conv: str | None,
    start_ms: int | None,
    end_ms: int | None,
    after_id: int | None,
    before_id: int | None,
) -> Document:
    query: Document = {"owners": owner}
    if conv is not None:
        query["conv"] = conv
    bounds = (
        ("ts", "$gte", start_ms),
        ("ts", "$lte", end_ms),
        ("id", "$gt", after_id),
        ("id", "$lt", before_id),
    )
    for field, operator, value in bounds:
        if value is not None:
            query.setdefault(field, {})[operator] = value
    return query
