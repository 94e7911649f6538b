"""The SDK under Node against a real server."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.node import ROOT, Node
from tests.support.nodejs import MISSING, NODE

REAL = ROOT / "tests" / "web" / "real"

pytestmark = pytest.mark.skipif(not NODE, reason=MISSING)


async def run(script: Path, **env: str) -> None:
    """``node --test`` over one file; its report is shown when it fails."""
    process = await asyncio.create_subprocess_exec(
        *(NODE, "--test", str(script)),
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode()[-6000:]


@pytest.mark.gen_test(timeout=120)
async def test_people_chat_by_the_sdk(node: Node) -> None:
    """Chat, acts, receipts, paging, groups, files, search, tokens, logout."""
    await run(REAL / "chat.mjs", TANDEM_URL=node.url)
