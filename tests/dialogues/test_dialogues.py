"""Every dialogue beside this file: over TCP and WebSocket, on one node and on two."""

import json
import re
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.support.contacts import befriend
from tests.support.groups import make_group
from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node
from tests.support.raw_xmpp import RawXmpp
from tests.support.script import (
    Mismatch,
    Script,
    ScriptError,
    Step,
    call,
    fill,
    fit_element,
    fit_json,
    frames,
    parse,
    stanzas,
)

PATIENCE_S = 5.0
MUC = "http://jabber.org/protocol/muc"
INVITATION = "{jabber:x:conference}x"
SCRIPTS = [parse(path, path.read_text()) for path in sorted(Path(__file__).parent.glob("*.txt"))]


class Player:
    """One performance: a script's people under fresh names, its clients, what was caught."""

    def __init__(self, node: Any, script: Script, transport: str) -> None:
        self.node, self.script, self.transport = node, script, transport
        self.nodes = getattr(node, "nodes", (node,))
        self.accounts: dict[str, JsonClient] = {}
        self.known: dict[str, str] = {}
        self.names = re.compile(rf"\b({'|'.join(script.people)})@localhost\b")
        self.xmpp: dict[tuple[str, str], RawXmpp] = {}
        self.json: dict[tuple[str, str], JsonClient] = {}

    async def play(self) -> None:
        self.known |= {"room": fresh_name(), "room.other": fresh_name()}
        for name in self.script.people:
            self.accounts[name] = account = await JsonClient.register(self.node, fresh_name())
            self.known[f"{name}.id"] = str(account.id)
            self.known[f"{name}.name"] = account.username
        try:
            for step in self.script.steps:
                why: Exception | None = None
                try:
                    await self._step(step)
                except (AssertionError, Mismatch, TimeoutError) as error:
                    why = error
                if why is not None:
                    where = f"{self.script.path.name}, line {step.line}"
                    pytest.fail(f"{where}: {step.who} {step.act}\n{why}", pytrace=False)
        finally:
            for client in self.xmpp.values():
                await client.cut()

    def _home(self, step: Step) -> Node:
        """Clients are on the nodes in turn."""
        places = [(name, device) for name, _, device in self.script.clients]
        home: Node = self.nodes[places.index((step.who, step.device)) % len(self.nodes)]
        return home

    def _text(self, block: str) -> str:
        named = self.names.sub(lambda m: f"{self.accounts[m[1]].username}@localhost", block)
        return fill(named, self.known)

    async def _step(self, step: Step) -> None:
        if step.act == "befriends":
            await befriend(self.accounts[step.who], self.accounts[step.device])
            return
        if step.act == "makes a group":
            owner = self.accounts[step.who]
            gid = await make_group(owner, *(self.accounts[name] for name in step.about.split()))
            self.known["group.id"] = str(gid)
            return
        if step.act == "calls":
            await self._call(step)
            return
        [protocol] = [p for n, p, d in self.script.clients if (n, d) == (step.who, step.device)]
        await (self._xmpp(step) if protocol == "xmpp" else self._json(step))

    async def _call(self, step: Step) -> None:
        """Over HTTP, on the node of that client."""
        method, path = self._text(step.about).split()
        asked = call(self._text(step.block))
        token = self.accounts[step.who].token
        status, answer, _ = await http(self._home(step), method, path, asked.body, token)
        assert status == asked.status if asked.status else 200 <= status < 300, f"{status} {answer}"
        if asked.answer is not None:
            fit_json(asked.answer, answer, self.known)
        self.known |= {f"answer.{name}": str(value) for name, value in (answer or {}).items()}

    async def _join(self, client: RawXmpp, room: str, nick: str) -> None:
        """The subject comes when everything about the past has. What was said stays to be seen."""
        address = f"{room}@conference.localhost"
        client.send(f"<presence to='{address}/{nick}'><x xmlns='{MUC}'/></presence>")
        subject = f"<message from='{address}' type='groupchat'><subject/></message>"
        [ended] = stanzas(subject)
        await client.take(lambda e: self._fits(ended, deque([e])), PATIENCE_S)
        for element in list(client.come):
            sender = element.get("from", "")
            is_presence = element.tag.endswith("}presence") and sender.startswith(f"{address}/")
            if is_presence or (sender == address and element.find(INVITATION) is not None):
                client.come.remove(element)

    async def _xmpp(self, step: Step) -> None:
        key = (step.who, step.device)
        if step.act in ("connects", "logs in"):
            client = self.xmpp[key] = RawXmpp(self._home(step), self.transport)
            await client.login(self.accounts[step.who].username, PASSWORD, step.device)
            self.known[f"{step.who}.jid"] = client.me
            if step.act == "connects":
                client.send("<presence/>")
                await client.settle()
            return
        if step.act == "comes back with":
            client = self.xmpp[key] = RawXmpp(self._home(step), self.transport)
            await client.authenticate(self.accounts[step.who].username, PASSWORD)
            client.send(_show(stanzas(self._text(step.block))[0]))
            return
        assert key in self.xmpp, "is not connected"
        client = self.xmpp[key]
        if step.act == "joins":
            nick = self.accounts[step.who].username
            await self._join(client, self._text(step.about), nick)
            return
        text = self._text(step.block)
        if step.act == "disconnects":
            await client.logout()
        elif step.act == "is cut off":
            await client.cut()
        elif step.act == "sends raw":
            client.send_raw(text.replace("\\n", "\n"))
        elif step.act == "sends byte by byte":
            await client.send_slowly(text)
        elif step.act == "sends in one packet" and self.transport == "tcp":
            client.send_raw(text)
        elif step.act.startswith("sends"):
            for element in stanzas(text):
                client.send(_show(element))
        elif step.act == "stream ends":
            await client.ended(PATIENCE_S)
            assert client.error == text, f"ended with {client.error!r}"
        elif step.act == "receives no message":
            await client.settle()
            come = [_show(e) for e in client.come if e.tag.endswith("}message")]
            assert not come, "\n".join(come)
        elif step.act == "never receives":
            await client.settle()
            for wanted in stanzas(text):
                assert not self._fits(wanted, client.come), _show(wanted)
        else:
            await self._receive_stanzas(client, stanzas(text))

    def _fits(self, wanted: Any, come: deque[Any]) -> bool:
        for element in come:
            try:
                fit_element(wanted, element, dict(self.known))
            except Mismatch:
                continue
            return True
        return False

    async def _receive_stanzas(self, client: RawXmpp, wanted: list[Any]) -> None:
        """Several in one block come in this order."""
        last = -1
        serial: dict[int, int] = {}
        kept: list[Any] = []  # no id() is given out again while its element lives
        for one in wanted:
            reasons: dict[int, str] = {}

            def fits(
                element: Any, one: Any = one, reasons: dict[int, str] = reasons, last: int = last
            ) -> bool:
                place = serial.setdefault(id(element), len(serial))
                known = dict(self.known)
                try:
                    fit_element(one, element, known)
                except Mismatch as mismatch:
                    reasons[id(element)] = str(mismatch)
                    return False
                if place < last:
                    reasons[id(element)] = "came too early"
                    return False
                self.known.update(known)
                return True

            try:
                taken = await client.take(fits, PATIENCE_S)
            except TimeoutError:
                came = [f"  {_show(e)}\n    {reasons.get(id(e), '')}" for e in client.come]
                raise AssertionError(
                    "expected\n  " + _show(one) + "\nbut came" + _listed(came)
                ) from None
            last = serial[id(taken)]
            kept.append(taken)

    async def _json(self, step: Step) -> None:
        key = (step.who, step.device)
        if step.act in ("connects", "logs in"):
            client = self.json[key] = self.accounts[step.who].another_device()
            client.node = self._home(step)
            await client.connect()
            return
        assert key in self.json, "is not connected"
        client = self.json[key]
        text = self._text(step.block)
        if step.act in ("disconnects", "is cut off"):
            client.close()
            await client.closed()
        elif step.act == "sends raw":
            client.send_raw(text)
        elif step.act.startswith("sends"):
            for frame in frames(text):
                client.send(**frame)
        elif step.act == "receives no message":
            come = [frame for frame in await client.settled() if frame["cmd"] in (10, 11)]
            assert not come, come
        elif step.act == "receives":
            for wanted in frames(self._text(step.block)):
                await self._receive_frame(client, wanted)
        else:
            raise AssertionError("not a step of a JSON client")

    async def _receive_frame(self, client: JsonClient, wanted: dict[str, Any]) -> None:
        reasons: dict[str, str] = {}

        def fits(frame: dict[str, Any]) -> bool:
            known = dict(self.known)
            try:
                fit_json(wanted, frame, known)
            except Mismatch as mismatch:
                reasons[json.dumps(frame)] = str(mismatch)
                return False
            self.known.update(known)
            return True

        try:
            await client.expect_that(fits, PATIENCE_S, str(wanted))
        except TimeoutError:
            came = [f"  {json.dumps(f)}\n    {reasons.get(json.dumps(f))}" for f in client.frames]
            raise AssertionError(f"expected\n  {wanted}\nbut came" + _listed(came)) from None


def _show(element: Any) -> str:
    shown: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return shown


def _listed(came: list[str]) -> str:
    return " nothing" if not came else "\n" + "\n".join(came)


@pytest.mark.dialogue
@pytest.mark.gen_test(timeout=40)
@pytest.mark.parametrize("transport", ("tcp", "websocket"))
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.path.stem)
async def test_dialogue(node: Node, script: Script, transport: str) -> None:
    """Everybody receives what the script says."""
    if script.only not in ("", transport):
        return
    await Player(node, script, transport).play()


@pytest.mark.parametrize(
    ("text", "says"),
    (
        ("romeo xmpp\n\nRomeo yawns\n", "line 3: no such step"),
        ("romeo xmpp\nJuliet connects\n", "line 2: no such client"),
        ("romeo xmpp\nRomeo sends:\n    <message\n", "line 2: the block"),
        ("romeo xmpp\nRomeo sends:\n", "line 2: a step ending in a colon"),
        ("romeo xmpp\nRomeo and Alice are in a group\n", "line 2: alice is not declared"),
        ("romeo xmpp\nAlice calls GET /api/me\n", "line 2: no such client"),
        ("romeo xmpp a\nromeo xmpp b\nRomeo joins {room}\n", "line 3: which of"),
        ("romeo xmpp a\nromeo xmpp b\nRomeo connects\n", "line 3: which of"),
        ("romeo xmpp\nwhat?\n", "line 2: neither"),
        ("alice json\nAlice sends:\n    {cmd\n", "line 2: the block"),
        ("alice json\nAlice calls PUT /api/me:\n    {nick\n", "line 2: the block"),
        ("# nobody\n", "line 1: no client"),
    ),
)
def test_slip_in_a_script_is_named_with_its_line(text: str, says: str) -> None:
    """Whoever writes a dialogue finds the place."""
    with pytest.raises(ScriptError, match=re.escape(f"x.txt, {says}")):
        parse(Path("x.txt"), text)


@pytest.mark.gen_test(timeout=30)
async def test_failure_shows_what_came_instead(one_node: Node, monkeypatch: Any) -> None:
    """The script's line, what was expected, and what came."""
    monkeypatch.setattr("tests.dialogues.test_dialogues.PATIENCE_S", 0.5)
    text = (
        "romeo xmpp\nRomeo connects\nRomeo sends:\n"
        "    <iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>\n"
        "Romeo receives:\n    <iq type='result' id='2'/>\n"
    )
    with pytest.raises(pytest.fail.Exception, match=r"line 5[^$]*'1' is not '2'"):
        await Player(one_node, parse(Path("x.txt"), text), "tcp").play()
