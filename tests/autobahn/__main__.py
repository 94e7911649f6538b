"""Autobahn's fuzzing client (RFC 6455, groups 1 to 7 and 10) against our wire.

    python -m tests.autobahn

Needs a CPython 2.7, on PATH or pyenv's, since that is all the suite runs on; without one it says so
and is well. The suite itself is installed below ``.venv``. Exit status 1 for any failure.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.node import ROOT
from tests.support.ports import free_port

SUITE = "autobahntestsuite==25.10.1"
SITE = ROOT / ".venv" / "autobahn"
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
COUNT = 247
"""How many those are. The client leaves out, without a word, a case that it cannot connect for."""
WELL = {"OK", "NON-STRICT", "INFORMATIONAL"}
# ``addsitedir`` for the .pth files of namespace packages.
RUN = "import site; site.addsitedir({site!r}); from autobahntestsuite.wstest import run; run()"


def python27() -> str | None:
    """A CPython 2.7 that really runs."""
    found = [shutil.which("python2.7") or "", *Path.home().glob(".pyenv/versions/2.7*/bin/python")]
    for path in map(str, filter(None, found)):
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if "2.7" in asked.stdout + asked.stderr and not asked.returncode:
            return path
    return None


def install(python: str) -> None:
    if not (SITE / "autobahntestsuite").exists():
        sys.stdout.write("installing the suite …\n")
        command = [python, "-m", "pip", "install", "-q", "--target", str(SITE), SUITE]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def fuzz(python: str, directory: Path) -> dict[str, Any]:
    """Runs the cases; the report's index, case → outcome."""
    port = free_port()
    spec = {
        "outdir": str(directory),
        "servers": [{"agent": "tandem", "url": f"ws://127.0.0.1:{port}/"}],
        "cases": CASES,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (directory / "spec.json").write_text(json.dumps(spec))
    echo = subprocess.Popen(
        [sys.executable, "-m", "tests.autobahn.echo", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert echo.stdout is not None
        assert echo.stdout.readline() == "ready\n"
        command = [python, "-c", RUN.format(site=str(SITE)), "-m", "fuzzingclient"]
        with (directory / "log").open("w") as log:
            subprocess.run(
                [*command, "-s", str(directory / "spec.json")], check=True, stdout=log, stderr=log
            )
    finally:
        echo.terminate()
        echo.wait()
    return dict(json.loads((directory / "index.json").read_text())["tandem"])


def report(cases: dict[str, Any]) -> int:
    """Prints a line a group and each case that is not simply OK. How many failed."""
    groups: dict[str, Counter[str]] = {}
    failed = 0
    for name in sorted(cases, key=lambda name: [int(part) for part in name.split(".")]):
        outcome, closing = cases[name]["behavior"], cases[name]["behaviorClose"]
        groups.setdefault(name.split(".")[0], Counter())[outcome] += 1
        is_well = outcome in WELL and closing in WELL
        failed += not is_well
        if outcome not in ("OK", "INFORMATIONAL") or not is_well:
            sys.stdout.write(f"{name:8} {outcome}, closing {closing}\n")
    for group, outcomes in groups.items():
        told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        sys.stdout.write(f"group {group:3} {told}\n")
    if len(cases) != COUNT:
        sys.stdout.write(f"{COUNT} cases expected: the rest did not run\n")
        failed += abs(COUNT - len(cases))
    sys.stdout.write(f"{len(cases)} cases, {failed} failed\n")
    return failed


def main() -> int:
    python = python27()
    if python is None:
        sys.stdout.write("skipped: Autobahn's suite runs on CPython 2.7 only, which is not here\n")
        return 0
    install(python)
    with tempfile.TemporaryDirectory(prefix="autobahn-") as directory:
        return 1 if report(fuzz(python, Path(directory))) else 0


if __name__ == "__main__":
    sys.exit(main())
