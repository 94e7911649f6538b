"""MongoDB through motor: connecting, the schema, and errors turned into :class:`StorageAway`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import ASCENDING, AsyncMongoClient, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from server.errors import StorageAway
from server.ports import Document
from server.settings import Mongodb
from server.store.accounts import MongoAccounts
from server.store.changes import MongoChanges
from server.store.connections import MongoConnections
from server.store.driver import DURABLE, TYPES, Client, Database
from server.store.failures import storage
from server.store.groups import MongoGroups
from server.store.messages import MongoConversations, MongoMessages
from server.store.search import TERMS_INDEX, MongoSearch
from server.store.sessions import MongoSessions

log = logging.getLogger(__name__)

SCHEMA = 1
FIRST_ID = 10_000
MIGRATION_S = 3600.0
"""Building an index over a large collection takes its time."""

INDEXES: dict[str, list[IndexModel]] = {
    "messages": [
        # _id is "<conv>:<seq>" and so already makes (conv, seq) unique.
        IndexModel(
            [("conv", ASCENDING), ("userid", ASCENDING), ("cid", ASCENDING)],
            unique=True,
            partialFilterExpression={"cid": {"$exists": True}},
        ),
        # Whose archive it is in: both users', or the group's.
        IndexModel([("owners", ASCENDING), ("id", ASCENDING)]),
    ],
    "terms": [
        IndexModel(
            TERMS_INDEX,
            # A third of the size on disk, for a twentieth more work.
            storageEngine={"wiredTiger": {"configString": "block_compressor=snappy"}},
        )
    ],
    "conversations": [IndexModel([("members", ASCENDING)])],
    "users": [
        IndexModel(
            [("username", ASCENDING)],
            unique=True,
            partialFilterExpression={"username": {"$exists": True}},
        ),
        IndexModel(
            [("mobile", ASCENDING)],
            unique=True,
            partialFilterExpression={"mobile": {"$exists": True}},
        ),
    ],
    "sessions": [
        IndexModel([("userid", ASCENDING)]),
        IndexModel([("expires", ASCENDING)], expireAfterSeconds=0),
    ],
    "tickets": [IndexModel([("expires", ASCENDING)], expireAfterSeconds=0)],
    "changes": [IndexModel([("at", ASCENDING)], expireAfterSeconds=3600)],
    "tails": [IndexModel([("at", ASCENDING)], expireAfterSeconds=300)],
    "nodes": [IndexModel([("expires", ASCENDING)], expireAfterSeconds=3600)],
    "connections": [
        IndexModel([("userid", ASCENDING)]),
        IndexModel([("node", ASCENDING)]),
        IndexModel(
            [("userid", ASCENDING), ("resource", ASCENDING)],
            unique=True,
            partialFilterExpression={"resource": {"$exists": True}},
        ),
    ],
    "members": [
        IndexModel([("gid", ASCENDING), ("userid", ASCENDING)]),
        IndexModel([("userid", ASCENDING)]),
    ],
}


class SchemaTooNew(Exception):
    """The database was written by a later version of Tandem."""


class MongoStore:
    """The collections of one database; see :class:`server.ports.Store`."""

    def __init__(
        self, database: Database, messages: AsyncCollection[Document], write_timeout_s: float
    ) -> None:
        self._database = database
        self.messages = MongoMessages(messages, write_timeout_s)
        self.conversations = MongoConversations(database.conversations)
        self.search = MongoSearch(messages.database)
        self.accounts = MongoAccounts(database.users, database.counters, database.pointers)
        self.sessions = MongoSessions(database.sessions, database.tickets)
        self.groups = MongoGroups(database.groups, database.members)
        self.changes = MongoChanges(database.changes)
        self.tails = MongoChanges(database.tails)
        self.connections = MongoConnections(database.connections, database.nodes)

    async def is_up(self) -> bool:
        """Whether a primary answers, and could be written to as far as it knows."""
        try:
            with storage(1.5):
                answer = await self._database.client.admin.command("hello")
        except (StorageAway, PyMongoError):
            return False
        return bool(answer.get("isWritablePrimary"))

    async def agree_on_key(self, fingerprint: str) -> bool:
        """Whether this signing key is the one of this database; the first to ask decides."""
        with storage():
            known = await self._database.meta.find_one_and_update(
                {"_id": "signing-key"},
                {"$setOnInsert": {"fingerprint": fingerprint}},
                upsert=True,
                return_document=True,
            )
        return bool(known["fingerprint"] == fingerprint)

    async def migrate(self) -> None:
        """Makes indexes and brings an older schema up to this one; safe to run again.

        Raises :class:`SchemaTooNew`.
        """
        with storage(MIGRATION_S):
            known = await self._database.meta.find_one({"_id": "schema"})
            if known and known["version"] > SCHEMA:
                raise SchemaTooNew(
                    f"the database has schema {known['version']}, this Tandem knows {SCHEMA}: "
                    "start the newer version"
                )
            for name, indexes in INDEXES.items():
                await self._database[name].create_indexes(indexes)
            await self._database.counters.update_one(
                {"_id": "ids"}, {"$setOnInsert": {"next": FIRST_ID}}, upsert=True
            )
            await self._database.meta.update_one(
                {"_id": "schema"}, {"$set": {"version": SCHEMA}}, upsert=True
            )


@asynccontextmanager
async def open_store(url: str, settings: Mongodb) -> AsyncIterator[MongoStore]:
    """Connects, migrates and gives the store. Raises :class:`server.errors.StorageAway`."""
    options: dict[str, Any] = {
        "serverSelectionTimeoutMS": int(settings.server_selection_timeout_s * 1000),
        "connectTimeoutMS": int(settings.write_timeout_s * 1000),
        "socketTimeoutMS": int(settings.write_timeout_s * 1000),
        "appname": "tandem",
        "uuidRepresentation": "standard",
    }
    client = Client(url, retryWrites=True, type_registry=TYPES, **options)
    # Motor's calls run in threads. Messages go through the driver's own asyncio client, which needs
    # none: on a busy server a thread waits for the interpreter at every step.
    direct: AsyncMongoClient[Document] = AsyncMongoClient(url, **options)
    try:
        database = client.get_database(settings.database, write_concern=DURABLE)
        messages = direct.get_database(settings.database).messages
        store = MongoStore(database, messages, settings.write_timeout_s)
        await store.migrate()
        yield store
    finally:
        client.close()
        await direct.close()
