"""The load generator: one process of it, told what to do by lines on its standard input.

It answers each line with one line of JSON on its standard output. Frames are made beforehand but
for a number in each, every number that comes back is checked, and what one read causes to be
sent leaves in one write per connection.
"""

import asyncio
import base64
import gc
import json
import re
import socket
import struct
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import uvloop

from handlers.frames import CLOSE, TEXT, FrameParser, frame

WORDS = "the quick brown fox jumps over the lazy dog"
DIGITS = 10
PORTS = 20_000
"""Connections from one address, which has some 28,000 ports."""
CONNECTING = 256
"""Handshakes under way at once, where not all are meant to be."""
SETTLE_S = 20.0

now = time.perf_counter


class Heard(msgspec.Struct):
    """What the generator wants to know of a frame."""

    cmd: int
    userid: int = 0
    cid: str = ""
    state: str = ""
    reason: str = ""


decode = msgspec.json.Decoder(Heard).decode


def client_frame(payload: bytes) -> bytes:
    """A masked text frame; the mask of zeros costs the server what any other does."""
    bare = frame(payload)
    head = len(bare) - len(payload)
    return bytes((bare[0], bare[1] | 0x80)) + bare[2:head] + bytes(4) + payload


class Tally:
    """What this process has sent and received."""

    def __init__(self) -> None:
        self.sent = self.got = self.acked = self.doubled = self.disordered = self.reads = 0
        self.errors: list[str] = []
        self.delays = array("d")

    def read(self) -> dict[str, Any]:
        delays = sorted(self.delays)
        self.delays = array("d")
        marks = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
        return {
            "sent": self.sent,
            "got": self.got,
            "reads": self.reads,
            "acked": self.acked,
            "doubled": self.doubled,
            "disordered": self.disordered,
            "errors": self.errors[:5],
            **{k: delays[int(len(delays) * p)] * 1000 for k, p in marks.items() if delays},
        }


tally = Tally()
dirty: "list[Client]" = []


def flush() -> None:
    for client in dirty:
        out, client.out = client.out, []
        client.transport.write(b"".join(out))
    dirty.clear()


class Client(asyncio.Protocol):
    """One connection. ``say(n)`` is its message number n; ``heard`` counts what it receives."""

    transport: asyncio.Transport

    def __init__(self, user: dict[str, Any], plan: dict[str, Any]) -> None:
        self.user = user
        self.plan = plan
        self.out: list[bytes] = []
        self.ready = asyncio.get_running_loop().create_future()
        self.head = b""
        self.tail = b""
        self.spoken = 0
        self.expected: dict[int, int] = {}
        self.sent_at: deque[float] = deque()
        self.is_member = plan["shape"] == "fanout"
        self.on_got: Callable[[Client, int, int], None] = lambda *_: None
        self.is_over = False

    def aim(self, peer: int) -> None:
        """Makes the frame that all messages to ``peer`` are made of."""
        raise NotImplementedError

    def say(self) -> int:
        """Sends the next message; its number."""
        number = self.spoken
        self.spoken = number + 1
        tally.sent += 1
        if not self.out:
            dirty.append(self)
        self.out.append(self.head + b"%010d" % number + self.tail)
        return number

    def hear(self, sender: int, number: int) -> None:
        """Checks that it is the sender's next one."""
        expected = self.expected.get(sender, 0)
        tally.got += 1
        if number == expected:
            self.expected[sender] = number + 1
        elif number < expected:
            tally.doubled += 1
        else:
            tally.disordered += 1
            self.expected[sender] = number + 1
        self.on_got(self, sender, number)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        # Ends with a reset, so that no port is left waiting for its time to be over.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"lost {error}"))
        elif not self.is_over:
            tally.errors.append(f"connection lost: {error}")

    def close(self) -> None:
        self.is_over = True
        self.transport.abort()


class Upgraded(Client):
    """A WebSocket client."""

    path = ""
    headers = ""

    def __init__(self, user: dict[str, Any], plan: dict[str, Any]) -> None:
        super().__init__(user, plan)
        self.parser: FrameParser | None = None
        self.early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        path = self.path.format(**self.user)
        self.transport.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.plan['port']}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{self.headers}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        parser = self.parser
        if parser is None:
            self.early += data
            head, found, rest = self.early.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.ready.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
                self.close()
                return
            parser = self.parser = FrameParser(1 << 24, masked=False)
            self.upgraded()
            data = rest
        tally.reads += 1
        self.on_data(parser, data)
        if dirty:
            flush()

    def on_data(self, parser: FrameParser, data: bytes) -> None:
        for opcode, payload in parser.receive(data):
            if opcode == TEXT:
                self.on_text(payload)
            elif opcode == CLOSE and not self.is_over:
                tally.errors.append(f"closed {payload!r}")

    def upgraded(self) -> None:
        self.ready.set_result(None)

    def on_text(self, payload: bytes) -> None:
        raise NotImplementedError


class JsonClient(Upgraded):
    path = "/chat?id={id}&token={token}"
    # What was read last and is in it: the members of a group all read the same.
    last: tuple[bytes, list[Heard]] = (b"", [])

    def on_data(self, parser: FrameParser, data: bytes) -> None:
        if not self.is_member:
            for opcode, payload in parser.receive(data):
                if opcode == TEXT:
                    self.on_heard(decode(payload))
                else:
                    tally.errors.append(f"closed {payload!r}")
            return
        known, heards = JsonClient.last
        if data == known and parser._rest is None:
            for heard in heards:
                self.on_heard(heard)
            return
        whole = parser._rest is None
        self.heards: list[Heard] = []
        super().on_data(parser, data)
        if whole and parser._rest is None:
            JsonClient.last = (data, self.heards)

    def aim(self, peer: int) -> None:
        cmd = self.plan["cmd"]
        self.tail = b'"}'
        body = {"cmd": cmd, "dstid": peer, "content": WORDS, "cid": self.plan["run"]}
        text = json.dumps(body, separators=(",", ":")).encode()[:-2]
        self.head = client_frame(text + bytes(DIGITS) + self.tail)[: -DIGITS - len(self.tail)]

    def on_text(self, payload: bytes) -> None:
        heard = decode(payload)
        self.heards.append(heard)
        self.on_heard(heard)

    def on_heard(self, heard: Heard) -> None:
        if heard.cmd in (10, 11):
            self.hear(heard.userid, int(heard.cid[-DIGITS:]))
        elif heard.cmd == 1:
            tally.acked += 1
        else:
            tally.errors.append(str(heard))


class TypingClient(JsonClient):
    """Hints carry no number, so composing and paused take turns."""

    def aim(self, peer: int) -> None:
        chat = self.plan["chat"]
        self.frames = [
            client_frame(
                json.dumps(
                    {"cmd": 13, "chat": chat, "dstid": peer, "state": state}, separators=(",", ":")
                ).encode()
            )
            for state in ("composing", "paused")
        ]

    def say(self) -> int:
        number = self.spoken
        self.spoken = number + 1
        tally.sent += 1
        if not self.out:
            dirty.append(self)
        self.out.append(self.frames[number & 1])
        return number

    def on_heard(self, heard: Heard) -> None:
        if heard.cmd != 13:
            tally.errors.append(str(heard))
            return
        expected = self.expected.get(heard.userid, 0)
        is_right = (heard.state == "paused") == bool(expected & 1)
        self.hear(heard.userid, expected if is_right else expected + 1)


_FROM = re.compile(rb" from='(\d+)@")
_NUMBER = re.compile(rb"<origin-id[^>]*? id='[0-9a-f]+-(\d+)'")


class XmppSpeaker(Client):
    """Logs in with PLAIN and the token; the same over both transports."""

    step = 0
    stream_header = ""

    def tell(self, xml: str) -> None:
        raise NotImplementedError

    def negotiate(self, data: bytes) -> None:
        """The next line of the login, when the server has said what we wait for."""
        if self.step == 0 and b"mechanisms" in data:
            secret = f"\0{self.user['id']}\0{self.user['token']}".encode()
            self.tell(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"
                f"{base64.b64encode(secret).decode()}</auth>"
            )
        elif self.step == 1 and b"<success" in data:
            self.tell(self.stream_header)
        elif self.step == 2 and b"xmpp-bind" in data:
            self.tell(
                "<iq xmlns='jabber:client' type='set' id='b'>"
                "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
            )
        elif self.step == 3 and b"<jid>" in data:
            self.tell("<presence xmlns='jabber:client'/>")
            self.tell(
                "<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
            )
        elif self.step == 4 and (b"id='p'" in data or b'id="p"' in data):
            self.ready.set_result(None)
        elif b"<failure" in data or b"stream:error" in data:
            self.ready.set_exception(ConnectionError(data.decode()))
        else:
            return
        self.step += 1

    def stanza(self, peer: int) -> tuple[bytes, bytes]:
        head = (
            f"<message xmlns='jabber:client' to='{peer}@localhost' type='chat'>"
            f"<body>{WORDS}</body><origin-id xmlns='urn:xmpp:sid:0' id='{self.plan['run']}"
        )
        return head.encode(), b"'/></message>"

    def on_stanza(self, stanza: bytes) -> None:
        if self.step < 5:
            self.negotiate(stanza)
            return
        number, sender = _NUMBER.search(stanza), _FROM.search(stanza)
        if stanza.startswith(b"<message") and number and sender and b"type='error'" not in stanza:
            self.hear(int(sender[1]), int(number[1]))
        elif not stanza.startswith(b"<presence"):
            tally.errors.append(stanza.decode())


class XmppSocketClient(XmppSpeaker, Upgraded):
    path = "/xmpp-websocket"
    headers = "Sec-WebSocket-Protocol: xmpp\r\n"
    stream_header = (
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
    )

    def upgraded(self) -> None:
        self.tell(self.stream_header)

    def tell(self, xml: str) -> None:
        self.transport.write(client_frame(xml.encode()))

    def aim(self, peer: int) -> None:
        head, self.tail = self.stanza(peer)
        whole = client_frame(head + bytes(DIGITS) + self.tail)
        self.head = whole[: -DIGITS - len(self.tail)]

    def on_text(self, payload: bytes) -> None:
        self.on_stanza(payload)


class XmppTcpClient(XmppSpeaker):
    stream_header = (
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        "to='localhost' version='1.0'>"
    )

    def __init__(self, user: dict[str, Any], plan: dict[str, Any]) -> None:
        super().__init__(user, plan)
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.tell(self.stream_header)

    def tell(self, xml: str) -> None:
        self.transport.write(xml.encode())

    def aim(self, peer: int) -> None:
        self.head, self.tail = self.stanza(peer)

    def data_received(self, data: bytes) -> None:
        if self.step < 5:
            self.negotiate(data)
            return
        parts = (self.rest + data).split(b"</message>")
        self.rest = parts.pop()
        for part in parts:
            self.on_stanza(part[part.index(b"<message") :])
        if dirty:
            flush()


class PageReader(Client):
    """Reads history over HTTP, one request after the other; every answer counts as one."""

    def __init__(self, user: dict[str, Any], plan: dict[str, Any]) -> None:
        super().__init__(user, plan)
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.ready.set_result(None)

    def aim(self, peer: int) -> None:
        self.request = (
            f"GET /api/messages?chat=10&dstid={peer}&limit=50 HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.plan['port']}\r\n"
            f"Authorization: Bearer {self.user['token']}\r\n\r\n"
        ).encode()

    def say(self) -> int:
        number = self.spoken
        self.spoken = number + 1
        tally.sent += 1
        self.transport.write(self.request)
        return number

    def data_received(self, data: bytes) -> None:
        self.rest += data
        head, found, body = self.rest.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        if len(body) < length:
            return
        self.rest = b""
        if not head.startswith(b"HTTP/1.1 200") or body.count(b'"seq"') != 50:
            tally.errors.append(head.decode() + body[:200].decode())
        self.hear(0, self.expected.get(0, 0))


KINDS: dict[str, type[Client]] = {
    "json": JsonClient,
    "typing": TypingClient,
    "xmpp-websocket": XmppSocketClient,
    "xmpp-tcp": XmppTcpClient,
    "pages": PageReader,
}


class Load:
    """What the plan asks for; see ``tests/bench/__main__.py`` for the plans."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.clients: list[Client] = []
        self.is_running = False
        self.local_deliveries: dict[tuple[int, int], int] = {}
        self.peers: dict[int, Client] = {}

    async def connect(self, count: int, at_once: int = CONNECTING) -> dict[str, Any]:
        """Opens connections until there are ``count``."""
        gate = asyncio.Semaphore(at_once)
        began = now()
        delays = await asyncio.gather(
            *(self._connect(n, gate) for n in range(len(self.clients), count))
        )
        delays.sort()
        return {"seconds": now() - began, "p99": delays[int(len(delays) * 0.99)] * 1000}

    async def _connect(self, n: int, gate: asyncio.Semaphore) -> float:
        plan = self.plan
        kind = plan["kinds"][n % len(plan["kinds"])]
        user = plan["users"][n]
        port = plan["xmpp_port"] if kind == "xmpp-tcp" else user.get("port", plan["port"])
        async with gate:
            began = now()
            client = KINDS[kind](user, plan)
            local = (f"127.0.0.{1 + n // PORTS}", 0) if n >= PORTS else None
            await asyncio.get_running_loop().create_connection(
                lambda: client, "127.0.0.1", port, local_addr=local
            )
            await client.ready
            self.clients.append(client)
            return now() - began

    def start(self) -> dict[str, Any]:
        """Begins to talk, as the shape of the plan says."""
        self.clients.sort(key=lambda client: client.user["id"])
        gc.collect()
        gc.freeze()
        gc.disable()
        self.is_running = True
        getattr(self, "_start_" + self.plan["shape"])()
        flush()
        return {}

    def _active(self) -> list[Client]:
        return self.clients[: self.plan.get("active", len(self.clients))]

    def _start_pingpong(self) -> None:
        self._pair(self._return)
        for client in self._active()[::2]:
            self._send(client)

    def _start_pipeline(self) -> None:
        self._pair(self._refill)
        for client in self._active()[::2]:
            for _ in range(self.plan["window"]):
                self._send(client)

    def _start_fanout(self) -> None:
        senders = self.plan["senders"]
        for client in self.clients:
            client.on_got = self._count_copy
        self.peers = {client.user["id"]: client for client in self.clients[:senders]}
        for client in self.peers.values():
            client.aim(self.plan["group"])
            for _ in range(self.plan["window"]):
                self._send(client)

    def _start_pages(self) -> None:
        for client in self.clients:
            client.aim(self.plan["peer"])
            client.on_got = self._ask_again
            self._send(client)

    def _start_silence(self) -> None:
        """Only listens: idle connections, and members of a group whose senders are elsewhere."""

    def _pair(self, on_got: Callable[[Client, int, int], None]) -> None:
        active = self._active()
        for one, other in zip(active[::2], active[1::2], strict=True):
            one.aim(other.user["id"])
            other.aim(one.user["id"])
            one.on_got = other.on_got = on_got
            self.peers[one.user["id"]] = one
            self.peers[other.user["id"]] = other

    def _send(self, client: Client) -> None:
        if self.is_running:
            client.say()
            client.sent_at.append(now())

    def _return(self, client: Client, sender: int, number: int) -> None:
        time = now()
        tally.delays.append(time - self.peers[sender].sent_at.popleft())
        if self.is_running:
            client.say()
            client.sent_at.append(time)

    def _refill(self, client: Client, sender: int, number: int) -> None:
        peer = self.peers[sender]
        tally.delays.append(now() - peer.sent_at.popleft())
        self._send(peer)

    def _ask_again(self, client: Client, sender: int, number: int) -> None:
        tally.delays.append(now() - client.sent_at.popleft())
        self._send(client)

    def _count_copy(self, client: Client, sender: int, number: int) -> None:
        """The next message follows when all members in the senders' process have this one."""
        if sender not in self.peers:
            return
        key = sender, number
        count = self.local_deliveries.get(key, 0) + 1
        if count < len(self.clients) - 1:
            self.local_deliveries[key] = count
            return
        self.local_deliveries.pop(key, None)
        self._refill(client, sender, number)

    async def stop(self) -> dict[str, Any]:
        """Says nothing more; waits for what is under way."""
        self.is_running = False
        last, quiet = -1, 0
        deadline = now() + SETTLE_S
        while now() < deadline and quiet < 3:
            quiet = quiet + 1 if tally.got == last else 0
            last = tally.got
            await asyncio.sleep(0.1)
        return tally.read()

    def drop(self) -> dict[str, Any]:
        """Ends all connections at once."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        return {}


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    load = Load(json.loads(await reader.readline()))
    while line := (await reader.readline()).split():
        command, *numbers = line
        try:
            match command:
                case b"connect":
                    answer = await load.connect(*map(int, numbers))
                case b"start":
                    answer = load.start()
                case b"mark":
                    answer = tally.read()
                case b"stop":
                    answer = await load.stop()
                case _:
                    answer = load.drop()
        except OSError as error:
            answer = {"failed": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
