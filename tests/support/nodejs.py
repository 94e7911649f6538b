"""Where Node is: on the PATH, or where ``.ci/install`` put it, beside Python."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = 20


def _find() -> str:
    for candidate in (shutil.which("node"), shutil.which("node", path=Path(sys.executable).parent)):
        if candidate:
            said = subprocess.run([candidate, "--version"], capture_output=True, text=True)
            version = re.match(r"v(\d+)\.", said.stdout)
            if version and int(version[1]) >= OLDEST:
                return candidate
    return ""


NODE = _find()
"""Empty where there is none that is new enough."""
MISSING = f"Node {OLDEST} or newer is not installed: .ci/install says why"
