"""What :class:`server.ports.Bus` promises, held by both buses."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from server.bus.local import LocalBus
from server.bus.nats import NatsBus
from server.clients import ClientNode
from server.deliveries import Delivery, Envelope, Event
from server.group_shapes import GroupChange
from server.model import Message, User
from server.settings import load
from tests.support.nats import Nats

ANN, BOB, GROUP = User(10_001, jid="ann@localhost"), User(10_002, jid="bob@localhost"), 10_003


class Pipe:
    """A connection that nobody writes to."""

    def send(self, data: bytes) -> None:
        raise AssertionError("nothing is sent here")


class End:
    """One node's end of a bus, and what it heard."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus
        self.heard: list[Any] = []
        self.pokes = self.joins = 0
        self._news = asyncio.Event()
        bus.listen(self._hear, self._poked, self._joined)

    def _hear(self, delivery: Any) -> None:
        self.heard.append(delivery)
        self._news.set()

    def _poked(self) -> None:
        self.pokes += 1
        self._news.set()

    def _joined(self) -> None:
        self.joins += 1
        self._news.set()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10) -> None:
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._news.clear()
                await self._news.wait()

    def texts(self) -> list[str]:
        return [heard.message.content for heard in self.heard]


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    server = Nats(tmp_path).start()
    yield server
    server.stop()


def nats_end(nats: Nats, subject: str = "tandem") -> End:
    settings = load(None, {"TANDEM_BUS_URL": nats.url, "TANDEM_BUS_SUBJECT": subject})
    return End(NatsBus(settings.bus, (Message, GroupChange)))


async def opened(end: End) -> End:
    await end.bus.open()
    await end.until(lambda: end.bus.is_up)
    return end


def envelope(text: str, owners: tuple[int, ...] = (ANN.id, BOB.id), seq: int = 1) -> Envelope:
    chat, dstid = (10, BOB.id) if len(owners) == 2 else (11, GROUP)
    message = Message(
        id=seq << 12, userid=ANN.id, cmd=chat, dstid=dstid, content=text, seq=seq, ts=5
    )
    node = ClientNode(ANN, None, Pipe(), resource="phone")  # type: ignore[arg-type]
    return Envelope(message, "c", node, BOB, None, owners, "<x xmlns='urn:x'/>")


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize("kind", ["local", "nats"])
async def test_what_a_node_publishes_it_hears_at_once_and_once(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """In the publisher's turn, watched or not, and no echo comes later."""
    if kind == "local":
        end = End(LocalBus())
        await end.bus.open()
    else:
        end = await opened(nats_end(request.getfixturevalue("nats")))
    end.bus.watch(BOB.id)
    await end.bus.settled()
    sent = [envelope(f"{n}", seq=n) for n in range(50)]
    for each in sent:
        end.bus.publish(each)
    assert end.heard == sent
    await end.bus.settled()
    await end.bus.settled()
    assert end.heard == sent
    await end.bus.close()


@pytest.mark.gen_test(timeout=20)
async def test_message_comes_whole_and_in_order_to_those_who_watch(nats: Nats) -> None:
    """Every field that a codec needs; nothing for others; nothing after unwatching."""
    one, two, three = [await opened(nats_end(nats)) for _ in range(3)]
    two.bus.watch(BOB.id)
    await two.bus.settled()
    for n in range(1, 201):
        one.bus.publish(envelope(f"{n} 你好\0", seq=n))
    await two.until(lambda: len(two.heard) == 200)
    assert two.texts() == [f"{n} 你好\0" for n in range(1, 201)]
    first, original = two.heard[0], envelope("1 你好\0")
    assert isinstance(first, Delivery)
    assert (first.message, first.conv, first.before) == (original.message, "c", original.before)
    assert (first.resource, first.xml) == ("phone", "<x xmlns='urn:x'/>")
    assert [asdict(user) for user in (first.author, first.recipient)] == [asdict(ANN), asdict(BOB)]
    assert first.json() == original.json()
    assert three.heard == []
    two.bus.unwatch(BOB.id)
    two.bus.watch(GROUP)
    await two.bus.settled()
    one.bus.publish(envelope("not any more", seq=201))
    one.bus.publish(envelope("to the group", (GROUP,)))
    await two.until(lambda: len(two.heard) > 200)
    assert two.texts()[200:] == ["to the group"]
    for end in (one, two, three):
        await end.bus.close()


@pytest.mark.gen_test(timeout=20)
async def test_event_comes_to_its_users_and_to_its_group(nats: Nats) -> None:
    """Who is named gets it as a user, the others as members, with the exceptions told."""
    one, two = [await opened(nats_end(nats)) for _ in range(2)]
    two.bus.watch(BOB.id)
    two.bus.watch(GROUP)
    await two.bus.settled()
    change = GroupChange("joined", GROUP, BOB.id)
    one.bus.publish(Event((BOB.id, 10_009), change, GROUP, (BOB.id,)))
    await two.until(lambda: len(two.heard) == 2)
    assert Event((BOB.id,), change) in two.heard
    assert Event((), change, GROUP, [BOB.id]) in two.heard
    for end in (one, two):
        await end.bus.close()


@pytest.mark.gen_test(timeout=20)
async def test_poke_reaches_all_other_nodes_of_the_service(nats: Nats) -> None:
    """And not those of another service on the same servers."""
    one, two = [await opened(nats_end(nats)) for _ in range(2)]
    other = await opened(nats_end(nats, "other"))
    for end in (one, two, other):
        await end.until(lambda end=end: end.joins == 1)  # type: ignore[misc]
        await end.bus.settled()
    before = (one.pokes, two.pokes, other.pokes)
    one.bus.poke()
    await two.until(lambda: two.pokes > before[1])
    await other.bus.settled()
    assert (one.pokes, other.pokes) == (before[0], before[2])
    for end in (one, two, other):
        await end.bus.close()


@pytest.mark.gen_test(timeout=40)
async def test_server_that_comes_late_or_goes_and_comes_is_joined_again(tmp_path: Path) -> None:
    """A bus opens without its server; what was watched meanwhile is brought afterwards."""
    nats = Nats(tmp_path)
    one, two = nats_end(nats), nats_end(nats)
    for end in (one, two):
        await end.bus.open()
        assert not end.bus.is_up
    one.bus.publish(envelope("lost"))
    assert one.texts() == ["lost"]
    for joins in (1, 2):
        two.bus.watch(BOB.id if joins == 1 else GROUP)
        nats.start()
        for end in (one, two):
            await end.until(lambda end=end: end.joins == joins, 20)  # type: ignore[misc] # noqa: B023
            await end.bus.settled()
        one.bus.publish(envelope("single", seq=joins))
        one.bus.publish(envelope("group", (GROUP,), seq=joins))
        expected = ["single"] if joins == 1 else ["single", "single", "group"]
        await two.until(lambda: len(two.heard) == len(expected))  # noqa: B023
        assert two.texts() == expected
        nats.stop()
        async with asyncio.timeout(10):
            while one.bus.is_up or two.bus.is_up:
                await asyncio.sleep(0.01)
        one.bus.publish(envelope("lost again"))
    for end in (one, two):
        await end.bus.close()


@pytest.mark.gen_test(timeout=20)
async def test_bytes_of_a_stranger_on_the_bus_hurt_nobody(
    nats: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be decoded is logged; what comes after it is heard."""
    one, two = [await opened(nats_end(nats)) for _ in range(2)]
    two.bus.watch(BOB.id)
    await two.bus.settled()
    for garbage in (b"", b"\xc1", b"\x93\x02\x63\xc0", b"{}"):
        one.bus._publish_to((BOB.id,), garbage)
    one.bus.publish(envelope("after"))
    await two.until(lambda: bool(two.heard))
    assert two.texts() == ["after"]
    assert caplog.text.count("bus_message_failed") == 4
    for end in (one, two):
        await end.bus.close()
