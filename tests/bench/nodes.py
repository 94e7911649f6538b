"""What it costs to be several: nodes on a bus against one node without.

    python -m tests.bench.nodes --out docs/bench

All nodes share core 0, so that what is compared is the CPU time that a message takes, not how
many cores there are. Twice the nodes have twice the people to serve, and who of those who talk
with each other is on which node is left to chance. What is found is
written down for :mod:`tests.bench.simulate`, which reckons with it, and says for three nodes what
it would have predicted from one and two.
"""

import argparse
import asyncio
import datetime
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import report
from tests.bench.__main__ import describe, say
from tests.bench.crowds import CHURN, Churn, Crowd, come_and_go, sit, tail_us
from tests.bench.rig import Apart, Rig, Server, Several, cpu_seconds
from tests.bench.scenarios import FANOUT, PINGPONG, PIPELINE, Talk, Trial, prepare, talk_to_each
from tests.bench.simulate import Costs, predict
from tests.support.nats import Nats

GROUP_OF_200 = Talk(
    name="fanout-200",
    what="durable messages to a group of 200, 8 senders",
    shape="fanout",
    clients=200,
    cmd=11,
    senders=8,
    processes=1,
    unit="deliveries",
)
QUIET_GROUP = replace(
    GROUP_OF_200,
    name="fanout-quiet",
    what="durable messages to a group of 200, one sender, one after the other",
    senders=1,
)
TALKS: tuple[Talk, ...] = (PIPELINE, PINGPONG, FANOUT, GROUP_OF_200, QUIET_GROUP)
COUNTS = (1, 2, 3)
NAMES = [*(talk.name for talk in TALKS), "crowd", "churn"]

HEAD = """# Several nodes

Made by `{command}` on {date}, on {machine}. All nodes are pinned to core 0, the load generator to
core 1; nats-server and mongod run where the kernel puts them. What is compared is what arrives per
second of the nodes' CPU time, measured in turns, {pairs} times each for {seconds:g} s: with one
node without a bus (0.7 of it was asked for), and with as many nodes without a bus that serve their
people each by itself. The second tells what it costs to be one service; the first has also to do
with several processes in turns on one core, which the machine where this was measured has. Two and
three nodes serve two and three times as many people, pairs and groups, who are on all nodes. What
these figures mean for a service of a given size is in [scale.md](../scale.md).

"""


class Found:
    """Trials of a scenario on so many nodes: (scenario, nodes) → server → its trials.

    ``alone``: one node without a bus. ``apart``: so many of them, each with people of its own.
    """

    def __init__(self) -> None:
        self.trials: dict[tuple[str, int], dict[str, list[Trial]]] = {}
        self.nats_us: dict[tuple[str, int], float] = {}

    def cost_us(self, talk: Talk) -> float:
        """CPU time of the one node without bus for one of what is counted."""
        return 1e6 / rate(self._alone(talk))

    def added_us(self, talk: Talk, count: int) -> float:
        """What a message costs more on ``count`` nodes that are one service."""
        return self.cost_us(talk) * (1 / self.ratio(talk.name, count, "apart") - 1)

    def ratio(self, name: str, count: int, to: str) -> float:
        """Of what arrives per CPU second, within the pairs."""
        trials = self.trials[name, count]
        pairs = zip(trials[to], trials["several"], strict=True)
        return statistics.median(b.per_cpu_second / a.per_cpu_second for a, b in pairs)

    def mongod_us(self, talk: Talk) -> float:
        return 1e6 * statistics.median(t.mongod / t.per_second for t in self._alone(talk))

    def _alone(self, talk: Talk) -> list[Trial]:
        kept = [trials for (name, _), trials in self.trials.items() if name == talk.name]
        return [trial for trials in kept for trial in trials["alone"]]


def rate(trials: Sequence[Trial]) -> float:
    return statistics.median(trial.per_cpu_second for trial in trials)


async def compare(
    talk: Talk,
    servers: dict[str, Server],
    count: int,
    rig: Rig,
    nats: Nats,
    options: argparse.Namespace,
    found: Found,
) -> None:
    """Trials in turns. Each has users of its own: what one stores, another must not find missing.

    For so many nodes so many times the people come.
    """
    plans = {
        name: await crowds_of(talk, rig, server.first, 1 if name == "alone" else count)
        for name, server in servers.items()
    }
    trials: dict[str, list[Trial]] = {name: [] for name in servers}
    spent = arrived = 0.0
    order = list(servers)
    for number in range(options.pairs + 1):
        for name in order if number % 2 == 0 else reversed(order):
            before = cpu_seconds(nats.pid)
            trial = await talk_to_each(servers[name], talk, plans[name], rig, options.seconds)
            if number == 0:
                continue  # caches are cold
            say(describe(talk.name, servers[name], trial))
            trials[name].append(trial)
            if name == "several":
                spent += cpu_seconds(nats.pid) - before
                arrived += trial.count
    found.trials[talk.name, count] = trials
    found.nats_us[talk.name, count] = 1e6 * spent / max(arrived, 1)


async def crowds_of(talk: Talk, rig: Rig, first: int, count: int) -> list[dict[str, Any]]:
    return [await prepare(talk, rig, first + n * talk.clients) for n in range(count)]


def table(found: Found) -> str:
    text = (
        "| scenario | nodes | arrive per CPU s | to one node without bus | to as many without bus "
        "| µs of nats-server each | p99 ms | lost, doubled, disordered |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for (name, count), trials in found.trials.items():
        talk = next(talk for talk in TALKS if talk.name == name)
        several = trials["several"]
        p99 = statistics.median(trial.p99 for trial in several)
        wrong = [sum(getattr(t, f) for t in several) for f in ("lost", "doubled", "disordered")]
        text += (
            f"| `{name}`: {talk.what} | {count} | {rate(several):,.0f} "
            f"| **{found.ratio(name, count, 'alone'):.2f}** "
            f"| {found.ratio(name, count, 'apart'):.2f} "
            f"| {found.nats_us[name, count]:.1f} | {p99:.1f} | {', '.join(map(str, wrong))} |\n"
        )
    return text


def crowd_table(crowds: Sequence[Crowd]) -> str:
    text = (
        "| connections | nodes | handshakes per CPU s | KiB each, node | KiB each, nats-server "
        "| idle: CPU of the nodes | of nats-server | of mongod |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for crowd in crowds:
        text += (
            f"| {crowd.count:,} | {crowd.nodes} | {crowd.per_cpu_second:,.0f} | {crowd.kib:.1f} "
            f"| {crowd.nats_kib:.2f} | {crowd.idle_nodes:.1%} | {crowd.idle_nats:.1%} "
            f"| {crowd.idle_mongod:.1%} |\n"
        )
    return text


def churn_table(churns: Sequence[Churn]) -> str:
    text = (
        f"| {CHURN.users:,} users, each in {CHURN.groups} groups of {CHURN.members}, come and go "
        "| CPU ms each, coming | going | nats-server, both | topics watched, most |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    for churn in churns:
        text += (
            f"| {churn.name} | {churn.coming_us / 1000:.2f} | {churn.going_us / 1000:.2f} "
            f"| {churn.nats_us / 1000:.3f} | {churn.topics:,} |\n"
        )
    return text


def costs_of(found: Found, crowds: Sequence[Crowd], churns: Sequence[Churn]) -> Costs:
    """From one node without bus, and one and two with: what one of each thing costs."""
    message, quiet = found.cost_us(PIPELINE), found.cost_us(PINGPONG)
    publish = max(0.0, found.added_us(PIPELINE, 1))
    # Every second one meets its reader on the other node.
    bring = max(0.0, 2 * (found.added_us(PIPELINE, 2) - publish))
    nats_in = found.nats_us[PIPELINE.name, 1] / 2  # the topics of both
    nats_out = max(0.0, 2 * (found.nats_us[PIPELINE.name, 2] - 2 * nats_in))
    copies = QUIET_GROUP.clients - 1
    quiet_publish = max(0.0, found.added_us(PINGPONG, 1))
    quiet_bring = max(0.0, 2 * (found.added_us(PINGPONG, 2) - quiet_publish))
    quiet_in = found.nats_us[PINGPONG.name, 1] / 2
    quiet_out = max(0.0, 2 * (found.nats_us[PINGPONG.name, 2] - 2 * quiet_in))
    crowd = crowds[-1]
    plain, shared = churns
    subscribing = shared.coming_us + shared.going_us - plain.coming_us - plain.going_us
    return Costs(
        message_us=message,
        publish_us=publish,
        bring_us=bring,
        nats_in_us=nats_in,
        nats_out_us=nats_out,
        mongod_message_us=found.mongod_us(PIPELINE),
        quiet_message_us=quiet,
        quiet_publish_us=quiet_publish,
        quiet_bring_us=quiet_bring,
        quiet_copy_us=(found.cost_us(QUIET_GROUP) * copies - quiet) / (copies - 1),
        quiet_nats_in_us=quiet_in,
        quiet_nats_out_us=quiet_out,
        quiet_mongod_message_us=found.mongod_us(PINGPONG),
        come_us=plain.coming_us + plain.going_us,
        subscribe_us=max(0.0, subscribing) / (1 + CHURN.groups),
        nats_subscribe_us=shared.nats_us / (1 + CHURN.groups),
        connection_kib=crowd.kib,
        nats_topic_kib=max(each.nats_kib for each in crowds),
        idle_us=1e6 * crowd.idle_nodes / crowd.count,
        tail_us=tail_us(),
    )


def check(found: Found, costs: Costs) -> str:
    """What the costs say of three nodes, beside what three nodes did.

    That they shared a core is taken out: it cost three nodes without a bus as much. A nats-server
    that has nothing to do but one message now and then is left out: waking up costs it most.
    """
    text = (
        "| three nodes, µs of CPU for each that arrives | predicted | measured | off by |\n"
        "| --- | --- | --- | --- |\n"
    )
    for talk in (PIPELINE, PINGPONG, QUIET_GROUP):
        copies = talk.clients - 1 if talk.shape == "fanout" else 1
        nodes_us, nats_us = predict(costs, 3, copies, quiet=talk is not PIPELINE)
        rows = (
            ("nodes", nodes_us / copies, found.cost_us(talk) / found.ratio(talk.name, 3, "apart")),
            ("nats-server", nats_us / copies, found.nats_us[talk.name, 3]),
        )
        for what, said, seen in rows[: 1 if talk is QUIET_GROUP else 2]:
            text += (
                f"| `{talk.name}`, {what} | {said:.2f} | {seen:.2f} | {said / seen - 1:+.0%} |\n"
            )
    return text


async def run(options: argparse.Namespace) -> None:
    names = options.only.split(",") if options.only else NAMES
    found = Found()
    crowds: list[Crowd] = []
    churns: list[Churn] = []
    with tempfile.TemporaryDirectory(prefix="tandem-nodes-") as name:
        directory = Path(name)
        nats = Nats(directory).start()
        try:
            async with Rig(directory) as rig:
                talks = [talk for talk in TALKS if talk.name in names]
                for talk in talks:
                    # A group that nodes do not see made must be there before its members come.
                    await crowds_of(talk, rig, Several.first, max(COUNTS))
                nodes: list[Server] = []
                solitary = [rig.tandem]
                for count in COUNTS if talks else ():
                    nodes.append(await start_node(rig, nats, f"node{count}"))
                    if count > 1:
                        solitary.append(await start_node(rig, None, f"solitary{count}"))
                    servers = {
                        "alone": rig.tandem,
                        "apart": Apart(f"{count}apart", list(solitary)),
                        "several": Several(f"{count}nodes", list(nodes)),
                    }
                    for talk in talks:
                        await compare(talk, servers, count, rig, nats, options, found)
                for node in (*nodes, *solitary[1:]):
                    rig.stop_server(node)
                if "crowd" in names:
                    crowds = [await fresh(rig, nats, count, sit, options.crowd) for count in (2, 3)]
                if "churn" in names:
                    churns = [await fresh(rig, nats, count, come_and_go) for count in (0, 2)]
        finally:
            nats.stop()
    text = table(found) if found.trials else ""
    text += "\n" + crowd_table(crowds) if crowds else ""
    text += "\n" + churn_table(churns) if churns else ""
    if set(names) == set(NAMES):
        costs = costs_of(found, crowds, churns)
        text += "\n" + check(found, costs)
        if options.out:
            (options.out / "nodes.json").write_text(json.dumps(costs.rounded(), indent=1) + "\n")
    say("\n" + text)
    if options.out:
        head = HEAD.format(
            command=" ".join(["python -m tests.bench.nodes", *sys.argv[1:]]),
            date=datetime.datetime.now(datetime.UTC).date(),
            machine=report.machine(),
            pairs=options.pairs,
            seconds=options.seconds,
        )
        (options.out / "nodes.md").write_text(head + text)


async def start_node(rig: Rig, nats: Nats | None, name: str) -> Server:
    bus = {} if nats is None else {"TANDEM_BUS_URL": nats.url}
    return await rig.start_tandem(**bus, TANDEM_DATA_DIR=str(rig.directory / name))


async def fresh(rig: Rig, nats: Nats, count: int, measure: Any, *arguments: Any) -> Any:
    """Measures ``count`` nodes that have just started; 0: one without a bus."""
    nodes = [
        await start_node(rig, nats if count else None, f"fresh{count}{n}")
        for n in range(max(1, count))
    ]
    try:
        name = f"{count} nodes" if count else "one node without bus"
        result = await measure(Several(name, nodes), rig, nats, *arguments)
    finally:
        for node in nodes:
            rig.stop_server(node)
    say(str(result))
    await asyncio.sleep(1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.nodes", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="trials of each")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each trial")
    parser.add_argument("--only", default="", help=f"of {', '.join(NAMES)}; separated by commas")
    parser.add_argument("--crowd", type=int, default=50_000, help="connections that only sit there")
    parser.add_argument("--out", type=Path, help="directory for the tables")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
