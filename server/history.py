"""Reading the history: one conversation by seq (cmd 31, HTTP), an account's archive by id (XMPP).

Both read the same log; what a group's member may see begins behind the seq of the last joining.
"""

from typing import NamedTuple

import msgspec

from server.errors import ChatError
from server.groups import Groups
from server.model import GROUP, SINGLE, VOID, Message, conversation
from server.ports import MessageStore, Stored
from server.settings import Limits


class Page(msgspec.Struct):
    """Part of a conversation in ascending seq; ``more`` lies behind it in the direction asked."""

    messages: list[Message]
    more: bool


class ArchivePage(NamedTuple):
    """Part of an archive, ascending. ``first_index``: its place among ``total``, forward only.

    Neither is there where it would be more than 10,000.
    """

    entries: list[Stored]
    complete: bool
    total: int | None
    first_index: int | None


class History:
    """What accounts may read of the log."""

    def __init__(
        self,
        messages: MessageStore,
        groups: Groups,
        limits: Limits,
    ) -> None:
        self._messages = messages
        self._groups = groups
        self._limits = limits
        self._size = msgspec.json.Encoder().encode

    async def read(
        self,
        userid: int,
        chat: int,
        dstid: int,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> Page:
        """Entries with seq above ``after`` (oldest first) or below ``before`` (newest kept).

        With neither, the newest. At most 200 entries and 512 KiB. Raises ``bad-field``,
        ``not-a-member``.
        """
        if chat not in (SINGLE, GROUP) or not dstid:
            raise ChatError("bad-field", "chat must be 10 or 11, dstid a user or group")
        floor = 0
        if chat == GROUP:
            group, member = await self._groups.member(dstid, userid)
            floor = 0 if group.history == "all" else member.floor
        limit = max(1, min(limit, self._limits.page_messages))
        found = await self._messages.page(
            conversation(chat, userid, dstid),
            above=floor,
            after=after,
            before=before,
            limit=limit + 1,
        )
        for message in found:
            if message.cmd == VOID:
                message.chat, message.dstid = chat, dstid
        forward = after is not None
        ordered = found if forward else found[::-1]
        kept, room = 0, self._limits.page_bytes
        for message in ordered[:limit]:
            room -= len(self._size(message))
            if room < 0 and kept:
                break
            kept += 1
        messages = ordered[:kept] if forward else ordered[:kept][::-1]
        return Page(messages, len(found) > kept)

    async def archive(
        self,
        userid: int,
        *,
        with_user: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        after_id: int | None = None,
        before_id: int | None = None,
        limit: int = 50,
        newest_first_page: bool = False,
        above_id: int | None = None,
        below_id: int | None = None,
    ) -> ArchivePage:
        """1:1 entries of one's own archive (XEP-0313), in ascending id.

        ``after_id``: the oldest behind it; ``before_id`` or ``newest_first_page``: the newest
        before it; of what lies between ``above_id`` and ``below_id``, which is not counted.
        Raises ``no-such-message`` when such an id is not in the archive.
        """
        conv = None if with_user is None else conversation(SINGLE, userid, with_user)
        for edge in (after_id, before_id, above_id, below_id):
            if edge is not None and not await self._messages.archive_has(userid, edge):
                raise ChatError("no-such-message", "there is no such entry in this archive")
        limit = max(0, min(limit, self._limits.page_messages))
        backward = newest_first_page or (before_id is not None and after_id is None)
        found = await self._messages.archive(
            userid,
            conv=conv,
            start_ms=start_ms,
            end_ms=end_ms,
            after_id=max((i for i in (after_id, above_id) if i is not None), default=None),
            before_id=min((i for i in (before_id, below_id) if i is not None), default=None),
            limit=limit + 1,
            backward=backward,
        )
        entries = (found[1:] if backward else found[:limit]) if len(found) > limit else found
        if above_id is not None or below_id is not None:
            return ArchivePage(entries, len(found) <= limit, None, None)
        total = await self._messages.archive_count(
            userid, conv=conv, start_ms=start_ms, end_ms=end_ms
        )
        first_index = None
        if entries and not backward:
            first_index = await self._messages.archive_count(
                userid,
                conv=conv,
                start_ms=start_ms,
                end_ms=end_ms,
                before_id=entries[0].message.id,
            )
        return ArchivePage(entries, len(found) <= limit, total, first_index)

    async def archived(
        self, userid: int, ids: list[int], with_user: int | None = None
    ) -> ArchivePage:
        """These entries of one's own archive. Raises ``no-such-message`` where one is not in it."""
        wanted = set(ids)
        if len(wanted) > self._limits.page_messages:
            raise ChatError("bad-field", "too many ids")
        found = await self._messages.archive_named(userid, list(wanted)) if wanted else []
        if len(found) < len(wanted):
            raise ChatError("no-such-message", "there is no such entry in this archive")
        if with_user is not None:
            conv = conversation(SINGLE, userid, with_user)
            found = [
                entry
                for entry in found
                if conversation(SINGLE, entry.message.userid, entry.message.dstid) == conv
            ]
        return ArchivePage(found, True, len(found), None)

    async def archive_edges(self, userid: int) -> tuple[Message, Message] | None:
        """The first and the last entry of one's own archive; None: it is empty."""
        first = await self.archive(userid, limit=1)
        if not first.entries:
            return None
        last = await self.archive(userid, limit=1, newest_first_page=True)
        return first.entries[0].message, last.entries[-1].message

    async def missed(self, userid: int, after_id: int, limit: int) -> list[Stored]:
        """The newest 1:1 messages of others behind ``after_id``, ascending.

        With reactions, and recalls and edits of messages up to ``after_id``.
        """
        return await self._messages.missed(userid, after_id, limit)
