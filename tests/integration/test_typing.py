"""Typing (cmd 13): passed on to who is there, never stored."""

import pytest

from tests.support.groups import talking_group
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue


@pytest.mark.gen_test(timeout=20)
async def test_typing_reaches_every_connection_of_the_other(node: Node) -> None:
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    phone = await bob.another_device().connect()
    for state in ("composing", "paused"):
        alice.send(cmd=13, chat=10, dstid=bob.id, state=state)
        told = {"cmd": 13, "userid": alice.id, "chat": 10, "dstid": bob.id, "state": state}
        assert await bob.expect(cmd=13) == told
        assert await phone.expect(cmd=13) == told
    assert await alice.settled() == []


@pytest.mark.gen_test(timeout=20)
async def test_typing_in_a_group_reaches_the_others_only(node: Node) -> None:
    alice, bob, carol, eve = [await JsonClient.online(node) for _ in range(4)]
    gid = await talking_group(alice, bob, carol)
    alice.send(cmd=13, chat=11, dstid=gid, state="composing")
    for member in (bob, carol):
        assert (await member.expect(cmd=13))["userid"] == alice.id
    assert await alice.settled() == await eve.settled() == []


@pytest.mark.gen_test(timeout=20)
async def test_typing_is_neither_stored_nor_acked_and_fields_of_messages_are_dropped(
    node: Node,
) -> None:
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    alice.send(cmd=13, chat=10, dstid=bob.id, state="composing", content="x", cid="c", id=7, seq=3)
    told = {"cmd": 13, "userid": alice.id, "chat": 10, "dstid": bob.id, "state": "composing"}
    assert await bob.expect(cmd=13) == told
    assert await alice.settled() == []
    assert await alice.history(10, bob.id) == []


@pytest.mark.gen_test(timeout=20)
async def test_typing_to_nobody_is_no_error(node: Node) -> None:
    alice, away = await JsonClient.online(node), await JsonClient.register(node)
    for userid in (away.id, 2**52):
        alice.send(cmd=13, chat=10, dstid=userid, state="composing")
    assert await alice.settled() == []


WRONG = {
    "no state": ({"chat": 10}, 400, "bad-field"),
    "unknown state": ({"chat": 10, "state": "thinking"}, 400, "bad-field"),
    "no chat": ({"state": "paused"}, 400, "bad-field"),
    "unknown chat": ({"chat": 12, "state": "paused"}, 400, "bad-field"),
    "no dstid": ({"chat": 10, "state": "paused", "dstid": 0}, 400, "bad-field"),
    "no group": ({"chat": 11, "state": "paused", "dstid": 0}, 400, "bad-field"),
    "another's name": ({"chat": 10, "state": "paused", "userid": 10_001}, 400, "bad-field"),
    "state is a number": ({"chat": 10, "state": 1}, 400, "bad-field"),
    "a group one is not in": ({"chat": 11, "state": "paused"}, 403, "not-a-member"),
    "no such group": ({"chat": 11, "state": "paused", "dstid": 2**52}, 403, "not-a-member"),
}


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize("name", WRONG)
async def test_wrong_typing_is_refused_and_reaches_nobody(node: Node, name: str) -> None:
    fields, code, reason = WRONG[name]
    alice, bob, eve = [await JsonClient.online(node) for _ in range(3)]
    gid = await talking_group(alice, bob)
    eve.send(**{"cmd": 13, "dstid": gid if fields.get("chat") == 11 else bob.id, **fields})
    error = await eve.expect(cmd=2)
    assert (error["code"], error["reason"]) == (code, reason)
    assert await alice.settled() == await bob.settled() == []
