"""Receipts (cmd 12, 23), unread counts, mentions, and what is set of a conversation."""

import asyncio

import pytest

from tests.integration.test_groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue


@pytest.mark.gen_test(timeout=30)
async def test_read_pointer_reaches_the_other_and_ones_own_devices(node: Node) -> None:
    """12 to the other side with userid, 23 to the reader's other connections, unread falls."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    phone = await bob.another_device().connect()
    for n in range(3):
        await alice.say(bob.id, f"{n}", f"c{n}")
    assert (await bob.line(alice.id))["unread"] == 3
    bob.send(cmd=12, chat=10, dstid=alice.id, seq=2, state="read")
    assert await alice.expect(cmd=12) == {
        "cmd": 12,
        "userid": bob.id,
        "chat": 10,
        "dstid": alice.id,
        "seq": 2,
        "state": "read",
    }
    assert await phone.expect(cmd=23) == {"cmd": 23, "chat": 10, "dstid": alice.id, "seq": 2}
    line = await bob.line(alice.id)
    assert (line["read"], line["unread"], line["seq"]) == (2, 1, 3)
    assert not [frame for frame in await bob.settled() if frame["cmd"] in (12, 23)]


@pytest.mark.gen_test(timeout=30)
async def test_pointers_only_move_forward(node: Node) -> None:
    """A lower one changes nothing and nobody hears of it; delivered and read are two."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    for n in range(4):
        await alice.say(bob.id, f"{n}", f"c{n}")
    for seq, state in ((3, "delivered"), (2, "read"), (1, "read"), (2, "delivered"), (4, "read")):
        bob.send(cmd=12, chat=10, dstid=alice.id, seq=seq, state=state)
        if (seq, state) in ((3, "delivered"), (2, "read"), (4, "read")):
            heard = await alice.expect(cmd=12)
            assert (heard["seq"], heard["state"]) == (seq, state)
    status, answer = await alice.call("GET", f"/api/receipts?chat=10&dstid={bob.id}")
    assert status == 200
    assert answer["receipts"] == [{"userid": bob.id, "delivered": 4, "read": 4}]


@pytest.mark.gen_test(timeout=30)
async def test_wrong_receipts_are_refused(node: Node) -> None:
    """Beyond the end, without a conversation, not a member, malformed."""
    alice, bob, eve = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob)
    await alice.say(bob.id, "x", "c1")
    good = {"cmd": 12, "chat": 10, "dstid": alice.id, "seq": 1, "state": "read"}
    for change, reason in (
        ({"seq": 2}, "bad-field"),
        ({"seq": 2**53 - 1}, "bad-field"),
        ({"seq": 0}, "bad-field"),
        ({"seq": -1}, "bad-field"),
        ({"state": "seen"}, "bad-field"),
        ({"chat": 12}, "bad-field"),
        ({"dstid": 0}, "bad-field"),
        ({"dstid": eve.id}, "bad-field"),
        ({"chat": 11, "dstid": 2**50}, "not-a-member"),
        ({"userid": alice.id}, "bad-field"),
    ):
        assert (await bob.refused(**(good | change)))[1] == reason, change
    assert (await eve.refused(**(good | {"chat": 11, "dstid": gid})))[1] == "not-a-member"
    assert (await bob.line(alice.id))["unread"] == 1


@pytest.mark.gen_test(timeout=30)
async def test_own_and_recalled_messages_are_not_unread(node: Node) -> None:
    """In a group and in a 1:1 conversation, whichever id is the lower one."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob, carol)
    for chat, dst, back in ((11, gid, gid), (10, bob.id, alice.id)):
        sent = [await alice.say(dst, f"{n}", f"c{chat}{n}", chat=chat) for n in range(3)]
        await bob.say(back, "mine", f"b{chat}", chat=chat)
        assert (await bob.line(back, chat))["unread"] == 3
        assert (await alice.line(dst, chat))["unread"] == 1
        await alice.act(14, chat, dst, sent[1]["id"], f"r{chat}")
        line = await bob.line(back, chat)
        assert (line["unread"], line["last"]["content"], line["seq"]) == (2, "mine", 5)
        bob.send(cmd=12, chat=chat, dstid=back, seq=2, state="read")
        await alice.expect(cmd=12)
        assert (await bob.line(back, chat))["unread"] == 1
        await alice.act(14, chat, dst, sent[2]["id"], f"s{chat}")
        assert (await bob.line(back, chat))["unread"] == 0


@pytest.mark.gen_test(timeout=30)
async def test_mention_marks_the_conversation_until_it_is_read(node: Node) -> None:
    """By name or of everybody; not for the others, nor once recalled or read."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob, carol)
    alice.send(cmd=11, dstid=gid, content="bob!", at=[bob.id], cid="c1")
    first = await alice.expect(cmd=1, cid="c1")
    assert [(await each.line(gid, 11))["mentioned"] for each in (alice, bob, carol)] == [
        False,
        True,
        False,
    ]
    await alice.act(14, 11, gid, first["id"], "c2")
    assert (await bob.line(gid, 11))["mentioned"] is False
    alice.send(cmd=11, dstid=gid, content="all!", at=[0], cid="c3")
    ack = await alice.expect(cmd=1, cid="c3")
    assert [(await each.line(gid, 11))["mentioned"] for each in (alice, bob, carol)] == [
        False,
        True,
        True,
    ]
    carol.send(cmd=12, chat=11, dstid=gid, seq=ack["seq"], state="read")
    await alice.expect(cmd=12, userid=carol.id)
    assert (await carol.line(gid, 11))["mentioned"] is False


@pytest.mark.gen_test(timeout=30)
async def test_group_tells_who_has_read_what(node: Node) -> None:
    """Members hear and can ask; outsiders cannot."""
    alice, bob, carol, eve = [await JsonClient.online(node) for _ in range(4)]
    gid = await make_group(alice, bob, carol)
    for n in range(2):
        await alice.say(gid, f"{n}", f"c{n}", chat=11)
    bob.send(cmd=12, chat=11, dstid=gid, seq=2, state="read")
    carol.send(cmd=12, chat=11, dstid=gid, seq=1, state="delivered")
    for reader in (bob, carol):
        heard = await alice.expect(cmd=12, userid=reader.id)
        assert (heard["chat"], heard["dstid"]) == (11, gid)
    path = f"/api/receipts?chat=11&dstid={gid}"
    _, answer = await alice.call("GET", path)
    assert answer["receipts"] == [
        {"userid": bob.id, "delivered": 2, "read": 2},
        {"userid": carol.id, "delivered": 1, "read": 0},
    ]
    _, answer = await alice.call("GET", f"{path}&seq=1")
    assert [one["userid"] for one in answer["receipts"]] == [bob.id]
    assert (await eve.call("GET", path))[0] == 403


@pytest.mark.gen_test(timeout=30)
async def test_what_is_set_of_a_conversation_reaches_ones_other_devices(node: Node) -> None:
    """Pin, mute, archive and draft; a new message ends the archive of what is not muted."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    phone = await alice.another_device().connect()
    await bob.say(alice.id, "one", "c1")
    path, which = "/api/conversations", {"chat": 10, "dstid": bob.id}
    status, answer = await alice.call("PATCH", path, {**which, "pinned": True, "draft": "dear"})
    assert status == 200
    assert answer == {
        "cmd": 24,
        **which,
        "pinned": True,
        "muted": False,
        "archived": False,
        "draft": "dear",
    }
    assert await phone.expect(cmd=24) == answer
    await alice.call("PATCH", path, {**which, "archived": True})
    line = await alice.line(bob.id)
    assert (line["pinned"], line["archived"], line["draft"]) == (True, True, "dear")
    await bob.say(alice.id, "two", "c2")
    assert (await alice.line(bob.id))["archived"] is False
    await alice.call("PATCH", path, {**which, "archived": True, "muted": True})
    await bob.say(alice.id, "three", "c3")
    line = await alice.line(bob.id)
    assert (line["archived"], line["muted"], line["unread"]) == (True, True, 3)
    await alice.call("PATCH", path, {**which, "archived": False, "pinned": False, "draft": ""})
    line = await alice.line(bob.id)
    assert (line["pinned"], line["archived"], line["draft"]) == (False, False, "")
    line = await bob.line(alice.id)
    assert (line["pinned"], line["draft"]) == (False, "")


@pytest.mark.gen_test(timeout=30)
async def test_draft_begins_a_conversation_for_its_writer_only(node: Node) -> None:
    """Before the first message there is nothing for the other side to see."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    body = {"chat": 10, "dstid": bob.id, "draft": "dear"}
    assert (await alice.call("PATCH", "/api/conversations", body))[0] == 200
    assert [line["draft"] for line in await alice.inbox()] == ["dear"]
    assert await bob.inbox() == []
    for dstid, chat, status in ((2**50, 10, 404), (2**50, 11, 403)):
        body = {"chat": chat, "dstid": dstid, "pinned": True}
        assert (await alice.call("PATCH", "/api/conversations", body))[0] == status


@pytest.mark.gen_test(timeout=60)
async def test_inbox_beyond_200_conversations_is_paged_without_gaps(node: Node) -> None:
    """Newest first; the pages together are everything, once."""
    alice = await JsonClient.online(node)
    gids = []
    for start in range(0, 205, 5):
        answers = await asyncio.gather(
            *(alice.call("POST", "/api/groups", {"name": f"g{n}"}) for n in range(start, start + 5))
        )
        gids += [answer["id"] for _, answer in answers]
    await alice.say(gids[0], "up", "c1", chat=11)
    alice.send(cmd=30, rid="1")
    first = await alice.expect(cmd=30)
    assert (len(first["conversations"]), first["more"]) == (200, True)
    assert first["conversations"][0]["dstid"] == gids[0]
    alice.send(cmd=30, rid="2", before=first["next"])
    second = await alice.expect(cmd=30)
    assert (len(second["conversations"]), second["more"]) == (5, False)
    listed = [line["dstid"] for line in first["conversations"] + second["conversations"]]
    assert sorted(listed) == sorted(gids)
    status, answer = await alice.call("GET", f"/api/conversations?before={first['next']}")
    assert (status, answer["conversations"]) == (200, second["conversations"])
    assert await alice.refused(cmd=30, rid="3", before="x") == (400, "bad-field")


@pytest.mark.gen_test(timeout=60)
async def test_inbox_of_long_texts_comes_in_several_answers(node: Node) -> None:
    """No answer is more than a connection takes; together they are everything, once."""
    alice = await JsonClient.online(node)
    long = "\U0001f600" * 20_000
    gids = []
    for n in range(30):
        status, group = await alice.call("POST", "/api/groups", {"name": f"g{n}"})
        assert status == 201
        gids.append(group["id"])
        await alice.say(group["id"], long, f"c{n}", chat=11)
        body = {"chat": 11, "dstid": group["id"], "draft": long[:5000]}
        assert (await alice.call("PATCH", "/api/conversations", body))[0] == 200
    listed: list[int] = []
    before, more = "", True
    while more:
        alice.send(cmd=30, before=before)
        answer = await alice.expect(cmd=30)
        listed += [line["dstid"] for line in answer["conversations"]]
        before, more = answer.get("next", ""), answer["more"]
    assert listed == gids[::-1]


@pytest.mark.gen_test(timeout=30)
async def test_unread_of_a_group_is_right_after_each_message_and_pointer(node: Node) -> None:
    """What was counted before is not counted twice, nor what lies below the pointer by now."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(alice, bob)
    unread = 0
    for n in range(12):
        author = (bob, alice, bob, bob)[n % 4]
        ack = await author.say(gid, f"{n}", f"c{n}", chat=11)
        unread += author is alice
        assert (await bob.line(gid, 11))["unread"] == unread
        if n in (4, 10):
            bob.send(cmd=12, chat=11, dstid=gid, seq=ack["seq"] - 2, state="read")
            await alice.expect(cmd=12)
            unread = 0
            for seq in (ack["seq"] - 1, ack["seq"]):
                unread += (bob, alice, bob, bob)[(seq - 1) % 4] is alice
            assert (await bob.line(gid, 11))["unread"] == unread
