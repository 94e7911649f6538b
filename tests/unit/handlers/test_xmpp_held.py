"""What waits in a session: ``handlers/xmpp_resume.py``, ``handlers/xmpp_interests.py``."""

from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree

from handlers.xmpp_codec import TCP
from handlers.xmpp_interests import HELD, HELD_CHARS, Interests
from handlers.xmpp_resume import Outgoing
from server.deliveries import NodeEvent
from stanzas import ns


class Connection:
    """A transport that keeps what it is sent; ``pauses`` as a pipe counts them."""

    codec = TCP
    address = "192.0.2.1"
    is_slow = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.pauses = 0

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def tell(self, xml: str) -> None:
        self.sent.append(xml.encode())

    def pause(self) -> None:
        self.pauses += 1

    def resume(self) -> None:
        self.pauses -= 1


def session(**xmpp: Any) -> Any:
    settings = SimpleNamespace(
        xmpp=SimpleNamespace(unacked_stanzas=500, unacked_bytes=10_000, resume_s=300, **xmpp)
    )
    services = SimpleNamespace(settings=settings)
    return SimpleNamespace(services=services, delivered=0, node=None, end=lambda why: None)


@pytest.mark.gen_test
async def test_what_an_inactive_client_waits_for_is_bounded_by_bytes() -> None:
    """Presences of others may be long: all that waits is sent before it is too much."""
    connection: Any = Connection()
    way = Outgoing(session(), connection)
    way.handle(etree.fromstring(f"<inactive xmlns='{ns.CSI}'/>"))
    for at in range(9):
        way.send(f"<presence from='a{at}@b/c'><status>{'o' * 1000}</status></presence>".encode())
    assert connection.sent == []
    for _ in range(20):  # in the place of one that waits
        way.send(f"<presence from='a0@b/c'><status>{'o' * 1000}</status></presence>".encode())
    assert connection.sent == []
    way.send(f"<presence from='z@b/c'><status>{'o' * 1000}</status></presence>".encode())
    assert len(connection.sent) == 10


@pytest.mark.gen_test
async def test_a_pause_ends_with_its_connection() -> None:
    """What was to be taken back of the lost connection's is not taken from the next one."""
    first: Any = Connection()
    way = Outgoing(session(), first)
    way.pause()
    way.hibernate()
    second: Any = Connection()
    way.connection = second
    way.resume()
    assert second.pauses == 0
    way.pause()
    way.resume()
    assert second.pauses == 0
    way.stop()


@pytest.mark.gen_test
async def test_what_is_held_for_a_client_that_does_not_answer_is_bounded() -> None:
    """By number and by size; the newest is kept."""
    interests = Interests(session())
    said = f"<presence xmlns='{ns.CLIENT}'><c xmlns='{ns.CAPS}' hash='md5' node='n' ver='v'/>"
    interests.saw(etree.fromstring(f"{said}</presence>"))
    for at in range(2 * HELD):
        interests.take(NodeEvent("a@b", "n", "items", [str(at)], "x"))
    assert interests._held is not None and len(interests._held) == HELD
    for at in range(20):
        interests.take(NodeEvent("a@b", "n", "items", [f"large {at}"], "x" * 100_000))
    held = list(interests._held)
    assert sum(len(each.xml) for each in held) <= HELD_CHARS
    assert held[-1].ids == ["large 19"]
