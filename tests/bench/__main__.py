"""``make bench``: Tandem and plain Tornado, in turns, in one run; a table and a chart.

python -m tests.bench [--pairs 5] [--seconds 2] [--only NAME,NAME] [--out docs/bench]
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench.rig import Rig, Server
from tests.bench.scenarios import TALKS, Talk, Trial, prepare, sit_idle, storm, talk_to


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def measure(talk: Talk, rig: Rig, pairs: int, seconds: float) -> dict[str, list[Trial]]:
    """The trials of each server, taken in turns."""
    plan = await prepare(talk, rig)
    servers = [rig.tandem, rig.plain] if talk.has_baseline else [rig.tandem]
    trials: dict[str, list[Trial]] = {server.name: [] for server in servers}
    for number in range(pairs):
        for server in servers if number % 2 == 0 else reversed(servers):
            trial = await talk_to(server, talk, plan, rig, seconds)
            trials[server.name].append(trial)
            say(describe(talk.name, server, trial))
    return trials


def describe(name: str, server: Server, trial: Trial) -> str:
    wrong = f" WRONG {trial.errors[:3]}" if trial.errors else ""
    if trial.lost or trial.doubled or trial.disordered:
        wrong += f" lost={trial.lost} doubled={trial.doubled} disordered={trial.disordered}"
    return (
        f"  {name:16} {server.name:7} {trial.per_cpu_second:10,.0f}/cpu-s "
        f"{trial.per_second:10,.0f}/s busy {trial.busy:4.0%} "
        f"p50 {trial.p50:7.2f} ms p99 {trial.p99:8.2f} ms{wrong}"
    )


def median(trials: list[Trial], figure: str) -> float:
    return statistics.median(getattr(trial, figure) for trial in trials)


async def run(options: argparse.Namespace) -> None:
    only = set(options.only.split(",")) if options.only else set()
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory:
        async with Rig(Path(directory)) as rig:
            for talk in TALKS:
                if not only or talk.name in only:
                    trials = await measure(talk, rig, options.pairs, options.seconds)
                    if "plain" in trials:
                        ratio = median(trials["tandem"], "per_cpu_second") / median(
                            trials["plain"], "per_cpu_second"
                        )
                        say(f"  {talk.name:16} ratio {ratio:.1f}")
            if not only or "idle" in only:
                for server in (rig.tandem, rig.plain):
                    trial = await sit_idle(server, rig, options.idle)
                    say(describe("idle", server, trial) + f" {trial.kib:.1f} KiB each")
            if not only or "storm" in only:
                for server in (rig.tandem, rig.plain):
                    trial = await storm(server, rig, 2000)
                    say(describe("storm", server, trial))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--idle", type=int, default=20_000)
    began = time.monotonic()
    uvloop.run(run(parser.parse_args()))
    say(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
