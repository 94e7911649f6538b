"""Blocks: what comes of them for both, and what the blocked one can find out."""

import asyncio
from typing import Any

import pytest

from tests.support.contacts import ask, befriend, block, call, contacts, states, unblock
from tests.support.eventually import eventually
from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue

PROMPT_S = 5.0
"""Within which what one node changed holds on all."""


async def refused(client: JsonClient, other: JsonClient, reason: str) -> dict[str, Any]:
    """Sends until it is refused, since another node may not know yet."""
    async with asyncio.timeout(PROMPT_S):
        while True:
            client.send(cmd=10, dstid=other.id, content="hello?", cid="c")
            answer = await client.expect_that(lambda frame: frame["cmd"] in (1, 2))
            if answer["cmd"] == 2:
                assert (answer["code"], answer["reason"]) == (403, reason)
                return answer
            await asyncio.sleep(0.01)


async def accepted(client: JsonClient, other: JsonClient) -> None:
    """Sends until it is taken, likewise."""
    async with asyncio.timeout(PROMPT_S):
        while True:
            client.send(cmd=10, dstid=other.id, content="again", cid="again")
            if (await client.expect_that(lambda frame: frame["cmd"] in (1, 2)))["cmd"] == 1:
                return
            await asyncio.sleep(0.01)


@pytest.mark.gen_test(timeout=30)
async def test_messages_are_refused_both_ways_until_unblocked(node: Node) -> None:
    """``blocked`` for who blocks, ``not-allowed`` for the other, nothing stored or delivered."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await alice.say(bob.id, "before", "c0")
    await bob.expect(cmd=10)
    await block(bob, alice)
    answer = await refused(alice, bob, "not-allowed")
    assert "block" not in answer["detail"]
    await refused(bob, alice, "blocked")
    stored = len(await alice.history(10, bob.id))
    for client, other in ((alice, bob), (bob, alice)):
        await client.settled()
        client.send(cmd=10, dstid=other.id, content="x", cid="x")
        await client.expect(cmd=2, cid="x")
    assert await alice.settled() == await bob.settled() == []
    assert len(await alice.history(10, bob.id)) == stored
    await unblock(bob, alice)
    await accepted(alice, bob)
    assert (await bob.expect(cmd=10))["content"] == "again"


@pytest.mark.gen_test(timeout=30)
async def test_block_in_both_directions_needs_both_to_be_taken_back(node: Node) -> None:
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await block(bob, alice)
    await block(alice, bob)
    await refused(alice, bob, "blocked")
    await unblock(alice, bob)
    await refused(alice, bob, "not-allowed")
    await unblock(bob, alice)
    await accepted(alice, bob)


@pytest.mark.gen_test(timeout=30)
async def test_user_without_messages_before_is_refused_too(node: Node) -> None:
    """The first message of a sender of whom nothing is in memory."""
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    await block(bob, alice)
    await alice.connect()
    await refused(alice, bob, "not-allowed")
    alice.send(cmd=10, dstid=2**52, content="x", cid="x")
    assert (await alice.expect(cmd=2))["reason"] == "no-such-user"


@pytest.mark.gen_test(timeout=30)
async def test_typing_between_them_is_dropped_in_silence(node: Node) -> None:
    """In both directions."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await block(bob, alice)
    await refused(alice, bob, "not-allowed")
    await refused(bob, alice, "blocked")
    await bob.settled()
    for client, other in ((alice, bob), (bob, alice)):
        client.send(cmd=13, chat=10, dstid=other.id, state="composing")
        assert await client.settled() == []
    # A later hint comes through, so the earlier ones were dropped.
    carol = await JsonClient.online(node)
    for client in (alice, bob):
        carol.send(cmd=13, chat=10, dstid=client.id, state="composing")
        assert (await client.expect(cmd=13))["userid"] == carol.id
        assert await client.settled() == []


@pytest.mark.gen_test(timeout=30)
async def test_groups_are_not_touched(node: Node) -> None:
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    body = {"name": "both", "members": [bob.id]}
    _, group = await call(alice, "POST", "/api/groups", body)
    await bob.expect(cmd=22)
    await block(bob, alice)
    await refused(alice, bob, "not-allowed")
    await alice.say(group["id"], "here", "g1", chat=11)
    assert (await bob.expect(cmd=11))["content"] == "here"
    alice.send(cmd=13, chat=11, dstid=group["id"], state="composing")
    assert (await bob.expect(cmd=13))["userid"] == alice.id


@pytest.mark.gen_test(timeout=30)
async def test_blocked_user_does_not_bring_one_into_groups(node: Node) -> None:
    """Neither into a new one nor into one that is there; the other way round it works."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    _, group = await call(alice, "POST", "/api/groups", {"name": "mine"})
    await block(bob, alice)
    await refused(alice, bob, "not-allowed")
    body = {"name": "both", "members": [bob.id]}
    assert (await call(alice, "POST", "/api/groups", body))[0] == 403
    path = f"/api/groups/{group['id']}/members"
    assert (await call(alice, "POST", path, {"id": bob.id}))[0] == 403
    body = {"name": "both", "members": [alice.id]}
    assert (await call(bob, "POST", "/api/groups", body))[0] == 201


@pytest.mark.gen_test(timeout=30)
async def test_receipts_edits_and_reactions_stop_with_a_block_and_recalls_do_not(
    node: Node,
) -> None:
    """Nothing of the blocker's reading is told; what was said can still be taken back."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    sent = await alice.say(bob.id, "before", "c1")
    said = await bob.say(alice.id, "before", "c1")
    await block(bob, alice)
    await refused(alice, bob, "not-allowed")
    for cmd in (15, 16):
        frame = {"cmd": cmd, "chat": 10, "content": "x"}
        assert (await alice.refused(**frame, dstid=bob.id, ref=sent["id"]))[1] == "not-allowed"
        assert (await bob.refused(**frame, dstid=alice.id, ref=said["id"]))[1] == "blocked"
    alice.frames.clear()
    bob.send(cmd=12, chat=10, dstid=alice.id, seq=2, state="read")
    bob.send(cmd=14, chat=10, dstid=alice.id, ref=said["id"], cid="c2")
    heard = await alice.expect_that(lambda frame: frame["cmd"] in (12, 14))
    assert heard["cmd"] == 14
    assert (await bob.line(alice.id))["read"] == 2
    assert [frame for frame in await alice.settled() if frame["cmd"] == 12] == []
    status, answer = await alice.call("GET", f"/api/receipts?chat=10&dstid={bob.id}")
    assert (status, answer["receipts"]) == (200, [])


@pytest.mark.gen_test(timeout=30)
async def test_blocked_contact_stays_one_and_both_look_offline(node: Node) -> None:
    """The lists keep each other; presence goes with the block and comes back with its end."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await befriend(alice, bob)
    bob.send(cmd=20, state="dnd", memo="busy")
    told = {"cmd": 20, "userid": bob.id, "state": "dnd", "memo": "busy"}
    assert await alice.expect(cmd=20, state="dnd") == told
    await block(bob, alice)
    for client, other in ((alice, bob), (bob, alice)):
        told = {"cmd": 20, "userid": other.id, "state": "offline"}
        assert await client.expect(cmd=20, state="offline") == told

        async def looks_offline(client: JsonClient = client, other: JsonClient = other) -> bool:
            """On any node: each hears of the block within a second or two."""
            contact = (await contacts(client))[other.id]
            assert contact["state"] == "both"
            return (contact["presence"], contact["status"]) == ("offline", "")

        await eventually(looks_offline)
    await refused(alice, bob, "not-allowed")
    for client in (alice, bob):  # what they were told before has come by now
        await client.settled()
    bob.send(cmd=20, state="away")
    alice.send(cmd=20, state="away")
    carol = await JsonClient.online(node)
    for other in (alice, bob):
        await ask(carol, other)
        await call(other, "POST", f"/api/contacts/{carol.id}/accept")
        await carol.expect(cmd=20, userid=other.id, state="away")
    # Carol was told of both, and neither of the other.
    for client in (alice, bob):
        frames = [await client.expect(cmd=20), *await client.settled()]
        told_of = {frame["userid"] for frame in frames if frame["cmd"] == 20}
        assert told_of == {carol.id}
    await unblock(bob, alice)
    for client, other in ((alice, bob), (bob, alice)):
        told = {"cmd": 20, "userid": other.id, "state": "away"}
        assert await client.expect(cmd=20) == told


@pytest.mark.gen_test(timeout=30)
async def test_blocked_user_asks_as_usual_and_nobody_hears_it(node: Node) -> None:
    """The asker sees a request that waits; the blocker sees it once the block is gone."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    stranger = await JsonClient.register(node)
    usual = await ask(alice, stranger)
    await block(bob, alice)
    contact = await ask(alice, bob)
    assert contact.keys() == usual.keys()
    assert contact["state"] == usual["state"] == "requested"
    assert await states(alice) == {bob.id: "requested", stranger.id: "requested"}
    assert await states(bob) == {}
    assert await bob.settled() == []
    for method, path in (("POST", f"/api/contacts/{alice.id}/accept"), ("POST", "/api/contacts")):
        body = {"id": alice.id} if path == "/api/contacts" else None
        status, problem = await call(bob, method, path, body)
        assert (status, problem["type"]) == (403, "/problems/blocked")
    await unblock(bob, alice)
    assert await states(bob) == {alice.id: "pending"}
    assert await alice.settled() == []


@pytest.mark.gen_test(timeout=30)
async def test_what_a_blocked_user_does_to_the_contact_is_not_told(node: Node) -> None:
    """Accepting and removing; the list has it."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await ask(bob, alice)
    await alice.expect(cmd=21, event="request")
    await block(bob, alice)
    assert (await call(alice, "POST", f"/api/contacts/{bob.id}/accept"))[0] == 200
    assert await states(bob) == {alice.id: "both"}
    assert await alice.expect(cmd=21) == {"cmd": 21, "event": "accepted", "userid": bob.id}
    assert (await call(alice, "DELETE", f"/api/contacts/{bob.id}"))[0] == 204
    assert await states(bob) == {}
    await alice.expect(cmd=21, event="removed")
    assert await bob.settled() == await alice.settled() == []


@pytest.mark.gen_test(timeout=30)
async def test_blocked_user_finds_the_profile_and_an_unchanged_list(node: Node) -> None:
    """But for the messages that are refused, it looks like somebody who is away."""
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    await befriend(alice, bob)
    path = f"/api/users/{bob.id}"
    before = await call(alice, "GET", path), await contacts(alice)
    await block(bob, alice)
    assert (await call(alice, "GET", path), await contacts(alice)) == before
    assert (await call(alice, "GET", "/api/blocks"))[1] == {"users": [], "more": False}


@pytest.mark.gen_test(timeout=30)
async def test_list_of_blocks_has_profiles_and_acts_can_be_repeated(node: Node) -> None:
    alice, bob, carol = [await JsonClient.register(node) for _ in range(3)]
    for other in (carol, bob, bob):
        await block(alice, other)
    _, listed = await call(alice, "GET", "/api/blocks")
    assert [user["id"] for user in listed["users"]] == [bob.id, carol.id]
    assert listed["users"][0] == (await call(alice, "GET", f"/api/users/{bob.id}"))[1]
    for _ in range(2):
        await unblock(alice, bob)
    _, listed = await call(alice, "GET", "/api/blocks")
    assert [user["id"] for user in listed["users"]] == [carol.id]


@pytest.mark.gen_test(timeout=30)
async def test_oneself_and_nobody_cannot_be_blocked(node: Node) -> None:
    alice = await JsonClient.online(node)
    for method in ("PUT", "DELETE"):
        for userid, expected in ((alice.id, 422), (2**52, 404)):
            assert (await call(alice, method, f"/api/blocks/{userid}"))[0] == expected
    await alice.say(alice.id, "note to myself", "c1")


@pytest.mark.gen_test(timeout=40)
async def test_xmpp_messages_are_refused_as_well(node: Node) -> None:
    alice, bob = await JsonClient.register(node), await JsonClient.online(node)
    xena = await XmppClient(node, alice.jid).login()
    await block(bob, alice)
    async with asyncio.timeout(PROMPT_S):
        while True:
            xena.say(bob.jid, "hello?")
            answers = await xena.settled()
            if answers:
                break
    assert answers[0]["type"] == "error"
    assert answers[0]["error"]["condition"] == "service-unavailable"
    assert not answers[0]["error"]["text"]
    await xena.logout()


@pytest.mark.gen_test(timeout=60)
async def test_blocks_are_limited(own_node: Node) -> None:
    own_node.env["TANDEM_LIMITS_CONTACTS"] = "2"
    own_node.start()
    alice, bob, carol, dave = [await JsonClient.register(own_node) for _ in range(4)]
    for other in (bob, carol, bob):
        await block(alice, other)
    status, problem = await call(alice, "PUT", f"/api/blocks/{dave.id}")
    assert (status, problem["type"]) == (413, "/problems/too-long")
    await unblock(alice, bob)
    await block(alice, dave)
    assert own_node.stop() == 0
