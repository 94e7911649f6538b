"""Who is connected: :class:`ClientMap`, user id → connections, and what a connection offers.

Reading the map takes no lock: a shard's values are tuples that are replaced, never changed, so a
reader in any thread sees the connections of one moment. Changing it takes the shard's lock.
"""

import threading
import time
from collections.abc import Awaitable, Iterable
from typing import Protocol

from server.deliveries import Envelope, Event, Passed, Personal
from server.errors import ChatError, Close
from server.model import Message, Shown, User

USERS_PER_SHARD = 100_000


class Pipe(Protocol):
    """The connection under a node: a WebSocket or an XMPP stream."""

    @property
    def is_slow(self) -> bool:
        """Whether the peer is behind with reading: hints are spared it."""

    def send(self, data: bytes) -> None:
        """Queues ready-made bytes. Never waits or raises; a peer too slow for it is closed."""

    def end(self, why: Close) -> None:
        """Says why in the protocol's words and closes. Again is no change."""

    def abort(self) -> None:
        """Closes at once, whatever waits to be written."""

    def pause(self) -> None:
        """Stops reading and parsing; calls are counted."""

    def resume(self) -> None:
        """Takes one :meth:`pause` back."""


class Codec(Protocol):
    """A protocol's words, one shared instance each. Bytes ready to write; None: nothing to say."""

    @property
    def name(self) -> str:
        """For the metrics: ``json``, ``xmpp-websocket``, ``xmpp``."""

    @property
    def per_user(self) -> bool:
        """Whether :meth:`message` differs from viewer to viewer; False: one encoding serves all."""

    @property
    def reflects(self) -> bool:
        """Whether the sending connection gets its own message to a group as well."""

    def message(self, passed: Passed, viewer: User) -> bytes | None: ...

    def event(self, event: Event) -> bytes | None: ...

    def ack(self, envelope: Envelope) -> bytes | None: ...

    def error(self, envelope: Envelope, error: ChatError) -> bytes | None: ...


class ClientNode:
    """One bound connection of one user.

    ``hint``: sends an encoded event, where it is wanted. ``key``: its name among all nodes'.
    ``shown``: its presence, None while it has none.
    """

    __slots__ = (
        "address",
        "codec",
        "device",
        "hint",
        "key",
        "pipe",
        "resource",
        "send",
        "shown",
        "sid",
        "unanswered",
        "user",
        "userid",
    )

    def __init__(
        self,
        user: User,
        codec: Codec,
        pipe: Pipe,
        *,
        sid: str = "",
        device: str = "",
        resource: str = "",
        address: str = "",
        key: str = "",
    ) -> None:
        self.userid = user.id
        self.user = user
        self.codec = codec
        self.pipe = pipe
        self.send = self.hint = pipe.send
        self.sid = sid
        self.device = device
        self.resource = resource
        self.address = address
        self.key = key
        self.unanswered = 0
        self.shown: Shown | None = None

    def deliver(self, data: bytes, message: Message) -> None:
        """Sends an encoded message. XMPP sessions that are not available override this."""
        self.send(data)

    def presence(self) -> tuple[str, str]:
        """An XMPP session's presence, and what ends it; see :class:`server.deliveries.Stanza`."""
        return "", ""

    def take(self, body: Personal) -> None:
        """A hint that an XMPP session puts into its own words; others have none for it."""

    def end(self, why: Close) -> None:
        self.pipe.end(why)


class _Shard:
    __slots__ = ("lock", "nodes")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.nodes: dict[int, tuple[ClientNode, ...]] = {}


class ClientMap:
    """User id → that user's connections on this node, oldest first; safe from several threads.

    ``shards`` × 100,000 users at most; ``connections_per_user`` is the limit of each.
    """

    def __init__(self, connections_per_user: int, shards: int = 16) -> None:
        self._shards = tuple(_Shard() for _ in range(shards))
        self._nodes = tuple(shard.nodes for shard in self._shards)
        self._count = shards
        self.connections_per_user = connections_per_user

    def of(self, userid: int) -> tuple[ClientNode, ...]:
        """The user's connections; empty for none."""
        return self._nodes[userid % self._count].get(userid, ())

    def of_all(self, userids: Iterable[int]) -> list[ClientNode]:
        """The connections of several users."""
        shards, count = self._nodes, self._count
        found: list[ClientNode] = []
        for userid in userids:
            nodes = shards[userid % count].get(userid)
            if nodes is not None:
                found += nodes
        return found

    def bind(self, node: ClientNode) -> ClientNode | None:
        """Adds a connection. Returns the user's oldest one if it has to give way: end it.

        Raises ``busy`` when the shard is full.
        """
        shard = self._shards[node.userid % self._count]
        with shard.lock:
            present = shard.nodes.get(node.userid, ())
            if not present and len(shard.nodes) >= USERS_PER_SHARD:
                raise ChatError("busy", "this node has all the users it can hold")
            oldest = present[0] if len(present) >= self.connections_per_user else None
            shard.nodes[node.userid] = (*(present if oldest is None else present[1:]), node)
        return oldest

    def unbind(self, node: ClientNode) -> bool:
        """Removes a connection; False if it was not there."""
        shard = self._shards[node.userid % self._count]
        with shard.lock:
            present = shard.nodes.get(node.userid, ())
            left = tuple(other for other in present if other is not node)
            if left:
                shard.nodes[node.userid] = left
            else:
                shard.nodes.pop(node.userid, None)
        return len(left) < len(present)

    def everyone(self) -> list[ClientNode]:
        """All connections of this moment."""
        nodes: list[ClientNode] = []
        for shard in self._shards:
            with shard.lock:
                for present in shard.nodes.values():
                    nodes.extend(present)
        return nodes

    def __len__(self) -> int:
        """How many users are connected."""
        return sum(len(shard.nodes) for shard in self._shards)


class AddressCounter:
    """Connections per network address, within a bound."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, int] = {}

    def check(self, address: str) -> None:
        """Raises ``slow-down`` when there may be no more."""
        if self._open.get(address, 0) >= self._limit:
            raise ChatError("slow-down", "too many connections from this address", retry_after=30)

    def is_over(self, address: str) -> bool:
        """Whether there are more than there may be."""
        return self._open.get(address, 0) > self._limit

    def enter(self, address: str) -> None:
        self._open[address] = self._open.get(address, 0) + 1

    def leave(self, address: str) -> None:
        count = self._open.get(address, 0) - 1
        if count > 0:
            self._open[address] = count
        else:
            self._open.pop(address, None)


def now_ms() -> int:
    """The wall clock, milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


Pending = Awaitable[None] | None
"""What accepting input gives: None, or what has to be awaited before the next input."""
