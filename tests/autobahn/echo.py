"""What Autobahn's fuzzing client talks to: the server's wire, echoing. ``… echo PORT``."""

import asyncio
import sys

import tornado.web
import uvloop
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from handlers.frames import BINARY, frame
from handlers.wire import Takeover, Wire, WireHandler
from server.clients import Pending

LARGEST = 64 * 1024 * 1024


class BinaryWire(Wire):
    """The product refuses binary messages; the fuzzing client sends them all the time."""

    __slots__ = ()

    def _control(self, opcode: int, payload: bytes) -> bool:
        if opcode == BINARY:
            self.send(frame(payload, BINARY))
            return True
        return super()._control(opcode, payload)


class Echo:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def on_message(self, payload: bytes) -> Pending:
        self.wire.send(frame(payload))
        return None

    def on_close(self) -> None:
        return


class EchoHandler(WireHandler):
    def get_websocket_protocol(self) -> Takeover | None:
        self.max_message_bytes = self.outbox_bytes = LARGEST
        self.silence_s = 0.0
        protocol = super().get_websocket_protocol()
        if protocol is not None:
            self.wire = BinaryWire(LARGEST, LARGEST, 0.0)
        return protocol

    def open(self, *args: str, **kwargs: str) -> None:
        self.session = Echo(self.wire)


async def main() -> None:
    server = HTTPServer(tornado.web.Application([("/", EchoHandler)]))
    server.add_sockets(bind_sockets(int(sys.argv[1]), "127.0.0.1"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
