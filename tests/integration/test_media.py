"""What each kind of message must have, and what a message costs the database."""

from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.integration.test_groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node

URL = "https://example.org/a"
GOOD: list[dict[str, Any]] = [
    {"content": "text"},
    {"media": 1, "content": " "},
    {"media": 2, "url": URL, "content": "title"},
    {"media": 2, "url": URL, "memo": "title", "pic": URL},
    {"media": 3, "url": URL, "amount": 7},
    {"media": 4, "url": URL},
    {"media": 5, "amount": 100, "content": "luck"},
    {"media": 6, "content": "\U0001f600"},
    {"media": 6, "url": URL},
    {"media": 7, "url": URL},
    {"media": 8, "url": URL, "amount": 0},
    {"media": 10, "url": URL, "memo": "a.pdf", "amount": 5},
    {"media": 100},
    {"media": 2**53 - 1, "amount": -5},
]
BAD: list[dict[str, Any]] = [
    {},
    {"media": 1, "url": URL},
    {"media": 2, "content": "title"},
    {"media": 2, "url": URL},
    {"media": 3, "url": URL},
    {"media": 3, "amount": 7},
    {"media": 3, "url": URL, "amount": -7},
    {"media": 4, "content": "picture"},
    {"media": 5, "content": "luck"},
    {"media": 6, "memo": "smile"},
    {"media": 7, "content": "link"},
    {"media": 8},
    {"media": 9},
    {"media": 9, "content": "somebody"},
    {"media": 10, "content": "file"},
    {"media": 11, "content": "x"},
    {"media": 99, "content": "x"},
    {"media": -1, "content": "x"},
]


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("fields", GOOD, ids=str)
async def test_message_of_a_kind_with_what_it_needs_is_taken(
    node: Node, fields: dict[str, Any]
) -> None:
    """Acked, and delivered as it was sent."""
    alice = await JsonClient.online(node)
    alice.send(cmd=10, dstid=alice.id, cid="c1", **fields)
    await alice.expect(cmd=1)
    [message] = await alice.history(10, alice.id)
    filled = {name: value for name, value in fields.items() if value}
    assert filled.items() <= message.items()


@pytest.mark.gen_test(timeout=30)
async def test_message_of_a_kind_without_what_it_needs_is_refused(node: Node) -> None:
    """bad-field, whatever else it has; unknown numbers below 100 too."""
    alice = await JsonClient.online(node)
    for fields in BAD[:18]:
        assert await alice.refused(cmd=10, dstid=alice.id, **fields) == (400, "bad-field"), fields
    assert await alice.history(10, alice.id) == []


@pytest.mark.gen_test(timeout=30)
async def test_contact_card_names_somebody_who_is_there(node: Node) -> None:
    """By amount or by content; 404 for nobody."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    for fields in ({"amount": bob.id, "content": "Bob"}, {"content": str(bob.id)}):
        alice.send(cmd=10, dstid=alice.id, media=9, cid=str(fields), **fields)
        await alice.expect(cmd=1)
    card = {"cmd": 10, "dstid": alice.id, "media": 9, "amount": 2**50}
    assert await alice.refused(**card) == (404, "no-such-user")


@pytest.mark.gen_test(timeout=60)
async def test_warm_message_costs_one_insert_and_no_read(own_node: Node) -> None:
    """1:1 and group: profiles, members and blocks are in memory, the log's end too.

    The search's index comes behind, in batches of its own; see ``test_indexer.py``.
    """
    own_node.env["TANDEM_SEARCH_ENABLED"] = "false"
    own_node.start()
    alice, bob = [await JsonClient.online(own_node) for _ in range(2)]
    gid = await make_group(alice, bob)
    for chat, dst in ((10, bob.id), (11, gid)):
        await alice.say(dst, "warm", f"w{chat}", chat=chat)
        await bob.expect(cmd=chat)
    async with AsyncMongoClient(own_node.mongodb_url) as client:
        tandem = client.tandem
        await tandem.command("profile", 2)
        for n in range(50):
            for chat, dst in ((10, bob.id), (11, gid)):
                await alice.say(dst, f"{n}", f"c{n}", chat=chat)
        await tandem.command("profile", 0)
        # Who has just connected is told to contacts meanwhile, whoever writes.
        others = {"$regex": "system|changes|contacts"}
        by_us = {"ns": {"$not": others}, "appName": "tandem"}
        found = await tandem["system.profile"].find(by_us).to_list(None)
    commands = [(each["op"], each["ns"]) for each in found]
    assert set(commands) == {("insert", "tandem.messages")}
    assert len(commands) <= 100
