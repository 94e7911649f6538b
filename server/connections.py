"""Connections coming and going: what has to be told, in one place for both protocols."""

import hashlib
import secrets

from server.audience import Audience
from server.clients import AddressCounter, ClientMap, ClientNode
from server.errors import Close, StorageAway
from server.last_seen import LastSeen
from server.metrics import Metrics
from server.model import WEB, User
from server.presence import Presences
from server.registry import Registry

SLEEPERS = 10_000
"""Of so many sessions that have lost their connection it is known what was done, on each node."""


class Connections:
    """Binds and unbinds. Of a service of one node, ``audience`` and ``registry`` are None."""

    def __init__(
        self,
        clients: ClientMap,
        addresses: AddressCounter,
        metrics: Metrics,
        audience: Audience | None,
        registry: Registry | None,
        presence: Presences,
        last_seen: LastSeen | None = None,
    ) -> None:
        self._clients = clients
        self._addresses = addresses
        self._metrics = metrics
        self._audience = audience
        self._presence = presence
        self.registry = registry
        self._last_seen = last_seen
        self._slept: dict[str, int] = {}

    async def arrive(self, userid: int) -> None:
        """Before the first :meth:`bind` of a user: what is for them is brought here from now on.

        Raises ``StorageAway``.
        """
        if self._audience is not None:
            await self._audience.arrive(userid)

    async def claim(self, user: User, wanted: str) -> tuple[str, str]:
        """A key, empty where none is needed, and a resource that no other connection has."""
        if wanted == WEB:
            wanted = f"{wanted}-{secrets.token_hex(4)}"
        if self.registry is not None:
            return await self.registry.claim(user, wanted)
        taken = {node.resource for node in self._clients.of(user.id)}
        resource = wanted or secrets.token_hex(4)
        while resource in taken:
            resource = f"{wanted or 'r'}-{secrets.token_hex(4)}"
        return "", resource

    async def has(self, userid: int, resource: str) -> bool:
        """Whether the user has an XMPP connection of this name. Raises ``StorageAway``."""
        if any(node.resource == resource for node in self._clients.of(userid)):
            return True
        if self.registry is None:
            return False
        found = await self.registry.connections([userid])
        return any(each.get("resource") == resource for each in found)

    def disclaim(self, key: str, userid: int) -> None:
        """The connection was gone before it was bound."""
        if self.registry is not None:
            self.registry.unbound(key, userid)

    def bind(self, node: ClientNode) -> None:
        """A connection can be written to from now on. The user's oldest gives way to it.

        Raises ``busy``.
        """
        oldest = self._clients.bind(node)
        self._addresses.enter(node.address)
        self._metrics.connected(node.codec.name)
        self._saw(node)
        if self.registry is not None:
            self.registry.bound(node)
        if oldest is not None:
            oldest.end(Close.REPLACED)

    def unbind(self, node: ClientNode) -> None:
        """A bound connection is gone."""
        self._clients.unbind(node)
        self._addresses.leave(node.address)
        self._metrics.disconnected(node.codec.name)
        self._saw(node)
        if self.registry is not None:
            self.registry.unbound(node.key, node.userid)
        self._presence.left(node)

    def slept(self, node: ClientNode, number: str, handled: int) -> None:
        """A session that ``number`` would resume has lost its connection.

        ``handled``: how many of its client's stanzas are done with.
        """
        name = _digest(node.userid, number)
        if name not in self._slept and len(self._slept) >= SLEEPERS:
            del self._slept[next(iter(self._slept))]
        self._slept[name] = handled
        if self.registry is not None:
            self.registry.slept(node, name, handled)

    async def woke(self, node: ClientNode, number: str) -> None:
        """It has a connection again."""
        if self._slept.pop(_digest(node.userid, number), None) is not None and self.registry:
            await self.registry.woke(node)

    async def gave_up(self, userid: int, number: str) -> int | None:
        """Its client begins anew, so the session ends wherever it sleeps. What it had done with;
        None: that is not known."""
        name = _digest(userid, number)
        handled = self._slept.get(name)
        if handled is None and self.registry is not None:
            try:
                return await self.registry.gave_up(userid, name)
            except StorageAway:
                return None
        return handled

    def _saw(self, node: ClientNode) -> None:
        if self._last_seen is not None:
            self._last_seen.saw(node.userid, node.sid)


def _digest(userid: int, number: str) -> str:
    """What resumes a session is not kept where others could read it."""
    return hashlib.sha256(f"{userid} {number}".encode()).hexdigest()[:32]
