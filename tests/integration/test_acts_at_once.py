"""Acts on one message from several connections at once, on one node and on two."""

import asyncio
import json

import pytest

from tests.integration.test_groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

RECALL, EDIT, REACTION = 14, 15, 16


async def answer(client: JsonClient, cid: str) -> dict[str, object]:
    return await client.expect_that(
        lambda frame: frame.get("cid") == cid and frame["cmd"] in (1, 2), what=cid
    )


@pytest.mark.gen_test(timeout=60)
async def test_last_of_edits_at_once_is_in_force(node: Node) -> None:
    """It is the one with the highest seq, whichever was applied last."""
    laptop, bob = [await JsonClient.online(node) for _ in range(2)]
    phone = await laptop.another_device().connect()
    sent = await laptop.say(bob.id, "first", "c")
    for n in range(30):
        for device in (laptop, phone):
            content = f"{n} {device is phone}"
            frame = {"cmd": EDIT, "chat": 10, "dstid": bob.id, "ref": sent["id"]}
            device.send(**frame, content=content, cid=content)
    for n in range(30):
        for device in (laptop, phone):
            assert (await answer(device, f"{n} {device is phone}"))["cmd"] == 1
    first, *edits = await bob.history(10, laptop.id)
    assert [edit["seq"] for edit in edits] == list(range(2, 62))
    assert (first["content"], first["edited"]) == (edits[-1]["content"], edits[-1]["ts"])


@pytest.mark.gen_test(timeout=60)
async def test_recall_among_edits_leaves_no_text(node: Node) -> None:
    """Each edit is refused, or stored and without its text as well."""
    laptop, bob = [await JsonClient.online(node) for _ in range(2)]
    phone = await laptop.another_device().connect()
    for n in range(20):
        sent = await laptop.say(bob.id, f"secret {n}", f"c{n}")
        frame = {"chat": 10, "dstid": bob.id, "ref": sent["id"]}
        for each in range(4):
            phone.send(**frame, cmd=EDIT, content=f"secret {n} {each}", cid=f"e{n} {each}")
            if each == n % 4:
                laptop.send(**frame, cmd=RECALL, cid=f"r{n}")
            bob.send(
                **(frame | {"dstid": laptop.id}), cmd=REACTION, content="secret", cid=f"{n} {each}"
            )
        assert (await answer(laptop, f"r{n}"))["cmd"] == 1
        for each in range(4):
            edited = await answer(phone, f"e{n} {each}")
            assert edited["cmd"] == 1 or edited["reason"] == "no-such-message"
            await answer(bob, f"{n} {each}")
    recalled: set[int] = set()
    for frame in await bob.settled():
        if frame["cmd"] == RECALL:
            recalled.add(frame["ref"])
        assert not (frame["cmd"] == EDIT and frame["ref"] in recalled and frame.get("content"))
    entries = await bob.history(10, laptop.id)
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    kept = [entry for entry in entries if entry["cmd"] != REACTION]
    assert "secret" not in json.dumps(kept)
    assert all(entry["recalled"] for entry in kept if entry["cmd"] == 10)
    assert not any("reactions" in entry for entry in kept)
    assert (await bob.line(laptop.id))["unread"] == 0


@pytest.mark.gen_test(timeout=60)
async def test_reaction_given_and_taken_back_on_two_devices(node: Node) -> None:
    """The one with the highest seq is what everybody sees; others' stay as they are."""
    alice, laptop = [await JsonClient.online(node) for _ in range(2)]
    phone = await laptop.another_device().connect()
    gid = await make_group(alice, laptop)
    sent = await alice.say(gid, "hi", "c", chat=11)
    await alice.act(REACTION, 11, gid, sent["id"], "mine", content="x")
    for n in range(40):
        for device in (laptop, phone):
            frame = {"cmd": REACTION, "chat": 11, "dstid": gid, "ref": sent["id"]}
            device.send(**frame, content="" if n % 2 else "y", cid=f"{n} {device is phone}")
    for n in range(40):
        for device in (laptop, phone):
            assert (await answer(device, f"{n} {device is phone}"))["cmd"] == 1
    first, *acts = await alice.history(11, gid)
    expected = {"x": [alice.id]}
    if acts[-1].get("content"):
        expected["y"] = [laptop.id]
    assert first["reactions"] == expected


@pytest.mark.gen_test(timeout=60)
async def test_settings_and_first_message_at_once(node: Node) -> None:
    """Each conversation is there once, with what was set of it and what was said."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    others = [await JsonClient.register(node) for _ in range(15)]
    for other in others:
        body = {"chat": 10, "dstid": other.id, "pinned": True, "draft": "dear"}
        bob.send(cmd=10, dstid=other.id, content="hi", cid=f"b{other.id}")
        alice.send(cmd=10, dstid=other.id, content="hi", cid=f"a{other.id}")
        set_of, there = await asyncio.gather(
            alice.call("PATCH", "/api/conversations", body),
            other.call("PATCH", "/api/conversations", body | {"dstid": alice.id}),
        )
        assert (set_of[0], there[0]) == (200, 200)
        await alice.expect(cmd=1, cid=f"a{other.id}")
        await bob.expect(cmd=1, cid=f"b{other.id}")
        for client, partner, unread in ((alice, other, 0), (other, alice, 1)):
            line = await client.line(partner.id)
            assert (line["pinned"], line["draft"], line["unread"]) == (True, "dear", unread)
            assert line["last"]["content"] == "hi"


@pytest.mark.gen_test(timeout=60)
async def test_pointers_of_three_devices_end_at_the_furthest(node: Node) -> None:
    """And unread is what lies behind it, whatever came in between."""
    alice, laptop = [await JsonClient.online(node) for _ in range(2)]
    devices = [laptop, await laptop.another_device().connect()]
    devices.append(await laptop.another_device().connect())
    gid = await make_group(alice, laptop)
    for chat, dst, seen in ((10, laptop.id, alice.id), (11, gid, gid)):
        for n in range(30):
            await alice.say(dst, f"{n}", f"c{chat}{n}", chat=chat)
        await laptop.say(seen, "mine", f"m{chat}", chat=chat)
        order = [7, 28, 3, 15, 22, 9, 11, 25, 1]
        for n, seq in enumerate(order):
            for state in ("delivered", "read"):
                devices[n % 3].send(cmd=12, chat=chat, dstid=seen, seq=seq, state=state)
        async with asyncio.timeout(10):
            while (line := await laptop.line(seen, chat))["read"] < 28:
                await asyncio.sleep(0.02)
        assert (line["read"], line["unread"]) == (28, 2)
