"""What brings a database of an earlier version up to the present one; each is safe to run again."""

import logging

from server.ports import Document
from server.store.driver import Database
from server.store.places import FRESH

log = logging.getLogger(__name__)

_LOW = {"$toLong": {"$arrayElemAt": [{"$split": ["$conv", "-"]}, 0]}}

_DIGITS = {"$concat": ["0" * 16, {"$toString": "$floor"}]}
_FLOOR = {
    "$concat": [
        *("g", {"$toString": "$gid"}, ":"),
        {"$substrBytes": [_DIGITS, {"$subtract": [{"$strLenBytes": _DIGITS}, 16]}, 16]},
    ]
}
"""The key of the last entry from before a member's joining."""


async def add_tallies_and_places(database: Database) -> None:
    """Schema 2: each entry says how many messages there are up to it; places take the place of the
    list of conversations."""
    log.info("migrating to=2")
    is_message = {"$in": ["$cmd", [10, 11]]}
    is_low = {"$and": [{"$eq": ["$cmd", 10]}, {"$eq": ["$userid", _LOW]}]}
    up_to_here = {"documents": ["unbounded", "current"]}
    await database.messages.aggregate(
        [
            {
                "$setWindowFields": {
                    "partitionBy": "$conv",
                    "sortBy": {"seq": 1},
                    "output": {
                        "n": {"$sum": {"$cond": [is_message, 1, 0]}, "window": up_to_here},
                        "low": {"$sum": {"$cond": [is_low, 1, 0]}, "window": up_to_here},
                        "top": {"$max": {"$cond": [is_message, "$seq", 0]}, "window": up_to_here},
                    },
                }
            },
            {"$project": {"n": 1, "low": 1, "top": 1}},
            {"$merge": {"into": "messages", "on": "_id", "whenMatched": "merge"}},
        ],
        allowDiskUse=True,
    ).to_list(None)
    await database.members.aggregate(
        [
            {"$match": {"read": {"$exists": False}}},
            {
                "$lookup": {
                    "from": "messages",
                    "let": {"key": _FLOOR},
                    "pipeline": [{"$match": {"$expr": {"$eq": ["$_id", "$$key"]}}}],
                    "as": "floors",
                }
            },
            {
                # What was said before the joining is not unread.
                "$project": {
                    "read": "$floor",
                    "delivered": "$floor",
                    "read_n": {"$ifNull": [{"$first": "$floors.n"}, 0]},
                    "read_low": {"$literal": 0},
                }
            },
            {"$merge": {"into": "members", "on": "_id", "whenMatched": "merge"}},
        ]
    ).to_list(None)
    places: list[Document] = [
        {"$unwind": "$members"},
        {
            "$project": {
                "_id": {"$concat": ["$_id", ":", {"$toString": "$members"}]},
                "conv": "$_id",
                "userid": "$members",
                **{name: {"$literal": value} for name, value in FRESH.items()},
            }
        },
        {"$merge": {"into": "members", "on": "_id", "whenMatched": "keepExisting"}},
    ]
    await database.conversations.aggregate(places).to_list(None)
    await database.conversations.drop()
    log.info("migrated to=2")
