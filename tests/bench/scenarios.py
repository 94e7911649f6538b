"""What is measured: each scenario is a plan for the load generator, and how to read its figures."""

import asyncio
import resource
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.rig import Generator, Rig, Server, cpu_seconds, rss_kib

WARM_UP_S = 0.7
PEER = 1200
SPARE_FILES = 150
"""What a server opens besides its clients' connections."""


@dataclass(frozen=True, kw_only=True)
class Talk:
    """Clients that talk: what is counted is what arrives.

    ``shape``: pingpong, pipeline (``window`` under way a pair), fanout (``senders``, each with
    ``window`` under way, to a group of all) or pages. ``active``: only so many of them talk.
    ``left``: what a profile shows is left to gain.
    """

    name: str
    what: str
    shape: str
    clients: int
    kinds: tuple[str, ...] = ("json",)
    cmd: int = 10
    window: int = 1
    senders: int = 0
    active: int = 0
    processes: int = 2
    has_baseline: bool = True
    unit: str = "messages"
    left: str = ""


@dataclass
class Trial:
    """One run of a scenario on one server."""

    per_cpu_second: float
    per_second: float
    busy: float
    system: float = 0.0
    mongod: float = 0.0
    load: float = 0.0
    merged: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    count: int = 0
    kib: float = 0.0
    errors: list[str] = field(default_factory=list)


HINTS_PINGPONG = Talk(
    name="hints-pingpong",
    what="typing hints there and back, 50 pairs",
    shape="pingpong",
    clients=100,
    kinds=("typing",),
    processes=1,
    left=(
        "Half of the CPU time is the kernel's, for one read and one write a message, and "
        "the event loop in C takes half of the rest. Of our own some 3 µs a message are "
        "left, most of it decoding and checking what the client sent."
    ),
)
HINTS_PIPELINE = Talk(
    name="hints-pipeline",
    what="typing hints one way, 50 pairs, 20 under way each",
    shape="pipeline",
    clients=100,
    kinds=("typing",),
    window=20,
    left=(
        "With twenty messages a read and a write the kernel hardly counts; decoding, the "
        "search for a key that comes twice, and the rate limit are most of what is left. "
        "Each is one call into C or a few lines by now: a compiled router would be the "
        "next step, not a better Python one."
    ),
)
PINGPONG = Talk(
    name="pingpong",
    what="durable messages there and back, 100 pairs",
    shape="pingpong",
    clients=200,
    processes=1,
    left=(
        "Bound by the time of a commit: a message waits for the insert under way and then "
        "for its own, and two thirds of the server's own time are reading, writing and "
        "the insert command. `PyMongoProtocol.write` is where mongod, woken on the same "
        "core, takes its turn."
    ),
)
PIPELINE = Talk(
    name="pipeline",
    what="durable messages one way, 50 pairs, 20 under way each",
    shape="pipeline",
    clients=100,
    window=20,
    left=(
        "Encoding the document and giving it its place cost as much as decoding, "
        "checking, acking and delivering together. mongod spends 15 µs a message, most of "
        "it on the three indexes."
    ),
)
FANOUT = Talk(
    name="fanout",
    what="durable messages to a group of 1,000, 8 senders",
    shape="fanout",
    clients=1000,
    cmd=11,
    senders=8,
    unit="deliveries",
    left=(
        "As with hints, the writes; storing and acking the messages does not show. What "
        "stays in Python is one pass over the members' connections a message."
    ),
)
HINTS_FANOUT = Talk(
    name="hints-fanout",
    what="typing hints to a group of 1,000, 8 senders",
    shape="fanout",
    clients=1000,
    kinds=("typing",),
    cmd=11,
    senders=8,
    unit="deliveries",
    left=(
        "Writing to a thousand sockets is what it does: `Pipe.flush` is the join of what "
        "one turn has for a connection and the write below it. Only fewer writes would "
        "help, and those of one turn are merged already."
    ),
)
XMPP_WEBSOCKET = Talk(
    name="xmpp-websocket",
    what="durable XMPP messages one way over WebSocket, 50 pairs, 20 under way each",
    shape="pipeline",
    clients=100,
    kinds=("xmpp-websocket",),
    window=20,
    has_baseline=False,
    left=(
        "One parse by libxml2 and one serialisation a stanza, each some 3 µs; the rest is "
        "spread thinly over taking the stanza apart and addressing it. The JSON side "
        "saves that, and acks besides."
    ),
)
XMPP_TCP = Talk(
    name="xmpp-tcp",
    what="the same over TCP",
    shape="pipeline",
    clients=100,
    kinds=("xmpp-tcp",),
    window=20,
    has_baseline=False,
    left=(
        "The stream's pull parser makes events of every element's start and end, which "
        "costs more than parsing whole documents. A parser that hands over whole stanzas "
        "would gain about a tenth."
    ),
)
MIXED = Talk(
    name="mixed",
    what="durable messages there and back between JSON and XMPP over WebSocket, 100 pairs",
    shape="pingpong",
    clients=200,
    kinds=("json", "xmpp-websocket"),
    has_baseline=False,
    left=("As `pingpong`: waiting for commits. Neither translation shows."),
)
HISTORY = Talk(
    name="history",
    what="pages of 50 messages over HTTP, 20 readers",
    shape="pages",
    clients=20,
    kinds=("pages",),
    unit="pages",
    left=(
        "Half of it is Tornado's handling of a request, and the driver's of a query; decoding the "
        "page's documents and encoding them again is a tenth. A page from memory would be the next "
        "step, at the price of keeping it right."
    ),
)
CONNECTIONS = tuple(
    Talk(
        name=f"connections-{count}",
        what=f"typing hints of 5 pairs, 20 under way each, among {count:,} connections",
        shape="pipeline",
        clients=count,
        active=10,
        kinds=("typing",),
        window=20,
        processes=1,
        has_baseline=False,
    )
    for count in (10, 100, 1000, 10_000)
)
MEMBERS = tuple(
    Talk(
        name=f"members-{count}",
        what=f"typing hints to a group of {count:,}, 8 senders",
        shape="fanout",
        clients=count,
        kinds=("typing",),
        cmd=11,
        senders=8,
        processes=1,
        has_baseline=False,
        unit="deliveries",
    )
    for count in (10, 100, 1000, 5000)
)
TALKS = (
    HINTS_PINGPONG,
    HINTS_PIPELINE,
    HINTS_FANOUT,
    PINGPONG,
    PIPELINE,
    FANOUT,
    XMPP_WEBSOCKET,
    XMPP_TCP,
    MIXED,
    HISTORY,
    *CONNECTIONS,
    *MEMBERS,
)


async def prepare(talk: Talk, rig: Rig, first: int = 0) -> dict[str, Any]:
    """The population that it needs, from the user ``first`` on; its plan."""
    await rig.populate(first + talk.clients + 1)
    plan: dict[str, Any] = {
        "shape": talk.shape,
        "kinds": talk.kinds,
        "cmd": talk.cmd,
        "chat": talk.cmd,
        "window": talk.window,
        "senders": talk.senders,
    }
    if talk.active:
        plan["active"] = talk.active
    if talk.shape == "fanout":
        plan["group"] = await rig.make_group(talk.clients, talk.clients, first)
    if talk.shape == "pages":
        # One who is in no other scenario's pairs.
        await rig.populate(PEER + 1)
        plan["peer"] = rig.users[PEER]["id"]
        readers = [user["id"] for user in rig.users[: talk.clients]]
        await rig.write_history(plan["peer"], readers, 500)
    return plan


async def talk_to(
    server: Server, talk: Talk, plan: dict[str, Any], rig: Rig, seconds: float
) -> Trial:
    """One trial. Pairs stay in one process; of a group, the senders' process paces."""
    return await talk_to_each(server, talk, [plan], rig, seconds)


async def talk_to_each(
    server: Server, talk: Talk, plans: Sequence[dict[str, Any]], rig: Rig, seconds: float
) -> Trial:
    """One trial of several such crowds at once, each with users and a plan of its own."""
    generators: list[Generator] = []
    try:
        for crowd, plan in enumerate(plans):
            plan = {**plan, "run": f"{secrets.token_hex(4)}-"}  # a cid names one message for ever
            first = server.first + crowd * talk.clients
            users = server.place(rig.users[first : first + talk.clients])
            share = -(-len(users) // talk.processes // 2) * 2 if not talk.active else len(users)
            for start in range(0, len(users), share):
                own = {**plan, "port": server.port, "xmpp_port": server.xmpp_port}
                own["users"] = users[start : start + share]
                if talk.shape == "fanout" and start:
                    own["senders"] = 0
                generators.append(await Generator.start(own))
        for generator in generators:
            await generator.ask(f"connect {min(share, len(users))}")
        # Whoever paces begins last.
        for generator in reversed(generators):
            await generator.ask("start")
        await asyncio.sleep(WARM_UP_S)
        pids = [generator.process.pid for generator in generators]
        before = await _marks(generators)
        spent = [*server.cpu_times(), cpu_seconds(rig.mongod_pid), *map(cpu_seconds, pids)]
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        now = [*server.cpu_times(), cpu_seconds(rig.mongod_pid), *map(cpu_seconds, pids)]
        lasted = asyncio.get_running_loop().time() - began
        user, system, mongod, *load = (b - a for a, b in zip(spent, now, strict=True))
        cpu = user + system
        after = await _marks(generators)
        end = list(await asyncio.gather(*(generator.ask("stop") for generator in generators)))
    finally:
        for generator in generators:
            await generator.close()
    count = sum(each["got"] for each in after) - sum(each["got"] for each in before)
    copies = talk.clients - 1 if talk.shape == "fanout" else 1
    reads = sum(each["reads"] for each in after) - sum(each["reads"] for each in before)
    trial = Trial(
        per_cpu_second=count / max(cpu, 0.01),
        per_second=count / lasted,
        busy=cpu / lasted,
        system=system / max(cpu, 0.01),
        mongod=mongod / lasted,
        load=sum(load) / lasted,
        merged=count / reads if reads else 0.0,
        lost=sum(each["sent"] for each in end) * copies - sum(each["got"] for each in end),
        doubled=sum(each["doubled"] for each in end),
        disordered=sum(each["disordered"] for each in end),
        count=sum(each["got"] for each in end),
        errors=[error for each in end for error in each["errors"]],
    )
    for mark in ("p50", "p99", "p999"):
        known = [each[mark] for each in after if mark in each]
        setattr(trial, mark, max(known) if known else 0.0)
    return trial


async def _marks(generators: list[Generator]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(generator.ask("mark") for generator in generators)))


async def sit_idle(server: Server, rig: Rig, count: int, processes: int = 4) -> Trial:
    """Connections that say nothing: handshakes a CPU-second, KiB each beyond the first 1,000.

    ``count`` of them, or as many as the system lets one process have.
    """
    count = min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
    await rig.populate(count)
    generators = await _silent(server, rig, count, processes)
    try:
        first = 1000 // len(generators)
        await asyncio.gather(*(g.ask(f"connect {first}") for g in generators))
        await asyncio.sleep(0.5)
        kib, cpu = rss_kib(server.pid), cpu_seconds(server.pid)
        began = asyncio.get_running_loop().time()
        each = count // len(generators)
        await asyncio.gather(*(g.ask(f"connect {each}") for g in generators))
        lasted = asyncio.get_running_loop().time() - began
        cpu = cpu_seconds(server.pid) - cpu
        made = each * len(generators) - first * len(generators)
        kib = (rss_kib(server.pid) - kib) / made
    finally:
        await _hang_up(generators)
    total = each * len(generators)
    return Trial(made / max(cpu, 0.01), made / lasted, cpu / lasted, count=total, kib=kib)


async def storm(server: Server, rig: Rig, count: int, processes: int = 2) -> Trial:
    """``count`` connections lost at once, and back all at once. ``p99``: until one is back, ms."""
    await rig.populate(count)
    generators = await _silent(server, rig, count, processes)
    each = count // len(generators)
    try:
        await asyncio.gather(*(g.ask(f"connect {each}") for g in generators))
        await asyncio.gather(*(g.ask("drop") for g in generators))
        await asyncio.sleep(1)
        cpu = cpu_seconds(server.pid)
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(g.ask(f"connect {each} {each}") for g in generators))
        lasted = asyncio.get_running_loop().time() - began
        cpu = cpu_seconds(server.pid) - cpu
    finally:
        await _hang_up(generators)
    made = each * len(generators)
    p99 = max(answer["p99"] for answer in answers)
    return Trial(made / max(cpu, 0.01), made / lasted, cpu / lasted, p99=p99, count=made)


async def _silent(server: Server, rig: Rig, count: int, processes: int) -> list[Generator]:
    each = count // processes
    plan = {"shape": "silence", "kinds": ("json",), "cmd": 10, "port": server.port}
    return [
        await Generator.start({**plan, "users": rig.users[n * each : (n + 1) * each]})
        for n in range(processes)
    ]


async def _hang_up(generators: list[Generator]) -> None:
    for generator in generators:
        await generator.close()
