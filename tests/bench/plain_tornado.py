"""The baseline: the same contract in the plainest Tornado, as a good tutorial would write it.

``python -m tests.bench.plain_tornado PORT``: JSON over WebSocket and one HTTP call. A
WebSocketHandler, ``json``, ``write_message`` for each recipient and ``insert_one`` for each
message. What Tandem promises beyond that (order under load, dedup, limits, slow readers) is not
here, which only makes it cheaper.
"""

import asyncio
import json
import logging
import os
import sys
import time
from typing import Any

import jwt
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import WriteConcern
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

BACKLOG = 4096


class Hub:
    """What all handlers share."""

    def __init__(self, url: str, key: bytes) -> None:
        database = AsyncIOMotorClient(url).get_database(
            "tandem", write_concern=WriteConcern(w="majority", j=True)
        )
        self.members = database.members
        self.messages = database.plain_messages
        self.key = key
        self.clients: dict[int, set[Chat]] = {}
        self.groups: dict[int, list[int]] = {}
        self.seqs: dict[str, int] = {}

    def userid_of(self, token: str) -> int:
        try:
            claims = jwt.decode(
                token, self.key, algorithms=["HS256"], issuer="tandem", audience="tandem-client"
            )
        except jwt.PyJWTError as error:
            raise HTTPError(403) from error
        return int(claims["sub"])

    async def members_of(self, gid: int) -> list[int]:
        if gid not in self.groups:
            found = self.members.find({"gid": gid})
            self.groups[gid] = [member["userid"] async for member in found]
        return self.groups[gid]

    async def store(self, message: dict[str, Any], conv: str) -> None:
        if conv not in self.seqs:
            count = await self.messages.count_documents({"conv": conv})
            self.seqs.setdefault(conv, count)
        self.seqs[conv] += 1
        message["seq"] = self.seqs[conv]
        message["ts"] = int(time.time() * 1000)
        message["id"] = time.time_ns() // 1000 % 2**53
        await self.messages.insert_one(
            {**message, "conv": conv, "_id": f"{conv}:{message['seq']:016d}"}
        )

    def give(self, userids: list[int], message: dict[str, Any], but: "Chat") -> None:
        for userid in userids:
            for client in self.clients.get(userid, ()):
                if client is not but:
                    client.tell(message)


class Chat(WebSocketHandler):
    def initialize(self, hub: Hub) -> None:
        self.hub = hub

    def prepare(self) -> None:
        self.userid = int(self.get_argument("id"))
        if self.hub.userid_of(self.get_argument("token")) != self.userid:
            raise HTTPError(403)

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self.hub.clients.setdefault(self.userid, set()).add(self)

    async def on_message(self, raw: str | bytes) -> None:
        message = json.loads(raw)
        message["userid"] = self.userid
        if message["cmd"] == 0:
            self.tell({"cmd": 0, "ts": int(time.time() * 1000)})
        elif message["cmd"] == 13:
            if message["chat"] == 10:
                self.hub.give([message["dstid"]], message, self)
            else:
                self.hub.give(await self.hub.members_of(message["dstid"]), message, self)
        elif message["cmd"] == 10:
            pair = sorted((self.userid, message["dstid"]))
            await self.hub.store(message, f"{pair[0]}-{pair[1]}")
            self.acknowledge(message)
            self.hub.give(pair, message, self)
        elif message["cmd"] == 11:
            await self.hub.store(message, f"g{message['dstid']}")
            self.acknowledge(message)
            self.hub.give(await self.hub.members_of(message["dstid"]), message, self)

    def acknowledge(self, message: dict[str, Any]) -> None:
        self.tell({"cmd": 1, **{name: message[name] for name in ("cid", "id", "seq", "ts")}})

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.write_message(json.dumps(message))
        except WebSocketClosedError:
            return

    def on_close(self) -> None:
        self.hub.clients.get(self.userid, set()).discard(self)


class Messages(RequestHandler):
    """A page of history."""

    def initialize(self, hub: Hub) -> None:
        self.hub = hub

    async def get(self) -> None:
        me = self.hub.userid_of(self.request.headers["Authorization"].removeprefix("Bearer "))
        pair = sorted((me, int(self.get_argument("dstid"))))
        limit = int(self.get_argument("limit", "50"))
        found = self.hub.messages.find({"conv": f"{pair[0]}-{pair[1]}"}, {"_id": 0, "conv": 0})
        page = await found.sort("seq", -1).limit(limit).to_list(limit)
        self.write({"messages": page[::-1], "more": len(page) == limit})


async def main() -> None:
    # Logging off, as a careful operator would have it for speed.
    logging.disable(logging.CRITICAL)
    hub = Hub(os.environ["MONGODB_URL"], bytes.fromhex(os.environ["SIGNING_KEY"]))
    await hub.messages.create_index([("conv", 1), ("seq", 1)], unique=True)
    application = Application(
        [(r"/chat", Chat, {"hub": hub}), (r"/api/messages", Messages, {"hub": hub})]
    )
    HTTPServer(application).add_sockets(
        bind_sockets(int(sys.argv[1]), "127.0.0.1", backlog=BACKLOG)
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
