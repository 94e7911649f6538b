"""Groups: made over HTTP, talked in over WebSocket, seen by members only."""

import pytest

from tests.support.groups import hears_no_more, make_group
from tests.support.json_client import JsonClient, http
from tests.support.node import Node

pytestmark = pytest.mark.dialogue


@pytest.mark.gen_test(timeout=30)
async def test_group_message_fans_out_to_members_only(node: Node) -> None:
    """Every connection of every member gets it once, outsiders and the sending one do not."""
    alice, bob, carol, eve = [await JsonClient.online(node) for _ in range(4)]
    phone = await alice.another_device().connect()
    gid = await make_group(alice, bob, carol)
    for client in (alice, phone, bob, carol):
        created = await client.expect(cmd=22)
        assert created == {"cmd": 22, "event": "created", "dstid": gid, "userid": alice.id}
    ack = await alice.say(gid, "hi all", "c1", chat=11)
    for client in (phone, bob, carol):
        message = await client.expect(cmd=11)
        assert (message["userid"], message["dstid"]) == (alice.id, gid)
        assert (message["id"], message["seq"]) == (ack["id"], 1)
    assert await alice.settled() == []
    assert await eve.settled() == []


@pytest.mark.gen_test(timeout=30)
async def test_outsider_can_neither_send_nor_read_nor_look(node: Node) -> None:
    """A group is answered to outsiders like one that does not exist."""
    alice, bob, eve = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob)
    eve.send(cmd=11, dstid=gid, content="let me in", cid="c1")
    answer = await eve.expect(cmd=2)
    assert (answer["code"], answer["reason"]) == (403, "not-a-member")
    for path in (f"/api/groups/{gid}", f"/api/groups/{gid}/members", "/api/groups/999999999"):
        assert (await http(node, "GET", path, token=eve.token))[0] == 403
    status, _, _ = await http(
        node, "POST", f"/api/groups/{gid}/members", {"id": eve.id}, token=eve.token
    )
    assert status == 403
    path = f"/api/messages?chat=11&dstid={gid}"
    assert (await http(node, "GET", path, token=eve.token))[0] == 403


@pytest.mark.gen_test(timeout=30)
async def test_added_member_sees_the_log_from_the_joining_on(node: Node) -> None:
    """What was said before is not shown; what is said after is, live and in history."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob)
    await alice.say(gid, "before", "c1", chat=11)
    path = f"/api/groups/{gid}/members"
    assert (await http(node, "POST", path, {"id": carol.id}, token=bob.token))[0] == 403
    assert (await http(node, "POST", path, {"id": carol.id}, token=alice.token))[0] in (
        200,
        201,
        204,
    )
    for client in (alice, bob, carol):
        joined = await client.expect(cmd=22, event="joined")
        assert (joined["dstid"], joined["userid"]) == (gid, carol.id)
    await bob.say(gid, "after", "c2", chat=11)
    assert (await carol.expect(cmd=11))["content"] == "after"
    assert [m["content"] for m in await carol.history(11, gid)] == ["after"]
    assert [m["content"] for m in await bob.history(11, gid)] == ["before", "after"]


@pytest.mark.gen_test(timeout=30)
async def test_member_who_left_sees_and_says_nothing_more(node: Node) -> None:
    """Leaving ends delivery, sending and the view of the history at once."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob, carol)
    await alice.say(gid, "one", "c1", chat=11)
    await bob.expect(cmd=11)
    path = f"/api/groups/{gid}/members/{bob.id}"
    assert (await http(node, "DELETE", path, token=carol.token))[0] == 403
    assert (await http(node, "DELETE", path, token=bob.token))[0] == 204
    left = await carol.expect(cmd=22, event="left")
    assert (left["dstid"], left["userid"]) == (gid, bob.id)
    await hears_no_more(bob, gid, alice)
    await alice.say(gid, "two", "c2", chat=11)
    assert await bob.settled() == []
    bob.send(cmd=11, dstid=gid, content="still here?", cid="c3")
    assert (await bob.expect(cmd=2))["reason"] == "not-a-member"
    bob.send(cmd=30)
    assert [line["chat"] for line in (await bob.expect(cmd=30))["conversations"]] == [10]


@pytest.mark.gen_test(timeout=30)
async def test_removed_member_is_told_and_cut_off(node: Node) -> None:
    """An owner removes a member; everybody hears it."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(alice, bob)
    path = f"/api/groups/{gid}/members/{bob.id}"
    assert (await http(node, "DELETE", path, token=alice.token))[0] == 204
    assert (await bob.expect(cmd=22, event="removed"))["userid"] == bob.id
    await hears_no_more(bob, gid, alice)
    await alice.say(gid, "gone", "c1", chat=11)
    assert await bob.settled() == []


@pytest.mark.gen_test(timeout=30)
async def test_groups_and_members_are_listed_as_the_contract_says(node: Node) -> None:
    """Shapes of a group and of its members."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(alice, bob)
    _, listed, _ = await http(node, "GET", "/api/groups", token=bob.token)
    expected = {
        "id": gid,
        "name": "friends",
        "avatar": "",
        "memo": "",
        "owner": alice.id,
        "role": "member",
        "count": 2,
        "history": "joined",
        "muted_all": False,
        "announcement": "",
        "join": "invite",
    }
    assert listed["groups"] == [expected]
    _, group, _ = await http(node, "GET", f"/api/groups/{gid}", token=alice.token)
    assert group == {**expected, "role": "owner"}
    _, members, _ = await http(node, "GET", f"/api/groups/{gid}/members?limit=1", token=bob.token)
    assert (len(members["members"]), members["more"]) == (1, True)
    _, members, _ = await http(
        node, "GET", f"/api/groups/{gid}/members?after={alice.id}", token=bob.token
    )
    assert [(m["id"], m["role"]) for m in members["members"]] == [(bob.id, "member")]


@pytest.mark.gen_test(timeout=30)
async def test_group_with_an_unknown_member_is_not_made(node: Node) -> None:
    """404 no-such-user, and no group is left behind."""
    alice = await JsonClient.online(node)
    body = {"name": "x", "members": [4503599627370496]}
    status, problem, _ = await http(node, "POST", "/api/groups", body, token=alice.token)
    assert (status, problem["type"].rsplit("/", 1)[-1].rsplit(":", 1)[-1]) == (404, "no-such-user")
    _, listed, _ = await http(node, "GET", "/api/groups", token=alice.token)
    assert listed["groups"] == []


@pytest.mark.gen_test(timeout=30)
async def test_dissolved_group_is_gone_for_everybody(node: Node) -> None:
    """Only the owner dissolves; then nobody can send to it."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(alice, bob)
    assert (await http(node, "DELETE", f"/api/groups/{gid}", token=bob.token))[0] == 403
    assert (await http(alice.node, "DELETE", f"/api/groups/{gid}", token=alice.token))[0] == 204
    assert (await bob.expect(cmd=22, event="dissolved"))["dstid"] == gid
    alice.send(cmd=11, dstid=gid, content="anyone?", cid="c1")
    assert (await alice.expect(cmd=2))["reason"] == "not-a-member"


@pytest.mark.gen_test(timeout=30)
async def test_end_of_a_group_is_heard_of_however_young_it_was(node: Node) -> None:
    """Once by each member, also where the member's node has not heard of the group before."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    for _ in range(20):
        gid = await make_group(alice, bob)
        assert (await http(alice.node, "DELETE", f"/api/groups/{gid}", token=alice.token))[0] == 204
        for client in (alice, bob):
            await client.expect(cmd=22, event="dissolved", dstid=gid)
    for client in (alice, bob):
        assert not [frame for frame in await client.settled() if frame.get("event") == "dissolved"]


@pytest.mark.gen_test(timeout=30)
async def test_mention_of_everybody_is_for_owner_and_admins(node: Node) -> None:
    """at: [0] from a plain member is refused; named members are carried along."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(alice, bob)
    bob.send(cmd=11, dstid=gid, content="hey", at=[0], cid="c1")
    assert (await bob.expect(cmd=2))["reason"] == "not-allowed"
    alice.send(cmd=11, dstid=gid, content="hey", at=[0, bob.id], cid="c2")
    assert (await bob.expect(cmd=11))["at"] == [0, bob.id]
