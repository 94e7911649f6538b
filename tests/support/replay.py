"""The exchanges in docs/json-protocol.md, played against a real server.

A block is text between fences, one line a step; all blocks of the page are one story::

    alice → {"cmd":10,"dstid":10001,"content":"hello","cid":"a1"}
    bob ← {"id":374263790379008,"userid":10000,"cmd":10,…}
    alice: GET /api/conversations
    200 {"conversations":[…],"more":false}

``python -m tests.support.replay docs/json-protocol.md`` writes anew what the server says.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.json_client import JsonClient
from tests.support.node import Node

NAMES = ("alice", "bob", "carol")
"""Registered in this order, so that their ids are 10000, 10001, 10002; ``phone`` is Alice's."""
UNLIKE = frozenset(
    {
        *("ts", "edited", "created", "joined", "seen", "expires", "sid", "address", "device"),
        *("put", "get", "next"),
    }
)
"""Fields whose values differ from run to run."""
NEW_IDS = 10**12
"""Ids of messages are above this; they are the same wherever the page has the same one."""

_STEP = re.compile(r"^(\w+) (→|←) (.*)$|^(\w+): ([A-Z]+) (\S+)(?: (.*))?$|^(\d{3})(?: (.*))?$")


class Step(NamedTuple):
    """One line: ``kind`` is ``says``, ``hears``, ``calls`` or ``answered``."""

    line: int
    who: str
    kind: str
    text: str
    path: str = ""


def steps(page: str) -> Iterator[Step]:
    """All steps of a page, in order."""
    inside = False
    for number, line in enumerate(page.splitlines()):
        if line.startswith("```"):
            inside = line == "```text" and not inside
        elif inside and line:
            found = _STEP.match(line)
            assert found, f"line {number + 1} is no step: {line}"
            who, arrow, frame, caller, method, path, body, status, answer = found.groups()
            if arrow:
                yield Step(number, who, "says" if arrow == "→" else "hears", frame)
            elif method:
                yield Step(number, caller, "calls", body or "", f"{method} {path}")
            else:
                yield Step(number, "", "answered", answer or "", status)


class Replay:
    """One run. ``told``: line → what the server really said there."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ids: dict[int, int] = {}
        self._clients: dict[str, JsonClient] = {}
        self.told: dict[int, str] = {}

    async def run(self, page: str, *, compares: bool) -> None:
        """Plays the page; with ``compares``, asserts that the server says what the page says."""
        for name in NAMES:
            self._clients[name] = await JsonClient.online(self._node, name)
        self._clients["phone"] = await self._clients["alice"].another_device().connect()
        answer: tuple[int, Any] = (0, None)
        for step in steps(page):
            where = f"line {step.line + 1}"
            if step.kind == "says":
                said = self._translated(step.text)
                self.told[step.line] = f"{step.who} → {said}"
                self._clients[step.who].send_raw(said)
            elif step.kind == "calls":
                called = self._translated(f"{step.path} {step.text}".strip())
                self.told[step.line] = f"{step.who}: {called}"
                method, path, *body = called.split(" ", 2)
                sent = json.loads(body[0]) if body else None
                answer = await self._clients[step.who].call(method, path, sent)
            elif step.kind == "answered":
                status, told = answer
                text = "" if told is None else " " + _compact(told)
                self.told[step.line] = f"{status}{text}"
                expected = json.loads(step.text) if step.text else None
                is_like = self._is_like(expected, told)
                assert int(step.path) == status, (where, told)
                assert is_like or not compares, (where, expected, told)
            else:
                await self._hear(step, where, compares)

    async def _hear(self, step: Step, where: str, compares: bool) -> None:
        expected = json.loads(step.text)
        known = {key: expected[key] for key in ("cmd", "cid", "rid", "event") if key in expected}
        heard = await self._clients[step.who].expect(**known)
        self.told[step.line] = f"{step.who} ← {_compact(heard)}"
        is_like = self._is_like(expected, heard)
        assert is_like or not compares, (where, expected, heard)

    def _translated(self, text: str) -> str:
        """With the ids of this run in the place of the page's."""
        return re.sub(r"\d{13,16}", lambda found: str(self._ids.get(int(found[0]), found[0])), text)

    def _is_like(self, expected: Any, told: Any, field: str = "") -> bool:
        if field in UNLIKE:
            return type(expected) is type(told)
        if isinstance(expected, dict) and isinstance(told, dict):
            shared = [
                self._is_like(expected[key], told[key], key) for key in expected if key in told
            ]
            return expected.keys() == told.keys() and all(shared)
        if isinstance(expected, list) and isinstance(told, list):
            return len(expected) == len(told) and all(map(self._is_like, expected, told))
        if isinstance(expected, int) and expected > NEW_IDS and isinstance(told, int):
            return self._ids.setdefault(expected, told) == told
        return bool(expected == told)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def _rewrite(path: Path, node: Node) -> None:
    page = path.read_text()
    replay = Replay(node)
    lines = page.splitlines()
    try:
        await replay.run(page, compares=False)
    finally:
        for number, text in replay.told.items():
            lines[number] = text
        path.write_text("\n".join(lines) + "\n")
        await JsonClient.close_all()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        node = Node(Path(directory)).start()
        try:
            asyncio.run(_rewrite(Path(sys.argv[1]), node))
        finally:
            node.clean_up()


if __name__ == "__main__":
    main()
