"""Who is connected to which node, in the database, so that each node can ask about the others.

A node is alive while it renews its lease. What the registry says of a node without one is out of
date; whoever notices tells the users here what it means for them.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from server.changes import Changes
from server.clients import ClientMap, ClientNode, now_ms
from server.deliveries import Event, Stanza
from server.errors import Close, StorageAway
from server.model import User
from server.ports import ConnectionStore, Document

log = logging.getLogger(__name__)

LEASE_S = 20.0
RENEW_S = 5.0
"""So a node that was killed is missed within 25 s, where 45 are allowed."""
FLUSH_S = 0.25
BURIED_S = 60.0
"""After which every other node has noticed, and its entries may go."""


class Registry:
    """One per node of a service of several. ``give``: hands an event to connections here.

    ``lost``: called when another node is dead. ``settle``: is told the users of whose connections
    the book now says something else. ``watchers``: who sees a user's presence. ``speak``: tells
    them, and the user's other connections, what an XMPP connection says.
    """

    settle: Callable[[Iterable[int]], Awaitable[None]]
    watchers: Callable[[int], Awaitable[Collection[int]]]
    speak: Callable[[int, str], Awaitable[None]]

    def __init__(
        self,
        store: ConnectionStore,
        changes: Changes,
        clients: ClientMap,
        *,
        connections_per_user: int,
        give: Callable[[Event], None],
        lost: Callable[[], None],
    ) -> None:
        self.node_id = secrets.token_hex(6)
        self._store = store
        self._changes = changes
        self._clients = clients
        self._limit = connections_per_user
        self._give = give
        self._lost = lost
        self._count = 0
        self._alive: set[str] = {self.node_id}
        self._come: dict[str, Document] = {}
        self._edits: dict[str, Document] = {}
        self._gone: set[str] = set()
        self._check: set[int] = set()
        self._touched: set[int] = set()
        self._dead: dict[str, float] = {}
        self._untold: set[str] = set()
        self._back: list[ClientNode] = []
        self._tasks: list[asyncio.Task[None]] = []
        changes.on("gave-way", self._gave_way)

    async def start(self) -> None:
        """Takes the first lease. Raises ``StorageAway``."""
        # Those that died while nobody was there to notice are noticed now.
        self._alive.update(await self._store.nodes())
        await self._renew()
        self._tasks = [
            asyncio.create_task(self._renew_for_ever(), name="lease"),
            asyncio.create_task(self._flush_for_ever(), name="registry"),
        ]

    async def close(self) -> None:
        """Takes this node out of the book."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for node in self._clients.everyone():  # those that did not close in time
            self.unbound(node.key, node.userid)
        try:
            await self._flush()
            await self._store.bury(self.node_id)
        except StorageAway:
            log.info("lease_left_to_expire")

    def bound(self, node: ClientNode) -> None:
        """A connection is there; one that has claimed its resource is in the book already."""
        if not node.key:
            node.key = self._new_key()
            self._come[node.key] = self._document(node.key, node.userid)
        self._check.add(node.userid)

    def unbound(self, key: str, userid: int) -> None:
        self._come.pop(key, None)
        self._edits.pop(key, None)
        self._gone.add(key)  # it may just be being written
        self._touched.add(userid)

    def shows(self, node: ClientNode) -> None:
        """The presence of a connection is another now."""
        rows = self._come if node.key in self._come else self._edits
        rows[node.key] = {**rows.get(node.key, {}), **_shown(node)}
        self._touched.add(node.userid)

    async def claim(self, user: User, wanted: str) -> tuple[str, str]:
        """A key and a resource (``wanted``, if it is free) that no other connection has."""
        resource = wanted or secrets.token_hex(4)
        key = self._new_key()
        try:
            while True:
                document = {**self._document(key, user.id), "resource": resource}
                holder = await self._store.claim(document)
                if holder is None:
                    return key, resource
                if holder["_id"] not in self._gone and await self._living([holder]):
                    resource = f"{wanted}-{secrets.token_hex(4)}"
                else:
                    await self._store.remove([holder["_id"]])
        except StorageAway:
            resource = f"{wanted or 'r'}-{secrets.token_hex(4)}"
            self._come[key] = {**self._document(key, user.id), "resource": resource}
            return key, resource

    async def present(self, node: ClientNode, presence: str, farewell: str) -> None:
        """What an XMPP connection's presence is now (empty: none), and what ends it."""
        if node.key in self._come:
            row = self._come[node.key]
            self._come[node.key] = {**row, "presence": presence, "farewell": farewell}
            return
        try:
            await self._store.set(node.key, {"presence": presence, "farewell": farewell})
        except StorageAway:
            log.info("presence_not_stored user=%d", node.userid)

    def slept(self, node: ClientNode, name: str, handled: int) -> None:
        """See :meth:`server.connections.Connections.slept`; ``name`` stands for the number."""
        rows = self._come if node.key in self._come else self._edits
        rows[node.key] = {**rows.get(node.key, {}), "sleeps": name, "handled": handled}

    async def woke(self, node: ClientNode) -> None:
        """At once: who trusts an old count sends twice what was done since."""
        for rows in (self._come, self._edits):
            if node.key in rows:
                rows[node.key] = {**rows[node.key], "sleeps": ""}
        try:
            await self._store.set(node.key, {"sleeps": ""})
        except StorageAway:
            log.info("waking_not_stored user=%d", node.userid)

    async def gave_up(self, userid: int, name: str) -> int | None:
        """Ends the session of this name; how many stanzas it had done with. Raises
        ``StorageAway``."""
        for each in await self.connections([userid]):
            if each.get("sleeps") == name:
                await self._changes.add("gave-way", userid=userid, key=each["_id"])
                handled: int = each["handled"]
                return handled
        return None

    async def elsewhere(self, userids: Sequence[int]) -> list[tuple[str, str]]:
        """The presences of XMPP connections to other nodes, each with what ends it.

        Raises ``StorageAway``.
        """
        return [
            (each["presence"], each["farewell"])
            for each in await self.connections(userids)
            if each.get("presence") and each["node"] != self.node_id
        ]

    async def connections(self, userids: Sequence[int]) -> list[Document]:
        """What the book says of the users' connections to all living nodes."""
        return await self._living(await self._store.of_users(userids))

    async def _living(self, connections: list[Document]) -> list[Document]:
        """Those whose node is alive; it may be newer than our last look at the leases."""
        nodes = {each["node"] for each in connections}
        if not nodes <= self._alive:
            self._alive |= set(await self._store.alive())
        return [each for each in connections if each["node"] in self._alive]

    def _new_key(self) -> str:
        self._count += 1
        return f"{self.node_id}.{self._count}"

    def _document(self, key: str, userid: int) -> Document:
        return {"_id": key, "node": self.node_id, "userid": userid, "since": now_ms()}

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self._flush()
            except StorageAway:
                continue
            except Exception:
                log.exception("registry_not_written")

    async def _flush(self) -> None:
        touched, self._touched = self._touched, set()
        # Who comes while we write is in the book, and counted, at the next flush only.
        check, self._check = self._check, set()
        try:
            gone = await self._write()
            await self._speak_again()
            if touched:
                await self.settle(touched)
            if gone:
                # Not sooner: if this node dies now, the others settle those who are in the book.
                await self._store.remove(gone)
                self._gone.difference_update(gone)
            if check:
                await self._enforce_limit(list(check))
        except BaseException:
            self._touched |= touched
            self._check |= check
            raise

    async def _write(self) -> list[str]:
        """Who came, what they show now, and that those who are gone show nothing; gives these."""
        if come := dict(self._come):
            await self._store.insert(list(come.values()))
            for key, written in come.items():
                row = self._come.pop(key, written)
                if row is not written:  # changed meanwhile
                    self._edits[key] = {**row, **self._edits.get(key, {})}
        if edits := dict(self._edits):
            await self._store.edit(edits)
            for key, edit in edits.items():
                if self._edits.get(key) is edit:
                    del self._edits[key]
        if gone := list(self._gone):
            await self._store.hush(gone)
        return gone

    async def _enforce_limit(self, userids: list[int]) -> None:
        """The oldest of a user's connections gives way, wherever it is."""
        by_user: dict[int, list[Document]] = {}
        for each in await self.connections(userids):
            by_user.setdefault(each["userid"], []).append(each)
        for userid, found in by_user.items():
            found.sort(key=lambda each: (each["since"], each["_id"]))
            for each in found[: max(0, len(found) - self._limit)]:
                await self._changes.add("gave-way", userid=userid, key=each["_id"])

    def _gave_way(self, userid: int, key: str) -> None:
        for node in self._clients.of(userid):
            if node.key == key:
                node.end(Close.REPLACED)

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._renew()
            except StorageAway:
                continue
            except Exception:
                log.exception("lease_not_renewed")

    async def _renew(self) -> None:
        if not await self._store.renew(self.node_id, LEASE_S):
            self._come_back()
        alive = set(await self._store.alive()) | {self.node_id}
        lost, self._alive = self._alive - alive, alive
        now = asyncio.get_running_loop().time()
        for node_id in lost:
            log.warning("node_lost id=%s", node_id)
            self._dead[node_id] = now
            self._lost()
            self._untold.add(node_id)
        for node_id in list(self._untold):  # again, if the database was away
            await self._tell_users(node_id)
            self._untold.discard(node_id)
        for node_id in [dead for dead, at in self._dead.items() if now - at > BURIED_S]:
            await self._store.bury(node_id)
            del self._dead[node_id]

    def _come_back(self) -> None:
        """The first lease, or the others took us for dead and wiped us out of the book."""
        for node in self._clients.everyone():
            if node.key and node.key not in self._gone:
                known = self._come.get(node.key) or self._document(node.key, node.userid)
                if node.resource:
                    known = {"resource": node.resource, **known}
                presence, farewell = node.presence()
                known = {**known, "presence": presence, "farewell": farewell, **_shown(node)}
                self._come[node.key] = known
                self._touched.add(node.userid)
                self._back.append(node)

    async def _speak_again(self) -> None:
        """Contacts on other nodes were told that those who have come back were gone."""
        back, self._back = self._back, []
        for node in back:
            presence, _ = node.presence()
            if presence and node.key not in self._gone:
                await self.speak(node.userid, presence)

    async def _tell_users(self, node_id: str) -> None:
        """Their contacts and their own other connections hear that those to the node are gone."""
        lost = await self._store.of_node(node_id)
        # With the next flush: that goes on trying.
        self._touched.update(each["userid"] for each in lost)
        spoken = [each for each in lost if each.get("presence")]
        # Together: thousands of them cost few queries then.
        found = await asyncio.gather(*(self.watchers(each["userid"]) for each in spoken))
        for each, watchers in zip(spoken, found, strict=True):
            self._give(Event((each["userid"], *watchers), Stanza(each["farewell"])))


def _shown(node: ClientNode) -> Document:
    return {} if node.shown is None else node.shown._asdict()
