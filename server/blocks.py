"""Who blocks whom, in memory, so that a message needs no database read."""

from collections.abc import Callable

from server.changes import Changes
from server.errors import ChatError
from server.ports import BlockStore

CACHED = 100_000
"""Users whose list is in memory. Most lists are empty, and those are all one object."""

_NOBODY: frozenset[int] = frozenset()


class Blocks:
    """The lists. :meth:`server.contacts.Contacts.block` is how they are changed.

    ``changed``: called on every node when the first has blocked or unblocked the second.
    """

    changed: Callable[[int, int], None]

    def __init__(self, store: BlockStore, changes: Changes) -> None:
        self._store = store
        self._changes = changes
        self._forgotten = 0
        self._cache: dict[int, frozenset[int]] = {}
        changes.on("block", self._changed)

    def cached(self, userid: int) -> frozenset[int] | None:
        """Whom the user blocks, if that is in memory."""
        return self._cache.get(userid)

    async def load(self, userid: int) -> frozenset[int]:
        """Whom the user blocks. Raises ``StorageAway``."""
        known = self._cache.get(userid)
        if known is None:
            forgotten = self._forgotten
            known = frozenset(await self._store.of_user(userid)) or _NOBODY
            if forgotten == self._forgotten:  # else it may be out of date already
                if len(self._cache) >= CACHED and userid not in self._cache:
                    del self._cache[next(iter(self._cache))]
                self._cache[userid] = known
        return known

    async def read(self, userid: int) -> list[int]:
        """As :meth:`load`, without what this node may not have heard of yet."""
        return await self._store.of_user(userid)

    def check(self, sender: int, recipient: int) -> bool:
        """Whether it is known that the one may send to the other; False: ask :meth:`look`.

        Raises ``blocked`` where the sender blocks the recipient, ``not-allowed`` the other way.
        """
        mine, theirs = self._cache.get(sender), self._cache.get(recipient)
        if mine is None or theirs is None:
            return False
        _check(sender, recipient, mine, theirs)
        return True

    async def look(self, sender: int, recipient: int) -> None:
        """As :meth:`check`, of lists that may have to be read. Raises ``StorageAway`` too."""
        _check(sender, recipient, await self.load(sender), await self.load(recipient))

    def are_apart(self, one: int, other: int) -> bool | None:
        """Whether one of the two blocks the other; None: not in memory, ask :meth:`apart`."""
        mine, theirs = self._cache.get(one), self._cache.get(other)
        if mine is None or theirs is None:
            return None
        return other in mine or one in theirs

    async def apart(self, one: int, other: int) -> bool:
        """Whether one of the two blocks the other. Raises ``StorageAway``."""
        return other in await self.load(one) or one in await self.load(other)

    async def blocks_user(self, userid: int, *, by: int) -> bool:
        """Whether ``userid`` is blocked by ``by``. Raises ``StorageAway``."""
        return userid in await self.load(by)

    async def blockers(self, userid: int) -> list[int]:
        """Who blocks this user. Raises ``StorageAway``."""
        return await self._store.blockers(userid)

    async def add(self, userid: int, other: int, most: int) -> bool:
        """False: the user's list has ``most`` entries. Raises ``StorageAway``."""
        if not await self._store.add(userid, other, most):
            return False
        await self._changes.add("block", userid=userid, other=other)
        return True

    async def remove(self, userid: int, other: int) -> None:
        """Raises ``StorageAway``."""
        await self._store.remove(userid, other)
        await self._changes.add("block", userid=userid, other=other)

    async def forget_user(self, userid: int) -> None:
        """The account is deleted. Others' lists in memory may name it on: ids are not reused."""
        await self._store.forget(userid)

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._forgotten += 1
        self._cache.clear()

    def _changed(self, userid: int, other: int) -> None:
        self._forgotten += 1  # somebody may be loading it
        self._cache.pop(userid, None)
        self.changed(userid, other)


def _check(sender: int, recipient: int, mine: frozenset[int], theirs: frozenset[int]) -> None:
    if recipient in mine:
        raise ChatError("blocked", "you have blocked this user")
    if sender in theirs:
        # Over XMPP it is the answer that one gets of who is not there.
        raise ChatError(
            "not-allowed", "this user does not take your messages", xmpp="service-unavailable"
        )
