"""Which rooms a user's clients join by themselves: items of one node (XEP-0402). What older clients
keep of it (XEP-0048) is another view of the same.

The groups that a user is in are among them without being kept there; what the user's clients say
of such a room is kept, and that they do not want it.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from server.accounts import Accounts
from server.errors import ChatError
from server.group_shapes import OwnRoom
from server.groups import Groups
from server.node_config import BOOKMARKS, OLD_BOOKMARKS
from server.pep import Item, Pep

_REST = "rest of the old bookmarks"
"""What else is in the old element: private XML of a name that no client can ask for."""
CURRENT = "current"
LOOKERS = 20


class Words(Protocol):
    """How bookmarks are written; see :mod:`stanzas.bookmarks`."""

    def write(self, name: str, nick: str, autojoin: bool) -> str: ...

    def as_old(self, bookmarks: Iterable[tuple[str, str]], rest: str) -> str: ...

    def from_old(self, storage: str, known: Mapping[str, str]) -> tuple[dict[str, str], str]: ...


class Bookmarks:
    """All users'. What changes them tells the user's devices that want to hear it.

    ``rooms_at``: the domain of the rooms. ``turn``: who looks because a group changed looks within
    it, with few others: all members' clients hear of it at once.
    """

    def __init__(
        self, pep: Pep, accounts: Accounts, groups: Groups, words: Words, rooms_at: str
    ) -> None:
        self._pep = pep
        self._accounts = accounts
        self._groups = groups
        self._words = words
        self._rooms_at = rooms_at
        self.turn = asyncio.Semaphore(LOOKERS)
        pep.changed[BOOKMARKS] = self._tell_old

    def address(self, room: OwnRoom) -> str:
        """The room's bare JID, which is its bookmark's id."""
        return f"{room.local}@{self._rooms_at}"

    async def items(self, userid: int) -> list[Item]:
        """All of them, the newest first; those of groups that nobody changed come last."""
        kept = {item.id: item for item in await self._pep.own(userid, BOOKMARKS)}
        rooms = {self.address(room): room for room in await self._groups.rooms_of(userid)}
        found = [
            item for item in kept.values() if item.id in rooms or not await self._is_over(item.id)
        ]
        for address, room in rooms.items():
            if address not in kept and not room.is_hidden:
                found.append(Item(address, self.of(room), room.since))
        return found

    def of(self, room: OwnRoom) -> str:
        """The bookmark of a room of which the user's clients have said nothing."""
        return self._words.write(room.name, room.nick, autojoin=True)

    async def retract(self, userid: int, ids: Collection[str], notify: bool) -> None:
        """Takes some back. Raises ``not-found`` when none of them is there."""
        known = {item.id for item in await self.items(userid)} & set(ids)
        if not known:
            raise ChatError("not-found", "there is no such item")
        await self._forget(userid, known, notify)
        await self._tell_old(userid)

    async def old(self, userid: int) -> str:
        """All of them as older clients read them."""
        rest = await self._pep.private(userid, _REST)
        items = await self.items(userid)
        return self._words.as_old(((item.id, item.xml) for item in items), rest)

    async def keep_old(self, userid: int, storage: str) -> None:
        """An older client says what there is from now on. Raises ``bad-field``, ``too-long``."""
        self._pep.check_size(storage)
        known = {item.id: item.xml for item in await self.items(userid)}
        wanted, rest = self._words.from_old(storage, known)
        self._pep.check_count(len(wanted))
        if rest or await self._pep.private(userid, _REST):
            await self._pep.keep_private(userid, _REST, rest)
        for room, xml in wanted.items():
            if known.get(room) != xml:
                await self._pep.publish(userid, BOOKMARKS, room, xml, is_last=False)
        gone = [room for room in known if room not in wanted]
        if gone:
            await self._forget(userid, gone, notify=True)
        await self._tell_old(userid)

    async def _forget(self, userid: int, ids: Collection[str], notify: bool) -> None:
        for room in await self._groups.rooms_of(userid):
            if self.address(room) in ids:
                await self._groups.mark_room(userid, room.gid, is_hidden=True)
        kept = {item.id for item in await self._pep.own(userid, BOOKMARKS)} & set(ids)
        if kept:
            await self._pep.retract(userid, BOOKMARKS, sorted(kept), notify, is_last=False)
        others = sorted(set(ids) - kept)
        owner = await self._accounts.user(userid)
        if others and owner is not None:
            self._pep.notify((userid,), owner, BOOKMARKS, "retract", others)

    async def _is_over(self, address: str) -> bool:
        """Whether it is of a group that the user, who is in none of this address, was in."""
        local, _, domain = address.rpartition("@")
        if domain != self._rooms_at:
            return False
        return local.isdigit() or await self._groups.by_slug(local) is not None

    async def _tell_old(self, userid: int) -> None:
        owner = await self._accounts.user(userid)
        if owner is not None:
            xml = await self.old(userid)
            self._pep.notify((userid,), owner, OLD_BOOKMARKS, "items", [CURRENT], xml)
