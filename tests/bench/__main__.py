"""``make bench``: Tandem and plain Tornado, in turns, in one run; a table and a chart.

    make bench ARGS='--only hints-pingpong,fanout --pairs 3'
    make bench ARGS='--profile'

Without ``--out`` nothing is written.
"""

import argparse
import asyncio
import datetime
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench import report
from tests.bench.rig import Rig, Server
from tests.bench.scenarios import TALKS, Talk, Trial, prepare, sit_idle, storm, talk_to

SAMPLES_PER_S = 250
NAMES = [*(talk.name for talk in TALKS), "idle", "storm"]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def describe(name: str, server: Server, trial: Trial) -> str:
    wrong = f" WRONG {trial.errors[:3]}" if trial.errors else ""
    if trial.lost or trial.doubled or trial.disordered:
        wrong += f" lost={trial.lost} doubled={trial.doubled} disordered={trial.disordered}"
    kib = f" {trial.kib:.1f} KiB each" if trial.kib else ""
    return (
        f"{name:18} {server.name:7} {trial.per_cpu_second:10,.0f}/cpu-s "
        f"{trial.per_second:10,.0f}/s busy {trial.busy:4.0%} load {trial.load:4.0%} "
        f"merged {trial.merged:4.1f} "
        f"p50 {trial.p50:7.2f} ms p99 {trial.p99:8.2f} ms{kib}{wrong}"
    )


async def one(name: str, server: Server, rig: Rig, options: argparse.Namespace) -> Trial:
    """One trial of a scenario."""
    if name == "idle":
        return await sit_idle(server, rig, options.idle)
    if name == "storm":
        return await storm(server, rig, options.storm)
    talk = talk_of(name)
    return await talk_to(server, talk, await prepare(talk, rig), rig, options.seconds)


def talk_of(name: str) -> Talk:
    return next(talk for talk in TALKS if talk.name == name)


async def measure(
    names: list[str], rig: Rig, options: argparse.Namespace
) -> dict[str, dict[str, list[Trial]]]:
    """Scenario → server → trials, taken in turns."""
    results: dict[str, dict[str, list[Trial]]] = {}
    for name in names:
        connects_only = name in ("idle", "storm")
        has_baseline = connects_only or talk_of(name).has_baseline
        servers = [rig.tandem, rig.plain] if has_baseline else [rig.tandem]
        results[name] = {server.name: [] for server in servers}
        for number in range(1 if name == "idle" else options.pairs):
            for server in servers if number % 2 == 0 else reversed(servers):
                if name == "idle" and server is rig.tandem:
                    # Memory is counted on a server that has not grown yet.
                    server = await rig.start_tandem()
                trial = await one(name, server, rig, options)
                results[name][server.name].append(trial)
                say(describe(name, server, trial))
                if name == "idle" and server.name == "tandem":
                    rig.stop_server(server)
    return results


async def profile(names: list[str], rig: Rig, options: argparse.Namespace) -> str:
    """Where the server's time goes, scenario by scenario."""
    parts = []
    for name in names:
        await one(name, rig.tandem, rig, options)  # warm
        raw = rig.directory / "profile.raw"
        spying = str(Path(sys.executable).with_name("py-spy"))
        command = [spying, "record", "--nonblocking", "-r", str(SAMPLES_PER_S), "-f", "raw"]
        seconds = str(int(options.seconds) + 2)
        spy = subprocess.Popen(
            [*command, "-p", str(rig.tandem.pid), "-d", seconds, "-o", str(raw)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        say(describe(name, rig.tandem, await one(name, rig.tandem, rig, options)))
        await asyncio.to_thread(spy.wait)
        left = "" if name in ("idle", "storm") else talk_of(name).left
        parts.append(f"## {name}\n\n{left}\n\n{report.hot_spots(raw.read_text())}")
    return "\n".join(parts)


async def run(options: argparse.Namespace) -> None:
    names = options.only.split(",") if options.only else NAMES
    if unknown := set(names) - set(NAMES):
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory:
        async with Rig(Path(directory)) as rig:
            if options.profile:
                text = await profile(names, rig, options)
                if options.out:
                    (options.out / "profiles.md").write_text(report.PROFILES + text)
                return
            results = await measure(names, rig, options)
    talks = {talk.name: talk for talk in TALKS}
    command = " ".join(["python -m tests.bench", *sys.argv[1:]])
    text = report.HEAD.format(
        command=command,
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=report.machine(),
        pairs=options.pairs,
        seconds=options.seconds,
    )
    text += "![arriving per second of server CPU](chart.png)\n\n"
    text += report.table(results, talks)
    text += "\n" + report.handshakes(results) + "\n" + report.growth(results)
    say("\n" + text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        report.chart(results, talks, options.out / "chart.png")
        (options.out / "README.md").write_text(text + report.TAIL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="trials of each server")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each trial")
    parser.add_argument("--only", default="", help="scenarios, separated by commas")
    parser.add_argument("--idle", type=int, default=20_000, help="connections that only sit there")
    parser.add_argument("--storm", type=int, default=2000, help="connections that come at once")
    parser.add_argument("--profile", action="store_true", help="profile instead of measuring")
    parser.add_argument("--out", type=Path, help="directory for the table, the chart, the profiles")
    began = time.monotonic()
    uvloop.run(run(parser.parse_args()))
    say(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
