"""The log as archives read it (XEP-0313): by id, one owner's entries, in pages.

An account owns its 1:1 entries, a group its own. Which of them somebody may read is for
:mod:`server.history` and :mod:`server.room_history`.
"""

from collections.abc import Collection
from typing import NamedTuple

from server.errors import ChatError
from server.model import Message
from server.ports import MessageStore, Stored
from server.settings import Limits


class Wanted(NamedTuple):
    """A page. ``after_id``: the oldest behind it; ``before_id`` or ``is_last``: the newest before
    it; all of what lies between two times and between ``above_id`` and ``below_id``.
    """

    start_ms: int | None = None
    end_ms: int | None = None
    after_id: int | None = None
    before_id: int | None = None
    limit: int = 50
    is_last: bool = False
    above_id: int | None = None
    below_id: int | None = None

    @property
    def edges(self) -> tuple[int | None, ...]:
        return self.after_id, self.before_id, self.above_id, self.below_id


class ArchivePage(NamedTuple):
    """Part of an archive, ascending. ``first_index``: its place among ``total``, forward only.

    Neither is there where it would be more than 10,000, or is not counted.
    """

    entries: list[Stored]
    complete: bool
    total: int | None
    first_index: int | None


class Archive:
    """The entries of ``owner``, of the conversation ``conv`` only if given, with ids above
    ``floor``."""

    def __init__(
        self,
        messages: MessageStore,
        limits: Limits,
        owner: int,
        conv: str | None = None,
        floor: int = 0,
    ) -> None:
        self._messages = messages
        self._limits = limits
        self._owner = owner
        self._conv = conv
        self._floor = floor

    async def page(self, wanted: Wanted, *, is_counted: bool = True) -> ArchivePage:
        """What lies between ``above_id`` and ``below_id`` is not counted. Raises
        ``no-such-message`` when an id is not in the archive."""
        for edge in wanted.edges:
            if edge is not None and not (
                edge > self._floor and await self._messages.archive_has(self._owner, edge)
            ):
                raise _no_such_entry()
        limit = max(0, min(wanted.limit, self._limits.page_messages))
        backward = wanted.is_last or (wanted.before_id is not None and wanted.after_id is None)
        lowest = max(self._floor, wanted.after_id or 0, wanted.above_id or 0)
        highest = [i for i in (wanted.before_id, wanted.below_id) if i is not None]
        found = await self._messages.archive(
            self._owner,
            conv=self._conv,
            start_ms=wanted.start_ms,
            end_ms=wanted.end_ms,
            after_id=lowest or None,
            before_id=min(highest, default=None),
            limit=limit + 1,
            backward=backward,
        )
        entries = (found[1:] if backward else found[:limit]) if len(found) > limit else found
        page = ArchivePage(entries, len(found) <= limit, None, None)
        if not is_counted or wanted.above_id is not None or wanted.below_id is not None:
            return page
        hidden = await self._count(wanted, self._floor + 1) if self._floor else 0
        total = _less(await self._count(wanted), hidden)
        first = None
        if entries and not backward:
            first = _less(await self._count(wanted, entries[0].message.id), hidden)
        return page._replace(total=total, first_index=first)

    async def named(self, ids: Collection[int]) -> list[Stored]:
        """These entries, of whichever conversation, ascending. Raises ``no-such-message`` where one
        is not in the archive, ``bad-field`` for more than a page."""
        wanted = set(ids)
        if len(wanted) > self._limits.page_messages:
            raise ChatError("bad-field", "too many ids")
        found = await self._messages.archive_named(self._owner, list(wanted)) if wanted else []
        if len(found) < len(wanted) or any(entry.message.id <= self._floor for entry in found):
            raise _no_such_entry()
        return found

    async def edges(self) -> tuple[Message, Message] | None:
        """The first and the last entry; None: it is empty."""
        first = await self.page(Wanted(limit=1), is_counted=False)
        last = await self.page(Wanted(limit=1, is_last=True), is_counted=False)
        if not first.entries or not last.entries:
            return None
        return first.entries[0].message, last.entries[-1].message

    async def _count(self, wanted: Wanted, before_id: int | None = None) -> int | None:
        return await self._messages.archive_count(
            self._owner,
            conv=self._conv,
            start_ms=wanted.start_ms,
            end_ms=wanted.end_ms,
            before_id=before_id,
        )


def _less(counted: int | None, hidden: int | None) -> int | None:
    """Either may be more than is counted."""
    return None if counted is None or hidden is None else counted - hidden


def _no_such_entry() -> ChatError:
    return ChatError("no-such-message", "there is no such entry in this archive")
