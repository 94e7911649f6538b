"""``docs/compliance.md``, made from the ``PROTOCOL`` lines: ``python -m tests.support.compliance``.

A line says what its module implements: ``PROTOCOL = (specification, version, state)``, or a tuple
of several such. A state begins with ``complete`` or ``partial``.
"""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compliance.md"
PACKAGES = ("stanzas", "handlers")
_SPECIFICATION = re.compile(r"(RFC|XEP)[- ](\d+)")

NEWEST = dict(
    re.findall(
        r"(\d{4}) ([\d.]+)",
        """
        0004 2.13.2  0030 2.5.0   0045 1.35.5  0048 1.2     0049 1.2     0050 1.3.0   0054 1.3.0
        0059 1.0     0060 1.30.0  0066 1.5     0068 1.3.0   0077 2.4     0082 1.1.1   0084 1.1.4
        0085 2.1     0092 1.1     0106 1.1.1   0114 1.6     0115 1.6.0   0122 1.0.2   0124 1.11.2
        0128 1.0.1   0153 1.1.1   0156 1.4.0   0157 1.1.1   0160 1.0.1   0163 1.2.2   0172 1.1
        0184 1.4.0   0191 1.3     0198 1.6.3   0199 2.0.1   0202 2.0     0203 2.0     0206 1.4
        0215 1.0.0   0222 1.0     0223 1.1.1   0237 1.3     0249 1.2     0280 1.0.1   0297 1.0
        0308 1.2.1   0313 1.1.3   0317 0.3.1   0333 1.0.0   0334 1.0.0   0335 0.1.1   0352 1.0.0   0357 0.4.1
        0359 0.7.0   0363 1.2.0   0368 1.1.0   0385 0.2.1   0386 1.1.0   0388 1.0.4   0390 0.3.2
        0393 1.1.1   0398 1.0.0   0402 1.2.0   0410 1.1.0   0421 1.0.1   0424 0.4.2   0425 0.3.0
        0428 0.2.1   0433 0.1.0   0440 1.0.0   0441 0.2.0   0444 0.2.1   0461 0.2.1   0474 0.5.0
        0479 0.1.0   0490 1.0.1
        """,
    )
)
"""The newest version of each XEP that the project's authors have read (November 2026)."""


class Protocol(NamedTuple):
    """One ``PROTOCOL`` line. ``keys``: the specifications in it, as ``XEP-0030`` or ``RFC 6120``"""

    module: str
    name: str
    version: str
    state: str

    @property
    def keys(self) -> list[str]:
        return [_key(*found) for found in _SPECIFICATION.findall(self.name)]

    @property
    def is_complete(self) -> bool:
        return self.state.startswith("complete")


class Feature(NamedTuple):
    """A row of the suites; ``wanted``: all of them, by a server. ``why``: where one is missing."""

    name: str
    wanted: Sequence[str]
    why: str = ""


SUITES: Sequence[tuple[str, Sequence[Feature], Sequence[Feature]]] = (
    (
        "Core",
        (
            Feature("Core features", ["RFC 6120"]),
            Feature("TLS", ["RFC 7590"]),
            Feature("Feature discovery", ["XEP-0030"]),
            Feature("Server extensibility", ["XEP-0114"], "components have no way in"),
        ),
        (
            Feature("Direct TLS", ["XEP-0368"]),
            Feature("Feature broadcasts", ["XEP-0115"]),
            Feature("Event publishing", ["XEP-0163"]),
        ),
    ),
    (
        "Web",
        (
            Feature(
                "Web connection mechanisms",
                ["RFC 7395", "XEP-0206"],
                "WebSocket only: every browser has had it for ten years, so there is no BOSH",
            ),
        ),
        (),
    ),
    (
        "IM",
        (
            Feature("Core features", ["RFC 6121"]),
            Feature("vcard-temp", ["XEP-0054"], "profiles are read and set over HTTP"),
            Feature("Outbound message synchronisation", ["XEP-0280"]),
            Feature("Group chat", ["XEP-0045", "XEP-0249"]),
            Feature("File upload", ["XEP-0363"], "files are sent over HTTP, without slots"),
        ),
        (
            Feature(
                "User avatar compatibility",
                ["XEP-0398", "XEP-0153"],
                "avatars are set over HTTP",
            ),
            Feature("User blocking", ["XEP-0191"]),
            Feature("Advanced group chat", ["XEP-0048", "XEP-0313", "XEP-0402", "XEP-0410"]),
            Feature("Persistent storage of private data via PubSub", ["XEP-0223"]),
            Feature("Private XML storage", ["XEP-0049"]),
            Feature("Stream management", ["XEP-0198"]),
            Feature("History storage and retrieval", ["XEP-0313"]),
        ),
    ),
    (
        "Mobile",
        (
            Feature("Stream management", ["XEP-0198"]),
            Feature("Client state indication", ["XEP-0352"]),
        ),
        (Feature("Third party push notifications", ["XEP-0357"], "nothing is pushed"),),
    ),
)
"""XEP-0479 0.1.0, the suites of 2023: what is asked of a server. An advanced one needs both."""

HEAD = """# Compliance

Made by `python -m tests.support.compliance` from the `PROTOCOL` lines of `stanzas/` and
`handlers/`; a test fails where it is out of date. "yes" means that all of what the suite asks of a
server is there; "partial" that a part is, and the reason says which is not.

## The suites of 2023 (XEP-0479)

| suite | level | feature | asked for | server | why |
| --- | --- | --- | --- | --- | --- |
"""
SECOND = """
## What is implemented

| specification | version | state | in |
| --- | --- | --- | --- |
"""


def read(root: Path = ROOT) -> list[Protocol]:
    """All ``PROTOCOL`` lines. Raises ``ValueError`` for one of another shape."""
    found: list[Protocol] = []
    for path in sorted(path for package in PACKAGES for path in (root / package).glob("*.py")):
        name = str(path.relative_to(root))
        for line in ast.parse(path.read_text()).body:
            if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name):
                continue
            if line.targets[0].id == "PROTOCOL":
                value = ast.literal_eval(line.value)
                lines = (value,) if isinstance(value[0], str) else value
                found.extend(_protocol(name, one) for one in lines)
    return found


def _protocol(module: str, line: tuple[str, str, str]) -> Protocol:
    protocol = Protocol(module, *line)
    if not re.match(r"(complete|partial)\b", protocol.state):
        raise ValueError(f"{module}: {protocol.state!r} is neither complete nor partial")
    return protocol


def beyond(protocols: Sequence[Protocol]) -> Iterator[str]:
    """Complaints about versions that are not known of, and about those that are old."""
    for protocol in protocols:
        for key in protocol.keys:
            if not key.startswith("XEP"):
                continue
            newest = NEWEST.get(key[4:])
            if newest is None:
                yield f"{protocol.module}: the newest version of {key} is not in NEWEST"
            elif _number(protocol.version) > _number(newest):
                yield f"{protocol.module}: {key} {protocol.version} is newer than {newest}"


def _number(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def judge(feature: Feature, protocols: Sequence[Protocol]) -> tuple[str, str]:
    """yes, partial or no, and why."""
    lines = {key: [p for p in protocols if key in p.keys] for key in feature.wanted}
    missing = [key for key in feature.wanted if not lines[key]]
    reasons = [
        f"{key}: {line.state.partition(':')[2].strip()}"
        for key in feature.wanted
        for line in lines[key]
        if not line.is_complete
    ]
    if missing:
        named = (
            f"{', '.join(missing)} is not there"
            if len(missing) == 1
            else (f"{', '.join(missing)} are not there")
        )
        reasons.append(f"{named}: {feature.why}" if feature.why else named)
    if len(missing) == len(feature.wanted):
        return "no", "; ".join(reasons)
    return ("partial" if reasons else "yes"), "; ".join(reasons)


def page(protocols: Sequence[Protocol]) -> str:
    """``docs/compliance.md``."""
    rows: list[str] = []
    for suite, core, advanced in SUITES:
        for level, features in (("core", core), ("advanced", advanced)):
            for feature in features:
                verdict, why = judge(feature, protocols)
                wanted = ", ".join(feature.wanted)
                rows.append(
                    f"| {suite} | {level} | {feature.name} | {wanted} | {verdict} | {why} |"
                )
    told: list[str] = []
    for protocol in sorted(protocols, key=lambda one: (one.keys or [one.name], one.module)):
        newest = next((NEWEST[k[4:]] for k in protocol.keys if k[4:] in NEWEST), "")
        is_old = newest and _number(protocol.version) < _number(newest)
        version = f"{protocol.version} (newest: {newest})" if is_old else protocol.version
        told.append(f"| {protocol.name} | {version} | {protocol.state} | `{protocol.module}` |")
    return HEAD + "\n".join(rows) + "\n" + SECOND + "\n".join(told) + "\n"


def _key(kind: str, number: str) -> str:
    return f"{kind}-{number}" if kind == "XEP" else f"{kind} {number}"


if __name__ == "__main__":
    PAGE.write_text(page(read()))
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")
