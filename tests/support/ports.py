"""Ports for the servers that tests start."""

import itertools
import random
import socket

# Below the ports that Linux gives to outgoing connections, of which one could
# take a port between this look and the server's bind.
_FIRST, _PAST = 10_000, 32_000

_candidates = itertools.cycle(random.sample(range(_FIRST, _PAST), _PAST - _FIRST))


def free_port() -> int:
    """A TCP port that nobody listens on now, and that this process has not been given before."""
    for port in _candidates:
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("cycle() ends only where it is empty")
