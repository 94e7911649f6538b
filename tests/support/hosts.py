"""Several hosts on this machine: network namespaces on a bridge of their own, and links to cut.

Needs root and iproute2. A cut is silent: no packet goes through, and nobody is told. The machine's
own interfaces are left as they are: a browser that other tests have open would take a new one for
another network, and end its connections.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

NETWORK = "10.231.77"
OUTSIDE = 254
PREFIX = "tandem-"


def unavailable() -> str:
    """Why this machine cannot have such hosts; empty when it can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    name = f"{PREFIX}{os.getpid()}-try"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if done.returncode:
        return f"ip netns: {done.stderr.decode().strip()}"
    _ip("netns", "del", name)
    return ""


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Hosts:
    """``count`` hosts, numbered from 1. As a context: the test's own thread is on one more."""

    def __init__(self, count: int) -> None:
        self._numbers = range(1, count + 1)
        self._rules: set[tuple[int, str, int]] = set()

    def __enter__(self) -> "Hosts":
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _remove_leftovers()
        switch = self._name("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number in (*self._numbers, OUTSIDE):
            host = self._name(f"{number}")
            _ip("netns", "add", host)
            _ip("-n", host, "link", "set", "lo", "up")
            self._plug(number, host)
        place = os.open(f"/run/netns/{self._name(f'{OUTSIDE}')}", os.O_RDONLY)
        _go_to(place)
        os.close(place)
        return self

    def __exit__(self, *raised: object) -> None:
        _go_to(self._home)
        os.close(self._home)
        _remove(self._name(""))

    def address(self, number: int) -> str:
        return f"{NETWORK}.{number}"

    def command(self, number: int, command: Iterable[str]) -> list[str]:
        """``command``, to be run on a host."""
        return ["ip", "netns", "exec", self._name(f"{number}"), *command]

    def cut(self, one: Iterable[int], other: Iterable[int], port: int = 0) -> None:
        """No packet between any of ``one`` and any of ``other`` (on whose ``port``, if given)."""
        for a in one:
            for b in other:
                where = ["dport", f"{port}", "ipproto", "tcp"] if port else []
                back = ["sport", f"{port}", "ipproto", "tcp"] if port else []
                self._rule("add", a, b, where)
                self._rule("add", b, a, back)

    def heal(self) -> None:
        """Everybody reaches everybody again."""
        for number in self._numbers:
            with suppress(OSError):
                while True:
                    _ip("-n", self._name(f"{number}"), "rule", "del", "pref", "100")

    def _rule(self, verb: str, at: int, to: int, which: list[str]) -> None:
        target = ["to", self.address(to), *which, "blackhole", "pref", "100"]
        _ip("-n", self._name(f"{at}"), "rule", verb, *target)

    def _name(self, what: str) -> str:
        return f"{PREFIX}{os.getpid()}-{what}"

    def _plug(self, number: int, host: str) -> None:
        """A cable from the host to the switch."""
        switch, far = self._name("switch"), f"far{number}"
        _ip("-n", host, "link", "add", "near", "type", "veth", "peer", "name", far)
        _ip("-n", host, "link", "set", far, "netns", switch)
        _ip("-n", switch, "link", "set", far, "master", "bridge", "up")
        _ip("-n", host, "addr", "add", f"{self.address(number)}/24", "dev", "near")
        _ip("-n", host, "link", "set", "near", "up")


def _go_to(namespace: int) -> None:
    """Takes this thread, and what it starts, to another network. (Python 3.12 has os.setns.)"""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")


def _remove(prefix: str) -> None:
    """With a namespace go its interfaces and so the other ends of their cables."""
    for line in _ip("netns", "list").splitlines():
        name = line.split(" ")[0]
        if name.startswith(prefix):
            for pid in _ip("netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            with suppress(OSError):
                _ip("netns", "del", name)


def _remove_leftovers() -> None:
    """Of test runs that were killed."""
    for line in _ip("netns", "list").splitlines():
        name = line.split(" ")[0]
        pid = name.removeprefix(PREFIX).split("-")[0]
        if name.startswith(PREFIX) and not Path(f"/proc/{pid}").exists():
            _remove(f"{PREFIX}{pid}-")
