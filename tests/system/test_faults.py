"""Three of everything on hosts of their own, people who talk, and what breaks meanwhile.

``TANDEM_FAULTS=all`` runs every fault, otherwise a few.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.support.cluster import ENGINES, MONGOD, NATS, ROUTES, Cluster
from tests.support.hosts import unavailable
from tests.support.json_client import JsonClient, http
from tests.support.talkers import Phone, Talker, check, has_everything
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

TALK_S = 4.0
"""Before, during and after a fault."""
EVERY_S = 0.05
HEALED_S = 30.0

in_thread = asyncio.to_thread


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


async def nothing(cluster: Cluster) -> None:
    return


async def heal(cluster: Cluster) -> None:
    cluster.heal()


async def kill_node(cluster: Cluster) -> None:
    cluster.nodes[1].kill()


async def start_node(cluster: Cluster) -> None:
    await in_thread(cluster.nodes[1].start)


async def kill_nats(cluster: Cluster) -> None:
    cluster.nats[0].kill()


async def start_nats(cluster: Cluster) -> None:
    await in_thread(cluster.nats[0].start)


async def part_nats(cluster: Cluster) -> None:
    """Nodes still reach their own server, which does not reach the others."""
    one, *others = ENGINES
    cluster.hosts.cut([one], others, ROUTES)
    cluster.hosts.cut(others, [one], ROUTES)


async def cut_from_bus(cluster: Cluster) -> None:
    cluster.hosts.cut([cluster.nodes[0].number], ENGINES, NATS)


async def cut_from_database(cluster: Cluster) -> None:
    cluster.hosts.cut([cluster.nodes[0].number], ENGINES, MONGOD)


async def kill_primary(cluster: Cluster) -> None:
    (await in_thread(cluster.primary)).kill()


async def start_mongods(cluster: Cluster) -> None:
    for mongod in cluster.mongods:
        if not await in_thread(mongod.serves):
            await in_thread(mongod.start)


async def pause_primary(cluster: Cluster) -> None:
    (await in_thread(cluster.primary)).signal(signal.SIGSTOP)


async def continue_mongods(cluster: Cluster) -> None:
    for mongod in cluster.mongods:
        mongod.signal(signal.SIGCONT)


async def step_down(cluster: Cluster) -> None:
    await in_thread(cluster.step_down)


async def restart_everything(cluster: Cluster) -> None:
    """One after the other, as an operator would."""
    for program in (*cluster.nats, *cluster.mongods):
        await in_thread(program.stop)
        await in_thread(program.start)
        await in_thread(cluster.primary)
    for node in cluster.nodes:
        node.signal(signal.SIGTERM)
        assert await node.stopped() == 0
        await in_thread(node.start)


Act = Callable[[Cluster], Awaitable[None]]
FAULTS: dict[str, tuple[Act, Act]] = {
    "a node killed": (kill_node, start_node),
    "a nats-server killed": (kill_nats, start_nats),
    "the bus parted": (part_nats, heal),
    "a node cut from the bus": (cut_from_bus, heal),
    "a node cut from the database": (cut_from_database, heal),
    "the primary killed": (kill_primary, start_mongods),
    "the primary paused": (pause_primary, continue_mongods),
    "the primary steps down": (step_down, nothing),
    "everything restarted": (restart_everything, nothing),
}
FEW = ("a node killed", "the bus parted", "the primary killed")
CHOSEN = tuple(FAULTS) if os.environ.get("TANDEM_FAULTS") == "all" else FEW


class Party:
    """Two talkers on each node, in pairs across nodes and in one group, and a phone on XMPP."""

    def __init__(self) -> None:
        self.talkers: list[Talker] = []
        self.phone: Phone
        self.watcher: Talker

    @classmethod
    async def gather(cls, cluster: Cluster) -> "Party":
        party, nodes = cls(), cluster.nodes
        accounts = [await JsonClient.register(nodes[n % 3]) for n in range(6)]
        party.talkers = [Talker(nodes[n % 3], a.account()) for n, a in enumerate(accounts)]
        members = [account.id for account in accounts]
        body = {"name": "party", "members": members}
        _, group, _ = await http(nodes[0], "POST", "/api/groups", body, token=accounts[0].token)
        owner = await JsonClient.register(nodes[2])
        for n, talker in enumerate(party.talkers):
            home = [*nodes[n % 3 :], *nodes[: n % 3]]
            peers = [(10, members[(n + 3 if n % 2 else n + 1) % 6]), (11, group["id"])]
            if n == 0:
                peers.append((10, owner.id))
            talker.start(home, peers)
        # Listens to the phone; the first talker also writes to it.
        party.watcher = Talker(nodes[1], (await JsonClient.register(nodes[1])).account())
        party.watcher.start([nodes[1], nodes[2], nodes[0]], [])
        party.phone = Phone([nodes[2], nodes[0], nodes[1]], owner, party.watcher)
        return party

    async def talk(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for talker in self.talkers:
                talker.talk()
            self.phone.talk()
            await asyncio.sleep(EVERY_S)

    async def leave(self) -> None:
        await self.phone.stop()
        for talker in (*self.talkers, self.watcher):
            await talker.stop()
        await XmppClient.close_all()


@pytest.mark.gen_test(timeout=240)
@pytest.mark.parametrize("fault", CHOSEN)
async def test_nothing_acked_is_lost_or_doubled_by(cluster: Cluster, fault: str) -> None:
    """Order kept, and everybody has everything within 30 s after it."""
    breaks, heals = FAULTS[fault]
    party = await Party.gather(cluster)
    try:
        await party.talk(TALK_S)
        assert any(talker.acked for talker in party.talkers)
        _, _ = await asyncio.gather(party.talk(TALK_S), breaks(cluster))
        _, _ = await asyncio.gather(party.talk(TALK_S), heals(cluster))
        healed = time.monotonic()
        for talker in party.talkers:
            await talker.until(lambda talker=talker: not talker.unacked, HEALED_S)
        for talker in party.talkers:
            async with asyncio.timeout(HEALED_S):
                while await has_everything(talker):
                    await asyncio.sleep(0.2)
        assert time.monotonic() - healed < HEALED_S
        assert await check(party.talkers, cluster.nodes[0]) > 100
        party.watcher.node = cluster.nodes[0]
        assert await party.phone.check() > 20
        await until_live(party)
    finally:
        await party.leave()


async def until_live(party: Party) -> None:
    """What one says reaches all others, on both protocols, within a second again."""
    first, *others = party.talkers
    group = first.peers[1]
    async with asyncio.timeout(HEALED_S):
        while True:
            said = time.monotonic()
            first.talk()
            texts = {frame["cmd"]: frame for frame in first.unacked.values()}
            to_phone = next(reversed(first.unacked.values()))["content"]
            await first.until(lambda: not first.unacked, HEALED_S)
            seq = first.acked[texts[11]["cid"]]
            for talker in others:
                await talker.until(
                    lambda talker=talker, seq=seq: seq in talker.seen.get(group, ()), HEALED_S
                )
            await party.phone.until_heard(to_phone)
            if time.monotonic() - said < 1:
                return
