"""Real client libraries behind one face, so that each tells the same stories in its own words.

slixmpp runs in the test's process over TCP, the others under Node over WebSocket, each as a process
that takes commands and tells events as lines of JSON (``tests/clients/driver.mjs``).
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream.handler import Callback as Handler
from slixmpp.xmlstream.matcher import MatchXPath

from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import ROOT, Node
from tests.support.nodejs import MISSING, NODE
from tests.support.xmpp_client import XmppClient

CLIENTS = ROOT / "tests" / "clients"
MUC_USER = "{http://jabber.org/protocol/muc#user}"


class Library(ABC):
    """One resource of an account. Events are dicts with ``event``:

    - ``message``: ``from``, ``to``, ``type``, ``id``, ``body``, ``subject``, ``stanza_id``,
      ``stamp``, and the ids that are ``received`` and ``displayed``
    - ``carbon``: the same of the message inside; ``which``: ``sent`` or ``received``
    - ``presence``: ``from``, ``type``, ``show``, ``status``; in rooms ``affiliation``, ``codes``
    - ``push``: ``jid``, ``name``, ``subscription``, ``ask``
    - ``resumed``
    """

    def __init__(self, node: Node, account: JsonClient) -> None:
        self.node = node.pick()
        self.account = account
        self.jid = account.jid
        """Full, after the login."""
        self.events: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()

    @abstractmethod
    async def do(self, command: str, **given: Any) -> Any:
        """A command of ``tests/clients/*.mjs``; what it gave back."""

    @abstractmethod
    async def start(self) -> None:
        """Logs in, enables carbons."""

    @abstractmethod
    async def kill(self) -> None:
        """Leaves nothing behind, whatever has happened."""

    def _hear(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self._news.set()

    async def expect(self, event: str, timeout_s: float = 10, **fields: Any) -> dict[str, Any]:
        """The first event, come or coming, that has these fields; it is taken out of ``events``."""

        def fits(heard: dict[str, Any]) -> bool:
            return heard["event"] == event and all(heard.get(k) == v for k, v in fields.items())

        return await self.expect_that(fits, timeout_s)

    async def expect_that(
        self, fits: Callable[[dict[str, Any]], bool], timeout_s: float = 10
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for heard in self.events:
                        if fits(heard):
                            self.events.remove(heard)
                            return heard
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"did not come; what came: {list(self.events)}") from None

    async def come_online(self) -> None:
        """Roster, then presence, as clients do; returns when the server has processed it."""
        await self.do("roster")
        await self.do("online")
        await self.do("roster")

    async def roster(self) -> dict[str, dict[str, Any]]:
        return {entry["jid"]: entry for entry in await self.do("roster")}

    async def say(self, to: str, body: str, name: str, kind: str = "chat") -> None:
        await self.do("say", to=to, body=body, id=name, type=kind)


class InNode(Library):
    """A library of npm."""

    script = ""
    process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            NODE,
            str(CLIENTS / self.script),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=CLIENTS,
        )
        assert self.process.stderr is not None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())
        self._complaints = asyncio.create_task(self.process.stderr.read())
        url = f"{self.node.url.replace('http', 'ws', 1)}/xmpp-websocket"
        self.jid = await self.do("login", url=url, jid=self.account.jid, password=PASSWORD)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            if "event" in told:
                self._hear(told)
            elif "error" in told:
                self._answers.pop(told["n"]).set_exception(RuntimeError(told["error"]))
            else:
                self._answers.pop(told["n"]).set_result(told["result"])
        for answer in self._answers.values():
            answer.set_exception(RuntimeError("the process has ended"))

    async def do(self, command: str, **given: Any) -> Any:
        assert self.process.stdin is not None
        number = max(self._answers, default=0) + 1
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"n": number, "do": command, **given}).encode() + b"\n")
        async with asyncio.timeout(20):
            return await answer

    async def stop(self) -> None:
        """Logs out. The process ends by itself then, and has not complained of anything."""
        await self.do("stop")
        async with asyncio.timeout(10):
            status = await self.process.wait()
        complaints = (await self._complaints).decode()
        assert (status, complaints) == (0, ""), f"ended with {status}: {complaints}"

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            print((await self._complaints).decode())  # pytest shows it with what failed
        await self.process.wait()
        await asyncio.gather(self._reading, self._complaints, return_exceptions=True)


class XmppJs(InNode):
    """It does not count answers to its own requests (0.14; XEP-0198 wants it to), so after a
    resumption the newest stanzas come again: known by their stanza-id."""

    script = "xmppjs.mjs"

    def __init__(self, node: Node, account: JsonClient) -> None:
        super().__init__(node, account)
        self._known: set[str] = set()

    def _hear(self, event: dict[str, Any]) -> None:
        name = event.get("stanza_id")
        if event["event"] == "message" and name is not None:
            if name in self._known:
                return
            self._known.add(name)
        super()._hear(event)


class StropheJs(InNode):
    script = "strophe.mjs"


class Slixmpp(Library):
    """slixmpp with the plugins that it has for all of this."""

    client: XmppClient

    async def start(self) -> None:
        plugins = (
            "xep_0045",
            "xep_0184",
            "xep_0191",
            "xep_0198",
            "xep_0280",
            "xep_0333",
            "xep_0359",
        )
        client = self.client = XmppClient(self.node, self.account.jid, plugins=plugins)
        client.auto_authorize = client.auto_subscribe = None
        client.roster.auto_authorize = client.roster.auto_subscribe = None
        client.plugin["xep_0184"].auto_ack = False
        for kind, hear in (("message", self._message), ("presence", self._presence)):
            client.register_handler(Handler(kind, MatchXPath(f"{{jabber:client}}{kind}"), hear))
        client.add_event_handler("carbon_sent", lambda one: self._carbon("sent", one))
        client.add_event_handler("carbon_received", lambda one: self._carbon("received", one))
        client.add_event_handler("roster_update", self._push)
        client.add_event_handler("session_resumed", lambda _: self._hear({"event": "resumed"}))
        await client.login(presence=False)
        await client.plugin["xep_0280"].enable()
        self.jid = str(client.boundjid)

    def _message(self, message: Message) -> None:
        inside = {child.tag for child in message.xml}
        if not any(tag.startswith(("{urn:xmpp:mam:", "{urn:xmpp:carbons:")) for tag in inside):
            self._hear({"event": "message", **said(message)})

    def _carbon(self, which: str, carbon: Message) -> None:
        self._hear({"event": "carbon", "which": which, **said(carbon[f"carbon_{which}"])})

    def _presence(self, presence: Presence) -> None:
        show, kind = presence["show"], presence["type"]
        in_room = presence.xml.find(f"{MUC_USER}x") is not None
        self._hear(
            {
                "event": "presence",
                "from": str(presence["from"]),
                "type": "available" if kind == show else kind,
                "show": show or None,
                "status": presence["status"] or None,
                "affiliation": presence["muc"]["affiliation"] if in_room else None,
                "codes": sorted(map(str, presence["muc"]["status_codes"])) if in_room else [],
            }
        )

    def _push(self, iq: Iq) -> None:
        if iq["type"] == "set":
            for jid, entry in iq["roster"]["items"].items():
                self._hear({"event": "push", **listed(str(jid), entry)})

    async def do(self, command: str, **given: Any) -> Any:
        return await getattr(self, f"_do_{command}")(**given)

    async def _do_roster(self) -> list[dict[str, Any]]:
        # The answer is empty where the version that slixmpp has is the newest.
        await self.client.get_roster()
        known = self.client.client_roster
        return [
            listed(jid, {name: known[jid][name] for name in ("name", "subscription")})
            for jid in known
            if known[jid]["subscription"] != "none" or known[jid]["pending_out"]
        ]

    async def _do_online(self) -> None:
        self.client.send_presence()

    async def _do_add(self, jid: str, name: str) -> None:
        await self.client.update_roster(jid, name=name)
        self.client.send_presence_subscription(pto=jid)

    async def _do_approve(self, jid: str) -> None:
        self.client.send_presence_subscription(pto=jid, ptype="subscribed")
        self.client.send_presence_subscription(pto=jid)

    async def _do_block(self, jid: str) -> None:
        await self.client.plugin["xep_0191"].block(jid)

    async def _do_unblock(self, jid: str) -> None:
        await self.client.plugin["xep_0191"].unblock(jid)

    async def _do_say(self, to: str, body: str, id: str, type: str) -> None:
        message = self.client.make_message(mto=to, mbody=body, mtype=type)
        message["id"] = id
        message.send()
        await self.client.waiting_queue.join()  # what is there at a cut is lost, as slixmpp says

    async def _do_read(self, to: str, id: str) -> None:
        self.client.plugin["xep_0333"].send_marker(mto=to, id=id, marker="displayed", mtype="chat")

    async def _do_history(self, page: int, of: str = "", jid: str = "") -> list[dict[str, Any]]:
        entries = self.client.plugin["xep_0313"].iterate(
            jid=of or None, with_jid=jid or None, rsm={"max": page}
        )
        return [
            {
                "archived": entry["mam_result"]["id"],
                **said(entry["mam_result"]["forwarded"]["stanza"]),
            }
            async for entry in entries
        ]

    async def _do_join(self, room: str, nick: str) -> None:
        await self.client.plugin["xep_0045"].join_muc_wait(room, nick, timeout=10)

    async def _do_cut(self) -> None:
        self.client.abort()
        await self.client.ended()

    async def _do_back(self) -> None:
        self.client.connect(self.node.address, self.node.xmpp_port)

    async def stop(self) -> None:
        await self.client.logout()

    async def kill(self) -> None:
        """:meth:`XmppClient.close_all` does it."""


def said(message: Message) -> dict[str, Any]:
    def of(interface: str) -> str | None:
        return message[interface] or None

    stamp = message["delay"]["stamp"] if message.get_plugin("delay", check=True) else None
    displayed = message.get_plugin("displayed", check=True)
    return {
        "from": str(message["from"]),
        "to": str(message["to"]),
        "type": message["type"],
        "id": of("id"),
        "body": of("body"),
        "subject": of("subject"),
        "stanza_id": message["stanza_id"]["id"] or None,
        "stamp": stamp and stamp.isoformat(),
        "received": of("receipt"),
        "displayed": displayed and displayed["id"],
    }


def listed(jid: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "jid": jid,
        "name": entry["name"] or None,
        "subscription": entry["subscription"],
        "ask": entry.get("ask") or None,
    }


LIBRARIES: dict[str, type[Library]] = {
    "slixmpp": Slixmpp,
    "@xmpp/client": XmppJs,
    "strophe.js": StropheJs,
}


def why_not(name: str) -> str:
    """Why a library cannot be had; empty where it can."""
    if name == "slixmpp":
        return ""
    if not NODE:
        return MISSING
    if not (CLIENTS / "node_modules" / name).is_dir():
        return "npm could not install the libraries: .ci/install says why"
    return ""


@asynccontextmanager
async def logged_in(name: str, node: Node, account: JsonClient) -> AsyncIterator[Library]:
    """A client that is logged in, not online; logged out again where nothing has failed."""
    client = LIBRARIES[name](node, account)
    try:
        await client.start()
        yield client
        await client.stop()
    finally:
        await client.kill()
