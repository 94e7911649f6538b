"""Several hosts on this machine: network namespaces on a bridge of their own, and links to cut.

Needs root and iproute2. A cut is silent: no packet goes through, and nobody is told.
"""

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
    """``count`` hosts, numbered from 1, and a way to all of them for the test itself."""

    def __init__(self, count: int) -> None:
        self._numbers = range(1, count + 1)
        self._rules: set[tuple[int, str, int]] = set()

    def __enter__(self) -> "Hosts":
        _remove_leftovers()
        switch = self._name("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number in self._numbers:
            host = self._name(f"{number}")
            _ip("netns", "add", host)
            _ip("-n", host, "link", "set", "lo", "up")
            self._plug(number, host)
        self._plug(OUTSIDE, "")
        return self

    def __exit__(self, *raised: object) -> None:
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
        """A cable from the host (empty: from where the test runs) to the switch."""
        near, far = f"td{os.getpid() % 100000}n{number}", f"td{os.getpid() % 100000}f{number}"
        _ip("link", "add", near, "type", "veth", "peer", "name", far)
        _ip("link", "set", far, "netns", self._name("switch"))
        _ip("-n", self._name("switch"), "link", "set", far, "master", "bridge", "up")
        inside = ["-n", host] if host else []
        if host:
            _ip("link", "set", near, "netns", host)
        _ip(*inside, "addr", "add", f"{self.address(number)}/24", "dev", near)
        _ip(*inside, "link", "set", near, "up")


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
