"""The page's modules under Node: queue, resend, gaps, heartbeat."""

import subprocess

import pytest

from tests.support.node import ROOT
from tests.support.nodejs import MISSING, NODE


@pytest.mark.skipif(not NODE, reason=MISSING)
def test_modules_of_the_page_pass_their_own_tests() -> None:
    """``node --test`` over tests/web; its report is shown when it fails."""
    # By name: newer ones of Node take a directory for a module.
    tests = [str(path) for path in sorted(ROOT.glob("tests/web/*.test.mjs"))]
    assert tests
    done = subprocess.run([NODE, "--test", *tests], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
