"""The bus of a service that is one node: what is published is given out at once."""

from collections.abc import Callable
from typing import Any


class LocalBus:
    """Publishing is delivering, in the publisher's turn."""

    publish: Callable[[Any], None]

    def listen(self, deliver: Callable[[Any], None]) -> None:
        self.publish = deliver

    async def close(self) -> None:
        return
