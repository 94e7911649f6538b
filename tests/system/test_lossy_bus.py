"""The bus loses, repeats and reorders: nobody misses anything, gets it twice or out of order."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.support.json_client import JsonClient, http
from tests.support.lossy import LossyProxy, chance
from tests.support.node import Node, TwoNodes
from tests.support.talkers import Talker, check, has_everything

ROUNDS = 60
HEALED_S = 30.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """Two nodes whose way to the bus a test may spoil; :func:`spoilt` starts the proxy."""
    running = TwoNodes(tmp_path_factory.mktemp("lossy"), behind_proxy=True)
    yield running
    running.clean_up()


@asynccontextmanager
async def spoilt(nodes: TwoNodes) -> AsyncIterator[LossyProxy]:
    """The proxy, and both nodes connected through it."""
    proxy = LossyProxy(urlsplit(nodes.nats.url).port or 0)
    proxy.port = nodes.proxy_port
    joins = [node.log().count("bus_connected") for node in nodes.nodes if node.process]
    await proxy.start()
    if nodes.one.process is None:
        await asyncio.to_thread(nodes.start)
    else:
        async with asyncio.timeout(20):
            while any(
                node.log().count("bus_connected") <= count
                for node, count in zip(nodes.nodes, joins, strict=True)
            ):
                await asyncio.sleep(0.05)
    try:
        yield proxy
    finally:
        proxy.judge = lambda subject: "pass"
        await JsonClient.close_all()
        await proxy.stop()


async def on(node: Node, account: JsonClient) -> JsonClient:
    device = account.another_device()
    device.node = node
    return await device.connect()


async def make_talkers(nodes: TwoNodes) -> list[Talker]:
    """Four in one group and in pairs, half of them on each node, each staying there."""
    talkers = []
    for n in range(4):
        account = await JsonClient.register(nodes)
        talkers.append(Talker(nodes.nodes[n % 2], account.account()))
    body = {"name": "faults", "members": [talker.id for talker in talkers]}
    _, group, _ = await http(nodes.one, "POST", "/api/groups", body, token=talkers[0].token)
    for n, talker in enumerate(talkers):
        partner = talkers[(n + 1) % 2 + n // 2 * 2]
        talker.start([nodes.nodes[n % 2]], [(10, partner.id), (11, group["id"])])
    return talkers


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize(
    "shares",
    [{"drop": 0.05}, {"double": 0.2, "hold": 0.2}],
    ids=["losses", "repeats and reorderings"],
)
async def test_talk_over_a_spoilt_bus_is_whole_and_in_order(
    nodes: TwoNodes, shares: dict[str, float]
) -> None:
    """And everybody connected has all of it within 30 s, the last messages too."""
    async with spoilt(nodes) as proxy:
        talkers = await make_talkers(nodes)
        proxy.judge = chance(len(shares), **shares)
        for _ in range(ROUNDS):
            for talker in talkers:
                talker.talk()
            await asyncio.sleep(0.01)
        said = time.monotonic()
        for talker in talkers:
            await talker.until(lambda talker=talker: not talker.unacked, 20)
        for talker in talkers:
            async with asyncio.timeout(HEALED_S):
                while await has_everything(talker):
                    await asyncio.sleep(0.1)
        assert time.monotonic() - said < HEALED_S
        assert all(proxy.counts[fate] for fate in shares), proxy.counts
        # Three conversations, each seen by all of its talkers.
        assert await check(talkers, nodes.one) == ROUNDS * 2 * 2 * 2 + ROUNDS * 4 * 4
        for talker in talkers:
            await talker.stop()


@pytest.mark.gen_test(timeout=90)
async def test_lost_last_message_reaches_its_reader_within_30_s(nodes: TwoNodes) -> None:
    """Nothing follows it; also the first message of a conversation, and one to a group."""
    async with spoilt(nodes) as proxy:
        ann = await on(nodes.one, await JsonClient.register(nodes))
        bob = await on(nodes.two, await JsonClient.register(nodes))
        carol = await on(nodes.two, await JsonClient.register(nodes))
        body = {"name": "tail", "members": [bob.id]}
        _, group, _ = await http(nodes.one, "POST", "/api/groups", body, token=ann.token)
        await bob.expect(cmd=22)
        for n in range(3):
            await ann.say(bob.id, f"{n}", f"b{n}")
            await ann.say(group["id"], f"{n}", f"g{n}", chat=11)
        for _ in range(6):
            await bob.expect_that(lambda frame: frame["cmd"] in (10, 11))
        proxy.judge = lambda subject: "drop"
        await ann.say(bob.id, "last", "b3")
        await ann.say(group["id"], "last", "g3", chat=11)
        await ann.say(carol.id, "first and last", "c0")
        said = time.monotonic()
        async with asyncio.timeout(5):
            while proxy.counts["drop"] < 3:
                await asyncio.sleep(0.01)
        proxy.judge = lambda subject: "pass"
        assert (await bob.expect(HEALED_S, cmd=10))["content"] == "last"
        assert (await bob.expect(HEALED_S, cmd=11))["content"] == "last"
        assert (await carol.expect(HEALED_S, cmd=10))["content"] == "first and last"
        assert time.monotonic() - said < HEALED_S
        assert [f for f in await bob.settled() if f["cmd"] in (10, 11)] == []
