"""Programs that the server runs for itself: their processes, ports and private files."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
from contextlib import closing, suppress
from pathlib import Path

STOP_S = 15.0
KILL_S = 5.0
PORTS = range(20_000, 32_000)
"""Below the ports that Linux gives to outgoing connections, which could take ours meanwhile."""


class Process:
    """A process, a child of ours or not.

    It is held by a pidfd, so that no signal hits a later owner of its pid (Linux 5.3).
    """

    def __init__(self, pid: int, child: "subprocess.Popen[bytes] | None" = None) -> None:
        """Raises OSError when there is none. ``command``: its arguments; empty when it is dead."""
        self.pid = pid
        self._child = child
        self._descriptor = os.pidfd_open(pid)
        try:
            self.command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        except OSError:
            self.close()
            raise

    @classmethod
    def start(cls, command: list[str], output: int) -> "Process":
        """Raises OSError."""
        child = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C reaches the whole foreground group; the database is to stop last.
            start_new_session=True,
        )
        return cls(child.pid, child)

    async def wait(self) -> None:
        """Until it has ended."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._descriptor)
        if self._child is not None:
            self._child.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not go."""
        for number, wait_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, KILL_S)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)
                # A stopped process acts on SIGTERM only when it is continued.
                signal.pidfd_send_signal(self._descriptor, signal.SIGCONT)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    return await self.wait()

    def close(self) -> None:
        os.close(self._descriptor)


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step, readable by its owner only."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def free_port() -> int:
    """One of :data:`PORTS` that nobody listens on now."""
    while not is_free(port := secrets.choice(PORTS)):
        pass
    return port


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with closing(socket.create_server((address, port), family=family)):
            return True
    except OSError:
        return False
