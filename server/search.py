"""Searching one's own conversations.

The index gives candidates, newest first: messages that have the query's grams and lie where the
searcher may read. Each is then read from the history and looked at, so what was recalled or edited
meanwhile is never shown for what it was.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from typing import Annotated, Literal

import msgspec

from server.errors import ChatError, StorageAway
from server.grams import Wanted
from server.groups import Groups
from server.indexer import Indexer, searched_text
from server.limits import Window
from server.model import GROUP, MAX_ID, SINGLE, Id, Message, conversation
from server.ports import Found, GroupStore, PlaceStore, Scope, SearchStore
from server.settings import Settings

log = logging.getLogger(__name__)

QUERY_CHARS = 100
PAGE = 100
"""Messages in one answer."""
LOOKED_AT = 500
"""Candidates looked at together, at most."""
PATIENCE_S = 2.5
"""For queries whose grams are everywhere and whose text is nowhere."""
GRAMS = 5
"""Of a long query so many grams, the rarest, narrow the candidates enough."""
SAMPLE = 1000
SAMPLED_S = 3600.0
"""How often the grams of so many messages are counted, which tells the rare ones."""


class Query(msgspec.Struct):
    """``q``: up to 100 characters. A message has to contain each of its words, or parts of words.

    ``chat`` 10 or 11: only 1:1 or group conversations, with ``dstid`` only this one. ``sender`` and
    ``media`` are those of the message, ``since`` and ``until`` bounds of its ``ts``, both included.
    ``before``: ids below, for the next page.
    """

    q: Annotated[str, msgspec.Meta(extra_json_schema={"maxLength": QUERY_CHARS})]
    chat: Literal[10, 11] | None = None
    dstid: Id | None = None
    sender: Id | None = None
    media: Id | None = None
    since: Id | None = None
    until: Id | None = None
    before: Id | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)] = 20


class Results(msgspec.Struct):
    """Messages by descending id; ``more``: there are older ones."""

    messages: list[Message]
    more: bool


class Search:
    """What accounts find in the log."""

    def __init__(
        self,
        store: SearchStore,
        indexer: Indexer,
        places: PlaceStore,
        group_store: GroupStore,
        groups: Groups,
        settings: Settings,
    ) -> None:
        limits = settings.limits
        self._store = store
        self._indexer = indexer
        self._places = places
        self._group_store = group_store
        self._groups = groups
        self._enabled = settings.search.enabled
        self._page_bytes = limits.page_bytes
        self._rate = Window(limits.searches_per_minute * limits.rate_scale, 60)
        self._counts: Counter[str] = Counter()
        self._sampled_at = -math.inf
        self._sampling: asyncio.Task[None] | None = None
        self._size = msgspec.json.Encoder().encode

    async def find(self, userid: int, query: Query) -> Results:
        """The newest messages that match, as :class:`server.grams.Wanted` says.

        Waits a second at most for what is not indexed yet. At most 100 messages and 512 KiB.
        Raises ``invalid``, ``slow-down``, ``not-a-member``, ``busy``, and ``not-found`` where the
        search is switched off.
        """
        if not self._enabled:
            raise ChatError("not-found", "this server has its search switched off")
        wanted = _wanted(query)
        if wait := self._rate.wait_s(str(userid)):
            raise ChatError("slow-down", "too many searches", retry_after=math.ceil(wait))
        self._rate.count(str(userid))
        floors = await self._floors(userid, query.chat, query.dstid)
        if not floors:
            return Results([], False)
        marks = await self._indexer.catch_up(list(floors))
        scope = Scope(
            {conv: (floors[conv], mark) for conv, mark in marks.items() if mark > floors[conv]},
            sorted(wanted.grams, key=self._counted().__getitem__)[:GRAMS],
            query.sender,
            query.media,
            query.since,
            query.until,
        )
        upto_id = MAX_ID if query.before is None else query.before - 1
        limit = min(query.limit, PAGE)
        return self._page(await self._look(wanted, scope, upto_id, limit + 1), limit)

    async def _look(self, wanted: Wanted, scope: Scope, upto_id: int, enough: int) -> list[Message]:
        """The newest messages that match, ``enough`` of them where there are as many."""
        deadline = time.monotonic() + PATIENCE_S
        found: list[Message] = []
        edge: list[Found] = []
        count = enough
        while True:
            candidates = await self._store.find(scope, upto_id, edge, count)
            if candidates:
                places = [(candidate.conv, candidate.seq) for candidate in candidates]
                there = {
                    (entry.conv, entry.message.seq): entry.message
                    for entry in await self._store.read(places)
                }
                found += [
                    there[place]
                    for place in places
                    if place in there and wanted.matches(searched_text(there[place]))
                ]
            if len(candidates) < count or len(found) >= enough:
                return found[:enough]
            if time.monotonic() > deadline:
                raise ChatError("busy", "too much is like it; look for a longer text")
            # Ids of different conversations may be the same.
            if candidates[-1].id != upto_id:
                edge = []
            upto_id = candidates[-1].id
            edge += [candidate for candidate in candidates if candidate.id == upto_id]
            count = min(2 * count, LOOKED_AT)

    def _page(self, found: list[Message], limit: int) -> Results:
        """Cut where the next page, which begins below the last id, has all the rest."""
        kept, room = 0, self._page_bytes
        for message in found[:limit]:
            room -= len(self._size(message))
            if room < 0 and kept:
                break
            kept += 1
        if kept < len(found):
            end = kept
            while end and found[end - 1].id == found[kept].id:
                end -= 1
            kept = end or kept
        return Results(found[:kept], kept < len(found))

    async def _floors(self, userid: int, chat: int | None, dstid: int | None) -> dict[str, int]:
        """The conversations to look in, with the seq above which this user may read."""
        if dstid is not None:
            if chat == SINGLE:
                return {conversation(SINGLE, userid, dstid): 0}
            group, member = await self._groups.member(dstid, userid)
            return {f"g{dstid}": 0 if group.history == "all" else member.floor}
        singles, members = await asyncio.gather(
            self._places.singles_of(userid), self._group_store.of_user(userid)
        )
        floors = dict.fromkeys(singles if chat != GROUP else (), 0)
        if chat != SINGLE:
            floors |= {f"g{member['gid']}": member["floor"] for member in members}
            later = [member["gid"] for member in members if member["floor"]]
            for document in await self._group_store.by_ids(later) if later else []:
                if document["history"] == "all":
                    floors[f"g{document['_id']}"] = 0
        return floors

    def _counted(self) -> Counter[str]:
        """How often grams were in the last sample; a new one is taken now and then."""
        if time.monotonic() - self._sampled_at > SAMPLED_S and self._sampling is None:
            self._sampling = asyncio.create_task(self._sample())
        return self._counts

    async def _sample(self) -> None:
        try:
            found = await self._store.sample(SAMPLE)
            self._counts = Counter(gram for grams in found for gram in grams)
        except StorageAway:
            log.debug("search_not_sampled")
        finally:
            self._sampled_at, self._sampling = time.monotonic(), None

    async def close(self) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.wait({self._sampling})


def _wanted(query: Query) -> Wanted:
    """Raises ``invalid``."""
    wrong: dict[str, str] = {}
    if query.dstid is not None and query.chat is None:
        wrong["dstid"] = "only together with chat"
    if len(query.q) > QUERY_CHARS:
        wrong["q"] = f"has {len(query.q)} characters, at most {QUERY_CHARS} are allowed"
    else:
        wanted = Wanted(query.q)
        if not wanted.grams:
            wrong["q"] = "needs two letters, or one character of a script without spaces"
    if wrong:
        raise ChatError("invalid", "some fields are wrong", fields=wrong)
    return wanted
