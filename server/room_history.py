"""A group's log as its room's archive (XEP-0313), and what is shown of it on joining."""

from server.archive import Archive, ArchivePage, Wanted
from server.groups import Groups
from server.model import GROUP, MAX_ID, Message, conversation
from server.ports import MessageStore, Stored
from server.settings import Limits

VOIDS = 50
"""Entries that are read at once in search of the first that is none."""


class RoomHistory:
    """What members may read of a room's past: as everywhere, from their last joining on."""

    def __init__(self, messages: MessageStore, groups: Groups, limits: Limits) -> None:
        self._messages = messages
        self._groups = groups
        self._limits = limits

    async def page(self, userid: int, gid: int, wanted: Wanted) -> ArchivePage:
        """Entries of the log. Raises ``not-a-member``, ``no-such-message``."""
        return await (await self._of(userid, gid)).page(wanted)

    async def named(self, userid: int, gid: int, ids: list[int]) -> ArchivePage:
        """These entries. Raises ``not-a-member``, ``no-such-message``, ``bad-field``."""
        found = await (await self._of(userid, gid)).named(ids)
        return ArchivePage(found, True, len(found), None)

    async def edges(self, userid: int, gid: int) -> tuple[Message, Message] | None:
        """The first and the last entry; None: there is none for this member."""
        return await (await self._of(userid, gid)).edges()

    async def recent(
        self, userid: int, gid: int, limit: int, since_ms: int | None
    ) -> tuple[list[Stored], int]:
        """The newest messages as they are now, ascending, and the seq up to where they go."""
        newest = Wanted(start_ms=since_ms, limit=limit, is_last=True)
        page = await (await self._of(userid, gid)).page(newest, is_counted=False)
        last = page.entries[-1].message.seq if page.entries else 0
        shown = [
            entry
            for entry in page.entries
            if entry.message.cmd == GROUP and not entry.message.recalled
        ]
        return shown, last

    async def _of(self, userid: int, gid: int) -> Archive:
        floor = await self._floor(userid, gid)
        return Archive(self._messages, self._limits, gid, conversation(GROUP, 0, gid), floor)

    async def _floor(self, userid: int, gid: int) -> int:
        """Only ids above it are for this member."""
        group, member = await self._groups.member(gid, userid)
        if group.history == "all" or not member.floor:
            return 0
        conv, after = conversation(GROUP, 0, gid), member.floor
        while entries := await self._messages.entries(conv, after, None, VOIDS):
            for entry in entries:
                if entry.message.id:
                    return entry.message.id - 1
            after = entries[-1].message.seq
        return MAX_ID
