"""The parts of a node in the test's own process, on a real private mongod, without listeners."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from server.app import build
from server.services import Services
from server.settings import load
from tests.support.node import QUICK


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[Services]:
    """A service of one node."""
    settings = load(None, {**QUICK, "TANDEM_DATA_DIR": str(directory)})
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(build(settings, stack))
        yield services
        await services.writer.close(1)
