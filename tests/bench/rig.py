"""What a benchmark runs on: one mongod, the two servers pinned to core 0, and the population.

The load generator's processes are pinned to core 1; mongod runs where the kernel puts it.
"""

import asyncio
import base64
import itertools
import json
import os
import random
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import jwt
from pymongo import AsyncMongoClient

from server.model import conversation
from server.settings import load
from server.store.mongod import PrivateMongod
from server.tokens import ALGORITHM, AUDIENCE, ISSUER, fingerprint
from tests.support.node import QUICK, ROOT
from tests.support.ports import free_port

FIRST_USER = 1_000_000
FIRST_GROUP = 2_000_000
FILES = 200_000
CACHE_MB = 2048
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    return sum(cpu_times(pid))


def cpu_times(pid: int) -> tuple[float, float]:
    """Seconds in user and in system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def pid_of_mongod(directory: Path) -> int:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"mongod\0" in command and bytes(directory) in command:
            return int(entry.name)
    raise AssertionError("no mongod runs")


def rss_kib(pid: int) -> int:
    """What it holds in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def pinned(core: int, *command: str) -> list[str]:
    """The command, on one core where the machine has more than one."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > 1 else [*command]


class Server:
    """One of the two: ``tandem`` or ``plain``. ``first``: which of the users are its own."""

    first = 0

    def __init__(
        self, name: str, process: subprocess.Popen[str], port: int, xmpp_port: int
    ) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.xmpp_port = xmpp_port

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_times(self) -> tuple[float, float]:
        """Seconds in user and in system mode."""
        return cpu_times(self.pid)

    def place(self, users: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The users, with the port that each is to connect to, where they differ."""
        return list(users)

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready"), f"{self.name} did not start: {line!r}"


class Several(Server):
    """Nodes that are one service; each user connects to one of them, by chance but for ever."""

    first = 10_000

    def __init__(self, name: str, nodes: Sequence[Server]) -> None:
        super().__init__(name, nodes[0].process, nodes[0].port, nodes[0].xmpp_port)
        self.nodes = nodes

    def cpu_times(self) -> tuple[float, float]:
        times = [node.cpu_times() for node in self.nodes]
        return sum(user for user, _ in times), sum(system for _, system in times)

    def place(self, users: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        chance = random.Random(1)
        return [{**user, "port": chance.choice(self.nodes).port} for user in users]


class Apart(Several):
    """As many nodes that are no service: each serves a crowd by itself."""

    first = 20_000

    def __init__(self, name: str, nodes: Sequence[Server]) -> None:
        super().__init__(name, nodes)
        self._turns = itertools.cycle(nodes)

    def place(self, users: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        port = next(self._turns).port
        return [{**user, "port": port} for user in users]


class Generator:
    """One load process; :meth:`ask` sends a line and waits for the answer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, plan: dict[str, Any]) -> Self:
        process = await asyncio.create_subprocess_exec(
            *pinned(1, sys.executable, "-m", "tests.bench.load"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            limit=1 << 24,
        )
        generator = cls(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(plan).encode() + b"\n")
        return generator

    async def ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        answer = json.loads(await self.process.stdout.readline())
        if "failed" in answer:
            raise ConnectionError(answer["failed"])
        return dict(answer)

    async def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()


class Rig:
    """All of it, as a context: ``tandem`` and ``plain`` run, ``users`` can log in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = secrets.token_bytes(32)
        self.users: list[dict[str, Any]] = []
        self._has_history: set[int] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
        except (ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        mongodb = load(None, {"TANDEM_MONGODB_CACHE_MB": str(CACHE_MB)}).mongodb
        mongod = await self._stack.enter_async_context(PrivateMongod(mongodb, self.directory))
        self.mongodb_url = mongod.url
        self.mongod_pid = pid_of_mongod(self.directory)
        self.tandem = await self.start_tandem()
        self.plain = self._start(
            "plain",
            ["-m", "tests.bench.plain_tornado"],
            {"MONGODB_URL": mongod.url, "SIGNING_KEY": self.key.hex()},
        )
        self.database = AsyncMongoClient[dict[str, Any]](mongod.url).get_database("tandem")
        self._stack.push_async_callback(self.database.client.close)
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._stack.aclose()

    async def start_tandem(self, **env: str) -> Server:
        """One more Tandem, with settings of its own."""
        return self._start(
            "tandem",
            ["-m", "server"],
            {
                **QUICK,
                "TANDEM_MONGODB_URL": self.mongodb_url,
                "TANDEM_DATA_DIR": str(self.directory / "tandem"),
                "TANDEM_AUTH_SIGNING_KEY": base64.b64encode(self.key).decode(),
                "TANDEM_LIMITS_RATE_SCALE": "1000000",
                "TANDEM_LIMITS_GROUP_MEMBERS": "5000",
                "TANDEM_LOG_LEVEL": "warning",
                **env,
            },
        )

    def _start(self, name: str, command: Sequence[str], env: dict[str, str]) -> Server:
        port, xmpp_port = free_port(), free_port()
        if name == "plain":
            command = [*command, str(port)]
        else:
            env |= {
                "TANDEM_HTTP_PORT": str(port),
                "TANDEM_XMPP_PORT": str(xmpp_port),
                "TANDEM_XMPP_TLS_PORT": "0",
            }
        process = subprocess.Popen(
            pinned(0, sys.executable, *command),
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("TANDEM_")},
                "PYTHONPATH": str(ROOT),
                **env,
            },
            cwd=self.directory,
            stdout=subprocess.PIPE,
            text=True,
        )
        server = Server(name, process, port, xmpp_port)
        self._stack.callback(self.stop_server, server)
        server.wait_ready()
        return server

    @staticmethod
    def stop_server(server: Server) -> None:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
        server.process.wait(40)
        assert server.process.stdout is not None
        server.process.stdout.close()

    async def populate(self, count: int) -> None:
        """Accounts and sessions, written straight into the database; tokens to log in with."""
        first = FIRST_USER + len(self.users)
        ids = range(first, first + max(0, count - len(self.users)))
        if not ids:
            return
        now = int(time.time())
        expires = datetime.now(UTC) + timedelta(days=1)
        for userid in ids:
            claims = {
                "iss": ISSUER,
                "aud": AUDIENCE,
                "sub": str(userid),
                "sid": f"bench-{userid}",
                "jti": str(userid),
                "iat": now,
                "exp": now + 86_400,
            }
            headers = {"kid": fingerprint(self.key)}
            token = jwt.encode(claims, self.key, ALGORITHM, headers=headers)
            self.users.append({"id": userid, "token": token})
        await self.database.users.insert_many(
            [{"_id": u, "nickname": f"u{u}", "created": now * 1000, "password": ""} for u in ids]
        )
        await self.database.sessions.insert_many(
            [
                {
                    "_id": f"bench-{userid}",
                    "userid": userid,
                    "hash": b"",
                    "device": "bench",
                    "address": "127.0.0.1",
                    "created": now * 1000,
                    "seen": now * 1000,
                    "expires": expires,
                }
                for userid in ids
            ]
        )

    async def make_group(self, number: int, members: int, first: int = 0) -> int:
        """A group of so many users; again is no change. Its id."""
        gid = FIRST_GROUP + number + first
        if await self.database.groups.find_one({"_id": gid}):
            return gid
        await self.populate(first + members)
        now = int(time.time() * 1000)
        ids = [user["id"] for user in self.users[first : first + members]]
        await self.database.groups.insert_one(
            {
                "_id": gid,
                "name": f"bench {members}",
                "owner": ids[0],
                "avatar": "",
                "memo": "",
                "history": "joined",
                "muted_all": False,
                "created": now,
            }
        )
        await self.database.members.insert_many(
            [
                {
                    "_id": f"{gid}:{userid}",
                    "gid": gid,
                    "userid": userid,
                    "role": "member" if at else "owner",
                    "joined": now,
                    "floor": 0,
                    "is_invited": True,  # XMPP readers are to hear of the messages only
                }
                for at, userid in enumerate(ids)
            ]
        )
        return gid

    async def write_history(self, peer: int, readers: Sequence[int], messages: int) -> None:
        """Conversations for the page readers, in both servers' collections; again: no change."""
        if peer in self._has_history:
            return
        self._has_history.add(peer)
        for reader in readers:
            conv = conversation(10, reader, peer)
            documents = [
                {
                    "conv": conv,
                    "id": seq,
                    "userid": peer,
                    "cmd": 10,
                    "dstid": reader,
                    "media": 1,
                    "content": "the quick brown fox jumps over the lazy dog",
                    "cid": f"{seq:010d}",
                    "seq": seq,
                    "ts": 1_700_000_000_000 + seq,
                }
                for seq in range(1, messages + 1)
            ]
            for collection in ("messages", "plain_messages"):
                await self.database[collection].insert_many(
                    [{**d, "_id": f"{conv}:{d['seq']:016d}"} for d in documents]
                )
