"""The registry's own order of things; nodes of a service are in tests/integration/test_nodes.py."""

import asyncio
from collections.abc import Sequence
from unittest.mock import AsyncMock, Mock

import pytest

from server.clients import ClientMap
from server.ports import Document
from server.registry import Registry
from tests.unit.server.test_clients import node

USER = 7


class Book:
    """A store that lets somebody come while it is being written."""

    def __init__(self) -> None:
        self.rows: list[Document] = []
        self.meanwhile = Mock()

    async def insert(self, documents: Sequence[Document]) -> None:
        self.rows += documents
        await asyncio.sleep(0)
        self.meanwhile()

    async def of_users(self, userids: Sequence[int]) -> list[Document]:
        return [row for row in self.rows if row["userid"] in userids]


@pytest.mark.gen_test(timeout=10)
async def test_who_comes_while_the_book_is_written_counts_for_the_limit() -> None:
    """The older of two connections gives way where one is allowed."""
    book, said = Book(), asyncio.Event()
    changes = Mock(add=AsyncMock(side_effect=lambda *_, **__: said.set()))
    store = AsyncMock(insert=book.insert, of_users=book.of_users)
    store.nodes.return_value = []
    registry = Registry(
        store, changes, ClientMap(10), connections_per_user=1, give=Mock(), lost=Mock()
    )
    store.alive.return_value = [registry.node_id]
    older, newer = node(USER), node(USER)
    registry.bound(older)
    book.meanwhile.side_effect = lambda: newer.key or registry.bound(newer)
    await registry.start()
    try:
        async with asyncio.timeout(5):
            await said.wait()
        changes.add.assert_awaited_with("gave-way", userid=USER, key=older.key)
    finally:
        await registry.close()
