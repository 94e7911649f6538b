"""Autobahn's fuzzing client, where there is a Python 2.7 to run it."""

import subprocess
import sys

import pytest

from tests.autobahn.__main__ import python27
from tests.support.node import ROOT


@pytest.mark.skipif(python27() is None, reason="Autobahn's suite runs on CPython 2.7 only")
def test_autobahn_finds_no_failure() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.autobahn"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "247 cases, 0 failed" in run.stdout
