"""The JSON WebSocket's commands: each one good, malformed, not allowed."""

import asyncio
import json

import pytest

from tests.support.json_client import JsonClient, http
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

HARD_TEXTS = {
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "rtl": "שלום \u202eעולם مرحبا",
    "combining": "Z\u0351\u036b\u0343a\u0328\u0301lgo e\u0301 \u0e33\u0e49",
    "chinese": "你好，世界。" * 100,
    "markup": "<b>&amp;]]></b>\"'\\u0041\u2028",
    "longest": "字" * 20_000,
    "newlines": "one\ntwo\tthree",
}


@pytest.mark.gen_test(timeout=20)
async def test_heartbeat_is_answered_with_the_time(node: Node) -> None:
    """cmd 0 is answered with cmd 0 and milliseconds."""
    me = await JsonClient.online(node)
    me.send(cmd=0)
    assert (await me.expect(cmd=0))["ts"] > 1_700_000_000_000


@pytest.mark.gen_test(timeout=30)
async def test_single_message_reaches_the_recipient_and_the_senders_other_device(
    node: Node,
) -> None:
    """An ack goes to the sending connection, the message to all others of both users."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    alice_phone = await alice.another_device().connect()
    bob_phone = await bob.another_device().connect()
    ack = await alice.say(bob.id, "hello", "c1")
    assert ack == {"cmd": 1, "cid": "c1", "id": ack["id"], "seq": 1, "ts": ack["ts"]}
    expected = {
        "id": ack["id"],
        "userid": alice.id,
        "cmd": 10,
        "dstid": bob.id,
        "media": 1,
        "content": "hello",
        "cid": "c1",
        "seq": 1,
        "ts": ack["ts"],
    }
    for device in (alice_phone, bob, bob_phone):
        assert await device.expect(cmd=10) == expected
    assert await alice.settled() == []


@pytest.mark.gen_test(timeout=30)
async def test_message_without_cid_gets_no_ack(node: Node) -> None:
    """The seed's plain client sees no cmd that it does not know."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    alice.send(cmd=10, dstid=bob.id, content="plain")
    assert (await bob.expect(cmd=10))["content"] == "plain"
    assert await alice.settled() == []


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", HARD_TEXTS)
async def test_content_of_any_script_arrives_unchanged(node: Node, name: str) -> None:
    """Text is carried and kept byte for byte."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await alice.say(bob.id, HARD_TEXTS[name], "c1")
    assert (await bob.expect(cmd=10))["content"] == HARD_TEXTS[name]
    assert [m["content"] for m in await bob.history(10, alice.id)] == [HARD_TEXTS[name]]


@pytest.mark.gen_test(timeout=30)
async def test_newlines_of_other_systems_become_lf(node: Node) -> None:
    """CR LF and CR are stored as LF."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await alice.say(bob.id, "a\r\nb\rc", "c1")
    assert (await bob.expect(cmd=10))["content"] == "a\nb\nc"


REFUSED: dict[str, tuple[str, int, str]] = {
    "not json": ("{", 400, "bad-json"),
    "not an object": ("[]", 400, "bad-field"),
    "nan": ('{"cmd":NaN}', 400, "bad-json"),
    "1e400": ('{"cmd":10,"dstid":1e400}', 400, "bad-field"),
    "5000 digits": ('{"cmd":10,"dstid":' + "9" * 5000 + "}", 400, "bad-field"),
    "beyond 2^53": ('{"cmd":10,"dstid":9007199254740993}', 400, "bad-field"),
    "negative": ('{"cmd":10,"dstid":-1}', 400, "bad-field"),
    "text for number": ('{"cmd":10,"dstid":"10001"}', 400, "bad-field"),
    "boolean for number": ('{"cmd":true}', 400, "bad-field"),
    "float": ('{"cmd":10.0}', 400, "bad-field"),
    "null": ('{"cmd":10,"content":null}', 400, "bad-field"),
    "no cmd": ('{"dstid":10001}', 400, "bad-field"),
    "duplicate key": ('{"cmd":10,"cmd":0}', 400, "bad-json"),
    "escaped duplicate": ('{"content":"a","content":"b\\"","cmd":10}', 400, "bad-json"),
    "lone surrogate": ('{"cmd":10,"content":"\\ud800"}', 400, "bad-json"),
    "deep": ('{"cmd":10,"x":' + "[" * 40 + "]" * 40 + "}", 400, "bad-json"),
    "very deep": ('{"cmd":10,"x":' + "[" * 100_000, 400, "bad-json"),
    "nul": ('{"cmd":10,"dstid":10000,"content":"a\\u0000b"}', 400, "bad-field"),
    "escape character": ('{"cmd":10,"dstid":10000,"content":"\\u001b"}', 400, "bad-field"),
    "noncharacter": ('{"cmd":10,"dstid":10000,"content":"\\uffff"}', 400, "bad-field"),
    "no dstid": ('{"cmd":10,"content":"x"}', 400, "bad-field"),
    "foreign sender": ('{"cmd":10,"userid":1,"dstid":10000}', 400, "bad-field"),
    "script address": ('{"cmd":10,"dstid":10000,"url":"javascript:1"}', 400, "bad-field"),
    "unknown media": ('{"cmd":10,"dstid":10000,"media":11}', 400, "bad-field"),
    "long cid": (json.dumps({"cmd": 10, "dstid": 10000, "cid": "x" * 65}), 400, "bad-field"),
    "long content": (
        json.dumps({"cmd": 10, "dstid": 10000, "content": "x" * 20_001}),
        413,
        "too-long",
    ),
    "unknown cmd": ('{"cmd":99}', 400, "unknown-cmd"),
    "server's cmd": ('{"cmd":1}', 400, "unknown-cmd"),
    "void": ('{"cmd":9}', 400, "unknown-cmd"),
    "no such user": ('{"cmd":10,"dstid":4503599627370496,"content":"x"}', 404, "no-such-user"),
    "no such group": ('{"cmd":11,"dstid":4503599627370496,"content":"x"}', 403, "not-a-member"),
    "unknown chat": ('{"cmd":31,"chat":12,"dstid":10000}', 400, "bad-field"),
    "history of a foreign group": ('{"cmd":31,"chat":11,"dstid":10000}', 403, "not-a-member"),
    "history before text": ('{"cmd":31,"chat":10,"dstid":1,"before":"x"}', 400, "bad-field"),
}


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", REFUSED)
async def test_refused_frame_is_named_and_the_connection_stays(node: Node, name: str) -> None:
    """A bad frame gets its code and slug; the next good one works."""
    me = await JsonClient.online(node)
    raw, code, slug = REFUSED[name]
    me.send_raw(raw)
    answer = await me.expect(cmd=2)
    assert (answer["code"], answer["reason"]) == (code, slug)
    assert answer["detail"]
    await me.settled()


@pytest.mark.gen_test(timeout=20)
async def test_error_names_the_request_it_answers(node: Node) -> None:
    """cid and rid come back, also from frames that could not be decoded."""
    me = await JsonClient.online(node)
    me.send(cmd=10, dstid="x", cid="mine")
    assert (await me.expect(cmd=2))["cid"] == "mine"
    me.send(cmd=31, chat=99, dstid=1, rid="r7")
    assert (await me.expect(cmd=2))["rid"] == "r7"


@pytest.mark.gen_test(timeout=20)
async def test_same_key_in_two_objects_is_no_duplicate(node: Node) -> None:
    """Unknown fields are ignored, whatever keys they contain."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    alice.send(cmd=10, dstid=bob.id, content="x", cid="c1", extra={"cmd": 3, "content": "y"})
    await alice.expect(cmd=1, cid="c1")


@pytest.mark.gen_test(timeout=20)
async def test_binary_frame_closes_with_1003(node: Node) -> None:
    """The JSON protocol has text frames only."""
    me = await JsonClient.online(node)
    me.send_raw(b"\x00\x01")
    assert await me.closed() == 1003


@pytest.mark.gen_test(timeout=20)
async def test_frame_beyond_the_limit_closes_with_1009(node: Node) -> None:
    """256 KiB is the largest frame."""
    me = await JsonClient.online(node)
    me.send_raw('{"cmd":0,"x":"' + "y" * 262_144 + '"}')
    assert await me.closed() == 1009


@pytest.mark.gen_test(timeout=20)
async def test_many_bad_frames_close_with_4400(node: Node) -> None:
    """The twenty-first bad frame within a minute ends the connection."""
    me = await JsonClient.online(node)
    for _ in range(21):
        me.send_raw("{")
    assert await me.closed() == 4400
    assert len([frame for frame in me.frames if frame["cmd"] == 2]) == 21


@pytest.mark.gen_test(timeout=30)
async def test_repeated_cid_is_stored_once_and_acked_again(node: Node) -> None:
    """The second send gets the first ack with dup, on any connection; the recipient sees one."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    first = await alice.say(bob.id, "once", "c1")
    assert await alice.say(bob.id, "once", "c1") == {**first, "dup": True}
    phone = await alice.another_device().connect()
    assert await phone.say(bob.id, "once", "c1") == {**first, "dup": True}
    assert (await bob.expect(cmd=10))["content"] == "once"
    assert await bob.settled() == []
    assert len(await bob.history(10, alice.id)) == 1


@pytest.mark.gen_test(timeout=30)
async def test_repeated_cid_in_one_packet_is_stored_once(node: Node) -> None:
    """Repeats that are written in one batch are told apart too, and seq stays whole."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    for cid in ("a", "a", "b", "a", "c", "c", "d"):
        alice.send(cmd=10, dstid=bob.id, content=cid, cid=cid)
    acks = [await alice.expect(cmd=1) for _ in range(7)]
    assert [(ack["cid"], ack["seq"]) for ack in acks] == [
        ("a", 1),
        ("a", 1),
        ("b", 2),
        ("a", 1),
        ("c", 3),
        ("c", 3),
        ("d", 4),
    ]
    assert [m["content"] for m in await bob.history(10, alice.id)] == ["a", "b", "c", "d"]


@pytest.mark.gen_test(timeout=30)
async def test_cid_reused_for_other_content_is_refused(node: Node) -> None:
    """409 cid-reused, and nothing is stored; the same cid to somebody else is another message."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    carol = await JsonClient.online(node)
    await alice.say(bob.id, "one", "c1")
    alice.send(cmd=10, dstid=bob.id, content="two", cid="c1")
    answer = await alice.expect(cmd=2)
    assert (answer["code"], answer["reason"], answer["cid"]) == (409, "cid-reused", "c1")
    assert "dup" not in await alice.say(carol.id, "one", "c1")
    assert "dup" not in await bob.say(alice.id, "one", "c1")
    assert [m["content"] for m in await bob.history(10, alice.id)] == ["one", "one"]


@pytest.mark.gen_test(timeout=30)
async def test_messages_of_two_senders_have_one_order_for_everybody(node: Node) -> None:
    """All devices see the conversation in seq order, without gaps, each sender's order kept."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    phone = await alice.another_device().connect()
    for n in range(100):
        alice.send(cmd=10, dstid=bob.id, content=f"a{n}", cid=f"a{n}")
        bob.send(cmd=10, dstid=alice.id, content=f"b{n}", cid=f"b{n}")
    seen = [await phone.expect(cmd=10) for _ in range(200)]
    assert [m["seq"] for m in seen] == list(range(1, 201))
    for letter in "ab":
        said = [m["content"] for m in seen if m["content"].startswith(letter)]
        assert said == [f"{letter}{n}" for n in range(100)]
    assert await alice.history(10, bob.id) == seen


@pytest.mark.gen_test(timeout=30)
async def test_chat_with_oneself_is_kept_and_seen_on_the_other_device(node: Node) -> None:
    """Notes to oneself reach one's other devices once."""
    me = await JsonClient.online(node)
    phone = await me.another_device().connect()
    await me.say(me.id, "milk", "c1")
    assert (await phone.expect(cmd=10))["content"] == "milk"
    assert await phone.settled() == []
    assert [m["content"] for m in await me.history(10, me.id)] == ["milk"]
    me.send(cmd=30)
    inbox = (await me.expect(cmd=30))["conversations"]
    assert [(line["dstid"], line["unread"]) for line in inbox] == [(me.id, 0)]


@pytest.mark.gen_test(timeout=30)
async def test_sync_after_being_offline_finds_everything(node: Node) -> None:
    """30 tells the seq, 31 gives what is missing, page by page, in order."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await alice.say(bob.id, "0", "0")
    have = (await bob.expect(cmd=10))["seq"]
    bob.close()
    await bob.closed()
    for n in range(1, 8):
        await alice.say(bob.id, str(n), str(n))
    await bob.connect()
    bob.send(cmd=30, rid="r1")
    answer = await bob.expect(cmd=30, rid="r1")
    assert answer["more"] is False
    [line] = answer["conversations"]
    assert (line["chat"], line["dstid"], line["seq"], line["unread"]) == (10, alice.id, 8, 8)
    assert line["name"] == alice.username
    assert line["last"]["content"] == "7"
    missed = []
    while have < line["seq"]:
        bob.send(cmd=31, rid="r2", chat=10, dstid=alice.id, after=have, limit=3)
        page = await bob.expect(cmd=31, rid="r2")
        missed += [m["content"] for m in page["messages"]]
        have = page["messages"][-1]["seq"]
        assert page["more"] is (have < 8)
    assert missed == [str(n) for n in range(1, 8)]


@pytest.mark.gen_test(timeout=30)
async def test_history_pages_backward_and_newest_are_ascending(node: Node) -> None:
    """``before`` gives the last ones below it, nothing gives the newest; always ascending."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    for n in range(1, 8):
        await alice.say(bob.id, str(n), str(n))
    path = f"/api/messages?chat=10&dstid={alice.id}&limit=3"
    pages = {
        "": ([5, 6, 7], True),
        "&before=5": ([2, 3, 4], True),
        "&before=2": ([1], False),
        "&after=5": ([6, 7], False),
        "&after=2": ([3, 4, 5], True),
        "&after=7": ([], False),
        "&before=1": ([], False),
    }
    for query, (seqs, more) in pages.items():
        _, page, _ = await http(node, "GET", path + query, token=bob.token)
        assert ([m["seq"] for m in page["messages"]], page["more"]) == (seqs, more), query
    alice.send(cmd=31, chat=10, dstid=bob.id, limit=2)
    page = await alice.expect(cmd=31)
    assert ([m["seq"] for m in page["messages"]], page["more"]) == ([6, 7], True)


@pytest.mark.gen_test(timeout=60)
async def test_history_page_is_bounded_in_bytes(node: Node) -> None:
    """A page of long messages ends early, says there is more, and nothing is skipped."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    for n in range(20):
        await alice.say(bob.id, "字" * 19_990 + f"{n:02}", str(n))
    path = f"/api/messages?chat=10&dstid={alice.id}&after=0&limit=200"
    _, page, response = await http(node, "GET", path, token=bob.token)
    assert page["more"] is True
    assert len(response.body) < 600_000
    assert [m["content"][-2:] for m in await bob.history(10, alice.id)] == [
        f"{n:02}" for n in range(20)
    ]


@pytest.mark.gen_test(timeout=30)
async def test_history_of_others_is_not_readable(node: Node) -> None:
    """A third user asking for either side sees an empty conversation of their own."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    eve = await JsonClient.online(node)
    await alice.say(bob.id, "secret", "c1")
    for victim in (alice, bob):
        assert await eve.history(10, victim.id) == []


@pytest.mark.gen_test(timeout=30)
async def test_flood_is_slowed_then_refused_then_closed(own_node: Node) -> None:
    """Beyond the burst a sender is slowed, then told 429 with retry_after, then cut with 4429."""
    own_node.env["TANDEM_LIMITS_RATE_SCALE"] = "1"
    own_node.start()
    alice, bob = await JsonClient.online(own_node), await JsonClient.online(own_node)
    for n in range(400):
        alice.send(cmd=10, dstid=bob.id, content=str(n), cid=str(n))
    refused = await alice.expect(cmd=2, timeout_s=20)
    assert (refused["code"], refused["reason"]) == (429, "slow-down")
    assert refused["retry_after"] >= 1
    assert await alice.closed(20) == 4429
    stored = await bob.history(10, alice.id)
    acked = [frame["cid"] for frame in alice.frames if frame["cmd"] == 1]
    assert len(acked) >= 100
    assert [m["cid"] for m in stored][: len(acked)] == acked


@pytest.mark.gen_test(timeout=20)
async def test_silent_connection_is_closed_with_4408(own_node: Node) -> None:
    """A connection without a sign of life for the set time is closed."""
    own_node.env["TANDEM_LIMITS_SILENCE_S"] = "2"
    own_node.start()
    me = await JsonClient.online(own_node)
    assert await me.closed(15) == 4408


@pytest.mark.gen_test(timeout=30)
async def test_unanswered_sends_beyond_64_all_get_their_ack(node: Node) -> None:
    """The server stops reading from a sender with 64 open sends; none is lost by that."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    for n in range(500):
        alice.send(cmd=10, dstid=bob.id, content=str(n), cid=str(n))
    acks = [await alice.expect(cmd=1) for _ in range(500)]
    assert [ack["seq"] for ack in acks] == list(range(1, 501))
    received = [await bob.expect(cmd=10) for _ in range(500)]
    assert [m["seq"] for m in received] == list(range(1, 501))


@pytest.mark.gen_test(timeout=30)
async def test_two_hundred_connections_come_and_go_without_a_trace(one_node: Node) -> None:
    """After clients left, the connection gauge is what it was."""

    async def count() -> float:
        _, _, response = await http(one_node, "GET", "/metrics")
        lines = response.body.decode().splitlines()
        found = [line for line in lines if line.startswith('tandem_connections{protocol="json"}')]
        return float(found[0].split()[-1]) if found else 0

    me = await JsonClient.register(one_node)
    before = await count()
    devices = [me.another_device() for _ in range(50)]
    await asyncio.gather(*(device.connect() for device in devices))
    assert await count() == before + 50
    for device in devices:
        device.close()
    await asyncio.gather(*(device.closed() for device in devices))
    assert await count() == before
