"""The benchmark runs, and what it sends arrives."""

import re
import subprocess
import sys

from tests.support.node import ROOT

SCENARIOS = ("hints-fanout", "pipeline", "mixed", "xmpp-tcp", "history", "idle", "storm")


def test_the_benchmark_loses_nothing_and_prints_its_table() -> None:
    command = [sys.executable, "-m", "tests.bench", "--pairs", "1", "--seconds", "0.3"]
    run = subprocess.run(
        [*command, "--idle", "1300", "--storm", "100", "--only", ",".join(SCENARIOS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WRONG" not in run.stdout
    rows = {
        name: row for name in SCENARIOS for row in re.findall(rf"^\| `{name}`.*", run.stdout, re.M)
    }
    assert sorted(rows) == sorted(SCENARIOS)
    for name in ("hints-fanout", "pipeline", "mixed", "xmpp-tcp", "history"):
        assert rows[name].endswith("| 0, 0, 0 |"), rows[name]
