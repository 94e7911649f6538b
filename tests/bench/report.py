"""What a run found, for people: ``docs/bench/README.md``, its chart, and the profiles."""

import itertools
import os
import platform
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.scenarios import Talk, Trial

Results = Mapping[str, Mapping[str, Sequence[Trial]]]
"""Scenario → server → its trials."""

HEAD = """# Measurements

Made by `{command}` on {date}; made anew by whoever runs that. Everything on one machine: {machine}.
The server is pinned to core 0, the load generator's processes to core 1, mongod runs where the
kernel puts it. Both servers are measured in turns in the same run, {pairs} times each for
{seconds:g} s; the figures are medians. What is compared is what arrives per second of CPU time
(user and system) of the server process, which a busy machine disturbs least: compare the ratios,
not the absolute figures, with those of other machines.

`plain` is [plain_tornado.py](../../tests/bench/plain_tornado.py): the same contract with Tornado's
WebSocketHandler, `json`, `write_message` for every recipient and `insert_one` for every message.
Messages are counted exactly: each carries a number, and every reader checks that it gets all of
them, once and in order. `busy` is the server's share of its core, `system` how much of that the
kernel takes, `load` and `mongod` are the shares of a core that the generator and mongod take. Where
the server is busy to 100 % the generator is not what limits; where it is not, durable messages wait
for mongod, or the generator needs more than its core, and the figure per CPU second still holds.

"""

TAIL = """
## What was asked for

| scenario | at least |
| --- | --- |
| `hints-pingpong` | 6 times plain Tornado |
| `hints-pipeline` | 10 times, better 15 |
| `fanout` | 12 times, better 20 |
| `pipeline` | 30,000 a second with mongod on the same two cores, and 15 times |
| `pingpong` | p50 at most 6 ms, 15,000 a second |
| `xmpp-websocket` | half of `pipeline` |
| `idle` | 20,000 connections, at most 6 KiB each; 2,500 handshakes a CPU second |
| growth | the cost of one delivery within 15 % |

Where the time goes is in [profiles.md](profiles.md); what was not reached, and why, in
[remarks.md](remarks.md). How fast the web page is: [page.md](page.md).
"""

PROFILES = """# Where the server's time goes

Made by `python -m tests.bench --profile --out docs/bench`: what [py-spy](https://github.com/benfred/py-spy)
saw of the main thread, 250 times a second, without stopping it (so single lines are a little off,
and what C code does, lxml and the BSON encoder for example, is counted where it is called).
`Runner.run` itself is the event loop in C: reading, writing, and waiting for something to happen.

"""

COLUMNS = (
    "scenario | arrive per CPU s | plain | times | per second | p50 ms | p99 ms | p99.9 ms | "
    "busy | system | load | mongod | lost, doubled, disordered"
)


def median(trials: Sequence[Trial], figure: str) -> float:
    return statistics.median(getattr(trial, figure) for trial in trials)


def table(results: Results, talks: Mapping[str, Talk]) -> str:
    """Markdown."""
    lines = [f"| {COLUMNS} |", "|" + " --- |" * (COLUMNS.count("|") + 1)]
    for name, servers in results.items():
        if name not in talks:
            continue
        ours, plain = servers["tandem"], servers.get("plain", ())
        rate = median(ours, "per_cpu_second")
        theirs = median(plain, "per_cpu_second") if plain else 0.0
        wrong = [sum(getattr(t, what) for t in ours) for what in ("lost", "doubled", "disordered")]
        cells = [
            f"`{name}`: {talks[name].what}",
            f"{rate:,.0f} {talks[name].unit}",
            f"{theirs:,.0f}" if plain else "",
            f"**{rate / theirs:.1f}**" if theirs else "",
            f"{median(ours, 'per_second'):,.0f}",
            *(f"{median(ours, mark):.2f}" for mark in ("p50", "p99", "p999")),
            *(f"{median(ours, part):.0%}" for part in ("busy", "system", "load", "mongod")),
            ", ".join(map(str, wrong)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def handshakes(results: Results) -> str:
    """Markdown for the scenarios that only connect."""
    lines = [
        "| scenario | server | handshakes per CPU s | per second | p99 ms | KiB each |",
        "|" + " --- |" * 6,
    ]
    for name in ("idle", "storm"):
        for server, trials in results.get(name, {}).items():
            cells = [
                f"`{name}`: {trials[0].count:,} connections",
                server,
                f"{median(trials, 'per_cpu_second'):,.0f}",
                f"{median(trials, 'per_second'):,.0f}",
                f"{median(trials, 'p99'):,.0f}" if name == "storm" else "",
                f"{median(trials, 'kib'):.1f}" if name == "idle" else "",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def growth(results: Results) -> str:
    """Markdown: how the cost of one delivery changes with the number of connections and members."""
    lines = []
    for what in ("connections", "members"):
        costs = {
            int(name.rpartition("-")[2]): 1e6 / median(servers["tandem"], "per_cpu_second")
            for name, servers in results.items()
            if name.startswith(what + "-")
        }
        if costs:
            told = ", ".join(f"{count:,}: {cost:.2f} µs" for count, cost in costs.items())
            lines.append(f"- Server CPU per delivery by number of {what}: {told}.")
    if any("members" in line for line in lines):
        lines.append(
            "- A message to a small group costs more a delivery, since the message itself, checked "
            "and stored once, is shared by few. What each further member adds:" + marginal(results)
        )
    return "\n".join(lines) + "\n"


def marginal(results: Results) -> str:
    """Between two sizes of group: how much more a message costs, by how many more deliveries."""
    costs = []
    for name, servers in results.items():
        if name.startswith("members-"):
            others = int(name.rpartition("-")[2]) - 1
            costs.append((others, others * 1e6 / median(servers["tandem"], "per_cpu_second")))
    steps = [
        f" {a[0] + 1:,} → {b[0] + 1:,}: {(b[1] - a[1]) / (b[0] - a[0]):.2f} µs"
        for a, b in itertools.pairwise(costs)
    ]
    return ",".join(steps) + "."


def chart(results: Results, talks: Mapping[str, Talk], path: Path) -> None:
    """Bars of both servers where there are both, on a logarithmic scale."""
    names = [name for name in results if name in talks and "plain" in results[name]]
    if not names:
        return
    # Here, so that all else works without it.
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.62 * len(names) + 1.4), layout="constrained")
    for offset, server, colour in ((0.2, "tandem", "#2a6fdb"), (-0.2, "plain", "#b8bec9")):
        values = [median(results[name][server], "per_cpu_second") for name in names]
        places = [len(names) - 1 - at + offset for at in range(len(names))]
        label = "Tandem" if server == "tandem" else "plain Tornado"
        bars = axes.barh(places, values, height=0.38, color=colour, label=label)
        axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), reversed(names))
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 2)
    axes.set_xlabel("arriving per second of server CPU (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    return (
        f"{os.cpu_count()} cores of {model}, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def hot_spots(raw: str, most: int = 12) -> str:
    """Of py-spy's raw stacks, where the main thread's time went: a Markdown table."""
    here: Counter[str] = Counter()
    below: Counter[str] = Counter()
    total = 0
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] + ")" for frame in stack.split(";")]
        if "_bootstrap_inner (threading.py)" in frames:
            continue
        total += int(count)
        here[frames[-1]] += int(count)
        for frame in set(frames):
            below[frame] += int(count)
    if not total:
        return "nothing was sampled\n"
    lines = ["| of the time | itself | where |", "| ---: | ---: | --- |"]
    lines += [
        f"| {below[frame] / total:.0%} | {count / total:.0%} | `{frame}` |"
        for frame, count in here.most_common(most)
    ]
    return "\n".join(lines) + "\n"
