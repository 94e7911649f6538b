"""Documents by one field, many at once: thousands who come back together cost few queries."""

import asyncio
from collections.abc import Sequence
from typing import Any

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage

MOST = 1000
"""Documents in one query."""


class Lookup:
    """What is asked for while a query is under way is found together by the next one.

    ``field`` may be a list: such a document is found by each of its entries. ``only``: what else
    the documents have to fulfil; ``fields``: what is wanted of one, if not all of it.
    """

    def __init__(
        self,
        collection: Collection,
        field: str = "_id",
        only: Document | None = None,
        fields: Sequence[str] | None = None,
    ) -> None:
        self._collection = collection
        self._field = field
        self._only = only or {}
        self._fields = fields
        self._asked: dict[Any, asyncio.Future[list[Document]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: Any) -> Document | None:
        """The one document as it is now, or None. Raises ``StorageAway``."""
        found = await self.all(key)
        return found[0] if found else None

    async def all(self, key: Any) -> list[Document]:
        """The documents as they are now. Raises ``StorageAway``."""
        found = self._asked.get(key)
        if found is None:
            found = self._asked[key] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._find_all())
        # Several may wait for it, of whom one gives up.
        return await asyncio.shield(found)

    async def _find_all(self) -> None:
        asked: dict[Any, asyncio.Future[list[Document]]] = {}
        try:
            while self._asked:
                keys = list(self._asked)[:MOST]
                asked = {key: self._asked.pop(key) for key in keys}
                found: dict[Any, list[Document]] = {key: [] for key in keys}
                with storage():
                    wanted = {self._field: {"$in": keys}, **self._only}
                    query = self._collection.find(wanted, self._fields)
                    for document in await query.to_list(None):
                        value = document[self._field]
                        for key in value if isinstance(value, list) else (value,):
                            if key in found:
                                found[key].append(document)
                for key, answer in asked.items():
                    answer.set_result(found[key])
                asked = {}
        except Exception as error:
            # Those who wait for the next query would wait for the same failure.
            for answer in (*asked.values(), *self._asked.values()):
                answer.set_exception(error)
                answer.exception()  # nobody may be left to hear of it
            self._asked.clear()
        finally:
            self._task = None
