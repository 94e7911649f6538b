"""Many who are there and say nothing, and many who come and go, on several nodes."""

import asyncio
import re
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tornado.httpclient import AsyncHTTPClient

from server.sequence import Sequence
from server.tails import Tails
from tests.bench.rig import Generator, Rig, Server, Several, cpu_seconds, rss_kib
from tests.bench.scenarios import SPARE_FILES
from tests.support.nats import Nats

PROCESSES = 4
FIRST_OF_EACH = 1000
"""Connections of each node before memory is looked at."""
SETTLED_S, IDLE_S = 12.0, 20.0
"""The first rounds of looking are over; then idling is measured, for two rounds."""
GONE_S = 60.0
QUIET_S = 5.0
"""When all are gone: what the nodes do anyhow, which is not the going's."""


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Shares are of one core."""

    count: int
    nodes: int
    per_cpu_second: float
    kib: float
    nats_kib: float
    idle_nodes: float
    idle_nats: float
    idle_mongod: float


@dataclass(frozen=True, kw_only=True)
class Comings:
    """Who comes and goes in :func:`come_and_go`; each group is of 100."""

    users: int = 2000
    groups: int = 10
    members: int = 100
    times: int = 2


CHURN = Comings()


@dataclass(frozen=True, kw_only=True)
class Churn:
    """CPU time for one user's coming and going; ``topics``: watched by all nodes, at most."""

    name: str
    coming_us: float
    going_us: float
    nats_us: float
    topics: int


async def sit(several: Several, rig: Rig, nats: Nats, count: int) -> Crowd:
    """``count`` connections, or as many as the system lets so many processes have."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
    # By chance a node gets a little more than its share.
    count = min(count, len(several.nodes) * (limit - 500)) // PROCESSES * PROCESSES
    await rig.populate(several.first + count)
    generators = await _silent(several, rig, count)
    try:
        first = FIRST_OF_EACH * len(several.nodes)
        await _connect(generators, first)
        await asyncio.sleep(1)
        before, nats_before = _memory(several), rss_kib(nats.pid)
        cpu = sum(several.cpu_times())
        await _connect(generators, count)
        cpu = sum(several.cpu_times()) - cpu
        await asyncio.sleep(SETTLED_S)
        made = count - first
        kib, nats_kib = _memory(several) - before, rss_kib(nats.pid) - nats_before
        pids = (nats.pid, rig.mongod_pid)
        spent = [sum(several.cpu_times()), *map(cpu_seconds, pids)]
        await asyncio.sleep(IDLE_S)
        now = [sum(several.cpu_times()), *map(cpu_seconds, pids)]
        idle = [(b - a) / IDLE_S for a, b in zip(spent, now, strict=True)]
    finally:
        await _hang_up(generators)
    return Crowd(
        count=count,
        nodes=len(several.nodes),
        per_cpu_second=made / cpu,
        kib=kib / made,
        nats_kib=nats_kib / made,
        idle_nodes=idle[0],
        idle_nats=idle[1],
        idle_mongod=idle[2],
    )


async def come_and_go(several: Several, rig: Rig, nats: Nats) -> Churn:
    """All come, all go, until nobody is listened for any more; and again."""
    first = several.first + 20_000
    await rig.populate(first + CHURN.users + CHURN.members)
    step = CHURN.members // CHURN.groups
    for at in range(0, CHURN.users, step):
        await rig.make_group(60_000, CHURN.members, first + at)
    loop = asyncio.get_running_loop()
    coming = going = spent = 0.0
    most = 0
    for _ in range(CHURN.times):
        users = rig.users[first : first + CHURN.users]
        generators = await _silent(several, rig, len(users), users)
        try:
            nats_before, began = cpu_seconds(nats.pid), sum(several.cpu_times())
            await _connect(generators, len(users))
            came = sum(several.cpu_times())
            topics = await _topics(several)
            most = max(most, topics)
            dropped = loop.time()
            await asyncio.gather(*(g.ask("drop") for g in generators))
            async with asyncio.timeout(GONE_S):
                while await _topics(several) > len(several.nodes):
                    await asyncio.sleep(0.5)
            gone, lasted = sum(several.cpu_times()), loop.time() - dropped
            await asyncio.sleep(QUIET_S)
            quiet = (sum(several.cpu_times()) - gone) / QUIET_S
        finally:
            await _hang_up(generators)
        coming += came - began
        going += gone - came - quiet * lasted
        spent += cpu_seconds(nats.pid) - nats_before
    each = 1e6 / (CHURN.times * CHURN.users)
    return Churn(
        name=several.name,
        coming_us=coming * each,
        going_us=going * each,
        nats_us=spent * each,
        topics=most,
    )


async def _topics(several: Several) -> int:
    return sum([await _watched(node) for node in several.nodes])


async def _watched(node: Server) -> int:
    """How many topics a node listens for; of one without a bus none."""
    response = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{node.port}/metrics")
    found = re.search(rb"^tandem_bus_topics ([\d.e+]+)$", response.body, re.M)
    return int(float(found[1])) if found else 0


def _memory(several: Several) -> float:
    return sum(rss_kib(node.pid) for node in several.nodes)


async def _silent(
    several: Several, rig: Rig, count: int, users: list[dict[str, Any]] | None = None
) -> list[Generator]:
    users = several.place(users or rig.users[several.first : several.first + count])
    plan = {"shape": "silence", "kinds": ("json",), "cmd": 10, "port": several.port}
    each = count // PROCESSES
    return [
        await Generator.start({**plan, "users": users[n * each : (n + 1) * each]})
        for n in range(PROCESSES)
    ]


async def _connect(generators: list[Generator], count: int) -> None:
    await asyncio.gather(*(g.ask(f"connect {count // len(generators)}") for g in generators))


async def _hang_up(generators: list[Generator]) -> None:
    for generator in generators:
        await generator.close()


def tail_us(count: int = 100_000) -> float:
    """What it costs to hear how far a conversation has come that nobody here is in."""
    here = {userid: 1 for userid in range(50_000)}
    nobody: Any = None
    sequence = Sequence(
        nobody,
        nobody,
        give=nobody,
        give_to=nobody,
        saw=nobody,
        watched_since=lambda topics: min((here[t] for t in topics if t in here), default=None),
    )
    tails = Tails(
        nobody,
        "here",
        look=nobody,
        is_wanted=sequence.is_wanted,
        heard=lambda: None,
        missed=lambda: None,
    )
    convs = [f"{100_000 + n}-{300_000 + n}" for n in range(count)]
    began = time.process_time()
    with suppress(StopIteration):  # it has nothing to wait for
        tails.hear(convs, range(count)).send(None)
    return 1e6 * (time.process_time() - began) / count
