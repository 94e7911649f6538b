"""Presence and rosters where it is hard: a thousand contacts, nodes that die or stand still, two
devices that change one list on two nodes."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from server.roster import Rosters
from tests.support.contacts import befriend
from tests.support.house import house
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node, TwoNodes
from tests.support.raw_xmpp import RawXmpp

ROSTER = "<query xmlns='jabber:iq:roster'/>"
ITEM = "{jabber:iq:roster}query/{jabber:iq:roster}item"


@pytest.fixture
def own_nodes(tmp_path: Path) -> Iterator[TwoNodes]:
    """Two nodes of the test's own, to be stopped."""
    running = TwoNodes(tmp_path).start()
    yield running
    running.clean_up()


class Cast(AsyncExitStack):
    """Clients that are cut off at the end."""

    async def login(self, account: JsonClient, node: Node, resource: str) -> RawXmpp:
        client = RawXmpp(node, "tcp")
        self.push_async_callback(client.cut)
        await client.login(account.username, PASSWORD, resource)
        return client

    async def online(self, account: JsonClient, node: Node, resource: str) -> RawXmpp:
        client = await self.login(account, node, resource)
        client.send("<presence/>")
        await client.settle()
        return client


async def hears(client: RawXmpp, sender: str, kind: str | None, timeout_s: float = 6) -> Any:
    """A presence of ``sender``, of which ``kind`` is the type."""
    return await client.take(
        lambda e: e.tag.endswith("}presence") and (e.get("from"), e.get("type")) == (sender, kind),
        timeout_s,
    )


async def expire(nodes: Any, connections: Any, username: str) -> None:
    """As if the node that has this user's connection had not renewed its lease for long."""
    row = await connections.find_one({"farewell": {"$regex": username}})
    past = datetime.now(UTC) - timedelta(minutes=1)
    await nodes.update_one({"_id": row["node"]}, {"$set": {"expires": past}})


@pytest.mark.gen_test(timeout=120)
async def test_contacts_on_a_lost_node_are_gone_and_come_back_with_it(own_nodes: TwoNodes) -> None:
    """A node that stands still is dead for the others; awake, it shows its users again."""
    async with Cast() as cast:
        one, two = own_nodes.nodes
        romeo, juliet = [await JsonClient.register(one) for _ in range(2)]
        await befriend(romeo, juliet)
        balcony = await cast.online(juliet, two, "balcony")
        orchard = await cast.online(romeo, one, "orchard")
        await hears(orchard, balcony.me, None)
        async with AsyncMongoClient[dict[str, Any]](one.mongodb_url) as client:
            nodes, connections = client.tandem.nodes, client.tandem.connections
            two.signal(signal.SIGSTOP)
            await expire(nodes, connections, juliet.username)
            await hears(orchard, balcony.me, "unavailable", 30)
            two.signal(signal.SIGCONT)
            await hears(orchard, balcony.me, None, 30)
            garden = await cast.online(romeo, one, "garden")
            await hears(garden, balcony.me, None)
            two.kill()
            await expire(nodes, connections, juliet.username)
            for each in (orchard, garden):
                await hears(each, balcony.me, "unavailable", 30)
            cellar = await cast.online(romeo, one, "cellar")
            await hears(cellar, garden.me, None)
            assert balcony.me not in [each.get("from") for each in cellar.come]


CONTACTS = 1000
PRESENT = 600


async def fill(database: Any, account: JsonClient, node_id: str) -> None:
    """The account's contacts, of whom some are connected to that node."""
    someone = await database.users.find_one({"_id": account.id})
    ids = [10_000_000 + number for number in range(CONTACTS)]
    await database.users.insert_many(
        [
            {**someone, "_id": each, "username": f"contact{each}", "names": [f"contact{each}"]}
            for each in ids
        ]
    )
    await database.contacts.insert_many(
        [
            {
                "_id": f"{account.id}-{each}",
                "users": [account.id, each],
                "sees": [account.id, each],
                "asks": [],
                "offers": [],
                "items": {str(account.id): {"name": "", "groups": []}},
                "since": 1,
                "v": 1,
            }
            for each in ids
        ]
    )
    await database.connections.insert_many(
        [
            {
                "_id": f"{node_id}.{each}",
                "node": node_id,
                "userid": each,
                "since": 1,
                "resource": "x",
                "presence": f" from='contact{each}@localhost/x'>"
                f"<status>{'long ' * 500}</status></presence>",
                "farewell": f" from='contact{each}@localhost/x' type='unavailable'/>",
            }
            for each in ids[:PRESENT]
        ]
    )


@pytest.mark.gen_test(timeout=120)
async def test_login_with_a_thousand_contacts_reads_no_single_one(own_nodes: TwoNodes) -> None:
    """However many contacts there are, few queries find them; and all presences arrive, though
    they are more than an outbox holds and the client is in no hurry."""
    async with Cast() as cast:
        one, two = own_nodes.nodes
        romeo, juliet = [await JsonClient.register(one) for _ in range(2)]
        await cast.online(juliet, two, "balcony")
        async with AsyncMongoClient[dict[str, Any]](one.mongodb_url) as client:
            database = client.tandem
            row = await database.connections.find_one({"userid": juliet.id})
            assert row is not None
            await fill(database, romeo, row["node"])
            await database.command("profile", 2)
            orchard = await cast.login(romeo, one, "orchard")
            listed = await orchard.ask("get", ROSTER)
            assert len(listed.findall(ITEM)) == CONTACTS
            orchard.send("<presence/>")
            await asyncio.sleep(1)  # a client that looks at what it is sent a little later
            last = f"contact{10_000_000 + PRESENT - 1}@localhost/x"
            await hears(orchard, last, None, 20)
            await orchard.settle()
            await database.command("profile", 0)
            senders = {each.get("from") for each in orchard.come if each.tag.endswith("}presence")}
            assert len([each for each in senders if each.startswith("contact")]) == PRESENT - 1
            reads = Counter(
                [
                    each["ns"].partition(".")[2]
                    async for each in database["system.profile"].find(
                        {"op": {"$in": ["query", "getmore"]}}, {"ns": 1}
                    )
                ]
            )
        # The roster, the greeting and the watchers are a query each, of two pages.
        assert reads["contacts"] <= 8, reads
        assert reads["users"] <= 12, reads
        assert reads["blocks"] <= 6, reads
        assert reads["connections"] <= 40, reads


@pytest.mark.gen_test(timeout=60)
async def test_list_changed_on_two_nodes_at_once_is_one_list(two_nodes: TwoNodes) -> None:
    """Nothing is lost, and both devices hear of the last version."""
    async with Cast() as cast:
        one, _ = two_nodes.nodes
        romeo = await JsonClient.register(one)
        others = [await JsonClient.register(one) for _ in range(4)]
        devices = [
            await cast.online(romeo, node, name)
            for node, name in zip(two_nodes.nodes, "ab", strict=True)
        ]
        for each in devices:
            await each.ask("get", ROSTER)

        async def change(device: RawXmpp, number: int) -> None:
            for turn in range(5):
                for other in others:
                    item = f"<item jid='{other.jid}' name='{number}.{turn}'/>"
                    answer = await device.ask(
                        "set", f"<query xmlns='jabber:iq:roster'>{item}</query>"
                    )
                    assert answer.get("type") == "result"

        await asyncio.gather(*(change(device, number) for number, device in enumerate(devices)))
        now = await devices[0].ask("get", "<query xmlns='jabber:iq:roster' ver=''/>")
        version = now[0].get("ver")
        items = {each.get("jid"): each.get("name") for each in now.findall(ITEM)}
        assert set(items) == {each.jid for each in others}
        assert all(name.endswith(".4") for name in items.values())
        for device in devices:
            push = await device.take(
                lambda e: e.get("type") == "set" and e[0].get("ver") == version, 10
            )
            for item in push.findall(ITEM):
                assert item.get("name") == items[item.get("jid")]


@pytest.mark.gen_test(timeout=60)
async def test_push_that_is_late_has_the_item_of_the_version_that_it_tells(tmp_path: Path) -> None:
    """Somebody else has changed the item again before this change is told."""
    async with house(tmp_path / "var") as services:
        told: list[Any] = []
        romeo, juliet = [await services.accounts.create(password=PASSWORD) for _ in range(2)]
        store, contacts = services.store.contacts, services.contacts
        rosters = Rosters(
            store, services.accounts, services.blocks, lambda _, item: told.append(item)
        )
        await contacts.keep(romeo.id, juliet.id, "first", ())
        [first] = await store.of_user(romeo.id)
        before = {**first, "items": {}}
        await contacts.keep(romeo.id, juliet.id, "second", ())
        await rosters.push(before, first)
        items, version = await rosters.of_user(romeo.id)
        assert [(item.name, item.version) for item in told] == [("second", version)]
        assert [item.name for item in items] == ["second"]
        await contacts.remove(romeo.id, juliet.id)
        await rosters.push(before, first)
        assert told[1].subscription == "remove"


@pytest.mark.gen_test(timeout=60)
async def test_presence_of_all_contacts_has_its_bounds(own_node: Node) -> None:
    """Each of them gets a copy: a long one is refused, and many are slowed down."""
    own_node.env |= {
        "TANDEM_LIMITS_RATE_SCALE": "1",
        "TANDEM_LIMITS_SENDS_BURST": "3",
        "TANDEM_LIMITS_SENDS_PER_SECOND": "0.5",
    }
    own_node.start()
    async with Cast() as cast:
        orchard = await cast.online(await JsonClient.register(own_node), own_node, "orchard")
        orchard.send(f"<presence id='long'><status>{'x' * 20_000}</status></presence>")
        refused = await orchard.take(lambda e: e.get("id") == "long")
        [error] = refused.findall("{jabber:client}error")
        assert (error.get("type"), error[0].tag.rpartition("}")[2]) == (
            "modify",
            "policy-violation",
        )
        for number in range(8):
            orchard.send(f"<presence id='{number}'><priority>{number}</priority></presence>")
        slowed = await orchard.take(lambda e: e.get("type") == "error")
        assert slowed.find("{jabber:client}error").get("type") == "wait"
    await JsonClient.close_all()
    assert own_node.stop() == 0
