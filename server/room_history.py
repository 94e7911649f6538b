"""A group's log as its room's archive (XEP-0313), and what is shown of it on joining."""

from server.errors import ChatError
from server.groups import Groups
from server.history import ArchivePage
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

    async def page(
        self,
        userid: int,
        gid: int,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        after_id: int | None = None,
        before_id: int | None = None,
        limit: int = 50,
        newest_first_page: bool = False,
        above_id: int | None = None,
        below_id: int | None = None,
    ) -> ArchivePage:
        """Entries of the log as :meth:`server.history.History.archive` gives them.

        Raises ``not-a-member``, ``no-such-message``.
        """
        floor = await self._floor(userid, gid)
        for edge in (after_id, before_id, above_id, below_id):
            if edge is not None and not (
                edge > floor and await self._messages.archive_has(gid, edge)
            ):
                raise ChatError("no-such-message", "there is no such entry in this archive")
        limit = max(0, min(limit, self._limits.page_messages))
        backward = newest_first_page or (before_id is not None and after_id is None)
        conv = conversation(GROUP, 0, gid)
        found = await self._messages.archive(
            gid,
            conv=conv,
            start_ms=start_ms,
            end_ms=end_ms,
            after_id=max(floor, after_id or 0, above_id or 0),
            before_id=min((i for i in (before_id, below_id) if i is not None), default=None),
            limit=limit + 1,
            backward=backward,
        )
        entries = (found[1:] if backward else found[:limit]) if len(found) > limit else found
        if above_id is not None or below_id is not None:
            return ArchivePage(entries, len(found) <= limit, None, None)

        async def count(before: int | None = None) -> int | None:
            return await self._messages.archive_count(
                gid, conv=conv, start_ms=start_ms, end_ms=end_ms, before_id=before
            )

        # Those of before the joining are not in this member's archive.
        hidden = await count(before=floor + 1) if floor else 0
        total = await count()
        first = None
        if entries and not backward:
            first = await count(before=entries[0].message.id)
        return ArchivePage(entries, len(found) <= limit, _less(total, hidden), _less(first, hidden))

    async def named(self, userid: int, gid: int, ids: list[int]) -> ArchivePage:
        """These entries. Raises ``not-a-member``, ``no-such-message``."""
        floor = await self._floor(userid, gid)
        wanted = set(ids)
        if len(wanted) > self._limits.page_messages:
            raise ChatError("bad-field", "too many ids")
        found = await self._messages.archive_named(gid, list(wanted)) if wanted else []
        if len(found) < len(wanted) or any(entry.message.id <= floor for entry in found):
            raise ChatError("no-such-message", "there is no such entry in this archive")
        return ArchivePage(found, True, len(found), None)

    async def edges(self, userid: int, gid: int) -> tuple[Message, Message] | None:
        """The first and the last entry; None: there is none for this member."""
        first = await self.page(userid, gid, limit=1)
        last = await self.page(userid, gid, limit=1, newest_first_page=True)
        if not first.entries or not last.entries:
            return None
        return first.entries[0].message, last.entries[-1].message

    async def recent(
        self, userid: int, gid: int, limit: int, since_ms: int | None
    ) -> tuple[list[Stored], int]:
        """The newest messages as they are now, ascending, and the seq up to where they go."""
        page = await self.page(userid, gid, start_ms=since_ms, limit=limit, newest_first_page=True)
        last = page.entries[-1].message.seq if page.entries else 0
        shown = [
            entry
            for entry in page.entries
            if entry.message.cmd == GROUP and not entry.message.recalled
        ]
        return shown, last

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


def _less(counted: int | None, hidden: int | None) -> int | None:
    """Either may be more than is counted."""
    return None if counted is None or hidden is None else counted - hidden
