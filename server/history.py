"""Reading the history: one conversation by seq (cmd 31, HTTP), an account's archive by id (XMPP).

Both read the same log; what a group's member may see begins behind the seq of the last joining.
"""

import msgspec

from server.archive import Archive, ArchivePage, Wanted
from server.errors import ChatError
from server.groups import Groups
from server.model import GROUP, SINGLE, VOID, Message, conversation
from server.ports import MessageStore, Stored
from server.settings import Limits


class Page(msgspec.Struct):
    """Part of a conversation in ascending seq; ``more`` lies behind it in the direction asked."""

    messages: list[Message]
    more: bool


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
        self, userid: int, wanted: Wanted, with_user: int | None = None
    ) -> ArchivePage:
        """1:1 entries of one's own archive. Raises ``no-such-message``."""
        conv = None if with_user is None else conversation(SINGLE, userid, with_user)
        return await self._of(userid, conv).page(wanted)

    async def archived(
        self, userid: int, ids: list[int], with_user: int | None = None
    ) -> ArchivePage:
        """These entries of one's own archive. Raises ``no-such-message``, ``bad-field``."""
        found = await self._of(userid).named(ids)
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
        return await self._of(userid).edges()

    def _of(self, userid: int, conv: str | None = None) -> Archive:
        return Archive(self._messages, self._limits, userid, conv)

    async def missed(self, userid: int, after_id: int, limit: int) -> list[Stored]:
        """The newest 1:1 messages of others behind ``after_id``, ascending.

        With reactions, and recalls and edits of messages up to ``after_id``.
        """
        return await self._messages.missed(userid, after_id, limit)
