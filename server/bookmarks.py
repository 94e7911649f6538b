"""Which rooms a user's clients join by themselves: items of one node (XEP-0402). What older clients
keep of it (XEP-0048) is another view of the same.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from server.accounts import Accounts
from server.pep import BOOKMARKS, OLD_BOOKMARKS, Pep

_REST = "rest of the old bookmarks"
"""What else is in the old element: private XML of a name that no client can ask for."""
CURRENT = "current"


class Words(Protocol):
    """How bookmarks are written; see :mod:`stanzas.bookmarks`."""

    def write(self, name: str, nick: str, autojoin: bool) -> str: ...

    def as_old(self, bookmarks: Iterable[tuple[str, str]], rest: str) -> str: ...

    def from_old(self, storage: str, known: Mapping[str, str]) -> tuple[dict[str, str], str]: ...


class Bookmarks:
    """All users'. What changes them tells the user's devices that want to hear it."""

    def __init__(self, pep: Pep, accounts: Accounts, words: Words) -> None:
        self._pep = pep
        self._accounts = accounts
        self._words = words
        pep.changed[BOOKMARKS] = self._tell_old

    async def add(
        self, userid: int, room: str, name: str, nick: str, autojoin: bool = True
    ) -> None:
        """A bookmark of this room (bare JID). One that is there stays as the user has it.

        Raises ``StorageAway``; ``too-long`` where the account has too many nodes.
        """
        if room not in await self._all(userid):
            xml = self._words.write(name, nick, autojoin)
            await self._pep.publish(userid, BOOKMARKS, room, xml)

    async def remove(self, userid: int, room: str) -> None:
        """Takes it back, if it is there. Raises ``StorageAway``."""
        if room in await self._all(userid):
            await self._pep.retract(userid, BOOKMARKS, [room], notify=True)

    async def old(self, userid: int) -> str:
        """All of them as older clients read them."""
        rest = await self._pep.private(userid, _REST)
        return self._words.as_old((await self._all(userid)).items(), rest)

    async def keep_old(self, userid: int, storage: str) -> None:
        """An older client says what there is from now on. Raises ``bad-field``, ``too-long``."""
        self._pep.check_size(storage)
        known = await self._all(userid)
        wanted, rest = self._words.from_old(storage, known)
        if rest or await self._pep.private(userid, _REST):
            await self._pep.keep_private(userid, _REST, rest)
        for room, xml in wanted.items():
            if known.get(room) != xml:
                await self._pep.publish(userid, BOOKMARKS, room, xml, is_last=False)
        gone = [room for room in known if room not in wanted]
        if gone:
            await self._pep.retract(userid, BOOKMARKS, gone, notify=True, is_last=False)
        await self._tell_old(userid)

    async def _all(self, userid: int) -> dict[str, str]:
        return {item.id: item.xml for item in await self._pep.own(userid, BOOKMARKS)}

    async def _tell_old(self, userid: int) -> None:
        owner = await self._accounts.user(userid)
        if owner is not None:
            xml = await self.old(userid)
            self._pep.notify((userid,), owner, OLD_BOOKMARKS, "items", [CURRENT], xml)
