"""Feeds random bytes to the property tests of what reads client bytes, for as long as you like.

    python -m tests.fuzz frames|deflate|json [SECONDS]

A failing input ends it with the failure; Hypothesis keeps it, and the next test run shows it again.
``TARGETS[name]`` takes bytes, as coverage-guided fuzzers (atheris, python-afl) want it.
"""

import random
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.unit.handlers import test_frames, test_json_codec


def _target(test: Any) -> Callable[[bytes], object]:
    fuzz: Callable[[bytes], object] = test.hypothesis.fuzz_one_input
    return fuzz


TARGETS = {
    "frames": _target(test_frames.test_any_split_of_any_stream_gives_the_same),
    "deflate": _target(test_frames.test_any_split_gives_the_same_where_messages_may_be_compressed),
    "json": _target(test_json_codec.test_a_key_twice_is_refused_and_nothing_else),
}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"which one? {', '.join(TARGETS)}")
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    began, tried = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for _ in range(100):
            TARGETS[name](random.randbytes(random.randrange(1, 2000)))
        tried += 100
        sys.stdout.write(f"\r{tried} inputs ")
        sys.stdout.flush()
    sys.stdout.write("and no failure\n")


if __name__ == "__main__":
    main()
