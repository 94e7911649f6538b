"""Searching a history of real conversations: all that is there, and quickly."""

import re
import subprocess
import sys

from tests.support.node import ROOT


def test_searches_find_what_a_scan_finds_and_take_their_time_within_bounds() -> None:
    """Every kind of search against every text; the bound is lax, for the machine may be busy."""
    command = [sys.executable, "-m", "tests.bench.search", "--check"]
    run = subprocess.run(
        [*command, "--messages", "20000", "--users", "100", "--searches", "300"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr
    (p95,) = re.findall(r"^\| all \| 300 \| [\d.]+ \| [\d.]+ \| ([\d.]+) ", run.stdout, re.M)
    assert float(p95) < 500
