"""How many nodes, how much memory and how much NATS and MongoDB a service of some size takes.

    python -m tests.bench.simulate
    python -m tests.bench.simulate --users 3e6 --groups 30

Draws messages one by one: who sends, who is there, on which nodes they are, and adds up what each
costs by the figures that :mod:`tests.bench.nodes` has measured (``docs/bench/nodes.json``). It
repeats until the service is large enough: no node, nats-server or mongod busier than it may be.
"""

import argparse
import json
import math
import random
import statistics
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

MEASURED = Path(__file__).parents[2] / "docs" / "bench" / "nodes.json"
TAIL_BYTES = 30
"""One conversation's in the database and on the way to each node."""
SIZES = (1e5, 1e6, 1e7, 1e8)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """CPU time in µs of one core, memory in KiB.

    A message taken, stored, acked and given to one connection costs ``message_us``; ``publish_us``
    more with a bus, and ``bring_us`` on each other node that it is brought to; NATS takes it in and
    gives it out. That is when nodes are so busy that hundreds share a commit and a read. ``quiet``:
    when few do, and ``quiet_copy_us`` when a group's message goes alone, for each further
    connection that it is given to. ``come_us``: one connection's coming and going;
    ``subscribe_us``: each of its topics. ``idle_us``: an idle connection in a second. ``tail_us``:
    hearing how far one conversation has come that another node wrote.
    """

    message_us: float
    publish_us: float
    bring_us: float
    nats_in_us: float
    nats_out_us: float
    mongod_message_us: float
    quiet_message_us: float
    quiet_publish_us: float
    quiet_bring_us: float
    quiet_copy_us: float
    quiet_nats_in_us: float
    quiet_nats_out_us: float
    quiet_mongod_message_us: float
    come_us: float
    subscribe_us: float
    nats_subscribe_us: float
    connection_kib: float
    nats_topic_kib: float
    idle_us: float
    tail_us: float

    @classmethod
    def measured(cls) -> "Costs":
        known = json.loads(MEASURED.read_text())
        return cls(**{field.name: known[field.name] for field in fields(cls)})

    def rounded(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def predict(costs: Costs, nodes: int, copies: int, *, quiet: bool) -> tuple[float, float]:
    """CPU µs of the nodes and of one nats-server for a message to ``copies`` others.

    Whoever talks is spread over the nodes by chance, and everybody is there. One copy: a 1:1
    message, published for both sides; more: a group of so many.
    """
    topics = 2 if copies == 1 else 1
    elsewhere = (nodes - 1) * (1 - (1 - 1 / nodes) ** copies)
    if not quiet:
        return (
            costs.message_us + costs.publish_us + costs.bring_us * elsewhere,
            costs.nats_in_us * topics + costs.nats_out_us * elsewhere,
        )
    taken = costs.quiet_message_us + costs.quiet_publish_us + costs.quiet_copy_us * (copies - 1)
    return (
        taken + costs.quiet_bring_us * elsewhere,
        costs.quiet_nats_in_us * topics + costs.quiet_nats_out_us * elsewhere,
    )


@dataclass(frozen=True, kw_only=True)
class People:
    """What they do in the busiest minute.

    ``online``: share of the users who are connected. ``messages``: of an online user a minute;
    ``in_groups``: share of these that go to a group. ``groups``: that a user is in; ``median``:
    members of the middle group, with a long tail up to ``largest``. ``devices``: connections of
    a user who is there. ``returns``: connections of one device an hour. ``kept_days``: history.
    """

    users: float
    online: float = 0.3
    messages: float = 0.5
    in_groups: float = 0.5
    groups: int = 10
    median: int = 12
    spread: float = 1.2
    largest: int = 500
    devices: float = 1.4
    returns: float = 4.0
    daily_messages: float = 40.0
    kept_days: int = 365

    def group_size(self, chance: random.Random) -> int:
        """Of the group that a message goes to: larger ones hear more of them."""
        mu = math.log(self.median) + self.spread**2  # weighted by members
        return max(3, min(self.largest, round(chance.lognormvariate(mu, self.spread))))


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How busy things may be in that minute, of one core, and how large."""

    node: float = 0.5
    nats: float = 2.0
    mongod: float = 4.0
    node_connections: int = 50_000
    message_bytes: int = 650
    """Stored, with its indexes, compressed."""


@dataclass(kw_only=True)
class Service:
    """What it takes; loads are cores, rates are a second."""

    users: float
    nodes: int
    connections: float
    messages: float
    copies: float
    brought: float
    node_load: float
    node_memory_gib: float
    topics_per_node: float
    nats_servers: int
    nats_in: float
    nats_out: float
    nats_load: float
    nats_memory_gib: float
    subscriptions: float
    shards: int
    write_load: float
    tails_mb: float
    terabytes: float
    storm_s: float


def draw(people: People, nodes: int, draws: int, chance: random.Random) -> tuple[float, ...]:
    """Means of one message: copies, other nodes that it is brought to, topics, subscriptions of
    a node and user."""
    copies, brought, topics = [], [], []

    def present(count: int) -> int:
        """Connections of so many users."""
        if count > 40:
            share = chance.gauss(
                people.online, math.sqrt(people.online * (1 - people.online) / count)
            )
            return max(0, round(count * share * people.devices))
        there = sum(chance.random() < people.online for _ in range(count))
        return sum(
            int(people.devices) + (chance.random() < people.devices % 1) for _ in range(there)
        )

    own_others = people.devices - 1
    for _ in range(draws):
        to_group = chance.random() < people.in_groups
        readers = present(people.group_size(chance) - 1 if to_group else 1)
        readers += chance.random() < own_others
        # Each connection is on any node; how many different ones besides the sender's.
        elsewhere = (nodes - 1) * (1 - (1 - 1 / nodes) ** readers)
        if readers < 40:
            elsewhere = len({chance.randrange(nodes) for _ in range(readers)} - {0})
        copies.append(readers)
        brought.append(elsewhere)
        topics.append(1 if to_group else 2)
    return statistics.mean(copies), statistics.mean(brought), statistics.mean(topics)


def reckon(people: People, costs: Costs, bounds: Bounds, draws: int = 20_000) -> Service:
    """The smallest service that is not too busy anywhere."""
    there = people.users * people.online
    connections = there * people.devices
    rate = there * people.messages / 60
    comings = connections * people.returns / 3600
    nodes = max(2, math.ceil(connections / bounds.node_connections))
    while True:
        copies, brought, topics = draw(people, nodes, draws, random.Random(1))
        per_message = (
            costs.quiet_message_us
            + costs.quiet_publish_us
            + costs.quiet_copy_us * max(0.0, copies - 1)
            + costs.quiet_bring_us * brought
        )
        # A user's own topic on each node with a device; a group's where any member is.
        members = connections / nodes * people.groups
        group_nodes = topics_of_groups(people, nodes)
        per_node_topics = connections / nodes + people.users * group_nodes / nodes
        per_node_topics = min(per_node_topics, connections / nodes + members)
        cpu = rate * per_message / nodes
        cpu += comings / nodes * (costs.come_us + costs.subscribe_us * (1 + people.groups))
        cpu += connections / nodes * costs.idle_us
        cpu += rate * (1 - 1 / nodes) * costs.tail_us
        if cpu / 1e6 <= bounds.node:
            break
        if rate * costs.tail_us / 1e6 > bounds.node:
            break  # more nodes would have as much to hear
        nodes = max(nodes + 1, math.ceil(nodes * min(2.0, cpu / 1e6 / bounds.node)))
    subscriptions = per_node_topics * nodes
    nats_in, nats_out = rate * topics, rate * brought
    # Who comes and goes is told to every server; a message goes over one more server of the
    # cluster where its reader's node is connected to another one.
    told = comings * (1 + people.groups) * costs.nats_subscribe_us / 1e6
    nats = 3 if nodes > 4 else 1
    while True:
        routed = nats_out * (1 - 1 / nats)
        carried = (nats_in + routed) * costs.quiet_nats_in_us
        carried += (nats_out + routed) * costs.quiet_nats_out_us
        nats_load = told + carried / 1e6 / nats
        if nats_load <= bounds.nats:
            break
        if told > bounds.nats:
            nats, nats_load = 0, told
            break
        nats += 1 + nats // 10
    writes = rate * costs.quiet_mongod_message_us / 1e6
    return Service(
        users=people.users,
        nodes=nodes,
        connections=connections,
        messages=rate,
        copies=copies,
        brought=brought,
        node_load=cpu / 1e6,
        node_memory_gib=(connections / nodes * costs.connection_kib) / 2**20 + 0.15,
        topics_per_node=per_node_topics,
        nats_servers=nats,
        nats_in=nats_in,
        nats_out=nats_out,
        nats_load=nats_load,
        # Every server knows every topic that is subscribed anywhere.
        nats_memory_gib=subscriptions * costs.nats_topic_kib / 2**20,
        subscriptions=subscriptions,
        shards=math.ceil(writes / bounds.mongod),
        write_load=writes,
        tails_mb=rate * nodes * TAIL_BYTES / 1e6,
        terabytes=people.users
        * people.daily_messages
        * people.kept_days
        * bounds.message_bytes
        / 1e12,
        storm_s=connections
        / nodes
        * (costs.come_us + costs.subscribe_us * (1 + people.groups))
        / 1e6,
    )


def topics_of_groups(people: People, nodes: int) -> float:
    """Subscriptions to groups, of all nodes together, for each user of the service."""
    chance = random.Random(2)
    total = 0.0
    for _ in range(4000):
        size = people.group_size(chance)
        connected = size * people.online * people.devices
        total += nodes * (1 - (1 - 1 / nodes) ** connected) / size
    return people.groups * total / 4000


ROWS: tuple[tuple[str, str], ...] = (
    ("connections at the peak", "{connections:,.0f}"),
    ("messages a second", "{messages:,.0f}"),
    ("copies of a message, and other nodes it goes to", "{copies:.1f}, {brought:.1f}"),
    ("**nodes** (processes), where a number is enough", "**{nodes:,}**"),
    ("busy with, of a core", "{node_load:.0%}"),
    ("memory of a node", "{node_memory_gib:.2f} GiB"),
    ("topics that a node watches", "{topics_per_node:,.0f}"),
    ("**nats-servers** (0: no number is enough)", "**{nats_servers:,}**"),
    ("each busy with, of a core", "{nats_load:.0%}"),
    ("messages into NATS, out to nodes, a second", "{nats_in:,.0f}, {nats_out:,.0f}"),
    (
        "subscriptions, and their memory on each nats-server",
        "{subscriptions:,.0f}, {nats_memory_gib:.2f} GiB",
    ),
    ("mongod: cores of the primaries, together", "{write_load:.1f}"),
    ("**shards**, for the rate alone", "**{shards:,}**"),
    ("nodes read how far conversations have come, MB a second", "{tails_mb:,.1f}"),
    ("history of a year", "{terabytes:,.1f} TB"),
    ("all come back at once: CPU time of each node", "{storm_s:.0f} s"),
)


def table(services: list[Service]) -> str:
    head = "| | " + " | ".join(f"{service.users:,.0f} users" for service in services) + " |"
    lines = [head, "| --- |" + " --- |" * len(services)]
    for name, form in ROWS:
        cells = [form.format(**asdict(service)) for service in services]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulate", description=__doc__)
    parser.add_argument("--users", type=float, help="one size instead of four")
    for field in fields(People):
        if field.name != "users":
            kind = type(field.default)
            parser.add_argument(
                f"--{field.name.replace('_', '-')}", type=kind, default=field.default
            )
    options = vars(parser.parse_args())
    users = options.pop("users")
    costs = Costs.measured()
    sizes = [users] if users else SIZES
    services = [reckon(People(users=size, **options), costs, Bounds()) for size in sizes]
    sys.stdout.write(table(services))


if __name__ == "__main__":
    main()
