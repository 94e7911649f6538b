"""MongoDB through motor: connecting, the schema, and errors turned into :class:`StorageAway`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import ASCENDING, AsyncMongoClient, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from server.errors import StorageAway
from server.ports import Document
from server.settings import Mongodb
from server.store.accounts import MongoAccounts
from server.store.changes import MongoChanges
from server.store.connections import MongoConnections, MongoPresences
from server.store.contacts import MongoBlocks, MongoContacts
from server.store.driver import DURABLE, TYPES, Client, Database
from server.store.failures import storage
from server.store.files import MongoUploads
from server.store.groups import MongoGroups
from server.store.invitations import MongoInvitations
from server.store.messages import MongoMessages
from server.store.migrations import add_tallies_and_places
from server.store.pep import MongoPep
from server.store.places import MongoPlaces
from server.store.search import TERMS_INDEX, MongoSearch
from server.store.sessions import MongoSessions

log = logging.getLogger(__name__)

SCHEMA = 2
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
        # What is counted of what is unread, and found of what is acted on. Few entries are in
        # these, but all of a group's in the first.
        IndexModel(
            [("cmd", ASCENDING), ("userid", ASCENDING), ("conv", ASCENDING), ("seq", ASCENDING)],
            partialFilterExpression={"cmd": 11},
        ),
        IndexModel(
            [("conv", ASCENDING), ("seq", ASCENDING), ("userid", ASCENDING)],
            partialFilterExpression={"recalled": True},
        ),
        IndexModel(
            [("conv", ASCENDING), ("at", ASCENDING), ("seq", ASCENDING)],
            partialFilterExpression={"at": {"$exists": True}},
        ),
        IndexModel([("conv", ASCENDING), ("ref", ASCENDING)], partialFilterExpression={"cmd": 15}),
        IndexModel([("id", ASCENDING)], partialFilterExpression={"todo": True}),
    ],
    "terms": [
        IndexModel(
            TERMS_INDEX,
            # A third of the size on disk, for a twentieth more work.
            storageEngine={"wiredTiger": {"configString": "block_compressor=snappy"}},
        )
    ],
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
        # The present username and those that are kept free, of all accounts together.
        IndexModel(
            [("names", ASCENDING)], unique=True, partialFilterExpression={"names": {"$gt": ""}}
        ),
        IndexModel([("former.until", ASCENDING)], sparse=True),
        IndexModel([("leaving", ASCENDING)], sparse=True),
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
    "presences": [IndexModel([("gone", ASCENDING)], expireAfterSeconds=86_400)],
    "contacts": [IndexModel([("users", ASCENDING)])],
    "blocks": [IndexModel([("blocked", ASCENDING)])],
    "pep_nodes": [IndexModel([("userid", ASCENDING), ("node", ASCENDING)])],
    "pep_items": [
        IndexModel([("userid", ASCENDING), ("node", ASCENDING), ("item", ASCENDING)], unique=True),
        IndexModel([("userid", ASCENDING), ("node", ASCENDING), ("seq", ASCENDING)]),
    ],
    "private": [IndexModel([("userid", ASCENDING)])],
    "groups": [
        IndexModel(
            [("slug", ASCENDING)], unique=True, partialFilterExpression={"slug": {"$exists": True}}
        )
    ],
    "members": [
        IndexModel([("gid", ASCENDING), ("userid", ASCENDING)]),
        IndexModel([("userid", ASCENDING)]),
    ],
    "invitations": [
        IndexModel([("gid", ASCENDING)]),
        IndexModel([("expires", ASCENDING)], expireAfterSeconds=0),
    ],
    "join_requests": [
        IndexModel([("gid", ASCENDING), ("userid", ASCENDING)]),
        IndexModel([("userid", ASCENDING)]),
        IndexModel([("expires", ASCENDING)], expireAfterSeconds=0),
    ],
    "files": [
        # With the size, so that quotas are counted in the index alone.
        IndexModel([("userid", ASCENDING), ("created", ASCENDING), ("size", ASCENDING)]),
        IndexModel([("due", ASCENDING)], partialFilterExpression={"due": {"$exists": True}}),
    ],
}


class SchemaTooNew(Exception):
    """The database was written by a later version of Tandem."""


class MongoStore:
    """The collections of one database; see :class:`server.ports.Store`."""

    def __init__(
        self, database: Database, direct: AsyncDatabase[Document], write_timeout_s: float
    ) -> None:
        self._database = database
        self.messages = MongoMessages(direct.messages, write_timeout_s)
        self.places = MongoPlaces(direct)
        self.search = MongoSearch(direct)
        self.accounts = MongoAccounts(database.users, database.counters, database.pointers)
        self.sessions = MongoSessions(database.sessions, database.tickets)
        self.groups = MongoGroups(database.groups, database.members, database.join_requests)
        self.invitations = MongoInvitations(database.invitations, database.join_requests)
        self.changes = MongoChanges(database.changes)
        self.tails = MongoChanges(database.tails)
        self.connections = MongoConnections(database.connections, database.nodes)
        self.uploads = MongoUploads(database.files)
        self.presences = MongoPresences(database.presences)
        self.contacts = MongoContacts(database.contacts)
        self.blocks = MongoBlocks(database.blocks)
        self.pep = MongoPep(database.pep_nodes, database.pep_items, database.private)

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
            if known and known["version"] < 2:
                await add_tallies_and_places(self._database)
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
        store = MongoStore(
            database, direct.get_database(settings.database), settings.write_timeout_s
        )
        await store.migrate()
        yield store
    finally:
        client.close()
        await direct.close()
