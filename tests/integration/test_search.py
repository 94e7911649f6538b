"""Searching one's conversations: what is found, what is not, and what happens in between."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.json_client import JsonClient, http
from tests.support.node import Node

pytestmark = pytest.mark.dialogue


async def ask(client: JsonClient, q: str, **filters: int) -> tuple[int, Any]:
    path = f"/api/search?{urlencode({'q': q, **filters})}"
    status, answer, _ = await http(client.node, "GET", path, token=client.token)
    return status, answer


async def found(client: JsonClient, q: str, **filters: int) -> list[str]:
    """The texts found, newest first."""
    status, answer = await ask(client, q, **filters)
    assert status == 200, answer
    return [message["content"] for message in answer["messages"]]


@pytest.mark.gen_test(timeout=30)
async def test_sent_text_is_found_at_once_by_both(node: Node) -> None:
    """Its sender finds it as soon as it is acked, its reader as soon as it came."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    ack = await alice.say(bob.id, "the quick brown fox", "c1")
    assert await found(alice, "quick") == ["the quick brown fox"]
    message = await bob.expect(cmd=10)
    status, answer = await ask(bob, "quick")
    assert (status, answer) == (200, {"messages": [message], "more": False})
    assert message["id"] == ack["id"]
