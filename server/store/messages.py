"""The conversations' log."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import bson
import msgspec
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern

from server.clients import now_ms
from server.errors import StorageAway
from server.model import (
    ACTS,
    EDIT,
    GROUP,
    REACTION,
    RECALL,
    SINGLE,
    VOID,
    Known,
    Message,
    Names,
    Tally,
    first_id_of,
    is_group,
)
from server.ports import Act, Document, End, Inserted, Placed, Stored
from server.store.driver import DURABLE
from server.store.failures import REFUSED_FOR_NOW, storage

TALLY = {"conv": 1, "seq": 1, "id": 1, "n": 1, "low": 1, "top": 1}
_CONTENT = dict.fromkeys(
    ("media", "content", "pic", "url", "memo", "amount", "at", "ref", "edited", "reactions"),
    1,
)
"""What a recall takes away."""
RECENT = 200
"""Entries that are looked through for a name."""
UNAPPLIED_MS = 5000
"""So long an act that is not applied is kept from those who follow the log: it soon will be."""
COUNTED = 10_000
"""Of more entries of an archive nobody is told how many there are."""
A_DAY_MS = 86_400_000
"""So far at most a message's id is ahead of its time, after a clock that jumped."""
EDITS = 50
"""Those of a recalled message that are read at once."""
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

    def encode(self, entry: Stored, owners: Sequence[int], tally: Tally) -> bytes:
        message = entry.message
        document: Document = {"_id": entry_key(entry.conv, message.seq), "conv": entry.conv}
        # Without the empty fields: Message omits its defaults.
        document |= msgspec.to_builtins(message)
        if entry.xml:
            document["xml"] = entry.xml
        document["owners"] = owners
        document["n"] = tally.messages
        if tally.low:
            document["low"] = tally.low
        if message.cmd in ACTS:
            document["top"] = tally.top
            document["todo"] = True
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
        keys = [entry_key(each.conv, each.message.seq) for each in placed]
        found: dict[str, RawBSONDocument] = {}
        with storage():
            for document in await self._raw_durable.find({"_id": {"$in": keys}}).to_list(None):
                found[document["_id"]] = document
        count = 0
        for key, each in zip(keys, placed, strict=True):
            if not _is_same(found.get(key), each):
                break
            count += 1
        return count

    async def is_there(self, placed: Placed) -> bool:
        with storage():
            found = await self._raw.find_one({"_id": entry_key(placed.conv, placed.message.seq)})
        return _is_same(found, placed)

    async def by_cids(self, conv: str, userid: int, cids: Sequence[str]) -> dict[str, Known]:
        query = {"conv": conv, "userid": userid, "cid": {"$in": list(cids)}}
        with storage():
            documents = await self._durable.find(query).to_list(None)
        return {found["cid"]: _known(found) for found in documents}

    async def by_id(self, conv: str, message_id: int) -> Known | None:
        query = {"owners": _owner(conv), "id": message_id, "conv": conv, "cmd": MESSAGES}
        with storage():
            found = await self._durable.find_one(query)
        return _known(found) if found else None

    async def at(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Stored]:
        query = {"_id": {"$in": [entry_key(conv, seq) for conv, seq in places]}}
        with storage():
            documents = await self._durable.find(query).to_list(None)
        return {(found["conv"], found["seq"]): _stored(found) for found in documents}

    async def tallies(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Tally]:
        query = {"_id": {"$in": [entry_key(conv, seq) for conv, seq in places]}}
        with storage():
            documents = await self._durable.find(query, TALLY).to_list(None)
        return {(found["conv"], found["seq"]): tally_of(found) for found in documents}

    async def last(self, conv: str) -> End | None:
        with storage():
            found = await self._collection.find_one({"_id": _keys(conv)}, TALLY, sort=[("_id", -1)])
        return end_of(found) if found else None

    async def lasts(self, convs: Sequence[str]) -> dict[str, End]:
        found = await asyncio.gather(*(self.last(conv) for conv in convs))
        return {conv: end for conv, end in zip(convs, found, strict=True) if end is not None}

    async def page(
        self, conv: str, *, above: int, after: int | None, before: int | None, limit: int
    ) -> list[Message]:
        keys = _keys(conv, max(above, after or 0), before)
        cursor = self._durable.find({"_id": keys}).sort("_id", -1 if after is None else 1)
        cursor.limit(limit)
        with storage():
            found = [message_of(document) for document in await cursor.to_list(limit)]
        return found if after is not None else found[::-1]

    async def entries(self, conv: str, after: int, before: int | None, limit: int) -> list[Stored]:
        cursor = self._durable.find({"_id": _keys(conv, after, before)}).sort("_id", 1)
        now = now_ms()
        fresh = range(first_id_of(now - UNAPPLIED_MS), first_id_of(now + UNAPPLIED_MS))
        entries = []
        with storage():
            for found in await cursor.limit(limit).to_list(limit):
                if "todo" in found and int(found["id"]) in fresh:
                    break
                entries.append(_stored(found))
        return entries

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
        with storage(self._write_timeout_s), suppress(DuplicateKeyError):
            before = await self._collection.find_one(
                {"_id": _keys(conv, before=seq)}, TALLY, sort=[("_id", -1)]
            )
            tally = tally_of(before) if before else Tally()
            counts = {"n": tally.messages, "low": tally.low, "top": tally.top}
            document = {
                "_id": entry_key(conv, seq),
                "conv": conv,
                "cmd": VOID,
                "seq": seq,
                "ts": ts,
            }
            await self._voids.insert_one(document | counts)

    async def apply(
        self, acts: Sequence[Act], digest: Callable[[Message], bytes]
    ) -> set[tuple[str, int]]:
        done = [
            UpdateOne({"_id": entry_key(act.conv, act.entry.seq)}, {"$unset": {"todo": 1}})
            for act in acts
        ]
        updates = [one for act in acts for one in _updates(act)]
        changed = [act for act in acts if act.entry.cmd != REACTION]
        if not changed:
            with storage(self._write_timeout_s):
                await self._voids.bulk_write(updates + done)
            return set()
        with storage(self._write_timeout_s):
            await self._voids.bulk_write(updates)
            # After the recall is marked: an edit is seen here, or sees the mark itself, or the
            # recall that another node has stored and is about to apply.
            keys = [entry_key(act.conv, act.target.message.seq) for act in changed]
            refs = [act.entry.ref for act in changed]
            recalled, about_to = await asyncio.gather(
                self._collection.find(
                    {"_id": {"$in": keys}, "recalled": True}, {"conv": 1, "id": 1}
                ).to_list(None),
                self._collection.find(
                    {"todo": True, "id": {"$gt": 0}, "cmd": RECALL, "ref": {"$in": refs}},
                    {"conv": 1, "ref": 1},
                ).to_list(None),
            )
        gone = {(each["conv"], int(each["id"])) for each in recalled}
        gone |= {(each["conv"], int(each["ref"])) for each in about_to}
        for conv, message_id in gone:
            await self._wipe_edits(conv, message_id, digest)
        with storage(self._write_timeout_s):
            await self._voids.bulk_write(done)
        return gone

    async def _wipe_edits(
        self, conv: str, message_id: int, digest: Callable[[Message], bytes]
    ) -> None:
        """Some at a time: there may be thousands, of 80 KB each."""
        query = {"conv": conv, "cmd": EDIT, "ref": message_id, "first": {"$exists": False}}
        while True:
            with storage(self._write_timeout_s):
                edits = await self._collection.find(query).limit(EDITS).to_list(EDITS)
                if not edits:
                    return
                await self._voids.bulk_write(
                    [
                        UpdateOne(
                            {"_id": edit["_id"], "first": {"$exists": False}},
                            {
                                "$set": {"first": digest(message_of(edit))},
                                "$unset": {"content": 1, "xml": 1},
                            },
                        )
                        for edit in edits
                    ]
                )

    async def named(self, conv: str, authors: Sequence[int], name: str) -> Message | None:
        found: dict[int, Document] = {}
        query: Document = {"conv": conv, "userid": {"$in": list(authors)}, "cid": name}
        with storage():
            for each in await self._durable.find(query).to_list(None):
                found[each["userid"]] = each
            if authors[0] not in found and name.isascii() and name.isdigit() and len(name) <= 16:
                query = {"owners": _owner(conv), "id": int(name), "conv": conv}
                for each in await self._durable.find(query).to_list(None):
                    found.setdefault(each["userid"], each)
            if authors[0] not in found:
                # Not every client gives its stanzas an origin-id; what is meant is mostly recent.
                recent = self._durable.find({"_id": _keys(conv)}, {"xml": 1, "userid": 1})
                recent.sort("_id", -1).limit(RECENT)
                for each in await recent.to_list(RECENT):
                    if Names.of(each.get("xml", "")).own == name:
                        found.setdefault(each["userid"], each)
            for author in authors:
                if author in found:
                    named: Document | None = found[author]
                    if named is not None and "cmd" not in named:
                        named = await self._durable.find_one({"_id": named["_id"]})
                    return message_of(named) if named else None
        return None

    async def unapplied(self, after_id: int, before_id: int, limit: int) -> list[Stored]:
        query = {"todo": True, "id": {"$gt": after_id, "$lt": before_id}}
        with storage():
            found = await self._durable.find(query).sort("id", 1).limit(limit).to_list(limit)
        return [_stored(document) for document in found]

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
        order = "id"
        with storage():
            if conv is not None and start_ms is None:
                # In its own order there is nothing of others in between.
                seqs = await self._seqs(conv, (after_id, before_id))
                if seqs is not None:
                    order, query["_id"] = "_id", _keys(conv, seqs[0] or 0, seqs[1])
                    del query["owners"]
        cursor = self._durable.find(query).sort(order, -1 if backward else 1).limit(limit)
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
    ) -> int | None:
        query = _archive_query(owner, conv, start_ms, end_ms, None, before_id)
        with storage():
            if conv is not None and start_ms is None and end_ms is None:
                seqs = await self._seqs(conv, (before_id,))
                if seqs is not None:
                    query = {"_id": _keys(conv, before=seqs[0])}
            count = int(await self._durable.count_documents(query, limit=COUNTED + 1))
        return count if count <= COUNTED else None

    async def _seqs(self, conv: str, ids: Sequence[int | None]) -> list[int | None] | None:
        """Of these entries; None: one of them is in another conversation."""
        seqs: list[int | None] = []
        for entry_id in ids:
            if entry_id is None:
                seqs.append(None)
                continue
            found = await self._durable.find_one(
                {"owners": _owner(conv), "id": entry_id, "conv": conv}, {"seq": 1}
            )
            if found is None:
                return None
            seqs.append(found["seq"])
        return seqs

    async def archive_named(self, owner: int, ids: Sequence[int]) -> list[Stored]:
        query = {"owners": owner, "id": {"$in": list(ids)}}
        with storage():
            found = await self._durable.find(query).sort("id", 1).to_list(len(ids))
        return [_stored(document) for document in found]

    async def archive_has(self, owner: int, message_id: int) -> bool:
        with storage():
            found = await self._durable.find_one({"owners": owner, "id": message_id}, {"_id": 1})
        return found is not None

    async def own_in_groups(self, userid: int, after: tuple[str, int], limit: int) -> list[Stored]:
        conv, seq = after
        behind = [{"conv": {"$gt": conv}}, {"conv": conv, "seq": {"$gt": seq}}]
        query = {"cmd": GROUP, "userid": userid, "$or": behind}
        cursor = self._durable.find(query).sort([("conv", 1), ("seq", 1)]).limit(limit)
        with storage():
            return [_stored(document) for document in await cursor.to_list(limit)]

    async def missed(self, userid: int, after_id: int, limit: int) -> list[Stored]:
        wanted: list[Document] = [
            {"cmd": {"$in": [SINGLE, GROUP, REACTION]}},
            # The others are to be seen in the message itself, unless that was handed over before.
            {"cmd": {"$in": [RECALL, EDIT]}, "ref": {"$lte": after_id}},
        ]
        query = {
            "owners": userid,
            "id": {"$gt": after_id},
            "userid": {"$ne": userid},
            "$or": wanted,
        }
        cursor = self._durable.find(query).sort("id", -1).limit(limit)
        with storage():
            found = [_stored(document) for document in await cursor.to_list(limit)]
        return found[::-1]


def entry_key(conv: str, seq: int) -> str:
    return f"{conv}:{seq:016d}"


def _keys(conv: str, above: int = 0, before: int | None = None) -> Document:
    """The keys of a conversation's entries with ``above`` < seq < ``before``."""
    return {
        "$gt": entry_key(conv, above),
        "$lt": entry_key(conv, LARGEST_SEQ if before is None else before),
    }


def _owner(conv: str) -> int:
    """In whose archive to look for a conversation's entries."""
    return int(conv[1:]) if is_group(conv) else int(conv.partition("-")[0])


def message_of(document: Document) -> Message:
    """The message in its present state."""
    given = document.get("reactions")
    if given:
        reactions: dict[str, list[int]] = {}
        for userid, reaction in sorted(given.items(), key=lambda item: item[1]["seq"]):
            if reaction["text"]:
                reactions.setdefault(reaction["text"], []).append(int(userid))
        document = document | {"reactions": reactions}
    return msgspec.convert(document, Message)


def tally_of(document: Document) -> Tally:
    """That of an entry. Of a message itself, ``top`` is not stored: it is its own seq."""
    top = document["top"] if "top" in document else document["seq"]
    # Plain integers: the driver's own are not encoded by msgspec.
    return Tally(int(document.get("n", 0)), int(document.get("low", 0)), int(top))


def end_of(document: Document) -> End:
    """That of a log whose last entry this is."""
    return End(int(document["seq"]), int(document.get("id", 0)), tally_of(document))


def _known(document: Document) -> Known:
    return Known(message_of(document), document.get("xml", ""), document.get("first", b""))


def _is_same(found: RawBSONDocument | None, placed: Placed) -> bool:
    if found is None:
        return False
    if found.raw == placed.document:
        return True
    message = placed.message
    if message.cmd in ACTS:
        is_changed = "todo" not in found
    else:
        is_changed = "first" in found or "reactions" in found
    # Applied since, or acted on by somebody: it is still the one.
    mine = (message.id, message.userid, message.cid)
    return is_changed and (found.get("id"), found.get("userid"), found.get("cid", "")) == mine


def _updates(act: Act) -> list[UpdateOne]:
    """What an act does. Of several of one kind the one with the highest seq is in force."""
    entry, key = act.entry, entry_key(act.conv, act.target.message.seq)
    present: Document = {"_id": key, "recalled": {"$ne": True}}
    if entry.cmd == REACTION:
        field = f"reactions.{entry.userid}"
        last = {**present, f"{field}.seq": {"$not": {"$gte": entry.seq}}}
        given = {"text": entry.content, "seq": entry.seq}
        return [UpdateOne(last, {"$set": {field: given}})]
    first = UpdateOne(
        {"_id": key, "first": {"$exists": False}}, {"$set": {"first": act.target.first}}
    )
    if entry.cmd == RECALL:
        # Its name stays, by which XMPP clients know what was taken back.
        name = Names(Names.of(act.target.xml).own).xml()
        left = {"$set": {"recalled": True, "xml": name}, "$unset": _CONTENT}
        return [first, UpdateOne({"_id": key}, left)]
    last = {**present, "edit": {"$not": {"$gte": entry.seq}}}
    text = {"content": entry.content, "edited": entry.ts, "edit": entry.seq}
    return [first, UpdateOne(last, {"$set": text})]


def _stored(document: Document) -> Stored:
    return Stored(message_of(document), document.get("xml", ""), document["conv"])


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
        query |= {"conv": conv, "cmd": {"$ne": VOID}}
    bounds = (
        ("ts", "$gte", start_ms),
        ("ts", "$lte", end_ms),
        # The index is by ids, which are of their time or a little ahead of it.
        ("id", "$gte", None if start_ms is None else first_id_of(start_ms)),
        ("id", "$lte", None if end_ms is None else first_id_of(end_ms + A_DAY_MS)),
        ("id", "$gt", after_id),
        ("id", "$lt", before_id),
    )
    for field, operator, value in bounds:
        if value is not None:
            query.setdefault(field, {})[operator] = value
    return query
