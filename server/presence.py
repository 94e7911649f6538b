"""Who is online, for their contacts: the best of a user's connections, over both protocols and all
nodes.

JSON contacts are told that best one. XMPP contacts are told of each XMPP connection by itself,
with what it said, and of all the others together as one more resource.

Connections change their state in memory; some moments later it is looked at whose presence that
changed, for all users together, and their contacts are told. So a line that breaks and is back is
not told at all, and thousands who come at once cost few queries.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, NamedTuple, get_args

import msgspec

from server.clients import ClientMap, ClientNode, now_ms
from server.deliveries import Stanza, WebPresence
from server.errors import ChatError, StorageAway
from server.model import OFFLINE, PRESENCE, Shown, State, User, clean_text
from server.ports import Document, PresenceStore
from server.registry import Registry

log = logging.getLogger(__name__)

MEMO_CHARS = 1000
REST_S = 0.1
"""Between two looks on a service of one node; with several, the registry says when."""
MOST = 200
"""Users looked at together: some thousand hints, for which messages wait a few dozen ms."""

_STATES: dict[str, State] = {state: state for state in get_args(State)}
_RANKS: dict[State, int] = {"offline": 0, "away": 1, "dnd": 2, "online": 3}


class PresenceHint(msgspec.Struct, omit_defaults=True):
    """cmd 20: the present state of a contact, and its description."""

    cmd: int
    userid: int
    state: State
    memo: str = ""


class Sight(NamedTuple):
    """The best of all connections of a user, and of those that are not XMPP's."""

    all: Shown = OFFLINE
    web: Shown = OFFLINE


class Presences:
    """One per node. ``watchers``: who sees a user's presence. ``registry``: with several nodes."""

    def __init__(
        self,
        clients: ClientMap,
        store: PresenceStore,
        registry: Registry | None,
        *,
        watchers: Callable[[int], Awaitable[Collection[int]]],
        users: Callable[[Collection[int]], Awaitable[dict[int, User]]],
        notify: Callable[[Collection[int], Any], None],
    ) -> None:
        self._clients = clients
        self._store = store
        self._registry = registry
        self._watchers = watchers
        self._users = users
        self._notify = notify
        self._told: dict[int, Sight] = {}
        self._touched: set[int] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Needed on a service of one node only."""
        self._task = asyncio.create_task(self._look_for_ever(), name="presence")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def show(self, node: ClientNode, state: str, memo: str = "") -> None:
        """A bound connection's state from now on. Raises ``bad-field``, ``too-long``."""
        known = _STATES.get(state)
        if known is None:
            raise ChatError("bad-field", "state must be online, away, dnd or offline")
        memo = clean_text(memo, "memo", MEMO_CHARS)
        node.shown = OFFLINE if known == "offline" else Shown(known, memo, now_ms())
        if self._registry is not None:
            self._registry.shows(node)
        else:
            self._touch(node.userid)

    def left(self, node: ClientNode) -> None:
        """The connection is gone."""
        if self._registry is None and node.shown is not None:
            self._touch(node.userid)

    async def of(self, userids: Collection[int]) -> dict[int, Shown]:
        """What was last told of these users, without those who are offline.

        Raises ``StorageAway``.
        """
        sights = await self._sights(userids)
        return {
            userid: sight.all for userid, sight in sights.items() if sight.all.state != "offline"
        }

    async def for_xmpp(self, userids: Collection[int]) -> list[WebPresence | Stanza]:
        """The same for XMPP clients: what each of the users' connections has shown.

        Raises ``StorageAway``.
        """
        return [
            *await self._web_presences(userids),
            *(Stanza(presence) for presence, _ in await self.spoken(userids)),
        ]

    async def introduce(self, userid: int, viewer: int) -> None:
        """Tells the viewer what others were told of the user, unless that is offline.

        Raises ``StorageAway``.
        """
        for shown in (await self.of((userid,))).values():
            self._tell((viewer,), userid, shown)
        for body in await self.for_xmpp((userid,)):
            self._notify((viewer,), body)

    async def hide(self, userid: int, viewer: int) -> None:
        """Takes an :meth:`introduce` back. Raises ``StorageAway``."""
        if await self.of((userid,)):
            self._tell((viewer,), userid, OFFLINE)
        await self.hide_resources(userid, viewer)

    async def hide_resources(self, userid: int, viewer: int) -> None:
        """The same for XMPP clients only; others know what it means that a contact is removed.

        Raises ``StorageAway``.
        """
        for web in await self._web_presences((userid,)):
            self._notify((viewer,), WebPresence(web.jid, "offline"))
        for _, farewell in await self.spoken((userid,)):
            self._notify((viewer,), Stanza(farewell))

    async def move(self, userid: int, formers: Collection[str], now: User | None) -> None:
        """XMPP contacts hear that the user is no longer at former bare JIDs; ``now``: where else.

        Raises ``StorageAway``.
        """
        watchers = await self._watchers(userid)
        if not watchers:
            return
        for _, farewell in await self.spoken((userid,)):
            self._notify(watchers, Stanza(farewell))
        web = (await self._sights((userid,))).get(userid, Sight()).web
        if now is None or web.state != "offline":
            for jid in formers:
                self._notify(watchers, WebPresence(jid, "offline"))
        if now is not None and web.state != "offline":
            self._notify(watchers, WebPresence(now.jid, web.state, web.memo))

    async def speak(self, userid: int, presence: str, also: Collection[int] = ()) -> None:
        """One of the user's XMPP connections tells the others, the contacts and ``also``."""
        watchers = await self._known_watchers(userid)
        self._notify({userid, *watchers, *also}, Stanza(presence))

    async def _sights(self, userids: Collection[int]) -> dict[int, Sight]:
        """What was last told of these users."""
        if self._registry is None:
            return {userid: self._told[userid] for userid in userids if userid in self._told}
        documents = await self._store.of_users(list(userids)) if userids else []
        return {each["_id"]: _sight(each) for each in documents}

    async def _web_presences(self, userids: Collection[int]) -> list[WebPresence]:
        sights = await self._sights(userids)
        on_web = {
            userid: sight.web for userid, sight in sights.items() if sight.web.state != "offline"
        }
        if not on_web:
            return []
        users = await self._users(on_web)
        return [
            WebPresence(users[userid].jid, shown.state, shown.memo)
            for userid, shown in on_web.items()
            if userid in users
        ]

    async def spoken(self, userids: Collection[int]) -> list[tuple[str, str]]:
        """What the users' XMPP connections to all nodes have said last, and what ends it.

        Raises ``StorageAway``.
        """
        here = [node.presence() for node in self._clients.of_all(userids)]
        if self._registry is not None and userids:
            here += await self._registry.elsewhere(list(userids))
        return [each for each in here if each[0]]

    async def settle(self, userids: Iterable[int]) -> None:
        """Tells the contacts of those whose presence is another than they were told.

        With several nodes, whichever is the first to note it in the database tells. Raises
        ``StorageAway`` when it is not known; contacts that cannot be read are not told.
        """
        waiting = list(userids)
        while waiting:
            some, waiting = waiting[:MOST], waiting[MOST:]
            # In memory then, so that telling follows noting in one turn: who becomes a contact
            # meanwhile is told from here or by :meth:`introduce`, and hardly ever twice.
            await asyncio.gather(*map(self._known_watchers, some))
            users = await self._users(some)
            if self._registry is None:
                changed = self._note_here(some)
            else:
                changed, again = await self._note(some, self._registry)
                waiting += again
            for userid, (before, now) in changed.items():
                if watchers := await self._known_watchers(userid):
                    if now.all[:2] != before.all[:2]:
                        self._tell(watchers, userid, now.all)
                    if now.web[:2] != before.web[:2] and userid in users:
                        web = WebPresence(users[userid].jid, now.web.state, now.web.memo)
                        self._notify(watchers, web)

    def _touch(self, userid: int) -> None:
        self._touched.add(userid)
        self._wake.set()

    async def _look_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(REST_S)
            self._wake.clear()
            touched, self._touched = self._touched, set()
            try:
                await self.settle(touched)
            except Exception:
                log.exception("presence_not_told")

    def _note_here(self, userids: list[int]) -> dict[int, tuple[Sight, Sight]]:
        changed = {}
        for userid in userids:
            sight = _sight_of(
                (node.shown, not node.resource)
                for node in self._clients.of(userid)
                if node.shown is not None
            )
            told = self._told.get(userid, Sight())
            if _differ(sight, told):
                changed[userid] = told, sight
                if sight.all.state == "offline":
                    del self._told[userid]
                else:
                    self._told[userid] = sight
        return changed

    async def _note(
        self, userids: list[int], registry: Registry
    ) -> tuple[dict[int, tuple[Sight, Sight]], set[int]]:
        """What changed, from what, and for whom somebody else noted something meanwhile."""
        found: dict[int, list[tuple[Shown, bool]]] = {userid: [] for userid in userids}
        for each in await registry.connections(userids):
            if "state" in each:
                found[each["userid"]].append((_shown(each), "resource" not in each))
        told = {each["_id"]: each for each in await self._store.of_users(userids)}
        changed = {}
        for userid in userids:
            sight = _sight_of(found[userid])
            before = _sight(told[userid]) if userid in told else Sight()
            if _differ(sight, before):
                changed[userid] = before, sight
        if not changed:
            return {}, set()
        again = await self._store.replace(
            [
                {
                    "_id": userid,
                    "v": told[userid]["v"] if userid in told else 0,
                    **sight.all._asdict(),
                    "web": sight.web._asdict(),
                }
                for userid, (_, sight) in changed.items()
            ]
        )
        return {userid: each for userid, each in changed.items() if userid not in again}, again

    async def _known_watchers(self, userid: int) -> Collection[int]:
        try:
            return await self._watchers(userid)
        except StorageAway:
            log.debug("presence_not_told user=%d", userid)
            return ()

    def _tell(self, viewers: Collection[int], userid: int, shown: Shown) -> None:
        self._notify(viewers, PresenceHint(PRESENCE, userid, shown.state, shown.memo))


def best(shown: Iterable[Shown]) -> Shown:
    """Of several connections: online before dnd before away, of equal ones the latest."""
    return max(shown, key=lambda each: (_RANKS[each.state], each.at), default=OFFLINE)


def _sight_of(shown: Iterable[tuple[Shown, bool]]) -> Sight:
    """Of what connections show, and whether they are not XMPP's."""
    found = list(shown)
    return Sight(best(each for each, _ in found), best(each for each, is_web in found if is_web))


def _differ(one: Sight, other: Sight) -> bool:
    return one.all[:2] != other.all[:2] or one.web[:2] != other.web[:2]


def _sight(document: Document) -> Sight:
    """What was told; before there was ``web``, nothing was to XMPP clients."""
    return Sight(_shown(document), _shown(document["web"]) if "web" in document else OFFLINE)


def _shown(document: Document) -> Shown:
    return Shown(document["state"], document["memo"], document["at"])
