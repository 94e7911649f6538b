"""permessage-deflate, switched on: whoever wants it gets it, the others do not notice."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.websocket import websocket_connect

from tests.support.json_client import JsonClient, http
from tests.support.node import Node

LONG = "the same again, 再来一次. " * 200


@pytest.fixture(scope="module")
def deflating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("deflating"), {"TANDEM_HTTP_COMPRESSION": "true"}).start()
    yield node
    assert node.stop() == 0
    assert node.stray_log_lines() == []


async def compressed(client: JsonClient) -> JsonClient:
    """Connects with an offer of permessage-deflate."""
    client.socket = await websocket_connect(
        f"{client.node.chat_url}?id={client.id}&token={client.token}",
        on_message_callback=client._heard,
        compression_options={},
    )
    if extensions(client):
        # Tornado's client overlooks parameters without a value.
        protocol: Any = client.socket.protocol
        agreed = {"server_no_context_takeover": None, "client_no_context_takeover": None}
        protocol._create_compressors("client", agreed)
    return client


def extensions(client: JsonClient) -> str:
    assert client.socket is not None and client.socket.headers is not None
    return client.socket.headers.get("Sec-WebSocket-Extensions", "")


@pytest.mark.gen_test(timeout=30)
async def test_both_kinds_of_clients_talk_in_one_group(deflating: Node) -> None:
    alice = await compressed(await JsonClient.register(deflating))
    bob = await compressed(await JsonClient.register(deflating))
    carol = await JsonClient.online(deflating)
    assert "server_no_context_takeover" in extensions(alice)
    assert "client_no_context_takeover" in extensions(alice)
    assert extensions(carol) == ""
    body = {"name": "mixed", "members": [bob.id, carol.id]}
    _, group, _ = await http(deflating, "POST", "/api/groups", body, alice.token)
    for sender in (alice, carol):
        await sender.say(group["id"], LONG, f"c{sender.id}", 11)
    for receiver, sender in ((bob, alice), (bob, carol), (carol, alice), (alice, carol)):
        assert (await receiver.expect(cmd=11, userid=sender.id))["content"] == LONG


@pytest.mark.gen_test(timeout=30)
async def test_history_comes_compressed_too(deflating: Node) -> None:
    alice, bob = await JsonClient.register(deflating), await JsonClient.online(deflating)
    await compressed(alice)
    for number in range(20):
        await alice.say(bob.id, LONG, f"n{number}")
    alice.send(cmd=31, chat=10, dstid=bob.id, rid="r")
    page = await alice.expect(cmd=31, rid="r")
    assert [message["content"] for message in page["messages"]] == [LONG] * 20


@pytest.mark.gen_test(timeout=30)
async def test_a_compressed_message_is_limited_by_what_it_becomes(deflating: Node) -> None:
    alice = await compressed(await JsonClient.register(deflating))
    alice.send_raw(json.dumps({"cmd": 10, "dstid": alice.id, "content": "x" * 300_000}))
    assert await alice.closed() == 1009


@pytest.mark.gen_test(timeout=30)
async def test_it_is_off_by_default(node: Node) -> None:
    alice = await compressed(await JsonClient.register(node))
    assert extensions(alice) == ""
    await alice.say(alice.id, LONG, "c")
