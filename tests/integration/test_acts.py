"""Recall, edit and reactions (cmd 14 to 16), in 1:1 conversations and in groups."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from tests.integration.test_groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

RECALL, EDIT, REACTION = 14, 15, 16


@pytest.mark.gen_test(timeout=30)
async def test_recalled_text_is_gone_everywhere_at_once(node: Node) -> None:
    """The tombstone stays: without text in history, inbox and earlier edits; all hear of it."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    phone = await alice.another_device().connect()
    sent = await alice.say(bob.id, "secret", "c1")
    await alice.act(EDIT, 10, bob.id, sent["id"], "c2", content="secret two")
    ack = await alice.act(RECALL, 10, bob.id, sent["id"], "c3")
    assert ack["seq"] == 3
    for client in (bob, phone):
        heard = await client.expect(cmd=RECALL)
        assert (heard["userid"], heard["ref"], heard["seq"]) == (alice.id, sent["id"], 3)
        assert (heard["chat"], heard["dstid"]) == (10, bob.id)
    for client, other in ((alice, bob), (bob, alice)):
        entries = await client.history(10, other.id)
        assert [entry["cmd"] for entry in entries] == [10, 15, 14]
        assert "secret" not in json.dumps(entries)
        assert entries[0]["recalled"] is True
        line = await client.line(other.id)
        assert line["last"]["recalled"] is True
        assert (line["seq"], line["unread"]) == (3, 0)
        assert "secret" not in json.dumps(line)


@pytest.mark.gen_test(timeout=30)
async def test_edited_message_shows_its_last_text(node: Node) -> None:
    """History has the last text and when; the entries are kept; sync carries them."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    sent = await alice.say(bob.id, "helo", "c1")
    await alice.act(EDIT, 10, bob.id, sent["id"], "c2", content="hello")
    second = await alice.act(EDIT, 10, bob.id, sent["id"], "c3", content="hello!")
    heard = [await bob.expect(cmd=EDIT) for _ in range(2)]
    assert [entry["content"] for entry in heard] == ["hello", "hello!"]
    entries = await bob.history(10, alice.id)
    assert (entries[0]["content"], entries[0]["edited"]) == ("hello!", second["ts"])
    assert [entry.get("ref") for entry in entries] == [None, sent["id"], sent["id"]]
    line = await bob.line(alice.id)
    assert (line["last"]["content"], line["seq"], line["unread"]) == ("hello!", 3, 1)


@pytest.mark.gen_test(timeout=30)
async def test_reaction_is_one_a_user_and_can_be_taken_back(node: Node) -> None:
    """The last one counts; the empty one takes it away."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob, carol)
    sent = await alice.say(gid, "party?", "c1", chat=11)
    await bob.act(REACTION, 11, gid, sent["id"], "r1", content="\U0001f44d")
    await carol.act(REACTION, 11, gid, sent["id"], "r1", content="\U0001f389")
    await bob.act(REACTION, 11, gid, sent["id"], "r2", content="\U0001f389")
    assert (await alice.history(11, gid))[0]["reactions"] == {"\U0001f389": [carol.id, bob.id]}
    await carol.act(REACTION, 11, gid, sent["id"], "r2", content="")
    assert (await alice.history(11, gid))[0]["reactions"] == {"\U0001f389": [bob.id]}
    await bob.act(REACTION, 11, gid, sent["id"], "r3", content="")
    assert "reactions" not in (await alice.history(11, gid))[0]
    assert [(await alice.expect(cmd=REACTION)).get("content", "") for _ in range(5)] == [
        "\U0001f44d",
        "\U0001f389",
        "\U0001f389",
        "",
        "",
    ]


@pytest.mark.gen_test(timeout=30)
async def test_others_messages_cannot_be_recalled_or_edited(node: Node) -> None:
    """Only the sender; in groups, owner and admins recall as well, and edit nobody's but theirs."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob, carol)
    single = await alice.say(bob.id, "mine", "c1")
    for cmd in (RECALL, EDIT):
        frame = {"cmd": cmd, "chat": 10, "dstid": alice.id, "ref": single["id"], "content": "x"}
        assert await bob.refused(**frame) == (403, "not-allowed")
    sent = await bob.say(gid, "rude", "c1", chat=11)
    frame = {"chat": 11, "dstid": gid, "ref": sent["id"], "content": "nice"}
    assert await carol.refused(cmd=RECALL, **frame) == (403, "not-allowed")
    assert await alice.refused(cmd=EDIT, **frame) == (403, "not-allowed")
    await alice.act(RECALL, 11, gid, sent["id"], "a1")
    assert (await carol.history(11, gid))[0]["recalled"] is True


@pytest.mark.gen_test(timeout=30)
async def test_what_is_not_there_cannot_be_acted_on(node: Node) -> None:
    """Unknown, of another conversation, recalled, an act itself, from before the joining: 404."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob)
    old = await alice.say(gid, "old", "c1", chat=11)
    other = await alice.say(carol.id, "other", "c1")
    sent = await alice.say(bob.id, "here", "c1")
    act = await alice.act(REACTION, 10, bob.id, sent["id"], "c2", content="x")
    await alice.act(RECALL, 10, bob.id, sent["id"], "c3")
    for ref in (2**50, other["id"], sent["id"], act["id"]):
        for cmd in (RECALL, EDIT, REACTION):
            frame = {"cmd": cmd, "chat": 10, "dstid": bob.id, "ref": ref, "content": "y"}
            assert await alice.refused(**frame) == (404, "no-such-message"), (ref, cmd)
    path = f"/api/groups/{gid}/members"
    assert (await alice.call("POST", path, {"id": carol.id}))[0] == 201
    await carol.expect(cmd=22, event="joined")
    frame = {"cmd": REACTION, "chat": 11, "dstid": gid, "ref": old["id"], "content": "y"}
    assert await carol.refused(**frame) == (404, "no-such-message")
    frame = {"cmd": REACTION, "chat": 10, "dstid": 2**50, "ref": old["id"], "content": "y"}
    assert await carol.refused(**frame) == (404, "no-such-message")


@pytest.mark.gen_test(timeout=30)
async def test_malformed_acts_are_refused(node: Node) -> None:
    """Without ref, chat or text, or with too much: bad-field or too-long."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    sent = await alice.say(bob.id, "here", "c1")
    good = {"cmd": EDIT, "chat": 10, "dstid": bob.id, "ref": sent["id"], "content": "x"}
    for change, reason in (
        ({"ref": 0}, "bad-field"),
        ({"chat": 0}, "bad-field"),
        ({"chat": 12}, "bad-field"),
        ({"dstid": 0}, "bad-field"),
        ({"content": ""}, "bad-field"),
        ({"content": "\u0000"}, "bad-field"),
        ({"content": "x" * 20_001}, "too-long"),
        ({"userid": bob.id}, "bad-field"),
        ({"cmd": REACTION, "content": "x" * 65}, "too-long"),
    ):
        assert (await alice.refused(**(good | change)))[1] == reason, change
    assert [m["content"] for m in await alice.history(10, bob.id)] == ["here"]


@pytest.mark.gen_test(timeout=30)
async def test_repeated_act_is_answered_as_it_was(node: Node) -> None:
    """The same cid again: the first ack, also when the message is recalled by now."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    sent = await alice.say(bob.id, "one", "c1")
    edited = await alice.act(EDIT, 10, bob.id, sent["id"], "c2", content="two")
    recalled = await alice.act(RECALL, 10, bob.id, sent["id"], "c3")
    for first, frame in (
        (edited, {"cmd": EDIT, "chat": 10, "ref": sent["id"], "content": "two", "cid": "c2"}),
        (recalled, {"cmd": RECALL, "chat": 10, "ref": sent["id"], "cid": "c3"}),
        (sent, {"cmd": 10, "content": "one", "cid": "c1"}),
    ):
        alice.send(dstid=bob.id, **frame)
        assert await alice.expect(cmd=1, cid=frame["cid"]) == {**first, "dup": True}
    alice.send(cmd=10, dstid=bob.id, content="two", cid="c1")
    assert (await alice.expect(cmd=2))["reason"] == "cid-reused"
    assert len(await alice.history(10, bob.id)) == 3


@pytest.mark.gen_test(timeout=30)
async def test_file_of_a_recalled_message_is_gone(node: Node) -> None:
    """The picture and its preview; another's file that was only passed on stays."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    addresses = []
    for name in ("a.png", "b.png"):
        slot = {"name": name, "size": 3, "type": "image/png"}
        status, offer = await alice.call("POST", "/api/uploads", slot)
        assert status == 201
        addresses.append(offer["get"])
        request = HTTPRequest(offer["put"], "PUT", offer["headers"], b"png")
        assert (await AsyncHTTPClient().fetch(request)).code == 201
    url, pic = addresses
    alice.send(cmd=10, dstid=bob.id, media=4, url=url, pic=pic, cid="c1")
    sent = await alice.expect(cmd=1)
    bob.send(cmd=10, dstid=alice.id, media=4, url=url, cid="c1")
    passed_on = await bob.expect(cmd=1)
    await bob.act(RECALL, 10, alice.id, passed_on["id"], "c2")
    assert (await AsyncHTTPClient().fetch(url)).code == 200
    await alice.act(RECALL, 10, bob.id, sent["id"], "c2")
    for address in addresses:
        assert (await AsyncHTTPClient().fetch(address, raise_error=False)).code == 404


@pytest.mark.gen_test(timeout=30)
async def test_edit_leaves_a_message_what_its_kind_needs(node: Node) -> None:
    """A card stays one of somebody, an article keeps a word about it."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    url = "https://example.org/a"
    cases: tuple[tuple[int, dict[str, object], str, str | None], ...] = (
        (9, {"content": str(bob.id)}, str(alice.id), "somebody"),
        (9, {"content": "Bob", "amount": bob.id}, "Bobby", None),
        (2, {"content": "news", "url": url}, "old news", ""),
        (2, {"content": "news", "url": url, "memo": "of today"}, "", None),
        (4, {"content": "look", "url": url}, "", None),
        (1, {"content": "text"}, "other text", ""),
    )
    for n, (media, before, good, bad) in enumerate(cases):
        alice.send(cmd=10, dstid=bob.id, media=media, cid=f"c{n}", **before)
        sent = await alice.expect(cmd=1)
        frame = {"cmd": EDIT, "chat": 10, "dstid": bob.id, "ref": sent["id"]}
        if bad is not None:
            assert await alice.refused(**frame, content=bad) == (400, "bad-field"), (media, bad)
        await alice.act(EDIT, 10, bob.id, sent["id"], f"e{n}", content=good)


@pytest.mark.gen_test(timeout=60)
async def test_message_takes_so_many_different_reactions(node: Node) -> None:
    """One more is too-long; what others gave already can be given by everybody."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(alice, bob)
    sent = await alice.say(gid, "hi", "c1", chat=11)
    given = {f"reactions.{n}": {"text": f"r{n}", "seq": 1} for n in range(99)}
    async with AsyncMongoClient(getattr(node, "one", node).mongodb_url) as client:
        await client.tandem.messages.update_one({"_id": f"g{gid}:{1:016d}"}, {"$set": given})
    frame = {"cmd": REACTION, "chat": 11, "dstid": gid, "ref": sent["id"]}
    await alice.act(REACTION, 11, gid, sent["id"], "a1", content="the last")
    assert await bob.refused(**frame, content="one more") == (413, "too-long")
    await bob.act(REACTION, 11, gid, sent["id"], "b1", content="the last")
    await bob.act(REACTION, 11, gid, sent["id"], "b2", content="")
    [first, *_] = await bob.history(11, gid)
    assert len(first["reactions"]) == 100
    assert first["reactions"]["the last"] == [alice.id]


@pytest.mark.gen_test(timeout=30)
async def test_what_is_the_servers_to_say_is_not_taken_from_clients(node: Node) -> None:
    """Neither with a message nor with an act; nobody hears of it, nothing is stored of it."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    others = {str(n): [bob.id] * 20 for n in range(500)}
    forged = {"id": 5, "seq": 99, "ts": 7, "edited": 8, "recalled": True, "reactions": others}
    forged |= {"state": "read"}
    alice.send(cmd=10, dstid=bob.id, content="hi", cid="c1", chat=11, **forged)
    sent = await alice.expect(cmd=1)
    expected = {"cmd": 10, "userid": alice.id, "dstid": bob.id, "media": 1, "content": "hi"}
    expected |= {"cid": "c1"} | {name: sent[name] for name in ("id", "seq", "ts")}
    assert sent["seq"] == 1
    assert await bob.expect(cmd=10) == expected
    assert await bob.history(10, alice.id) == [expected]
    more = {"media": 4, "url": "https://a/", "pic": "https://a/", "memo": "m", "amount": 3}
    more |= {"at": [0, bob.id], **forged}
    for cmd, content in ((REACTION, "x"), (EDIT, "ho"), (RECALL, "spare me")):
        cid = f"a{cmd}"
        alice.send(cmd=cmd, chat=10, dstid=bob.id, ref=sent["id"], content=content, cid=cid, **more)
        ack = await alice.expect(cmd=1)
        entry = {"cmd": cmd, "userid": alice.id, "chat": 10, "dstid": bob.id, "cid": cid}
        entry |= {"ref": sent["id"]} | {name: ack[name] for name in ("id", "seq", "ts")}
        if cmd != RECALL:
            entry["content"] = content
        assert await bob.expect(cmd=cmd) == entry
    alice.send(
        cmd=13, chat=10, dstid=bob.id, content="psst", cid="c", **forged | {"state": "paused"}
    )
    typing = {"cmd": 13, "userid": alice.id, "chat": 10, "dstid": bob.id, "state": "paused"}
    assert await bob.expect(cmd=13) == typing


@pytest.mark.gen_test(timeout=60)
async def test_window_ends_for_the_sender_and_not_for_admins(own_node: Node) -> None:
    """After limits.recall_s: too-late for the sender, while the group's owner may."""
    own_node.env["TANDEM_LIMITS_RECALL_S"] = "1"
    own_node.start()
    alice, bob = [await JsonClient.online(own_node) for _ in range(2)]
    gid = await make_group(alice, bob)
    sent = await bob.say(gid, "rude", "c1", chat=11)
    frame = {"cmd": EDIT, "chat": 11, "dstid": gid, "ref": sent["id"], "content": "x"}
    async with asyncio.timeout(10):
        for attempt in itertools.count():
            bob.send(**frame, cid=f"try {attempt}")
            answer = await bob.expect_that(lambda frame: frame["cmd"] in (1, 2))
            if answer["cmd"] == 2:
                break
            await asyncio.sleep(0.2)
    assert (answer["code"], answer["reason"]) == (409, "too-late")
    assert await bob.refused(**frame, cid="c2") == (409, "too-late")
    await alice.act(RECALL, 11, gid, sent["id"], "a1")


@pytest.mark.gen_test(timeout=60)
async def test_act_that_a_dead_server_left_undone_is_done_by_the_next(
    own_node: Node, tmp_path: Path
) -> None:
    """A recall that was stored, and not applied before a kill -9, is applied after the start."""
    own_node.start()
    alice, bob = [await JsonClient.online(own_node) for _ in range(2)]
    sent = await alice.say(bob.id, "secret", "c1")
    conv = f"{alice.id}-{bob.id}"
    async with AsyncMongoClient(own_node.mongodb_url) as client:
        entry = await client.tandem.messages.find_one({"_id": f"{conv}:{1:016d}"})
        assert entry is not None
        act = {name: entry[name] for name in ("conv", "userid", "dstid", "owners", "n", "low")}
        a_minute_ago = entry["id"] - (60_000 << 12)  # by now it is nobody else's to do
        act |= {"_id": f"{conv}:{2:016d}", "seq": 2, "id": a_minute_ago, "ts": entry["ts"]}
        act |= {"cmd": RECALL, "chat": 10, "ref": sent["id"], "top": 1, "todo": True}
        own_node.kill()
        await client.tandem.messages.insert_one(act)
        own_node.start()
        async with asyncio.timeout(30):
            while True:
                if not await client.tandem.messages.count_documents({"todo": True}):
                    break
                await asyncio.sleep(0.2)
        [first, second] = await bob.history(10, alice.id)
        assert first["recalled"] is True and "content" not in first
        assert second["cmd"] == RECALL
