"""Waiting for what comes about by itself, on another node or in the background."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(holds: Callable[[], Awaitable[object]], timeout_s: float = 10) -> None:
    """Returns when what it asks again and again is true."""
    async with asyncio.timeout(timeout_s):
        while not await holds():
            await asyncio.sleep(0.02)
