"""Who of this node's users wants what: which topics the bus has to bring, and whether it did.

A user's topic and those of the user's groups are watched while the user is connected here and for
a while after. Where much may be lost and nobody could tell what (the bus was away, a node died),
every topic's newest entries are compared with what was given out.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable
from contextlib import suppress

from server.clients import ClientMap, now_ms
from server.errors import StorageAway
from server.model import first_id_of
from server.ports import Bus, GroupStore, MessageStore
from server.sequence import Sequence

log = logging.getLogger(__name__)

LINGER_S = 30.0
"""After the last connection: most come back soon."""
SWEEP_S = 5.0
RIPE_S = 2.0
"""Younger entries are still on their way to us by themselves."""
SLACK_S = 90.0
"""How long a loss may go unnoticed, and entries become durable after they got their id."""
TOPICS = 500
"""Looked at in one query."""
AGAIN_S = 0.5


class _Local:
    """A user who is or was just connected here."""

    __slots__ = ("gids", "leaves_at", "left", "loading")

    def __init__(self) -> None:
        self.gids: set[int] = set()
        self.left: set[int] = set()
        self.loading: asyncio.Future[None] | None = None
        self.leaves_at = 0.0


class Audience:
    """One per node of a service of several. All of it on the event loop."""

    def __init__(
        self, clients: ClientMap, bus: Bus, groups: GroupStore, messages: MessageStore
    ) -> None:
        self._clients = clients
        self._bus = bus
        self._groups = groups
        self._messages = messages
        self._loop = asyncio.get_running_loop()
        self._locals: dict[int, _Local] = {}
        self._members: dict[int, set[int]] = {}
        self._since: dict[int, int] = {}
        self._sound_at = self._loop.time()
        self._is_looking = False
        self._hurry = asyncio.Event()
        self._unsure: dict[int, set[int]] = {}
        self._doubt = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.sequence: Sequence

    def start(self) -> None:
        self._tasks = {
            asyncio.create_task(self._look_for_ever(), name="audience"),
            asyncio.create_task(self._make_sure_for_ever(), name="membership"),
        }

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def hurry(self) -> None:
        """The bus was away, or a node died: looks at everything now."""
        self._hurry.set()

    def heard(self) -> None:
        """What others told is known; if there is a bus besides, nothing is missed up to now."""
        if self._bus.is_up and not (self._hurry.is_set() or self._is_looking):
            self._sound_at = self._loop.time()

    def members(self, gid: int) -> Collection[int]:
        """The group's members who are connected here."""
        return self._members.get(gid, ())

    def watched_since(self, topics: Iterable[int]) -> int | None:
        """Since when one of them is watched: milliseconds since 1970, None if none is."""
        since = self._since
        return min((since[topic] for topic in topics if topic in since), default=None)

    async def arrive(self, userid: int) -> None:
        """Before a connection is bound: from now on what is for this user comes here.

        Raises ``StorageAway``.
        """
        local = self._locals.get(userid)
        if local is not None:
            local.leaves_at = self._loop.time() + LINGER_S
            if local.loading is not None:
                await asyncio.shield(local.loading)
            return
        local = self._locals[userid] = _Local()
        local.leaves_at = self._loop.time() + LINGER_S
        local.loading = asyncio.ensure_future(self._load(userid, local))
        local.loading.add_done_callback(_take_exception)  # nobody may be left to hear of it
        await asyncio.shield(local.loading)

    async def _load(self, userid: int, local: _Local) -> None:
        self._watch(userid)
        try:
            gids = await self._groups.gids_of(userid)
        except BaseException:
            self._drop(userid)
            raise
        for gid in gids:
            if gid not in local.left:
                self._enter(gid, userid, local)
        await self._bus.settled()
        local.loading = None

    def joined(self, gid: int, userids: Iterable[int]) -> None:
        """Some joined a group. Whether they still are in it is looked up.

        Who went again, by another node, may have been told of first.
        """
        here = self._locals.keys() & set(userids)
        if here:
            self._unsure.setdefault(gid, set()).update(here)
            self._doubt.set()

    def left(self, gid: int, userids: Iterable[int]) -> None:
        """Some left a group. They hear no more at once; who is back already, in a moment."""
        gone = list(userids)
        for userid in gone:
            self._leave(gid, userid)
        self.joined(gid, gone)

    def dissolved(self, gid: int) -> None:
        self.left(gid, self._members.get(gid, ()))

    async def _make_sure_for_ever(self) -> None:
        """Looks up who is a member now, for one change after the other."""
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            for gid in list(self._unsure):
                userids = self._unsure.pop(gid)
                try:
                    members = await self._groups.members(gid, userids)
                except StorageAway:
                    self._unsure.setdefault(gid, set()).update(userids)
                    self._doubt.set()
                    await asyncio.sleep(AGAIN_S)
                    continue
                except Exception:
                    log.exception("membership_not_known gid=%d", gid)
                    continue
                floors = {member["userid"]: member["floor"] for member in members}
                # What was said of some meanwhile may not be in what was read.
                for userid in userids - self._unsure.get(gid, set()):
                    if userid in floors:
                        self._come(gid, userid, floors[userid])
                    else:
                        self._leave(gid, userid)

    def _come(self, gid: int, userid: int, floor: int) -> None:
        """The user is a member from the entry behind ``floor`` on."""
        local = self._locals.get(userid)
        # One who connected since the joining was taken for a member from the beginning.
        if local is not None and gid not in local.gids:
            local.left.discard(gid)
            self._enter(gid, userid, local)
            self.sequence.catch_up(f"g{gid}", userid, floor)

    def _leave(self, gid: int, userid: int) -> None:
        local = self._locals.get(userid)
        if local is not None:
            local.left.add(gid)
            self._exit(gid, userid, local)

    def _enter(self, gid: int, userid: int, local: _Local) -> None:
        local.gids.add(gid)
        members = self._members.get(gid)
        if members is None:
            members = self._members[gid] = set()
            self._watch(gid)
        members.add(userid)

    def _exit(self, gid: int, userid: int, local: _Local) -> None:
        local.gids.discard(gid)
        members = self._members.get(gid)
        if members is not None:
            members.discard(userid)
            if not members:
                del self._members[gid]
                self._unwatch(gid)

    def _drop(self, userid: int) -> None:
        local = self._locals.pop(userid)
        for gid in list(local.gids):
            self._exit(gid, userid, local)
        self._unwatch(userid)

    def _watch(self, topic: int) -> None:
        self._since[topic] = now_ms()
        self._bus.watch(topic)

    def _unwatch(self, topic: int) -> None:
        del self._since[topic]
        self._bus.unwatch(topic)
        self.sequence.unwatched(topic)

    def _sweep(self) -> None:
        """Those who did not come back."""
        now = self._loop.time()
        for userid, local in list(self._locals.items()):
            if self._clients.of(userid):
                local.leaves_at = now + LINGER_S
            elif local.leaves_at < now and local.loading is None:
                self._drop(userid)

    async def _look_for_ever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._hurry.wait()
            self._sweep()
            if not self._hurry.is_set():
                continue
            began, topics = self._loop.time(), list(self._since)
            after_ms = now_ms() - int(1000 * (began - self._sound_at + SLACK_S))
            self._hurry.clear()
            self._is_looking = True
            try:
                for start in range(0, len(topics), TOPICS):
                    await self._look(topics[start : start + TOPICS], after_ms)
                log.info("looked topics=%d seconds=%.1f", len(topics), self._loop.time() - began)
            except StorageAway:
                self._hurry.set()
                await asyncio.sleep(AGAIN_S)
            except Exception:
                log.exception("audience_look_failed")
            finally:
                self._is_looking = False

    async def _look(self, topics: list[int], after_ms: int) -> None:
        since = min((self._since.get(topic, now_ms()) for topic in topics), default=0)
        after_ms = max(after_ms, since) - int(1000 * RIPE_S)
        before_ms = now_ms() - int(1000 * RIPE_S)
        newest = await self._messages.newest(topics, first_id_of(after_ms), first_id_of(before_ms))
        for conv, seq in newest.items():
            await self.sequence.look(conv, seq)


def _take_exception(done: "asyncio.Future[None]") -> None:
    if not done.cancelled():
        done.exception()
