"""Stream management (XEP-0198) over TCP and WebSocket: what a lost connection does not lose."""

import asyncio
import random

import pytest

from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.resuming import Resuming
from tests.support.xmpp_client import XmppClient

CUTS = 200
EACH = 2


@pytest.mark.gen_test(timeout=120)
async def test_cut_connections_lose_nothing_double_nothing_keep_the_order(one_node: Node) -> None:
    """Cut 200 times under traffic both ways, in the middle of a stanza, before the ack, while
    resuming; the session goes on over TCP or WebSocket, in turns by chance."""
    ann, account = await JsonClient.online(one_node), await JsonClient.register(one_node)
    chance = random.Random(198)
    juliet = await Resuming(one_node, account).start(web=False)
    there: list[str] = []
    back: list[str] = []
    for n in range(CUTS):
        for part in range(EACH):
            there.append(f"there {n} {part}")
            juliet.say(ann.jid, there[-1])
            back.append(f"back {n} {part}")
            ann.send(cmd=10, dstid=account.id, content=back[-1], cid=back[-1])
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        how = chance.choice(("now", "half", "acked", "resuming", "old alive"))
        if how == "half":
            juliet.write_half(f"<message to='{ann.jid}'><body>never whole</body></message>")
        elif how == "acked":
            await juliet.expect(len(back))
        if how != "old alive":
            await juliet.cut()
        elif juliet._task is not None:
            juliet._task.cancel()
        if how == "resuming":
            await juliet.connect(web=chance.random() < 0.5)
            juliet.ask_resume()
            if chance.random() < 0.5:
                await asyncio.sleep(0.001)
            await juliet.cut()
        assert await juliet.resume(web=chance.random() < 0.5), f"cut {n}: {how}"
    assert await juliet.expect(len(back)) == back
    said = [(await ann.expect(cmd=10, userid=account.id))["content"] for _ in there]
    assert said == there
    assert [m["content"] for m in await ann.settled() if m.get("cmd") == 10] == []
    assert juliet.come == back
    assert juliet.resumed == CUTS
    await juliet.cut()


@pytest.mark.gen_test(timeout=30)
async def test_what_comes_while_asleep_waits_in_order(one_node: Node) -> None:
    """A sleeping session stays bound; the next connection, of the other kind, brings the rest."""
    ann, account = await JsonClient.online(one_node), await JsonClient.register(one_node)
    juliet = await Resuming(one_node, account).start(web=True)
    await ann.say(account.id, "0", "0")
    await juliet.expect(1)
    await juliet.cut()
    for n in range(1, 30):
        await ann.say(account.id, str(n), str(n))
    assert await juliet.resume(web=False)
    assert await juliet.expect(30) == [str(n) for n in range(30)]
    await juliet.cut()


@pytest.mark.gen_test(timeout=30)
async def test_somebody_elses_session_is_not_resumed(one_node: Node) -> None:
    """The id is bound to the account."""
    account, mallory = await JsonClient.register(one_node), await JsonClient.register(one_node)
    juliet = await Resuming(one_node, account).start(web=False)
    other = Resuming(one_node, mallory)
    other.number = juliet.number
    assert not await other.resume(web=False)
    other.number = "unknown"
    assert not await other.resume(web=True)
    await juliet.cut()
    await other.cut()


@pytest.mark.gen_test(timeout=40)
async def test_too_much_for_a_sleeper_is_left_to_the_history(one_node: Node) -> None:
    """Above the bound the session is over; a new one is handed what was not acked."""
    ann, account = await JsonClient.online(one_node), await JsonClient.register(one_node)
    juliet = await Resuming(one_node, account).start(web=False)
    await ann.say(account.id, "0", "0")
    await juliet.expect(1)
    await juliet.cut()
    for n in range(1, 502):
        ann.send(cmd=10, dstid=account.id, content=str(n), cid=str(n))
    await ann.settled()
    assert not await juliet.resume(web=False)
    await juliet.cut()
    again = await Resuming(one_node, account).start(web=False)
    await again.expect(100)
    assert again.come == sorted(set(again.come), key=int)
    await again.cut()


@pytest.mark.gen_test(timeout=30)
async def test_stock_slixmpp_resumes(one_node: Node) -> None:
    """slixmpp's own xep_0198 comes back to its session."""
    ann, account = await JsonClient.online(one_node), await JsonClient.register(one_node)
    xena = XmppClient(one_node, account.jid, plugins=("xep_0198",))
    resumed = asyncio.Event()
    xena.add_event_handler("session_resumed", lambda _: resumed.set())
    await xena.login()
    await ann.say(account.id, "1", "1")
    assert (await xena.expect())["body"] == "1"
    xena.abort()
    await xena.ended()
    await ann.say(account.id, "2", "2")
    xena.connect(one_node.address, one_node.xmpp_port)
    async with asyncio.timeout(15):
        await resumed.wait()
    assert (await xena.expect())["body"] == "2"
    await xena.logout()


@pytest.mark.gen_test(timeout=30)
async def test_an_inactive_client_is_not_told_who_types(one_node: Node) -> None:
    """Typing waits, the newest only, until a message comes."""
    ann, account = await JsonClient.online(one_node), await JsonClient.register(one_node)
    juliet = await Resuming(one_node, account).start(web=False)
    await ann.say(account.id, "1", "1")
    await juliet.expect(1)
    juliet.write("<inactive xmlns='urn:xmpp:csi:0'/>")
    juliet.write("<r xmlns='urn:xmpp:sm:3'/>")
    before = juliet.handled
    for _ in range(3):
        ann.send(cmd=13, chat=10, dstid=account.id, state="composing")
    await ann.say(account.id, "2", "2")
    await juliet.expect(2)
    assert juliet.handled <= before + 2
    await juliet.cut()


@pytest.mark.gen_test(timeout=30)
async def test_a_client_that_stays_behind_is_not_asked_without_end(one_node: Node) -> None:
    """Once for what was sent, whatever it answers; again when there is more."""
    account = await JsonClient.register(one_node)
    juliet = Resuming(one_node, account)
    await juliet.connect(web=False)
    juliet.write(
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        "<enable xmlns='urn:xmpp:sm:3'/>"
    )
    await juliet.until("<enabled[^>]*>")
    for number in range(3):
        juliet.write(f"<iq type='get' id='p{number}'><ping xmlns='urn:xmpp:ping'/></iq>")
        await juliet.until(f"id='p{number}'.*<r xmlns='urn:xmpp:sm:3'/>")
        juliet.write("<a xmlns='urn:xmpp:sm:3' h='0'/>")
        for _ in range(2):
            juliet.write("<r xmlns='urn:xmpp:sm:3'/>")
            assert (await juliet.until("^(.*?)<a [^>]*>"))[1] == ""
    await juliet.cut()
