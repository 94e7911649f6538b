"""Groups in memory with their members: what the router fans out over.

A change of a group is said to all nodes, in any order and sometimes twice. So nothing is taken
from what is said but *what* changed; how it is now is read from the database, when it is wanted.
"""

import asyncio
from collections.abc import Iterable

from server.model import Group, Member
from server.ports import Document, GroupStore

CACHED = 20_000
"""Groups in memory with their members (about 100 bytes a member)."""
FIELDS = (
    *("name", "owner", "avatar", "memo", "history", "muted_all", "announcement", "join"),
    *("slug", "outcasts"),
)
"""What is the same in a group and in its document."""


class _Entry:
    """``group``: None until it is read. ``stale``: members to be read again with the group."""

    __slots__ = ("group", "is_current", "marks", "reading", "stale")

    def __init__(self) -> None:
        self.group: Group | None = None
        self.is_current = False
        self.stale: set[int] = set()
        self.marks = 0
        self.reading: asyncio.Future[Group | None] | None = None


class GroupCache:
    """Those that were loaded first are forgotten first."""

    def __init__(self, store: GroupStore) -> None:
        self._store = store
        self._entries: dict[int, _Entry] = {}

    def cached(self, gid: int) -> Group | None:
        """The group, if it is in memory as it is now."""
        entry = self._entries.get(gid)
        return entry.group if entry is not None and entry.is_current else None

    def known(self, gid: int) -> Group | None:
        """The group, if it is in memory, though something of it may have changed."""
        entry = self._entries.get(gid)
        return None if entry is None else entry.group

    async def load(self, gid: int) -> Group | None:
        """The group as it is now, or None. Raises ``StorageAway``."""
        entry = self._entries.get(gid)
        if entry is None:
            entry = self._entries[gid] = _Entry()
        elif entry.is_current:
            return entry.group
        if entry.reading is None:
            entry.reading = asyncio.ensure_future(self._read(gid, entry))
            # Nobody may be left to hear of it.
            entry.reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(entry.reading)

    def outdate(self, gid: int, userids: Iterable[int]) -> None:
        """The group has changed, and these members of it, who may have come or gone."""
        entry = self._entries.get(gid)
        if entry is not None:
            entry.is_current = False
            entry.stale.update(userids)
            entry.marks += 1

    def forget(self, gid: int) -> None:
        self._entries.pop(gid, None)

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._entries.clear()

    async def _read(self, gid: int, entry: _Entry) -> Group | None:
        try:
            while True:
                marks, stale, entry.stale = entry.marks, entry.stale, set()
                document = await self._store.get(gid)
                if document is None:
                    entry.group = None
                else:
                    wanted = stale if entry.group is not None else None
                    members = await self._store.members(gid, wanted)
                    entry.group = _brought_up(entry.group, document, members, stale)
                if entry.marks == marks:  # else it changed while it was read
                    break
        except BaseException:
            self._drop(gid, entry)
            raise
        finally:
            entry.reading = None
        if entry.group is None:
            self._drop(gid, entry)
        else:
            entry.is_current = True
            if len(self._entries) > CACHED:
                del self._entries[next(iter(self._entries))]
        return entry.group

    def _drop(self, gid: int, entry: _Entry) -> None:
        if self._entries.get(gid) is entry:
            del self._entries[gid]


def _brought_up(
    group: Group | None, document: Document, members: Iterable[Document], stale: Iterable[int]
) -> Group:
    """``group`` with what was read again; others hold it, so it stays the same object."""
    if group is None:
        group = Group(document["_id"], document["name"], document["owner"], {})
    for field in FIELDS:
        if field in document:
            setattr(group, field, document[field])
    for userid in stale:
        group.members.pop(userid, None)
    for member in members:
        group.members[member["userid"]] = _member(member)
    return group


def _member(document: Document) -> Member:
    return Member(
        id=document["userid"],
        role=document["role"],
        joined=document["joined"],
        floor=document["floor"],
        nick=document.get("nick", ""),
        muted_until=document.get("muted_until", 0),
    )
