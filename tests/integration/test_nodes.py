"""What nodes know of each other: sessions, groups, connections, and what the bus did not bring."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from tornado.httpclient import HTTPClientError

from server.model import first_id_of
from tests.support.contacts import befriend
from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node, TwoNodes
from tests.support.xmpp_client import XmppClient

PROMPT_S = 5.0
"""Within which what one node changed holds on all."""


@pytest.fixture
def own_nodes(tmp_path: Path) -> Iterator[TwoNodes]:
    """Two nodes of the test's own, to be cut off and killed."""
    running = TwoNodes(tmp_path).start()
    yield running
    running.clean_up()


async def online_on(node: Node, account: JsonClient) -> JsonClient:
    """Another connection of an account, to this node."""
    device = account.another_device()
    device.node = node
    return await device.connect()


async def sample(node: Node, name: str) -> float:
    """What a node's ``/metrics`` says."""
    _, _, response = await http(node, "GET", "/metrics")
    lines = response.body.decode().splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[-1])


@pytest.mark.gen_test(timeout=30)
async def test_logout_on_one_node_ends_the_sessions_sockets_on_the_other(
    two_nodes: TwoNodes,
) -> None:
    """WebSockets close with 4401, and the token is refused everywhere."""
    me = await JsonClient.register(two_nodes)
    devices = [await online_on(node, me) for node in two_nodes.nodes]
    began = time.monotonic()
    assert (await http(two_nodes.one, "POST", "/api/logout", {}, token=me.token))[0] == 204
    assert [await device.closed(PROMPT_S) for device in devices] == [4401, 4401]
    assert time.monotonic() - began < PROMPT_S
    for node in two_nodes.nodes:
        assert (await http(node, "GET", "/api/me", token=me.token))[0] == 401


@pytest.mark.gen_test(timeout=40)
async def test_password_change_ends_other_sessions_and_streams_on_the_other_node(
    two_nodes: TwoNodes,
) -> None:
    """The session that changed it stays; an XMPP stream on the other node ends."""
    me = await JsonClient.register(two_nodes)
    here = await online_on(two_nodes.one, me)
    phone = XmppClient(two_nodes, me.jid + "/phone")
    phone.node = two_nodes.two
    phone.ca_certs = two_nodes.two.certificate
    await phone.login()
    body = {"old": PASSWORD, "new": PASSWORD + "2"}
    assert (await http(two_nodes.one, "POST", "/api/me/password", body, token=me.token))[0] == 204
    async with asyncio.timeout(PROMPT_S):
        await phone._ended.wait()
    assert not here.is_closed
    await here.settled()


@pytest.mark.gen_test(timeout=30)
async def test_profile_changed_on_one_node_is_seen_on_the_other(two_nodes: TwoNodes) -> None:
    """Also by a node that had the old one in memory."""
    me = await JsonClient.register(two_nodes)
    path = f"/api/users/{me.id}"
    for node in two_nodes.nodes:
        assert (await http(node, "GET", path, token=me.token))[1]["nickname"] == me.username
    await http(two_nodes.one, "PATCH", "/api/me", {"nickname": "Newer"}, token=me.token)
    async with asyncio.timeout(PROMPT_S):
        while (await http(two_nodes.two, "GET", path, token=me.token))[1]["nickname"] != "Newer":
            await asyncio.sleep(0.01)


@pytest.mark.gen_test(timeout=60)
async def test_connections_of_a_user_are_limited_over_all_nodes(tmp_path: Path) -> None:
    """The oldest gives way with 4409, whichever node it is on."""
    nodes = TwoNodes(
        tmp_path,
        {"TANDEM_LIMITS_RATE_SCALE": "1", "TANDEM_LIMITS_CONNECTIONS_PER_USER": "3"},
    )
    try:
        nodes.start()
        me = await JsonClient.register(nodes)
        devices = []
        for n in range(5):
            devices.append(await online_on(nodes.nodes[n % 2], me))
            await devices[-1].settled()
        assert [await device.closed(PROMPT_S) for device in devices[:2]] == [4409, 4409]
        for device in devices[2:]:
            await device.settled()
            assert not device.is_closed
        await JsonClient.close_all()
    finally:
        nodes.clean_up()


@pytest.mark.gen_test(timeout=60)
async def test_without_the_bus_acks_come_and_other_nodes_have_it_within_30_s(
    own_nodes: TwoNodes,
) -> None:
    """Live again, in order and once, when the bus is back."""
    one, two = own_nodes.nodes
    ann = await online_on(one, await JsonClient.register(own_nodes))
    bob = await online_on(two, await JsonClient.register(own_nodes))
    await ann.say(bob.id, "before", "c0")
    assert (await bob.expect(cmd=10))["content"] == "before"
    own_nodes.nats.stop()
    began = time.monotonic()
    for n in range(1, 6):
        await ann.say(bob.id, f"{n}", f"c{n}")
    for n in range(1, 6):
        heard = await bob.expect(30, cmd=10)
        assert (heard["content"], heard["seq"]) == (f"{n}", n + 1)
    assert time.monotonic() - began < 30
    assert await sample(one, "tandem_bus_up") == await sample(two, "tandem_bus_up") == 0
    assert await sample(one, "tandem_bus_lost_total") >= 5
    assert await sample(two, 'tandem_holes_total{outcome="read"}') == 5
    # A logout needs no bus either.
    await http(one, "POST", "/api/logout", {}, token=ann.token)
    other = await online_on(two, await JsonClient.register(own_nodes))
    await other.settled()
    own_nodes.nats.start()
    carol = await online_on(one, await JsonClient.register(own_nodes))
    async with asyncio.timeout(20):
        n = 0
        while True:
            n += 1
            await carol.say(bob.id, f"live {n}", f"d{n}")
            with_bus = time.monotonic()
            await bob.expect(15, cmd=10, content=f"live {n}")
            if time.monotonic() - with_bus < 0.5:
                break
    assert await sample(one, "tandem_bus_up") == 1
    assert await bob.settled() == []


@pytest.mark.gen_test(timeout=60)
async def test_without_the_bus_a_logout_reaches_the_other_node(own_nodes: TwoNodes) -> None:
    """What nodes change goes through the database."""
    me = await JsonClient.register(own_nodes)
    there = await online_on(own_nodes.two, me)
    own_nodes.nats.stop()
    assert (await http(own_nodes.one, "POST", "/api/logout", {}, token=me.token))[0] == 204
    assert await there.closed(PROMPT_S) == 4401


@pytest.mark.gen_test(timeout=90)
async def test_killed_nodes_users_are_gone_for_the_others_within_45_s(own_nodes: TwoNodes) -> None:
    """Their presence ends, for their contacts as well, and their resources are free again."""
    me, friend = await JsonClient.register(own_nodes), await JsonClient.register(own_nodes)
    await befriend(me, friend)
    watcher = XmppClient(own_nodes, friend.jid)
    watcher.node, watcher.ca_certs = own_nodes.one, own_nodes.one.certificate
    await watcher.login()
    streams: list[XmppClient] = []
    for node, resource in zip(own_nodes.nodes, ("phone", "laptop"), strict=True):
        stream = XmppClient(own_nodes, f"{me.jid}/{resource}")
        stream.node, stream.ca_certs = node, node.certificate
        streams.append(await stream.login())
    phone = streams[0]
    gone = asyncio.Event()
    phone.add_event_handler(
        "presence_unavailable", lambda p: gone.set() if p["from"].resource == "laptop" else None
    )
    seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    watcher.add_event_handler(
        "presence_unavailable", lambda p: seen.put_nowait((p["from"].bare, p["from"].resource))
    )
    looks = own_nodes.one.log().count(" looked ")
    own_nodes.two.kill()
    async with asyncio.timeout(45):
        await gone.wait()
        assert await seen.get() == (me.jid, "laptop")
    # What it stored and did not tell any more is looked for, some moments later.
    async with asyncio.timeout(20):
        while own_nodes.one.log().count(" looked ") <= looks:
            await asyncio.sleep(0.1)
    again = XmppClient(own_nodes, f"{me.jid}/laptop")
    again.node, again.ca_certs = own_nodes.one, own_nodes.one.certificate
    await again.login()
    assert again.boundjid.resource == "laptop"
    own_nodes.two.start()


@pytest.mark.gen_test(timeout=60)
async def test_hole_that_nobody_fills_becomes_a_void_on_all_nodes(two_nodes: TwoNodes) -> None:
    """As a rollback would leave it: both sides get cmd 9 after ten seconds, then the rest."""
    one, two = two_nodes.nodes
    ann = await online_on(one, await JsonClient.register(two_nodes))
    bob = await online_on(two, await JsonClient.register(two_nodes))
    conv = f"{min(ann.id, bob.id)}-{max(ann.id, bob.id)}"

    def document(seq: int) -> dict[str, Any]:
        return {
            "_id": f"{conv}:{seq:016d}",
            "conv": conv,
            "id": first_id_of(time.time_ns() // 1_000_000) + seq,
            "userid": ann.id,
            "cmd": 10,
            "dstid": bob.id,
            "media": 1,
            "content": f"{seq}",
            "seq": seq,
            "ts": time.time_ns() // 1_000_000,
            "owners": [ann.id, bob.id],
        }

    async with AsyncMongoClient[dict[str, Any]](one.mongodb_url) as client:
        await client.tandem.messages.insert_many([document(1), document(3)])
        await client.tandem.members.insert_many(
            {"_id": f"{conv}:{each}", "conv": conv, "userid": each} for each in (ann.id, bob.id)
        )
    ack = await ann.say(bob.id, "4", "c4")
    assert ack["seq"] == 4
    for seq in (1, 3, 4):
        if seq == 3:
            void = await bob.expect(20, cmd=9)
            assert (void["chat"], void["dstid"], void["seq"]) == (10, ann.id, 2)
        assert (await bob.expect(20, cmd=10))["seq"] == seq
    void = await ann.expect(20, cmd=9)
    assert (void["chat"], void["dstid"], void["seq"]) == (10, bob.id, 2)
    history = await bob.history(10, ann.id)
    assert [entry["seq"] for entry in history] == [1, 2, 3, 4]
    assert history[1] == {"cmd": 9, "chat": 10, "dstid": ann.id, "seq": 2, "ts": history[1]["ts"]}
    ann.send(cmd=30)
    assert (await ann.expect(cmd=30))["conversations"][0]["seq"] == 4


@pytest.mark.gen_test(timeout=40)
async def test_two_nodes_that_write_one_conversation_keep_it_whole(two_nodes: TwoNodes) -> None:
    """Both lose races for the next seq, and nothing else."""
    members = [
        await online_on(node, await JsonClient.register(two_nodes)) for node in two_nodes.nodes * 2
    ]
    body = {"name": "race", "members": [member.id for member in members]}
    _, group, _ = await http(two_nodes, "POST", "/api/groups", body, token=members[0].token)
    each, gid = 50, group["id"]
    for member in members:
        await member.expect(cmd=22, event="created")
    for n in range(each):
        for member in members:
            member.send(cmd=11, dstid=gid, content=f"{n}", cid=f"{n}")
    for member in members:
        acked = [(await member.expect(cmd=1))["seq"] for _ in range(each)]
        assert acked == sorted(acked)
    for member in members:
        heard = [await member.expect(cmd=11) for _ in range(each * (len(members) - 1))]
        seqs = [frame["seq"] for frame in heard]
        assert seqs == sorted(set(seqs))
        assert {frame["userid"] for frame in heard} == {other.id for other in members} - {member.id}
    stored = await members[0].history(11, gid)
    assert [entry["seq"] for entry in stored] == list(range(1, each * len(members) + 1))


@pytest.mark.gen_test(timeout=40)
async def test_member_who_joins_misses_nothing_said_meanwhile(two_nodes: TwoNodes) -> None:
    """Messages that were under way while the other node did not know of the joining yet."""
    one, two = two_nodes.nodes
    ann = await online_on(one, await JsonClient.register(two_nodes))
    for n in range(5):
        bob = await online_on(two, await JsonClient.register(two_nodes))
        body = {"name": "late", "members": []}
        _, group, _ = await http(one, "POST", "/api/groups", body, token=ann.token)
        gid = group["id"]
        await ann.say(gid, "too early", "c0", chat=11)
        path = f"/api/groups/{gid}/members"
        assert (await http(one, "POST", path, {"id": bob.id}, token=ann.token))[0] in (201, 204)
        for k in range(1, 6):
            ann.send(cmd=11, dstid=gid, content=f"{n}.{k}", cid=f"c{k}")
        for k in range(1, 6):
            heard = await bob.expect(cmd=11)
            assert (heard["content"], heard["seq"]) == (f"{n}.{k}", k + 1)


@pytest.mark.gen_test(timeout=30)
async def test_ticket_is_good_once_over_all_nodes(two_nodes: TwoNodes) -> None:
    """Whichever node made it, one handshake on one of them spends it."""
    me = await JsonClient.register(two_nodes)
    _, made, _ = await http(two_nodes.one, "POST", "/api/ticket", {}, token=me.token)
    me.token = made["ticket"]
    await online_on(two_nodes.two, me)
    for node in two_nodes.nodes:
        with pytest.raises(HTTPClientError, match="403"):
            await online_on(node, me)


@pytest.mark.gen_test(timeout=40)
async def test_hint_sent_right_after_the_101_arrives(two_nodes: TwoNodes) -> None:
    """Though the node that shook hands had not heard of the user before."""
    one, two = two_nodes.nodes
    ann = await online_on(one, await JsonClient.register(two_nodes))
    for _ in range(20):
        bob = await JsonClient.register(two_nodes)
        bob = await online_on(two, bob)
        ann.send(cmd=13, chat=10, dstid=bob.id, state="composing")
        await bob.expect(2, cmd=13)
