"""Dialogues as text: who takes part, what each sends, and what each then receives.

The manner is that of Prosody's scansion; ``tests/dialogues/README.md`` says what can be written.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lxml import etree

CLIENT = "jabber:client"
_DECLARED = re.compile(r"([a-z]+) (xmpp|json)(?: ([a-z]+))?")
_SAID = re.compile(r"([A-Z][a-z]+)(?:'s ([a-z]+))? (.+?)(:?)")
_FRIENDS = re.compile(r"([A-Z][a-z]+) and ([A-Z][a-z]+) are contacts")
_GROUP = re.compile(r"([A-Z][a-z]+(?:, [A-Z][a-z]+)*) and ([A-Z][a-z]+) are in a group")
_CALLS = re.compile(
    r"([A-Z][a-z]+)(?:'s ([a-z]+))? calls ((?:GET|POST|PUT|PATCH|DELETE) /\S+?)(:?)"
)
_JOINS = re.compile(r"([A-Z][a-z]+)(?:'s ([a-z]+))? joins (\S+)")
_ANSWER = re.compile(r"([1-5]\d\d)(?: (\{.*\}))?")
_HOLE = re.compile(r"\{(\??)([a-z][\w.]*)\}")

PLAIN = {"connects", "logs in", "disconnects", "is cut off", "receives no message"}
WITH_BLOCK = {
    "sends",
    "sends raw",
    "sends in one packet",
    "sends byte by byte",
    "receives",
    "never receives",
    "comes back with",
    "stream ends",
}


class ScriptError(Exception):
    """A script that cannot be read; says where."""


class Mismatch(Exception):
    """What came is not what was expected."""


@dataclass
class Step:
    line: int
    who: str
    device: str
    act: str
    block: str = ""
    about: str = ""
    """What a call or a group is of, or which room."""


@dataclass
class Script:
    path: Path
    clients: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, protocol, device (empty: none named)."""
    steps: list[Step] = field(default_factory=list)
    only: str = ""
    """The one transport it is about, empty for both."""

    @property
    def people(self) -> list[str]:
        return list(dict.fromkeys(name for name, _, _ in self.clients))


def parse(path: Path, text: str) -> Script:
    """Raises :class:`ScriptError` naming the line."""
    script = Script(path)
    lines = text.splitlines()
    at = 0

    def wrong(why: str) -> ScriptError:
        return ScriptError(f"{path.name}, line {at}: {why}: {lines[at - 1]!r}")

    while at < len(lines):
        line = lines[at].rstrip()
        at += 1
        if not line or line.startswith("#"):
            continue
        if line in ("only tcp", "only websocket"):
            script.only = line.split()[1]
        elif declared := _DECLARED.fullmatch(line):
            client = (declared[1], declared[2], declared[3] or "")
            if script.steps or client in script.clients:
                raise wrong("clients are declared once, before the first step")
            script.clients.append(client)
        elif friends := _FRIENDS.fullmatch(line):
            for name in friends.groups():
                if name.lower() not in script.people:
                    raise wrong(f"{name} is not declared")
            script.steps.append(Step(at, friends[1].lower(), friends[2].lower(), "befriends"))
        elif group := _GROUP.fullmatch(line):
            names = [*group[1].lower().split(", "), group[2].lower()]
            if missing := [name for name in names if name not in script.people]:
                raise wrong(f"{missing[0]} is not declared")
            script.steps.append(Step(at, names[0], "", "makes a group", about=" ".join(names[1:])))
        elif joins := _JOINS.fullmatch(line):
            step = Step(at, joins[1].lower(), joins[2] or "", "joins", about=joins[3])
            step.device = _device(script, step, wrong)
            script.steps.append(step)
        elif calls := _CALLS.fullmatch(line):
            step = Step(at, calls[1].lower(), calls[2] or "", "calls", about=calls[3])
            step.device = _device(script, step, wrong)
            if calls[4]:
                step.block, at = _indented(lines, at)
            _check_block(script, step)
            script.steps.append(step)
        elif said := _SAID.fullmatch(line):
            step = Step(at, said[1].lower(), said[2] or "", said[3])
            if said[2] == "stream":  # "Romeo's stream ends"
                step.device, step.act = "", f"stream {said[3]}"
            if step.act not in (WITH_BLOCK if said[4] else PLAIN):
                raise wrong("no such step")
            step.device = _device(script, step, wrong)
            step.block, at = _indented(lines, at)
            if bool(said[4]) != bool(step.block):
                at = step.line
                raise wrong("a step ending in a colon has an indented block, others have none")
            _check_block(script, step)
            script.steps.append(step)
        else:
            raise wrong("neither a client nor a step")
    if not script.clients:
        raise ScriptError(f"{path.name}, line 1: no client is declared")
    return script


def _device(script: Script, step: Step, wrong: Callable[[str], ScriptError]) -> str:
    """Which of the person's, if there are several."""
    theirs = [device for name, _, device in script.clients if name == step.who]
    if not theirs or (step.device and step.device not in theirs):
        raise wrong("no such client is declared")
    if not step.device and len(theirs) > 1:
        raise wrong(f"which of {step.who}'s devices?")
    return step.device or theirs[0]


def _indented(lines: list[str], at: int) -> tuple[str, int]:
    """A step's block, and where it ends."""
    block: list[str] = []
    while at < len(lines) and (not lines[at].strip() or lines[at][0] in " \t"):
        block.append(lines[at].strip())
        at += 1
    return "\n".join(block).strip(), at


def _check_block(script: Script, step: Step) -> None:
    """XML and JSON are read now, so that a slip is found before anything runs."""
    if not step.block or step.act in ("sends raw", "stream ends"):
        return
    protocol = next(p for n, p, d in script.clients if (n, d) == (step.who, step.device))
    try:
        if step.act == "calls":
            call(_HOLE.sub("1", step.block))
        elif protocol == "xmpp":
            stanzas(step.block)
        else:
            frames(_HOLE.sub("1", step.block) if "sends" in step.act else step.block)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ScriptError(f"{script.path.name}, line {step.line}: the block: {error}") from None


def stanzas(block: str) -> list[Any]:
    """The elements of a block, in the namespace of a client's stream."""
    return list(etree.fromstring(f"<all xmlns='{CLIENT}'>{block}</all>"))


def frames(block: str) -> list[dict[str, Any]]:
    """The JSON objects of a block, one behind the other. A bare {hole} stands for any value."""
    quoted = re.sub(r'(?<!["\w])(\{\??[a-z][\w.]*\})(?=\s*[,}\]])', r'"\1"', block)
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(quoted):
        frame, end = decoder.raw_decode(quoted, at)
        found.append(frame)
        at = end
        while at < len(quoted) and quoted[at].isspace():
            at += 1
    return found


class Call(NamedTuple):
    """What is sent to the HTTP API, and what its answer has at least; status 0: any good one."""

    body: Any
    status: int
    answer: Any


def call(block: str) -> Call:
    """A line with the body, if there is one, and one with the answer if it matters: ``201 {}``."""
    *asked, last = block.splitlines() or [""]
    reply = _ANSWER.fullmatch(last)
    if reply is None:
        asked, last = block.splitlines(), ""
    if len(asked) > 1:
        raise ValueError("a call has at most a line that is sent and one with the answer")
    body = frames(asked[0])[0] if asked else None
    if reply is None:
        return Call(body, 0, None)
    return Call(body, int(reply[1]), frames(reply[2])[0] if reply[2] else None)


def fill(text: str, known: dict[str, str]) -> str:
    """``text`` with what is known in its holes; wildcards stay."""
    return _HOLE.sub(lambda hole: known.get(hole[2], hole[0]) if not hole[1] else hole[0], text)


def fit_text(wanted: str, came: str, known: dict[str, str]) -> None:
    """Raises :class:`Mismatch`; what is caught by ``{?name}`` goes into ``known``."""
    pattern, caught, at = "", [], 0
    for hole in _HOLE.finditer(wanted):
        pattern += re.escape(wanted[at : hole.start()])
        at = hole.end()
        if hole[1]:
            caught.append(hole[2])
            pattern += "(.+)"
        elif hole[2] == "any":
            pattern += ".+"
        elif hole[2] in known:
            pattern += re.escape(known[hole[2]])
        else:
            raise Mismatch(f"{hole[0]} is not known yet")
    found = re.fullmatch(pattern + re.escape(wanted[at:]), came, re.S)
    if found is None:
        raise Mismatch(f"{came!r} is not {fill(wanted, known)!r}")
    known.update(zip(caught, found.groups(), strict=True))


def fit_element(wanted: Any, came: Any, known: dict[str, str]) -> None:
    """Whether ``came`` has at least what ``wanted`` has. Raises :class:`Mismatch`."""
    if wanted.tag != came.tag:
        raise Mismatch(f"<{came.tag}> is not <{wanted.tag}>")
    for name, value in wanted.attrib.items():
        if value == "{absent}":
            if name in came.attrib:
                raise Mismatch(f"<{came.tag}> has {name}={came.get(name)!r}")
        elif name not in came.attrib:
            raise Mismatch(f"<{came.tag}> has no {name}")
        else:
            fit_text(value, came.get(name), known)
    if wanted.text and wanted.text.strip():
        fit_text(wanted.text.strip(), (came.text or "").strip(), known)
    left = list(came)
    for child in wanted:
        if child.text == "{absent}":
            if any(other.tag == child.tag for other in left):
                raise Mismatch(f"<{came.tag}> has a <{child.tag}>")
            continue
        why = Mismatch(f"<{came.tag}> has no <{child.tag}>")
        for other in left:
            try:
                fit_element(child, other, known)
            except Mismatch as mismatch:
                why = mismatch if child.tag == other.tag else why
            else:
                left.remove(other)
                break
        else:
            raise why


def fit_json(wanted: Any, came: Any, known: dict[str, str]) -> None:
    """The same for JSON: objects may have more, lists must be equally long."""
    if isinstance(wanted, dict):
        if not isinstance(came, dict):
            raise Mismatch(f"{came!r} is no object")
        for name, value in wanted.items():
            if value == "{absent}":
                if name in came:
                    raise Mismatch(f"has {name}")
            elif name not in came:
                raise Mismatch(f"has no {name}")
            else:
                fit_json(value, came[name], known)
    elif isinstance(wanted, list):
        if not isinstance(came, list) or len(came) != len(wanted):
            raise Mismatch(f"{came!r} is not {wanted!r}")
        for one, other in zip(wanted, came, strict=True):
            fit_json(one, other, known)
    elif isinstance(wanted, str) and (isinstance(came, str) or _HOLE.fullmatch(wanted)):
        fit_text(wanted, came if isinstance(came, str) else json.dumps(came), known)
    elif wanted != came:
        raise Mismatch(f"{came!r} is not {wanted!r}")
