"""What other parts ask of the groups: blocks, the end of an account, its data, and large groups."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from server.bus.local import LocalBus
from server.changes import Changes
from server.errors import ChatError
from server.groups import Groups
from tests.support.groups import call, make_group, members_of
from tests.support.house import house
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node
from tests.support.raw_xmpp import RawXmpp

LARGE = 5000
MUC_USER = "http://jabber.org/protocol/muc#user"


@asynccontextmanager
async def groups_beside(node: Node, blocked: dict[int, int] | None = None) -> AsyncIterator[Groups]:
    """Groups in this process, on the node's database. ``blocked``: user → whom the user blocks."""

    async def blocks(userid: int, by: int) -> bool:
        return (blocked or {}).get(userid) == by

    async with house(Path(node.env["TANDEM_DATA_DIR"]), node.mongodb_url) as services:
        yield Groups(
            services.store.groups,
            services.accounts,
            services.settings.limits,
            next_id=services.store.accounts.next_id,
            end_of=services.store.messages.last,
            notify=services.router.notify,
            changes=Changes(services.store.changes, LocalBus()),
            audience=None,
            blocks=blocks,
        )


@pytest.mark.gen_test(timeout=30)
async def test_who_blocks_somebody_is_not_added_by_that_one(one_node: Node) -> None:
    """Neither at the making of a group nor later; others may add them, and nothing is left."""
    alice, bob, carol = [await JsonClient.register(one_node) for _ in range(3)]
    async with groups_beside(one_node, {bob.id: alice.id}) as groups:
        with pytest.raises(ChatError, match="not-allowed"):
            await groups.create(alice.id, "x", [carol.id, bob.id])
        assert await groups.of_user(alice.id) == []
        group = await groups.create(alice.id, "x", [carol.id])
        with pytest.raises(ChatError, match="not-allowed"):
            await groups.add(group.id, alice.id, bob.id)
        await groups.update_member(group.id, alice.id, carol.id, role="admin")
        await groups.add(group.id, carol.id, bob.id)
        assert [one.id for one in await groups.of_user(bob.id)] == [group.id]


@pytest.mark.gen_test(timeout=30)
async def test_forgotten_user_leaves_and_the_oldest_admin_inherits(one_node: Node) -> None:
    """Without admins the member of longest standing; without members the group is dissolved."""
    alice, bob, carol, dave = [await JsonClient.register(one_node) for _ in range(4)]
    with_admin = await make_group(alice, bob, carol, dave)
    await call(alice, "PATCH", f"/{with_admin}/members/{dave.id}", {"role": "admin"})
    plain = await make_group(alice, carol)
    await call(alice, "POST", f"/{plain}/members", {"id": bob.id})
    alone, others = await make_group(alice), await make_group(bob, alice, carol)
    async with groups_beside(one_node) as groups:
        await groups.forget_user(alice.id)
        assert await groups.of_user(alice.id) == await groups.export(alice.id) == []
        owners = {one.id: one.owner for one in await groups.of_user(bob.id)}
        assert owners == {with_admin: dave.id, plain: carol.id, others: bob.id}
        roles = [(one.id, one.role) for one in await groups.of_user(dave.id)]
        assert roles == [(with_admin, "owner")]
        assert await groups.load(alone) is None
        await groups.forget_user(alice.id)


@pytest.mark.gen_test(timeout=30)
async def test_export_tells_what_is_stored_of_a_member(one_node: Node) -> None:
    """One entry for each group, as JSON values."""
    alice, bob = [await JsonClient.register(one_node) for _ in range(2)]
    gid = await make_group(alice, bob)
    await call(alice, "PATCH", f"/{gid}/members/{bob.id}", {"nick": "Bobby", "muted_until": 7})
    joined = (await members_of(alice, gid))[bob.id]["joined"]
    async with groups_beside(one_node) as groups:
        exported = json.loads(json.dumps(await groups.export(bob.id)))
    assert exported == [
        {
            "gid": gid,
            "name": "friends",
            "role": "member",
            "nick": "Bobby",
            "muted_until": 7,
            "joined": joined,
        }
    ]


async def enter(client: RawXmpp, gid: int) -> set[str]:
    """Joins the group's room; the names of those who are shown in it."""
    room = f"{gid}@conference.localhost"
    client.send(f"<presence to='{room}/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    await client.take(lambda e: e.find("{jabber:client}subject") is not None, 20)
    shown = {e.get("from") for e in client.come if e.tag.endswith("}presence")}
    client.come.clear()
    return {name.partition("/")[2] for name in shown if name.startswith(f"{room}/")}


@pytest.mark.gen_test(timeout=90)
async def test_group_of_5000_is_made_paged_changed_and_talked_in(tmp_path: Path) -> None:
    """At the limit that the settings allow, in one call each; its room is joined with few reads."""
    node = Node(tmp_path, {"TANDEM_LIMITS_GROUP_MEMBERS": str(LARGE)})
    try:
        node.start()
        alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
        ids = await accounts_in_database(node, LARGE - 3)
        body = {"name": "town", "members": [*ids, bob.id, carol.id]}
        status, group = await call(alice, "POST", "", body)
        assert (status, group["count"]) == (201, LARGE), group
        path = f"/{group['id']}"
        for client in (alice, bob, carol):
            await client.expect(cmd=22, event="created")
        listed: list[int] = []
        more = True
        while more:
            after = listed[-1] if listed else 0
            _, page = await call(bob, "GET", f"{path}/members?after={after}&limit=500")
            listed += [member["id"] for member in page["members"]]
            more = page["more"]
        assert listed == sorted([alice.id, bob.id, carol.id, *ids])
        ack = await bob.say(group["id"], "hello, town", "c1", chat=11)
        for client in (alice, carol):
            assert (await client.expect(cmd=11))["id"] == ack["id"]
        romeo = RawXmpp(node, "tcp")
        await romeo.login(carol.username, PASSWORD, "")
        async with AsyncMongoClient(node.mongodb_url) as database:
            await database.tandem.command("profile", 2)
            for _ in range(2):
                # The owner, and who else is connected.
                assert await enter(romeo, group["id"]) >= {alice.username, carol.username}
            await database.tandem.command("profile", 0)
            by_us = {"op": {"$in": ["query", "getmore"]}, "appName": "tandem"}
            found = await database.tandem["system.profile"].find(by_us).to_list(None)
        assert len(found) <= 20, [each["ns"] for each in found]
        muted = {"muted_until": 2**53 - 1}
        assert (await call(alice, "PATCH", f"{path}/members/{ids[7]}", muted))[0] == 200
        assert (await carol.expect(cmd=22))["event"] == "changed"
        for step in (ids[0], ids[1]):
            assert (await call(alice, "DELETE", f"{path}/members/{step}"))[0] == 204
        assert (await call(alice, "POST", f"{path}/members", {"id": ids[0]}))[0] == 201
        assert (await call(carol, "GET", path))[1]["count"] == LARGE - 1
        await alice.say(group["id"], "still here", "c2", chat=11)
        assert (await carol.expect(cmd=11))["content"] == "still here"
        handed = f"{path}/members/{bob.id}"
        assert (await call(alice, "PATCH", handed, {"role": "owner"}))[0] == 200
        assert (await call(bob, "DELETE", path))[0] == 204
        assert (await carol.expect(cmd=22, event="dissolved"))["dstid"] == group["id"]
        await romeo.take(lambda e: e.find(f".//{{{MUC_USER}}}destroy") is not None)
        await romeo.cut()
        assert (await call(carol, "GET", path))[0] == 403
        await JsonClient.close_all()
        assert node.stop() == 0
        assert node.stray_log_lines() == []
    finally:
        node.clean_up()


async def accounts_in_database(node: Node, count: int) -> list[int]:
    """Their ids; they cannot log in."""
    async with AsyncMongoClient[dict[str, Any]](node.mongodb_url) as client:
        database = client.get_database("tandem")
        counter = await database.counters.find_one_and_update(
            {"_id": "ids"}, {"$inc": {"next": count}}
        )
        assert counter is not None
        ids = list(range(counter["next"], counter["next"] + count))
        await database.users.insert_many(
            [{"_id": id, "nickname": f"n{id}", "created": 0, "password": ""} for id in ids]
        )
    return ids
