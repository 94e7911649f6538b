"""What is left of XMPP sessions that are over: nothing."""

import asyncio
import base64
import gc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from handlers import xmpp_codec
from handlers.xmpp import XmppSession
from handlers.xmpp_presence import farewells
from handlers.xmpp_stream import bounds
from server.services import Services
from stanzas import ns
from stanzas.stream import Stream
from tests.support.eventually import eventually
from tests.support.house import house
from tests.support.json_client import PASSWORD

SESSIONS = 300
OPEN = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "to='localhost' version='1.0'>"
)


class Line:
    """A :class:`handlers.xmpp.Transport` of this process: what is sent is kept."""

    codec = xmpp_codec.TCP
    address = "192.0.2.1"
    is_slow = False

    def __init__(self, services: Services) -> None:
        self.sent: list[str] = []
        self.stream = Stream("localhost", *bounds(services))
        self.session: XmppSession | None = XmppSession(services, self.stream, self)

    async def say(self, xml: str) -> None:
        assert self.session is not None
        for event in self.stream.receive(xml.encode()):
            pending = self.session.handle(event)
            if pending is not None:
                await pending

    def is_private(self) -> bool:
        return True

    def tell(self, xml: str) -> None:
        self.sent.append(xml)

    def send(self, data: bytes) -> None:
        self.sent.append(data.decode())

    def adopt(self, session: XmppSession | None) -> None:
        self.session = session

    def start_tls(self) -> None: ...

    def finish(self, *last_words: str, wait: bool = False) -> None:
        self.sent += last_words

    def end(self, why: Any) -> None: ...

    def abort(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


async def _bound(services: Services, name: str) -> Line:
    line = Line(services)
    plain = base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode()
    await line.say(OPEN)
    await line.say(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{plain}</auth>")
    await line.say(OPEN)
    await line.say(f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>")
    return line


async def _register(services: Services, name: str) -> None:
    await services.accounts.register(
        username=name, password=PASSWORD, nickname="", address="192.0.2.1"
    )


async def _live(services: Services, name: str, at: int) -> None:
    """One session's life: of some the connection is lost in the middle of something."""
    line = await _bound(services, name)
    room = f"room-{at % 3}@conference.localhost"
    if at % 2:
        resume = " resume='true'" if at % 4 == 1 else ""
        await line.say(f"<enable xmlns='{ns.SM}'{resume}/>")
    caps = f"<c xmlns='{ns.CAPS}' hash='sha-1' node='n' ver='v{at}'/>"
    await line.say(f"<presence>{caps if at % 5 else ''}</presence>")
    await line.say(f"<presence to='localhost'/><presence to='{name}@localhost/other'/>")
    await line.say(f"<iq type='get' id='r'><query xmlns='{ns.ROSTER}'/></iq>")
    await line.say(f"<presence to='{room}/{name}'><x xmlns='{ns.MUC}'/></presence>")
    await line.say(
        f"<iq type='set' id='p'><pubsub xmlns='{ns.PUBSUB}'><publish node='urn:example'>"
        f"<item id='current'><x xmlns='urn:example'>{at}</x></item></publish></pubsub></iq>"
    )
    await line.say(f"<iq type='get' id='i' to='{room}'><query xmlns='{ns.DISCO_ITEMS}'/></iq>")
    await line.say(f"<message type='groupchat' to='{room}'><body>{at}</body></message>")
    await line.say(f"<message type='chat' to='{name}@localhost'><body>{at}</body></message>")
    await line.say(f"<iq type='set' id='a'><query xmlns='{ns.ARCHIVE}'/></iq>")
    told = "".join(line.sent)
    assert all(f"id='{number}'" in told for number in ("b", "r", "p", "i", "a"))
    session = line.session
    assert session is not None
    if at % 7 == 0:  # is still joining when the connection goes
        again = f"<presence to='{room}/{name}'><x xmlns='{ns.MUC}'/></presence>"
        joining = asyncio.create_task(line.say(again))
        await asyncio.sleep(0)
        session.on_close()
        await joining
    elif at % 3 == 0:
        await line.say("</stream:stream>")
        session.on_close()
    else:
        session.on_close()
    if session.transport.number:  # asleep: nobody comes back for it
        session._leave()


def _kept() -> Counter[str]:
    """How many objects there are of each of our own classes."""
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    ours = ("handlers.", "server.", "stanzas.")
    return Counter(
        kind.__qualname__
        for kind in kinds
        if isinstance(kind.__module__, str) and kind.__module__.startswith(ours)
    )


@pytest.mark.gen_test(timeout=60)
async def test_three_hundred_sessions_leave_nothing_behind(tmp_path: Path) -> None:
    """Neither objects nor tasks, nor rows in a list of the services, however they ended."""
    async with house(tmp_path) as services:
        name = "romeo"
        await _register(services, name)

        async def live(numbers: range) -> None:
            for at in numbers:
                await _live(services, name, at)
            await farewells(5)
            await eventually(is_idle)

        async def is_idle() -> bool:
            return len(asyncio.all_tasks()) <= tasks and not services.rooms._rooms

        tasks = len(asyncio.all_tasks()) + 1
        await live(range(30))  # what is kept of each account, room and item is kept by now
        before, tasks = _kept(), len(asyncio.all_tasks()) + 1
        await live(range(30, 30 + SESSIONS))
        more = _kept() - before
        assert not services.clients.everyone()
        assert not services.addresses._open
        del more["Unacked"]  # of the last session, which the writer's last batch still names
        assert sum(more.values()) < SESSIONS / 10, more


@pytest.mark.gen_test(timeout=30)
async def test_a_client_that_does_not_read_its_greeting_is_not_waited_for(tmp_path: Path) -> None:
    """What comes meanwhile is held up to what an outbox may have; then the stream ends."""
    async with house(tmp_path) as services:
        for name in ("romeo", "juliet"):
            await _register(services, name)
        romeo, juliet = await _bound(services, "romeo"), await _bound(services, "juliet")
        await juliet.say("<presence/>")
        assert juliet.session is not None
        juliet.session.hold()  # as while contacts' presences are written to who does not read
        large = f"<x xmlns='urn:example'>{'o' * 100_000}</x>"
        for _ in range(20):
            await romeo.say(
                f"<message type='chat' to='juliet@localhost'><body>o</body>{large}</message>"
            )

        async def has_ended() -> bool:
            return any("<stream:error" in each for each in juliet.sent)

        await eventually(has_ended)
        for line in (romeo, juliet):
            assert line.session is not None
            line.session.on_close()
        await farewells(5)
