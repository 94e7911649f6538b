"""What it costs to be several: nodes on a bus against one node without.

    python -m tests.bench.nodes --out docs/bench

All nodes share core 0, so that what is compared is the CPU time that a message takes, not how
many cores there are. Who talks with whom is on which node is left to chance.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.bench.__main__ import describe, say
from tests.bench.rig import Rig, Server, Several, cpu_seconds
from tests.bench.scenarios import FANOUT, PINGPONG, PIPELINE, Talk, Trial, prepare, talk_to
from tests.support.nats import Nats

TALKS: tuple[Talk, ...] = (PIPELINE, PINGPONG, FANOUT)
COUNTS = (1, 2, 3)


async def compare(
    talk: Talk, alone: Server, several: Several, rig: Rig, nats: Nats, options: argparse.Namespace
) -> tuple[list[Trial], list[Trial], float]:
    """Trials in turns, and the nats-server's CPU time a message, in µs.

    The two have users of their own: what the one stores, the other must not find missing.
    """
    plans = {server: await prepare(talk, rig, server.first) for server in (alone, several)}
    trials: dict[str, list[Trial]] = {alone.name: [], several.name: []}
    spent = count = 0.0
    for number in range(options.pairs + 1):
        for server in (alone, several) if number % 2 == 0 else (several, alone):
            before = cpu_seconds(nats.pid)
            trial = await talk_to(server, talk, plans[server], rig, options.seconds)
            if number == 0:
                continue  # caches are cold
            say(describe(talk.name, server, trial))
            trials[server.name].append(trial)
            if server is several:
                spent += cpu_seconds(nats.pid) - before
                count += trial.count
    return trials[alone.name], trials[several.name], 1e6 * spent / max(count, 1)


def row(talk: Talk, count: int, alone: list[Trial], several: list[Trial], nats_us: float) -> str:
    one = statistics.median(trial.per_cpu_second for trial in alone)
    many = statistics.median(trial.per_cpu_second for trial in several)
    pairs = zip(alone, several, strict=True)
    ratio = statistics.median(b.per_cpu_second / a.per_cpu_second for a, b in pairs)
    wrong = [sum(getattr(t, f) for t in several) for f in ("lost", "doubled", "disordered")]
    p99 = statistics.median(trial.p99 for trial in several)
    return (
        f"| `{talk.name}` | {count} | {many:,.0f} | {one:,.0f} | **{ratio:.2f}** | {nats_us:.1f} "
        f"| {p99:.1f} | {', '.join(map(str, wrong))} |\n"
    )


async def run(options: argparse.Namespace) -> None:
    text = (
        "| scenario | nodes | arrive per CPU s | one node without bus | ratio "
        "| µs of nats-server each | p99 ms | lost, doubled, disordered |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    with tempfile.TemporaryDirectory(prefix="tandem-nodes-") as name:
        directory = Path(name)
        nats = Nats(directory).start()
        try:
            async with Rig(directory) as rig:
                nodes: list[Server] = []
                for talk in TALKS:
                    # A group that nodes do not see made must be there before its members come.
                    await prepare(talk, rig, Several.first)
                for count in COUNTS:
                    nodes.append(
                        await rig.start_tandem(
                            TANDEM_BUS_URL=nats.url,
                            TANDEM_DATA_DIR=str(directory / f"node{count}"),
                        )
                    )
                    several = Several(f"{count} nodes", list(nodes))
                    for talk in TALKS:
                        if options.only and talk.name not in options.only.split(","):
                            continue
                        found = await compare(talk, rig.tandem, several, rig, nats, options)
                        text += row(talk, count, *found)
        finally:
            nats.stop()
    say("\n" + text)
    if options.out:
        (options.out / "nodes.md").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.nodes", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="trials of each")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each trial")
    parser.add_argument("--only", default="", help="scenarios, separated by commas")
    parser.add_argument("--out", type=Path, help="directory for the table")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
