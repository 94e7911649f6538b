"""A whole service on hosts of its own: three nodes, three NATS servers, three MongoDB members.

Nodes are on hosts 1 to 3; hosts 4 to 6 have a nats-server and a mongod each. Nodes talk to NATS
with TLS and a password, as they must between machines.
"""

import base64
import datetime
import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from server.store.mongod import _find_binary
from tests.support.hosts import Hosts
from tests.support.nats import nats_binary
from tests.support.node import Node

NODES, ENGINES = (1, 2, 3), (4, 5, 6)
NATS, ROUTES, MONGOD = 4222, 6222, 27017


class Program:
    """A process on a host, with an address that tells whether it serves."""

    def __init__(self, hosts: Hosts, number: int, port: int, command: list[str]) -> None:
        self.number = number
        self._address = (hosts.address(number), port)
        self._command = hosts.command(number, command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for(self.serves, 20, f"{self._command} does not serve")

    def serves(self) -> bool:
        try:
            socket.create_connection(self._address, 1).close()
        except OSError:
            return False
        return True

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)


class HostNode(Node):
    """A node on a host."""

    def __init__(self, directory: Path, hosts: Hosts, number: int, env: dict[str, str]) -> None:
        self.address = hosts.address(number)
        super().__init__(directory, env)
        self.number = number
        self.env |= {
            "TANDEM_HTTP_ADDRESS": self.address,
            "TANDEM_HTTP_PUBLIC_URL": self.url,
            "TANDEM_XMPP_ADDRESS": self.address,
            "TANDEM_AUTH_REGISTRATION_CONFIRMED": "true",
            "TANDEM_DATA_DIR": str(directory / "var"),
        }
        self.command = hosts.command(number, self.command)


class Cluster:
    """As a context: everything runs, and is gone afterwards."""

    def __init__(self, directory: Path) -> None:
        self.hosts = Hosts(6)
        self._directory = directory
        self._password = secrets.token_urlsafe(12)
        self._key = base64.b64encode(os.urandom(32)).decode()

    def __enter__(self) -> "Cluster":
        self.hosts.__enter__()
        try:
            self._make_certificate()
            self.mongods = [self._mongod(number) for number in ENGINES]
            self.nats = [self._nats(number) for number in ENGINES]
            for program in (*self.mongods, *self.nats):
                program.start()
            self._initiate()
            self.nodes = [self._node(number) for number in NODES]
            for node in self.nodes:
                node.start()
        except BaseException:
            self.hosts.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self.heal()
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.stop()
        for program in (*self.nats, *self.mongods):
            program.kill()
        self.hosts.__exit__()

    def heal(self) -> None:
        self.hosts.heal()

    @property
    def mongodb_url(self) -> str:
        members = ",".join(f"{self.hosts.address(number)}:{MONGOD}" for number in ENGINES)
        return f"mongodb://{members}/?replicaSet=faults"

    def primary(self) -> Program:
        """The member that takes the writes; waits until there is one."""
        found: list[str] = []

        def is_there() -> bool:
            with (
                suppress(PyMongoError),
                MongoClient[dict[str, Any]](
                    self.mongodb_url, serverSelectionTimeoutMS=500
                ) as client,
            ):
                client.admin.command("ping")
                address = client.primary
                if address is not None:
                    found.append(address[0])
            return bool(found)

        wait_for(is_there, 30, "no primary")
        return next(m for m in self.mongods if self.hosts.address(m.number) == found[0])

    def step_down(self) -> None:
        address = self.hosts.address(self.primary().number)
        with (
            suppress(PyMongoError),
            MongoClient[dict[str, Any]](address, MONGOD, directConnection=True) as client,
        ):
            client.admin.command("replSetStepDown", 20)

    def _mongod(self, number: int) -> Program:
        files = self._directory / f"mongod{number}"
        files.mkdir()
        command = [
            _find_binary(""),
            *("--dbpath", str(files), "--logpath", str(files / "log"), "--nounixsocket"),
            *("--bind_ip", self.hosts.address(number), "--port", str(MONGOD)),
            *("--replSet", "faults", "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        return Program(self.hosts, number, MONGOD, command)

    def _initiate(self) -> None:
        members = [
            {"_id": number, "host": f"{self.hosts.address(number)}:{MONGOD}"} for number in ENGINES
        ]
        timing = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
        config = {"_id": "faults", "members": members, "settings": timing}
        first = self.hosts.address(ENGINES[0])
        with MongoClient[dict[str, Any]](first, MONGOD, directConnection=True) as client:
            client.admin.command("replSetInitiate", config)
        self.primary()

    def _nats(self, number: int) -> Program:
        address = self.hosts.address(number)
        others = [f"nats://{self.hosts.address(n)}:{ROUTES}" for n in ENGINES if n != number]
        config = self._directory / f"nats{number}.conf"
        config.write_text(
            f"listen: {address}:{NATS}\n"
            f'authorization {{ user: node, password: "{self._password}" }}\n'
            f'tls {{ cert_file: "{self._directory}/tls.crt", key_file: "{self._directory}/tls.key"'
            ", timeout: 5 }\n"
            f"cluster {{ name: faults, listen: {address}:{ROUTES}, "
            f"routes: [{', '.join(others)}] }}\n"
            'ping_interval: "2s"\nping_max: 2\n'
        )
        log = str(self._directory / f"nats{number}.log")
        return Program(
            self.hosts, number, NATS, [nats_binary(), "--config", str(config), "--log", log]
        )

    def _node(self, number: int) -> HostNode:
        directory = self._directory / f"node{number}"
        directory.mkdir()
        # The one on the host of the same place first.
        order = [*ENGINES[number - 1 :], *ENGINES[: number - 1]]
        urls = [f"tls://node:{self._password}@{self.hosts.address(n)}:{NATS}" for n in order]
        return HostNode(
            directory,
            self.hosts,
            number,
            {
                "TANDEM_MONGODB_URL": self.mongodb_url,
                "TANDEM_BUS_URL": ",".join(urls),
                "TANDEM_BUS_TLS_CA": str(self._directory / "tls.crt"),
                "TANDEM_AUTH_SIGNING_KEY": self._key,
            },
        )

    def _make_certificate(self) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nats")])
        now = datetime.datetime.now(datetime.UTC)
        addresses = [ipaddress.ip_address(self.hosts.address(number)) for number in ENGINES]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(each) for each in addresses]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(private, hashes.SHA256())
        )
        (self._directory / "tls.crt").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
        )
        (self._directory / "tls.key").write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def wait_for(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
