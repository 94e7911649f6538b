"""Documents by ``_id``, many at once: thousands who come back at the same time cost few queries."""

import asyncio
from typing import Any

from server.ports import Document
from server.store.driver import Collection
from server.store.failures import storage

MOST = 1000
"""Documents in one query."""


class Lookup:
    """What is asked for while a query is under way is found together by the next one."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._asked: dict[Any, asyncio.Future[Document | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: Any) -> Document | None:
        """The document as it is now, or None. Raises ``StorageAway``."""
        found = self._asked.get(key)
        if found is None:
            found = self._asked[key] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._find_all())
        # Several may wait for it, of whom one gives up.
        return await asyncio.shield(found)

    async def _find_all(self) -> None:
        asked: dict[Any, asyncio.Future[Document | None]] = {}
        try:
            while self._asked:
                keys = list(self._asked)[:MOST]
                asked = {key: self._asked.pop(key) for key in keys}
                with storage():
                    query = self._collection.find({"_id": {"$in": keys}})
                    for document in await query.to_list(None):
                        asked.pop(document["_id"]).set_result(document)
                for found in asked.values():
                    found.set_result(None)
        except Exception as error:
            # Those who wait for the next query would wait for the same failure.
            for found in (*asked.values(), *self._asked.values()):
                found.set_exception(error)
                found.exception()  # nobody may be left to hear of it
            self._asked.clear()
        finally:
            self._task = None
