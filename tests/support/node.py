"""A real server for tests: ``python -m server`` as a process with its own private mongod."""

import asyncio
import base64
import itertools
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from server.settings import load
from server.store.mongod import PrivateMongod
from tests.support.nats import Nats
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]

QUICK = {
    "TANDEM_AUTH_ARGON2_MEMORY_KIB": "1024",
    "TANDEM_AUTH_ARGON2_PASSES": "1",
    "TANDEM_AUTH_SCRAM_SHA1_ITERATIONS": "4096",
    "TANDEM_AUTH_SCRAM_SHA256_ITERATIONS": "4096",
    "TANDEM_LIMITS_RATE_SCALE": "1000",
}
"""Cheap password hashes, and rates that tests do not run into."""

_UNWANTED = re.compile(
    r" (ERROR|CRITICAL) |^Traceback|Warning:|never awaited|never retrieved", re.M
)


class Node:
    """One server process; ``env`` overrides settings. ``start`` returns when it is ready."""

    def __init__(
        self, directory: Path, env: Mapping[str, str] | None = None, workers: int = 0
    ) -> None:
        self.command = [sys.executable, "-m", "server"]
        if workers:
            self.command += ["--workers", str(workers)]
        self.directory = directory
        self.port, self.xmpp_port, self.tls_port = free_port(), free_port(), free_port()
        self.log_path = directory / "server.log"
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TANDEM_")},
            "TANDEM_HTTP_PORT": str(self.port),
            "TANDEM_XMPP_PORT": str(self.xmpp_port),
            "TANDEM_XMPP_TLS_PORT": str(self.tls_port),
            "TANDEM_DATA_DIR": str(directory / "var"),
            "TANDEM_LOG_LEVEL": "debug",
            "PYTHONWARNINGS": "default",
            "PYTHONPATH": str(ROOT),
            **QUICK,
            **(env or {}),
        }
        self.process: subprocess.Popen[str] | None = None

    def pick(self) -> "Node":
        """The node that one client uses."""
        return self

    @property
    def mongodb_url(self) -> str:
        """Of the private mongod."""
        settings = load(None, {"TANDEM_DATA_DIR": self.env["TANDEM_DATA_DIR"]})
        url = PrivateMongod.url_of_running(settings.mongodb, settings.data.dir)
        assert url is not None, "no private mongod runs"
        return url

    address = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def certificate(self) -> Path:
        """What the server made for its XMPP ports."""
        return self.directory / "var" / "xmpp.crt"

    @property
    def chat_url(self) -> str:
        return f"ws://{self.address}:{self.port}/chat"

    def start(self, timeout_s: float = 30) -> "Node":
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        line = self.process.stdout.readline() if ready else ""
        assert line.startswith("ready "), f"not ready: {line!r}\n{self.log()[-4000:]}"
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``: the server is gone, its mongod stays."""
        assert self.process is not None
        self.process.kill()
        self._reap(10)

    def stop(self, timeout_s: float = 35) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._reap(timeout_s)

    def _reap(self, timeout_s: float) -> int:
        assert self.process is not None and self.process.stdout is not None
        status = self.process.wait(timeout_s)
        self.process.stdout.close()
        return status

    async def stopped(self, timeout_s: float = 35) -> int:
        """Waits for the exit without holding the event loop."""
        assert self.process is not None
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self._reap(1)

    def clean_up(self) -> None:
        """Leaves nothing running, whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        with suppress(AssertionError, ProcessLookupError):
            os.kill(self.mongod_pid(), signal.SIGKILL)

    def mongod_pid(self) -> int:
        """The private mongod's process, found by its data directory."""
        wanted = str(self.directory / "var")
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if command[0].endswith(b"mongod") and any(wanted.encode() in c for c in command):
                    return int(entry.name)
        raise AssertionError("no private mongod runs")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stray_log_lines(self) -> list[str]:
        """Log lines that no test expects: errors, tracebacks, warnings of Python."""
        return [line for line in self.log().splitlines() if _UNWANTED.search(line)]


class TwoNodes:
    """Two servers that are one service: one mongod, one nats-server, clients on either in turn.

    Has what tests use of a :class:`Node`. ``behind_proxy``: the nodes' way to the bus is
    ``proxy_port``, where the test lets a proxy listen.
    """

    def __init__(
        self, directory: Path, env: Mapping[str, str] | None = None, *, behind_proxy: bool = False
    ) -> None:
        for name in ("one", "two"):
            (directory / name).mkdir()
        self.nats = Nats(directory)
        self.proxy_port = free_port()
        shared = {
            "TANDEM_AUTH_SIGNING_KEY": base64.b64encode(os.urandom(32)).decode(),
            "TANDEM_FILES_DIR": str(directory / "files"),
            "TANDEM_BUS_URL": self.nats.url_at(self.proxy_port) if behind_proxy else self.nats.url,
            **(env or {}),
        }
        self.one = Node(directory / "one", shared)
        self.two = Node(directory / "two", shared)
        self.nodes = (self.one, self.two)
        self._turns = itertools.cycle(self.nodes)

    def start(self) -> "TwoNodes":
        self.nats.start()
        self.one.start()
        self.two.env["TANDEM_MONGODB_URL"] = self.one.mongodb_url
        self.two.start()
        return self

    def stop(self) -> int:
        """The worse exit status. The first node has the database, so it goes last."""
        status = max(self.two.stop(), self.one.stop())
        self.nats.stop()
        return status

    def clean_up(self) -> None:
        for node in reversed(self.nodes):
            node.clean_up()
        self.nats.stop()

    def pick(self) -> Node:
        return next(self._turns)

    @property
    def url(self) -> str:
        return self.pick().url

    @property
    def chat_url(self) -> str:
        return self.pick().chat_url

    @property
    def port(self) -> int:
        return self.pick().port

    @property
    def xmpp_port(self) -> int:
        return self.pick().xmpp_port

    def log(self) -> str:
        return self.one.log() + self.two.log()

    def stray_log_lines(self) -> list[str]:
        return self.one.stray_log_lines() + self.two.stray_log_lines()
