"""Stream management (XEP-0198) over TCP and WebSocket: what a lost connection does not lose."""

import asyncio
import os
import random
import signal
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.support.contacts import befriend
from tests.support.eventually import eventually
from tests.support.json_client import JsonClient
from tests.support.node import Node, TwoNodes
from tests.support.resuming import SM, Resuming
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
    await ann.expect(cmd=1, cid="501")
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


@pytest.mark.gen_test(timeout=40)
@pytest.mark.parametrize("web", [False, True], ids=["tcp", "websocket"])
async def test_resumption_on_another_node_fails_and_loses_nothing(
    two_nodes: TwoNodes, web: bool
) -> None:
    """The other node tells what was done with; the new session is handed what was not acked, and
    the old one is gone."""
    ann, account = await JsonClient.online(two_nodes), await JsonClient.register(two_nodes)
    juliet = await Resuming(two_nodes.one, account).start(web=web)
    await ann.say(account.id, "acked", "0")
    await juliet.expect(1)
    juliet.say(ann.jid, "there 1")
    assert (await ann.expect(cmd=10))["content"] == "there 1"
    juliet.write(f"<r xmlns='{SM}'/>")
    async with asyncio.timeout(10):
        while juliet.unacked:
            juliet.news.clear()
            await juliet.news.wait()
    handled = juliet.acked
    juliet.stop_acking()
    await ann.say(account.id, "unacked", "1")
    await juliet.expect(2)
    await juliet.cut()
    await ann.say(account.id, "while asleep", "2")
    again = Resuming(two_nodes.two, account)
    again.number = juliet.number
    told: list[str] = []

    async def fails() -> bool:
        # The node that it was on notes the count when it has noticed the cut.
        assert not await again.resume(web=web)
        told.append(again.failure)
        await again.cut()
        return f"h='{handled}'" in again.failure

    await eventually(fails)
    assert all("item-not-found" in each for each in told)
    await again.start(web=web)
    await again.expect(2)
    assert again.come == ["unacked", "while asleep"]
    juliet.node = two_nodes.one

    async def is_over() -> bool:
        over = not await juliet.resume(web=web)
        await juliet.cut()
        return over

    await eventually(is_over)
    await again.cut()


@pytest.mark.gen_test(timeout=30)
async def test_a_session_that_woke_is_not_ended_from_another_node(two_nodes: TwoNodes) -> None:
    """Nor is its old count told there: who trusted it would send twice."""
    account = await JsonClient.register(two_nodes)
    juliet = await Resuming(two_nodes.one, account).start(web=False)
    await juliet.cut()
    async with AsyncMongoClient[dict[str, Any]](two_nodes.one.mongodb_url) as client:
        book = client.tandem.connections

        async def is_noted() -> bool:
            return bool(await book.find_one({"userid": account.id, "sleeps": {"$gt": ""}}))

        await eventually(is_noted)
    assert await juliet.resume(web=False)
    other = Resuming(two_nodes.two, account)
    other.number = juliet.number
    assert not await other.resume(web=True)
    assert "item-not-found" in other.failure and "h=" not in other.failure
    juliet.write(f"<r xmlns='{SM}'/>")
    await juliet.asked(1)
    await juliet.cut()
    await other.cut()


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("resumable", [True, False])
async def test_what_was_never_acked_comes_again_after_the_session(
    own_node: Node, resumable: bool
) -> None:
    """XEP-0160 with XEP-0198: it is the ack that counts, not that it was written; and the count of
    what the client sent outlives the session."""
    own_node.env["TANDEM_XMPP_RESUME_S"] = "1"
    own_node.start()
    ann, account = await JsonClient.online(own_node), await JsonClient.register(own_node)
    await befriend(ann, account)
    juliet = await Resuming(own_node, account).start(web=False, resumable=resumable)
    await ann.say(account.id, "acked", "0")
    await juliet.expect(1)
    juliet.say(ann.jid, "there")
    await ann.expect(cmd=10)
    juliet.stop_acking()
    await ann.say(account.id, "unacked", "1")
    await juliet.expect(2)
    handled = len(juliet.unacked) + juliet.acked
    await juliet.cut()
    if resumable:
        await ann.expect(cmd=20, userid=account.id, state="offline")  # the session is over
        assert not await juliet.resume(web=False)
        assert f"h='{handled}'" in juliet.failure
        await juliet.cut()
    again = await Resuming(own_node, account).start(web=False)
    assert await again.expect(1) == ["unacked"]
    await again.cut()
    third = await Resuming(own_node, account).start(web=False)
    await ann.say(account.id, "last", "2")
    while "last" not in third.come:
        await third.expect(len(third.come) + 1)
    assert third.come[-1] == "last"
    await third.cut()


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("web", [False, True], ids=["tcp", "websocket"])
async def test_an_ack_of_what_was_not_sent_ends_the_stream(one_node: Node, web: bool) -> None:
    """XEP-0198 section 9: undefined-condition, with both numbers."""
    account = await JsonClient.register(one_node)
    juliet = await Resuming(one_node, account).start(web=web, presence=False)
    juliet.stop()
    juliet.write(f"<a xmlns='{SM}' h='70000'/>")
    error = await juliet.until("<stream:error.*?</stream:error>")
    assert "<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" in error[0]
    assert f"<handled-count-too-high xmlns='{SM}' h='70000' send-count='0'/>" in error[0]
    await juliet.cut()


@pytest.mark.gen_test(timeout=30)
async def test_the_connection_that_is_taken_over_is_told_conflict(one_node: Node) -> None:
    """XEP-0198 section 5: it may still be there, where only the client thinks it lost."""
    account = await JsonClient.register(one_node)
    juliet = await Resuming(one_node, account).start(web=False, presence=False)
    juliet.stop()
    again = Resuming(one_node, account)
    again.number = juliet.number
    assert await again.resume(web=True)
    assert "<conflict" in (await juliet.until("<stream:error.*?</stream:error>"))[0]
    await juliet.cut()
    await again.cut()


@pytest.mark.gen_test(timeout=30)
async def test_limits_of_resumption_are_settings(own_node: Node) -> None:
    """How long is told; so many stanzas are kept."""
    own_node.env["TANDEM_XMPP_RESUME_S"] = "77"
    own_node.env["TANDEM_XMPP_UNACKED_STANZAS"] = "5"
    own_node.start()
    ann, account = await JsonClient.online(own_node), await JsonClient.register(own_node)
    juliet = await Resuming(own_node, account).start(web=False)
    assert juliet.max_s == 77
    await ann.say(account.id, "0", "0")
    await juliet.expect(1)
    juliet.stop_acking()
    await juliet.cut()
    for n in range(1, 8):
        await ann.say(account.id, str(n), str(n))
    assert not await juliet.resume(web=False)
    await juliet.cut()
    again = await Resuming(own_node, account).start(web=False)
    await again.expect(7)
    assert again.come[-7:] == [str(n) for n in range(1, 8)]
    await again.cut()


@pytest.mark.gen_test(timeout=30)
async def test_a_session_that_cannot_be_resumed_is_over_when_its_client_knows(
    own_node: Node,
) -> None:
    """Its old connection was still there, but too much was not acked: it leaves no ghost behind."""
    own_node.env["TANDEM_XMPP_UNACKED_STANZAS"] = "5"
    own_node.start()
    ann, account = await JsonClient.online(own_node), await JsonClient.register(own_node)
    await befriend(ann, account)
    juliet = await Resuming(own_node, account).start(web=False)
    await ann.expect(cmd=20, userid=account.id, state="online")
    juliet.stop_acking()
    for n in range(9):
        await ann.say(account.id, str(n), str(n))
    await juliet.expect(9)
    again = Resuming(own_node, account)
    again.number = juliet.number
    assert not await again.resume(web=False)
    assert "h='1'" in again.failure  # her presence
    await ann.expect(cmd=20, userid=account.id, state="offline")
    await juliet.cut()
    await again.cut()


@pytest.mark.gen_test(timeout=60)
async def test_the_count_waits_for_the_disk(own_node: Node) -> None:
    """``h`` counts a message only when it is durable: not while mongod stands still."""
    own_node.start()
    ann, account = await JsonClient.online(own_node), await JsonClient.register(own_node)
    juliet = await Resuming(own_node, account).start(web=False)
    juliet.say(ann.jid, "first")
    await ann.expect(cmd=10)
    mongod = own_node.mongod_pid()
    os.kill(mongod, signal.SIGSTOP)
    try:
        juliet.say(ann.jid, "second")
        juliet.write(f"<r xmlns='{SM}'/>")
        juliet.write(f"<r xmlns='{SM}'/>")
        await juliet.asked(2)
        assert len(juliet.unacked) == 1, "counted, though the disk does not have it"
    finally:
        os.kill(mongod, signal.SIGCONT)
    assert (await ann.expect(cmd=10))["content"] == "second"
    while juliet.unacked:
        juliet.write(f"<r xmlns='{SM}'/>")
        await juliet.asked(1)
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
