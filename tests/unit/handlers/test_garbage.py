"""A message leaves no cyclic garbage: the collector has nothing to do however many there are."""

import asyncio
import gc
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.chat import ChatSession
from handlers.json_codec import PLAIN
from handlers.wire import Wire
from handlers.xmpp import XmppNode
from handlers.xmpp_socket import XmppSocket
from server.bus.local import LocalBus
from server.clients import AddressCounter, ClientMap, ClientNode
from server.connections import Connections
from server.limits import SendRate
from server.metrics import Metrics
from server.model import Message, User
from server.ports import Inserted
from server.router import Router
from server.settings import load
from server.store.messages import MongoMessages
from server.writer import Writer
from tests.unit.handlers.test_frames import masked

COUNT = 500


class Sink:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


class Taking:
    """A store that has stored at once."""

    encode = MongoMessages.encode

    async def last(self, conv: str) -> Message | None:
        return None

    async def insert(self, documents: Sequence[bytes]) -> Inserted:
        return Inserted(len(documents), "")

    async def add(self, conv: str, members: Sequence[int]) -> None:
        return


class House:
    """The parts on a message's way, joined as the composition root does."""

    def __init__(self) -> None:
        settings = load(None, {"TANDEM_LIMITS_RATE_SCALE": "1000"})
        users = {n: User(n, jid=f"{n}@localhost") for n in (10_001, 10_002)}
        accounts: Any = SimpleNamespace(cached=users.get, cached_id=int)
        clients, metrics = ClientMap(10), Metrics()
        nobody: Any = None
        blocks: Any = SimpleNamespace(check=lambda *_: True, are_apart=lambda *_: False)
        presence: Any = SimpleNamespace(show=lambda *_: None, left=lambda *_: None)
        bus = LocalBus()
        router = Router(
            clients,
            accounts,
            nobody,
            blocks,
            bus,
            metrics,
            SendRate(settings.limits),
            nobody,
            settings.limits,
        )
        bus.listen(router.give_out, lambda: None, lambda: None)
        store: Any = Taking()
        router.writer = Writer(
            store,
            store,
            nobody,
            metrics,
            queue_documents=10_000,
            queue_bytes=2**25,
            hold_s=10,
            stored=router.on_stored,
            refused=router.on_refused,
        )
        self.users, self.clients, self.metrics, self.writer = users, clients, metrics, router.writer
        self.services: Any = SimpleNamespace(
            router=router,
            settings=settings,
            clients=clients,
            connections=Connections(clients, AddressCounter(100), metrics, None, None, presence),
            metrics=metrics,
            presence=presence,
            accounts=accounts,
            addresses=AddressCounter(100),
            newcomers=AddressCounter(100),
            offline=SimpleNamespace(moved=lambda *_: None),
            history=None,
        )

    def json(self, userid: int) -> Wire:
        wire = Wire(262_144, 1 << 20, 75)
        node = ClientNode(self.users[userid], PLAIN, wire)
        wire.session = ChatSession(self.services, node, wire)
        wire.connection_made(Sink())  # type: ignore[arg-type]
        return wire

    def xmpp(self, userid: int) -> Wire:
        wire = Wire(262_144, 1 << 20, 0)
        socket = XmppSocket(self.services, wire, "127.0.0.1", is_private=True)
        session = socket._session
        session._end_login()
        session.user = self.users[userid]
        session.node = XmppNode(session.user, socket.codec, socket, resource="r")
        session.node.session = session
        session._priority = 0
        self.clients.bind(session.node)
        stream = socket._stream
        stream._is_open = True
        stream.is_authenticated = stream.is_bound = True
        wire.session = socket
        wire.connection_made(Sink())  # type: ignore[arg-type]
        return wire

    async def send(self, wire: Wire, make: Any) -> None:
        for number in range(COUNT):
            wire.data_received(masked(make(number)))
            while self.metrics.accepted - self.metrics.stored > number % 50:
                await asyncio.sleep(0)
        await self.writer.close(5)
        await asyncio.sleep(0)


def typing(number: int) -> bytes:
    return b'{"cmd":13,"chat":10,"dstid":10002,"state":"composing"}'


def message(number: int) -> bytes:
    return b'{"cmd":10,"dstid":10002,"content":"hello","cid":"%d"}' % number


def stanza(number: int) -> bytes:
    return (
        b"<message xmlns='jabber:client' to='10002@localhost' type='chat'><body>hello</body>"
        b"<origin-id xmlns='urn:xmpp:sid:0' id='%d'/></message>" % number
    )


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize(
    ("sender", "make"), [("json", typing), ("json", message), ("xmpp", stanza)]
)
async def test_messages_leave_no_cyclic_garbage(sender: str, make: Any) -> None:
    house = House()
    wire = getattr(house, sender)(10_001)
    sinks = [house.json(10_002)._transport, house.xmpp(10_002)._transport]
    gc.collect()
    gc.disable()
    try:
        await house.send(wire, make)
        found = gc.collect()
    finally:
        gc.enable()
    # What the run itself leaves, the writer's task and its like, does not grow with the messages.
    assert found < COUNT / 10
    assert sinks[0] is not None
    assert sinks[0].writes > 0  # type: ignore[attr-defined]
    if make is not typing:
        assert house.metrics.stored == COUNT
