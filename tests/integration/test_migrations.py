"""A database of an earlier version: schema 1 had no tallies, no places and no read pointers."""

from typing import Any

import pytest
from pymongo import AsyncMongoClient

from server.model import EPOCH_MS
from tests.support.json_client import JsonClient
from tests.support.node import Node

TIME = 1_760_000_000_000


class Old:
    """What a server of schema 1 left in the database."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self._seqs: dict[str, int] = {}

    async def take_back(self) -> None:
        """The schema's mark; what this version made of it is gone."""
        for name in ("messages", "members", "groups"):
            await self.database[name].drop()
        await self.database.users.update_many({}, {"$unset": {"names": 1}})
        await self.database.meta.update_one({"_id": "schema"}, {"$set": {"version": 1}})

    def _key(self, conv: str) -> tuple[str, int]:
        seq = self._seqs[conv] = self._seqs.get(conv, 0) + 1
        return f"{conv}:{seq:016d}", seq

    async def message(self, conv: str, userid: int, dstid: int, **more: Any) -> None:
        key, seq = self._key(conv)
        owners = [dstid] if conv.startswith("g") else sorted({userid, dstid})
        ts = TIME + 1000 * seq
        document = {"_id": key, "conv": conv, "id": (ts - EPOCH_MS) << 12, "userid": userid}
        document |= {"cmd": 11 if conv.startswith("g") else 10, "dstid": dstid, "media": 1}
        document |= {"content": f"{conv} {seq}", "seq": seq, "ts": ts, "owners": owners}
        await self.database.messages.insert_one(document | more)

    async def void(self, conv: str) -> None:
        key, seq = self._key(conv)
        document = {"_id": key, "conv": conv, "cmd": 9, "seq": seq, "ts": TIME}
        await self.database.messages.insert_one(document)

    async def conversation(self, conv: str, *members: int) -> None:
        await self.database.conversations.insert_one({"_id": conv, "members": list(members)})

    async def group(self, gid: int, owner: int, floors: dict[int, int], history: str) -> None:
        document = {"_id": gid, "name": f"group {gid}", "owner": owner, "avatar": "", "memo": ""}
        document |= {"history": history, "muted_all": False, "created": TIME}
        await self.database.groups.insert_one(document)
        for userid, floor in floors.items():
            member = {"_id": f"{gid}:{userid}", "gid": gid, "userid": userid, "joined": TIME}
            member |= {"role": "owner" if userid == owner else "member", "floor": floor}
            await self.database.members.insert_one(member)

    async def interrupt(self, pair: str, userid: int) -> None:
        """As if the server had been killed in the middle of bringing it up to date."""
        await self.database.messages.update_one(
            {"_id": f"{pair}:{1:016d}"}, {"$set": {"n": 1, "low": 1, "top": 1}}
        )
        place = {"_id": f"{pair}:{userid}", "conv": pair, "userid": userid}
        place |= {"read": 0, "delivered": 0, "read_n": 0, "read_low": 0}
        await self.database.members.insert_one(place)
        await self.database.members.update_one(
            {"gid": {"$exists": True}, "floor": 0},
            {"$set": {"read": 0, "delivered": 0, "read_n": 0, "read_low": 0}},
        )


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("interrupted", [False, True])
async def test_database_of_schema_1_is_brought_up_to_date(
    own_node: Node, interrupted: bool
) -> None:
    """Unread counts what each may see and did not send; what comes goes on from there."""
    own_node.start()
    alice, bob, carol = [await JsonClient.online(own_node) for _ in range(3)]
    pair, notes = f"{alice.id}-{bob.id}", f"{carol.id}-{carol.id}"
    own_node.kill()
    async with AsyncMongoClient[Any](own_node.mongodb_url) as client:
        old = Old(client.tandem)
        await old.take_back()
        await old.conversation(pair, alice.id, bob.id)
        await old.conversation(notes, carol.id)
        for author, other in ((alice, bob), (bob, alice), (bob, alice)):
            await old.message(pair, author.id, other.id, xml="x1\n" if author is bob else "")
        await old.void(pair)
        await old.message(pair, alice.id, bob.id, cid="c9")
        await old.message(notes, carol.id, carol.id)
        for gid, history in ((500_000, "joined"), (500_001, "all")):
            floors = {alice.id: 0, bob.id: 0, carol.id: 3}
            await old.group(gid, alice.id, floors, history)
            for author in (alice, bob, alice):
                await old.message(f"g{gid}", author.id, gid, at=[carol.id])
            await old.void(f"g{gid}")
            await old.message(f"g{gid}", bob.id, gid)
        await old.group(500_002, alice.id, {alice.id: 0}, "joined")
        if interrupted:
            await old.interrupt(pair, alice.id)
        own_node.start()
        assert "conversations" not in await client.tandem.list_collection_names()
    for each in (alice, bob, carol):
        await each.connect()
    line = await alice.line(bob.id)
    assert (line["seq"], line["read"], line["unread"]) == (5, 0, 2)
    assert line["last"]["content"] == f"{pair} 5"
    assert (await bob.line(alice.id))["unread"] == 2
    assert (await carol.line(carol.id))["unread"] == 0
    for gid in (500_000, 500_001):
        lines = [await each.line(gid, 11) for each in (alice, bob, carol)]
        assert [line["unread"] for line in lines] == [2, 2, 1]
        assert [line["mentioned"] for line in lines] == [False, False, False]
        assert lines[2]["last"]["content"] == f"g{gid} 5"
    assert (await alice.line(500_002, 11))["unread"] == 0
    ack = await bob.say(alice.id, "new", "n1")
    assert ack["seq"] == 6
    assert (await alice.line(bob.id))["unread"] == 3
    alice.send(cmd=12, chat=10, dstid=bob.id, seq=4, state="read")
    await bob.expect(cmd=12)
    assert (await alice.line(bob.id))["unread"] == 1
    assert (await alice.say(500_000, "new", "n1", chat=11))["seq"] == 6
    assert [(await each.line(500_000, 11))["unread"] for each in (bob, carol)] == [3, 2]
    assert [one["cmd"] for one in await carol.history(11, 500_000)] == [9, 11, 11]
    [old_one] = [one for one in await bob.history(10, alice.id) if one["seq"] == 2]
    await bob.act(16, 10, alice.id, old_one["id"], "r1", content="x")
