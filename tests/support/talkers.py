"""People who go on talking whatever breaks, and a ledger of what became of each message.

A talker sends again, with the same cid, what was not acked; reconnects, to another node where its
own is down; and then reads what it lacks. It checks on the way that nothing comes twice or out of
order on one connection.
"""

import asyncio
import itertools
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClosedError, websocket_connect

from tests.support.json_client import OPENED, JsonClient, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

AGAIN_S = 0.3
NOT_STORED = ("storage-away", "stopping", "slow-down")
LOST = (OSError, HTTPClientError, WebSocketClosedError, TimeoutError)


class Talker(JsonClient):
    """One account on JSON. ``peers``: (chat, dstid) of the conversations that it talks in."""

    def __init__(self, node: Node, account: dict[str, Any]) -> None:
        super().__init__(node, account)
        OPENED.remove(self)  # it closes itself
        self.nodes: Sequence[Node] = [node]
        self.peers: list[tuple[int, int]] = []
        self.unacked: dict[str, dict[str, Any]] = {}
        self.acked: dict[str, int] = {}
        self.seen: dict[tuple[int, int], dict[int, dict[str, Any]]] = {}
        self.wrong: list[str] = []
        self.refusals = 0
        self._may_send = False
        self._live: dict[tuple[int, int], int] = {}
        self._numbers = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self, nodes: Sequence[Node], peers: Sequence[tuple[int, int]]) -> None:
        """``nodes``: its own first."""
        self.nodes, self.peers = nodes, list(peers)
        self._task = asyncio.create_task(self._stay_connected())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self.close()

    def talk(self) -> None:
        """One message to each peer."""
        for chat, dstid in self.peers:
            cid = f"{self.id}-{next(self._numbers)}"
            text = f"{chat} {dstid} {cid}"
            self.unacked[cid] = {"cmd": chat, "dstid": dstid, "content": text, "cid": cid}
            if self._may_send:
                self._try(self.unacked[cid])

    def _send_unacked(self) -> None:
        """All of it, in order; what is new comes behind it."""
        for frame in list(self.unacked.values()):
            self._try(frame)
        self._may_send = True

    def _try(self, frame: dict[str, Any]) -> None:
        if self.socket is not None and not self.is_closed:
            with suppress(WebSocketClosedError):
                sending = asyncio.ensure_future(self.socket.write_message(json.dumps(frame)))
                self._tasks.add(sending)
                sending.add_done_callback(self._sent)

    def _sent(self, sending: "asyncio.Future[Any]") -> None:
        self._tasks.discard(sending)
        if not sending.cancelled():
            sending.exception()

    async def _stay_connected(self) -> None:
        while True:
            for node in self.nodes:
                self._may_send = False
                with suppress(*LOST):
                    self.node = node
                    await self._connect()
                    await self._sync()
                    self._send_unacked()
                    while not self.is_closed:
                        self._news.clear()
                        await self._news.wait()
            await asyncio.sleep(AGAIN_S)

    async def _connect(self) -> None:
        self.close_code, self.is_closed = None, False
        self._live.clear()
        self.socket = await websocket_connect(
            f"{self.node.chat_url}?id={self.id}&token={self.token}",
            on_message_callback=self._heard,
            connect_timeout=3,
        )

    async def _sync(self) -> None:
        for peer in self.peers:
            known = self.seen.setdefault(peer, {})
            after = next(n for n in itertools.count(1) if n not in known) - 1
            while True:
                path = f"/api/messages?chat={peer[0]}&dstid={peer[1]}&after={after}&limit=200"
                status, page, _ = await asyncio.wait_for(
                    http(self.node, "GET", path, token=self.token), 5
                )
                if status != 200:
                    raise TimeoutError  # as good as lost: the next node may do better
                for entry in page["messages"]:
                    known[entry["seq"]] = entry
                    after = entry["seq"]
                if not page["more"]:
                    break

    def _heard(self, raw: str | bytes | None) -> None:
        if raw is not None:
            self._take(json.loads(raw))
        super()._heard(raw)
        self.frames.clear()

    def _take(self, frame: dict[str, Any]) -> None:
        cmd = frame["cmd"]
        if cmd == 1:
            self._acked(frame["cid"], frame["seq"])
        elif cmd == 2 and frame.get("cid") in self.unacked:
            if frame["reason"] in NOT_STORED:
                self.refusals += 1
                if self._may_send:
                    self._may_send = False
                    asyncio.get_running_loop().call_later(AGAIN_S, self._send_unacked)
            else:
                self.wrong.append(f"refused: {frame}")
        elif cmd in (9, 10, 11):
            chat = frame.get("chat", cmd)
            own = frame.get("userid") == self.id
            dstid = frame["dstid"] if chat == 11 or own or cmd == 9 else frame["userid"]
            peer, seq = (chat, dstid), frame["seq"]
            if seq <= self._live.get(peer, 0):
                self.wrong.append(f"{seq} of {peer} after {self._live[peer]} on one connection")
            self._live[peer] = max(seq, self._live.get(peer, 0))
            self.seen.setdefault(peer, {})[seq] = frame

    def _acked(self, cid: str, seq: int) -> None:
        if self.acked.setdefault(cid, seq) != seq:
            self.wrong.append(f"{cid} acked as {self.acked[cid]} and as {seq}")
        self.unacked.pop(cid, None)

    async def until(self, holds: Any, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self._news.wait()


async def check(talkers: Sequence[Talker], node: Node) -> int:
    """After all was acked: each history is whole and has each message once. How many there are."""
    total = 0
    for talker in talkers:
        assert not talker.wrong, talker.wrong[:5]
        assert not talker.unacked
        talker.node = node
        for chat, dstid in talker.peers:
            log = await talker.history(chat, dstid)
            assert [entry["seq"] for entry in log] == list(range(1, len(log) + 1))
            at = {entry["cid"]: entry["seq"] for entry in log if entry["cmd"] != 9}
            assert len(at) == sum(entry["cmd"] != 9 for entry in log), "stored twice"
            own = {cid: seq for cid, seq in talker.acked.items() if cid in at}
            assert all(at[cid] == seq for cid, seq in own.items())
            mine = [entry["cid"] for entry in log if entry.get("userid") == talker.id]
            numbers = [int(cid.split("-")[1]) for cid in mine]
            # One who was refused some sent the later ones before knowing.
            assert talker.refusals or numbers == sorted(numbers), "out of the sender's order"
            total += len(log)
        everywhere = {
            entry["cid"]
            for chat, dstid in talker.peers
            for entry in await talker.history(chat, dstid)
            if entry.get("userid") == talker.id
        }
        assert everywhere == set(talker.acked), "acked and not there, or there and never acked"
    return total


async def has_everything(talker: Talker) -> list[str]:
    """What a connected talker lacks of its conversations; empty when it has all."""
    missing: list[str] = []
    for peer in talker.peers:
        log = await talker.history(*peer)
        known = talker.seen.get(peer, {})
        own = {talker.acked.get(cid) for cid in talker.acked}
        missing += [
            f"{entry['seq']} of {peer}"
            for entry in log
            if entry["seq"] not in known
            and not (entry.get("userid") == talker.id and entry["seq"] in own)
        ]
    return missing


class Phone:
    """An account on XMPP that says numbered texts to one peer and hears whoever writes to it.

    XMPP has no ack here yet, so what was on its way when the stream broke may be there or not.
    """

    def __init__(self, nodes: Sequence[Node], account: JsonClient, peer: JsonClient) -> None:
        self.nodes, self.account, self.peer = nodes, account, peer
        self.said = 0
        self.heard: set[str] = set()
        self.wrong: list[str] = []
        self.client: XmppClient | None = None
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._stay_connected())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    def talk(self) -> None:
        if self.client is not None and not self.client._ended.is_set():
            self.said += 1
            message = self.client.make_message(self.peer.jid, f"phone {self.said}", mtype="chat")
            message["origin_id"]["id"] = f"p{self.said}"
            message.send()

    async def _stay_connected(self) -> None:
        while True:
            for node in self.nodes:
                client = XmppClient(node, self.account.jid, plugins=("xep_0359",))
                client.add_event_handler("message", self._listener())
                with suppress(ConnectionError):
                    await client.login(presence=False, timeout_s=4)
                    client.send_presence()
                    self.client = client
                    await client._ended.wait()
            await asyncio.sleep(AGAIN_S)

    def _listener(self) -> Any:
        """One stream's: nothing comes twice on it."""
        here: set[str] = set()

        def hear(message: Any) -> None:
            body = message["body"]
            if body in here:
                self.wrong.append(f"{body} twice on one stream")
            here.add(body)
            self.heard.add(body)
            self._news.set()

        return hear

    async def until_heard(self, text: str) -> None:
        while text not in self.heard:
            self._news.clear()
            await self._news.wait()

    async def check(self) -> int:
        """What it said is in the history once each and in order. How many texts are."""
        assert not self.wrong, self.wrong[:5]
        log = await self.peer.history(10, self.account.id)
        said = [int(e["content"][6:]) for e in log if e["content"].startswith("phone ")]
        assert said == sorted(set(said))
        return len(said)
