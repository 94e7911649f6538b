"""The bus of a service that is one node: what is published is given out at once."""

from collections.abc import Callable
from typing import Any


class LocalBus:
    """See :class:`server.ports.Bus`. Publishing is delivering, in the publisher's turn."""

    is_shared = False
    is_up = True
    watched = 0
    lost = 0

    publish: Callable[[Any], None]

    def listen(
        self,
        deliver: Callable[[Any], None],
        poked: Callable[[], None],
        rejoined: Callable[[], None],
    ) -> None:
        self.publish = deliver

    async def open(self) -> None:
        return

    def poke(self) -> None:
        """There is nobody to be told."""

    def watch(self, topic: int) -> None:
        """There is nothing to be brought from elsewhere."""

    def unwatch(self, topic: int) -> None:
        return

    async def settled(self) -> None:
        return

    async def close(self) -> None:
        return
