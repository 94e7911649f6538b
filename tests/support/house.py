"""The parts of a node in the test's own process, on a real mongod, without listeners."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from server.app import build
from server.services import Services
from server.settings import load
from tests.support.node import QUICK


@asynccontextmanager
async def house(directory: Path, mongodb_url: str = "") -> AsyncIterator[Services]:
    """A service of one node. ``mongodb_url``: not on a mongod of its own."""
    env = {**QUICK, "TANDEM_DATA_DIR": str(directory)}
    if mongodb_url:
        env["TANDEM_MONGODB_URL"] = mongodb_url
    settings = load(None, env)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(build(settings, stack))
        yield services
        await services.writer.close(1)
