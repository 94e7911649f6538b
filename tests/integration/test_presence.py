"""Presence (cmd 20): who is online, for their contacts."""

import asyncio
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from server.deliveries import WebPresence
from server.model import OFFLINE, Shown, User
from server.presence import Presences, best
from tests.support.contacts import befriend, call, contacts
from tests.support.house import house
from tests.support.json_client import JsonClient
from tests.support.node import Node, TwoNodes
from tests.support.xmpp_client import XmppClient

dialogue = pytest.mark.dialogue


@pytest.fixture
def own_nodes(tmp_path: Path) -> Iterator[TwoNodes]:
    """Two nodes of the test's own, to be killed."""
    running = TwoNodes(tmp_path).start()
    yield running
    running.clean_up()


async def friends(node: Node) -> tuple[JsonClient, JsonClient]:
    """Contacts. The first is known to be online, the second is not connected."""
    alice, bob = await JsonClient.online(node), await JsonClient.register(node)
    await befriend(alice, bob)
    await shows(bob, alice, "online")
    return alice, bob


async def shown(viewer: JsonClient, other: JsonClient) -> tuple[str, str]:
    """What the viewer's list says of a contact."""
    contact = (await contacts(viewer))[other.id]
    return contact["presence"], contact["status"]


async def shows(viewer: JsonClient, other: JsonClient, state: str, timeout_s: float = 5) -> None:
    """Waits until the viewer's list says so."""
    async with asyncio.timeout(timeout_s):
        while (await shown(viewer, other))[0] != state:
            await asyncio.sleep(0.02)


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_contacts_see_each_other_come_change_and_go(node: Node) -> None:
    """As frames, and in the list; and nobody else hears anything."""
    alice, bob = await friends(node)
    eve = await JsonClient.online(node)
    assert await shown(alice, bob) == ("offline", "")
    await bob.connect()
    assert await alice.expect(cmd=20) == {"cmd": 20, "userid": bob.id, "state": "online"}
    assert await shown(alice, bob) == ("online", "")
    for state, memo in (("away", "lunch"), ("dnd", ""), ("online", "back")):
        bob.send(cmd=20, state=state, memo=memo)
        told = {"cmd": 20, "userid": bob.id, "state": state}
        assert await alice.expect(cmd=20) == (told | {"memo": memo} if memo else told)
        assert await shown(alice, bob) == (state, memo)
    bob.close()
    assert await alice.expect(cmd=20) == {"cmd": 20, "userid": bob.id, "state": "offline"}
    assert await shown(alice, bob) == ("offline", "")
    assert await eve.settled() == await alice.settled() == []


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_nothing_is_told_to_the_one_who_connects(node: Node) -> None:
    """The list has it."""
    alice, bob = await friends(node)
    await bob.connect()
    await alice.expect(cmd=20)
    assert await bob.settled() == []
    assert await shown(bob, alice) == ("online", "")


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_best_of_several_devices_counts(node: Node) -> None:
    """Online before dnd before away; of two nodes too, since devices are spread over them."""
    alice, bob = await friends(node)
    phone, laptop = await bob.connect(), await bob.another_device().connect()
    await alice.expect(cmd=20, state="online")
    phone.send(cmd=20, state="away", memo="on the train")
    await phone.settled()
    laptop.send(cmd=20, state="dnd", memo="thesis")
    told = await alice.expect_that(lambda frame: frame["cmd"] == 20 and frame["state"] != "online")
    # Had the phone's been told first, then the laptop was not known to be online.
    assert told == {"cmd": 20, "userid": bob.id, "state": "dnd", "memo": "thesis"}
    phone.send(cmd=20, state="dnd", memo="call")
    assert (await alice.expect(cmd=20))["memo"] == "call"
    phone.close()
    assert (await alice.expect(cmd=20))["memo"] == "thesis"
    laptop.send(cmd=20, state="offline")
    assert (await alice.expect(cmd=20))["state"] == "offline"
    laptop.send(cmd=20, state="online")
    assert (await alice.expect(cmd=20))["state"] == "online"
    tablet = await bob.another_device().connect()
    laptop.close()
    await laptop.closed()
    tablet.send(cmd=20, state="away")
    # Neither the second device's coming nor the first one's going was a change.
    assert (await alice.expect(cmd=20))["state"] == "away"
    assert await alice.settled() == []


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_offline_hides_a_connection_that_still_hears(node: Node) -> None:
    alice, bob = await friends(node)
    await bob.connect()
    await alice.expect(cmd=20, state="online")
    bob.send(cmd=20, state="offline", memo="not even this")
    assert await alice.expect(cmd=20) == {"cmd": 20, "userid": bob.id, "state": "offline"}
    await alice.say(bob.id, "I know you are there", "c1")
    await bob.expect(cmd=10)
    bob.close()
    await bob.closed()
    await bob.connect()
    # Had the end of the hidden one been told, that would have come first.
    assert (await alice.expect(cmd=20))["state"] == "online"


WRONG = {
    "no state": ({}, "bad-field"),
    "unknown state": ({"state": "asleep"}, "bad-field"),
    "XMPP's word": ({"state": "xa"}, "bad-field"),
    "another's name": ({"state": "away", "userid": 10_001}, "bad-field"),
    "a number": ({"state": 1}, "bad-field"),
    "memo is no text": ({"state": "away", "memo": "\x00"}, "bad-field"),
    "memo too long": ({"state": "away", "memo": "x" * 1001}, "too-long"),
}


@dialogue
@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", WRONG)
async def test_wrong_presence_is_refused_and_changes_nothing(node: Node, name: str) -> None:
    fields, reason = WRONG[name]
    alice, bob = await friends(node)
    await bob.connect()
    await alice.expect(cmd=20, state="online")
    bob.send(cmd=20, **fields)
    assert (await bob.expect(cmd=2))["reason"] == reason
    bob.send(cmd=20, state="dnd")
    assert (await alice.expect(cmd=20))["state"] == "dnd"


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_only_contacts_are_told(node: Node) -> None:
    """Neither who has asked, nor who was removed."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    carol = await JsonClient.online(node)
    await befriend(alice, bob)
    await call(carol, "POST", "/api/contacts", {"id": bob.id})
    assert "presence" not in (await contacts(carol))[bob.id]
    await bob.expect(cmd=21)
    bob.send(cmd=20, state="away")
    await alice.expect(cmd=20, state="away")
    await call(alice, "DELETE", f"/api/contacts/{bob.id}")
    for client in (alice, bob):
        await client.expect(cmd=21, event="removed")
    dave = await JsonClient.online(node)
    await befriend(dave, bob)
    await alice.settled()
    bob.send(cmd=20, state="dnd")
    await dave.expect(cmd=20, state="dnd")
    assert await alice.settled() == await carol.settled() == []


@dialogue
@pytest.mark.gen_test(timeout=40)
async def test_xmpp_user_is_seen_by_a_json_contact(node: Node) -> None:
    """Available is online; away, xa and dnd are themselves; the status is the memo."""
    alice, bob = await friends(node)
    xbob = await XmppClient(node, bob.jid + "/gajim").login()
    assert await alice.expect(cmd=20) == {"cmd": 20, "userid": bob.id, "state": "online"}
    for show, state in (("dnd", "dnd"), ("xa", "away"), ("chat", "online")):
        xbob.send_presence(pshow=show, pstatus=f"{show} it is")
        told = {"cmd": 20, "userid": bob.id, "state": state, "memo": f"{show} it is"}
        assert await alice.expect(cmd=20) == told
        assert await shown(alice, bob) == (state, f"{show} it is")
    xbob.send_presence(ptype="unavailable")
    assert (await alice.expect(cmd=20))["state"] == "offline"
    await xbob.come_online()
    assert (await alice.expect(cmd=20))["state"] == "online"
    xbob.abort()
    assert (await alice.expect(cmd=20))["state"] == "offline"
    assert await alice.settled() == []


@pytest.mark.gen_test(timeout=30)
async def test_presence_counts_against_the_rate_of_sending(own_node: Node) -> None:
    own_node.env |= {
        "TANDEM_LIMITS_RATE_SCALE": "1",
        "TANDEM_LIMITS_SENDS_BURST": "3",
        "TANDEM_LIMITS_SENDS_PER_SECOND": "0.5",
    }
    own_node.start()
    alice = await JsonClient.online(own_node)
    for _ in range(6):
        alice.send(cmd=20, state="away")
    assert (await alice.expect(cmd=2))["reason"] == "slow-down"
    await JsonClient.close_all()
    assert own_node.stop() == 0


@pytest.mark.gen_test(timeout=60)
async def test_devices_that_come_at_once_on_two_nodes_are_told_once(two_nodes: TwoNodes) -> None:
    """Both nodes see both devices in the database, and one of the two tells."""
    for _ in range(5):
        alice, bob = await friends(two_nodes)  # type: ignore[arg-type]
        devices = [bob, bob.another_device()]
        for device, node in zip(devices, two_nodes.nodes, strict=True):
            device.node = node
        await asyncio.gather(*(device.connect() for device in devices))
        assert (await alice.expect(cmd=20))["state"] == "online"
        for device in devices:
            device.close()
        assert (await alice.expect(cmd=20))["state"] == "offline"
        assert await alice.settled() == []


@pytest.mark.gen_test(timeout=120)
async def test_killed_nodes_users_are_offline_unless_they_are_elsewhere(
    own_nodes: TwoNodes,
) -> None:
    """Their contacts hear it when the node's lease runs out."""
    one, two = own_nodes.nodes
    alice = await JsonClient.register(own_nodes)
    alice.node = one
    await alice.connect()
    bob, carol = [await JsonClient.register(own_nodes) for _ in range(2)]
    for client in (bob, carol):
        await befriend(alice, client)
        client.node = two
        await client.connect()
        await alice.expect(cmd=20, userid=client.id, state="online")
    phone = carol.another_device()
    phone.node = one
    await phone.connect()
    phone.send(cmd=20, state="away")
    await phone.settled()
    two.kill()
    async with asyncio.timeout(45):
        told = [await alice.expect(45, cmd=20) for _ in range(2)]
    assert {(each["userid"], each["state"]) for each in told} == {
        (bob.id, "offline"),
        (carol.id, "away"),
    }
    assert await shown(alice, bob) == ("offline", "")
    two.start()
    again = bob.another_device()
    again.node = two
    await again.connect()
    assert (await alice.expect(cmd=20))["state"] == "online"


@pytest.mark.gen_test(timeout=120)
async def test_users_of_a_service_that_was_killed_as_a_whole_are_offline(
    own_nodes: TwoNodes,
) -> None:
    """The first node that starts again finds those whom nobody buried."""
    one, two = own_nodes.nodes
    alice, bob = await JsonClient.register(own_nodes), await JsonClient.register(own_nodes)
    await befriend(alice, bob)
    for client in (alice, bob):
        client.node = two
        await client.connect()
    await alice.expect(cmd=20, userid=bob.id, state="online")
    for node in own_nodes.nodes:
        node.kill()
    async with AsyncMongoClient[dict[str, Any]](one.mongodb_url) as client:
        # As if it had been long ago: their leases have run out.
        past = datetime.now(UTC) - timedelta(minutes=1)
        await client.tandem.nodes.update_many({}, {"$set": {"expires": past}})
    one.start()
    alice.node = one
    await shows(alice, bob, "offline", 10)


@pytest.mark.gen_test(timeout=60)
async def test_stopping_node_takes_its_users_presence_along(own_nodes: TwoNodes) -> None:
    """At once, not when its lease would have run out."""
    one, two = own_nodes.nodes
    alice = await JsonClient.register(own_nodes)
    alice.node = one
    await alice.connect()
    bob = await JsonClient.register(own_nodes)
    await befriend(alice, bob)
    bob.node = two
    await bob.connect()
    await alice.expect(cmd=20, state="online")
    two.signal(15)
    assert (await alice.expect(cmd=20))["state"] == "offline"
    assert await two.stopped() == 0


class Meeting:
    """The store, and what a registry says of connections. The first two readers leave together."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._readers = asyncio.Barrier(2)
        self._reads = 0
        self.replace = store.replace
        self.rows: list[dict[str, Any]] = []

    async def connections(self, userids: list[int]) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["userid"] in userids]

    async def of_users(self, userids: list[int]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._store.of_users(userids)
        self._reads += 1
        if self._reads <= 2:
            await self._readers.wait()
        return found


@pytest.mark.gen_test(timeout=60)
async def test_of_two_nodes_that_note_a_change_at_once_one_tells(tmp_path: Path) -> None:
    """Both have read the same, and try to replace it: the later one looks again."""
    async with house(tmp_path / "var") as services:
        told: list[tuple[int, str]] = []
        web: list[tuple[str, str]] = []
        meeting: Any = Meeting(services.store.presences)
        users = [10_000 + n for n in range(250)]
        meeting.rows = [
            {"userid": user, "state": "online", "memo": "", "at": 1} for user in users[::2]
        ]

        async def watchers(userid: int) -> tuple[int, ...]:
            return (1,)

        async def users_of(userids: Collection[int]) -> dict[int, User]:
            return {each: User(id=each, username="", jid=f"{each}@b") for each in userids}

        def heard(_: Collection[int], hint: Any) -> None:
            if isinstance(hint, WebPresence):
                web.append((hint.jid, hint.state))
            else:
                told.append((hint.userid, hint.state))

        nothing: Any = None
        nodes = [
            Presences(
                nothing,
                meeting,
                meeting,
                watchers=watchers,
                users=users_of,
                notify=heard,
            )
            for _ in range(2)
        ]
        await asyncio.gather(*(node.settle(users) for node in nodes))
        assert sorted(told) == [(user, "online") for user in users[::2]]
        assert web == [(f"{user}@b", "online") for user, _ in told]
        assert set(await nodes[0].of(users)) == set(users[::2])
        told.clear()
        meeting.rows = []
        for node in nodes:
            await node.settle(users)
        assert sorted(told) == [(user, "offline") for user in users[::2]]
        assert await nodes[0].of(users) == {}


def test_best_is_online_before_dnd_before_away_and_of_equal_ones_the_latest() -> None:
    away, dnd, late = Shown("away", "", 9), Shown("dnd", "early", 1), Shown("dnd", "late", 2)
    assert best([]) == OFFLINE
    assert best([OFFLINE, away]) == away
    assert best([away, late, dnd]) == late
    assert best([dnd, away, Shown("online", "", 0), late]).state == "online"
