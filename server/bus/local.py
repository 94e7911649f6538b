"""The bus of a service that is one node: what is published is given out at once."""

from collections.abc import Callable
from typing import Any


class LocalBus:
    """Calls the listener in the publisher's turn."""

    def __init__(self) -> None:
        self._deliver: Callable[[Any], None] = lambda _: None

    def listen(self, deliver: Callable[[Any], None]) -> None:
        self._deliver = deliver

    def publish(self, delivery: Any) -> None:
        self._deliver(delivery)

    async def close(self) -> None:
        return
