"""The driver's types as this package uses them: documents are plain dicts."""

from typing import TYPE_CHECKING, Any

from bson.codec_options import TypeDecoder, TypeRegistry
from bson.int64 import Int64
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.write_concern import WriteConcern

if TYPE_CHECKING:
    Client = AsyncIOMotorClient[dict[str, Any]]
    Collection = AsyncIOMotorCollection[dict[str, Any]]
    Database = AsyncIOMotorDatabase[dict[str, Any]]
else:
    Client = AsyncIOMotorClient
    Collection = AsyncIOMotorCollection
    Database = AsyncIOMotorDatabase


class _PlainIntegers(TypeDecoder):
    """64-bit integers come as a subclass of ``int`` that msgspec does not encode."""

    bson_type = Int64

    def transform_bson(self, value: Int64) -> int:
        return int(value)


DURABLE = WriteConcern(w="majority", j=True)
TYPES = TypeRegistry([_PlainIntegers()])
