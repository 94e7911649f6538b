"""Contacts: asked for, accepted, refused, named and removed over HTTP; cmd 21 tells of it."""

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from tests.support.contacts import ask, befriend, call, contacts, states
from tests.support.json_client import PASSWORD, JsonClient, fresh_name
from tests.support.node import Node

dialogue = pytest.mark.dialogue


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_request_is_seen_by_both_and_accepting_makes_contacts(node: Node) -> None:
    """Each side has its own view of it, and every connection of both hears it."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    phones = [await client.another_device().connect() for client in (alice, bob)]
    requested = await ask(alice, bob, memo="Bobby")
    assert requested == {
        "id": bob.id,
        "username": bob.username,
        "jid": bob.jid,
        "nickname": bob.username,
        "avatar": "",
        "sex": "",
        "memo": "Bobby",
        "state": "requested",
    }
    for client in (bob, phones[1]):
        assert await client.expect(cmd=21) == {"cmd": 21, "event": "request", "userid": alice.id}
    assert await contacts(alice) == {bob.id: requested}
    assert await states(bob) == {alice.id: "pending"}
    status, accepted = await call(bob, "POST", f"/api/contacts/{alice.id}/accept")
    assert (status, accepted["state"], accepted["memo"]) == (200, "both", "")
    for client, other in ((alice, bob), (phones[0], bob), (bob, alice), (phones[1], alice)):
        told = {"cmd": 21, "event": "accepted", "userid": other.id}
        assert await client.expect(cmd=21) == told
        assert await client.expect(cmd=20) == {"cmd": 20, "userid": other.id, "state": "online"}
    assert (await contacts(alice))[bob.id] == {
        **requested,
        "state": "both",
        "presence": "online",
        "status": "",
    }


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_request_to_who_has_asked_already_accepts(node: Node) -> None:
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await ask(alice, bob)
    assert (await ask(bob, alice, memo="Al"))["state"] == "both"
    await alice.expect(cmd=21, event="accepted", userid=bob.id)
    assert (await contacts(bob))[alice.id]["memo"] == "Al"
    assert (await contacts(alice))[bob.id]["memo"] == ""


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_asking_and_accepting_again_changes_nothing_but_the_memo(node: Node) -> None:
    """And the other is not told again."""
    alice, bob = await JsonClient.register(node), await JsonClient.online(node)
    assert (await ask(alice, bob, memo="B"))["memo"] == "B"
    await bob.expect(cmd=21, event="request")
    assert (await ask(alice, bob))["memo"] == "B"
    assert (await ask(alice, bob, memo="Bob"))["memo"] == "Bob"
    for _ in range(2):
        status, accepted = await call(bob, "POST", f"/api/contacts/{alice.id}/accept")
        assert (status, accepted["state"]) == (200, "both")
    assert (await ask(alice, bob, memo=""))["memo"] == ""
    await bob.expect(cmd=21, event="accepted")
    assert await bob.settled() == []


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_memo_is_ones_own_and_can_be_changed(node: Node) -> None:
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    path = f"/api/contacts/{bob.id}"
    assert (await call(alice, "PATCH", path, {"memo": "x"}))[0] == 404
    await befriend(alice, bob)
    status, changed = await call(alice, "PATCH", path, {"memo": "dentist"})
    assert (status, changed["memo"], changed["state"]) == (200, "dentist", "both")
    assert (await contacts(bob))[alice.id]["memo"] == ""
    assert (await call(alice, "PATCH", path, {"memo": "x" * 65}))[0] == 413
    assert (await call(alice, "PATCH", path, {"memo": "\x00"}))[0] == 400
    assert (await call(alice, "PATCH", path, {}))[0] == 422
    assert (await contacts(alice))[bob.id]["memo"] == "dentist"


@dialogue
@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("act", ["refuse", "withdraw", "remove"])
async def test_ended_contact_is_gone_for_both_and_all_hear_it(node: Node, act: str) -> None:
    """Whether it was a contact or only a request, and whoever ends it."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await ask(alice, bob)
    if act == "remove":
        await call(bob, "POST", f"/api/contacts/{alice.id}/accept")
    ender, other = (alice, bob) if act == "withdraw" else (bob, alice)
    phone = await ender.another_device().connect()
    assert (await call(ender, "DELETE", f"/api/contacts/{other.id}"))[0] == 204
    for client, userid in ((other, ender.id), (ender, other.id), (phone, other.id)):
        removed = await client.expect(cmd=21, event="removed")
        assert removed == {"cmd": 21, "event": "removed", "userid": userid}
    assert await states(alice) == await states(bob) == {}
    assert (await call(ender, "DELETE", f"/api/contacts/{other.id}"))[0] == 404
    assert (await call(bob, "POST", f"/api/contacts/{alice.id}/accept"))[0] == 404


WRONG = {
    "oneself": ("POST", "/api/contacts", "me", 422, "invalid"),
    "nobody": ("POST", "/api/contacts", 2**52, 404, "no-such-user"),
    "accept nobody": ("POST", "/api/contacts/{}/accept", 2**52, 404, "no-such-user"),
    "accept who has not asked": ("POST", "/api/contacts/{}/accept", "bob", 404, "no-such-user"),
    "remove nobody": ("DELETE", "/api/contacts/{}", 2**52, 404, "no-such-user"),
    "remove a stranger": ("DELETE", "/api/contacts/{}", "bob", 404, "no-such-user"),
    "no number": ("DELETE", "/api/contacts/{}", "x", 404, "not-found"),
}


@dialogue
@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", WRONG)
async def test_wrong_request_is_refused_by_name(node: Node, name: str) -> None:
    """A stranger is answered like one who does not exist."""
    method, path, whom, status, slug = WRONG[name]
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    whom = {"me": alice.id, "bob": bob.id}.get(str(whom), whom)
    body = {"id": whom} if path == "/api/contacts" else None
    got, problem = await call(alice, method, path.format(whom), body)
    assert (got, problem["type"]) == (status, f"/problems/{slug}")
    assert await states(alice) == await states(bob) == {}


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_own_request_is_not_accepted_by_oneself(node: Node) -> None:
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    await ask(alice, bob)
    assert (await call(alice, "POST", f"/api/contacts/{bob.id}/accept"))[0] == 404
    assert await states(alice) == {bob.id: "requested"}


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_list_is_paged_by_id(node: Node) -> None:
    alice = await JsonClient.register(node)
    others = [await JsonClient.register(node) for _ in range(3)]
    for other in reversed(others):
        await ask(alice, other)
    _, page = await call(alice, "GET", "/api/contacts?limit=2")
    assert ([each["id"] for each in page["contacts"]], page["more"]) == (
        [other.id for other in others[:2]],
        True,
    )
    _, page = await call(alice, "GET", f"/api/contacts?limit=2&after={others[1].id}")
    assert ([each["id"] for each in page["contacts"]], page["more"]) == ([others[2].id], False)


@pytest.mark.gen_test(timeout=60)
async def test_contacts_requests_and_their_rate_are_limited(own_node: Node) -> None:
    """One's own contacts, others' open requests, and how many one may ask in an hour."""
    own_node.env |= {
        "TANDEM_LIMITS_CONTACTS": "2",
        "TANDEM_LIMITS_CONTACT_REQUESTS_PER_HOUR": "3",
        "TANDEM_LIMITS_RATE_SCALE": "1",
        "TANDEM_LIMITS_REGISTRATIONS_PER_HOUR": "100",
    }
    own_node.start()
    users = [await JsonClient.register(own_node) for _ in range(5)]
    alice, bob, carol, dave, eve = users
    for other in (alice, bob):
        await ask(other, carol)
    status, problem = await call(dave, "POST", "/api/contacts", {"id": carol.id})
    assert (status, problem["type"]) == (413, "/problems/too-long")
    for other in (dave, eve):
        await ask(carol, other)
    status, problem = await call(carol, "POST", f"/api/contacts/{alice.id}/accept")
    assert (status, problem["type"]) == (413, "/problems/too-long")
    for other in (alice, alice):
        await ask(dave, other)
        assert (await call(dave, "DELETE", f"/api/contacts/{other.id}"))[0] == 204
    await ask(dave, bob)
    status, problem = await call(dave, "POST", "/api/contacts", {"id": alice.id})
    assert (status, problem["type"]) == (429, "/problems/slow-down")
    assert own_node.stop() == 0


@dialogue
@pytest.mark.gen_test(timeout=30)
async def test_pair_keeps_fields_that_this_version_does_not_know(node: Node) -> None:
    """Later versions may store more, and nodes of both may run side by side."""
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    await ask(alice, bob)
    first = getattr(node, "one", node)
    async with AsyncMongoClient[dict[str, Any]](first.mongodb_url) as client:
        pairs, key = client.tandem.contacts, f"{alice.id}-{bob.id}"
        await pairs.update_one({"_id": key}, {"$set": {"later": 1}})
        await call(bob, "POST", f"/api/contacts/{alice.id}/accept")
        found = await pairs.find_one({"_id": key})
        assert found is not None
        assert (found["later"], found["sees"]) == (1, [alice.id, bob.id])


# Any order of acts of two users, against a model that is a few lines long.

ACTS = ("ask", "accept", "end", "block", "unblock")


class Plain:
    """Two users over HTTP, without an event loop."""

    def __init__(self, line: HTTPConnection) -> None:
        self._line = line
        body = [{"username": fresh_name(), "password": PASSWORD} for _ in range(2)]
        self.accounts = [self.call("POST", "/api/register", one)[1] for one in body]
        self.ids = [account["id"] for account in self.accounts]

    def call(
        self, method: str, path: str, body: Any = None, who: int | None = None
    ) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if who is not None:
            headers["Authorization"] = f"Bearer {self.accounts[who]['token']}"
        self._line.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._line.getresponse()
        raw = response.read()
        return response.status, json.loads(raw) if raw else None

    def act(self, who: int, act: str) -> int:
        other = self.ids[1 - who]
        method, path = {
            "ask": ("POST", "/api/contacts"),
            "accept": ("POST", f"/api/contacts/{other}/accept"),
            "end": ("DELETE", f"/api/contacts/{other}"),
            "block": ("PUT", f"/api/blocks/{other}"),
            "unblock": ("DELETE", f"/api/blocks/{other}"),
        }[act]
        return self.call(method, path, {"id": other} if act == "ask" else None, who)[0]

    def state(self, who: int) -> str:
        listed = self.call("GET", "/api/contacts", who=who)[1]["contacts"]
        return listed[0]["state"] if listed else ""

    def blocked(self, who: int) -> bool:
        return bool(self.call("GET", "/api/blocks", who=who)[1]["users"])


class Model:
    """What two users are to each other. ``asker``: who waits for the other, if one does."""

    def __init__(self) -> None:
        self.are_contacts = False
        self.asker: int | None = None
        self.blockers: set[int] = set()

    def state(self, who: int) -> str:
        if self.are_contacts:
            return "both"
        if self.asker == who:
            return "requested"
        return "pending" if self.asker is not None and who not in self.blockers else ""

    def act(self, who: int, act: str) -> int:
        """The status of the answer."""
        if act in ("block", "unblock"):
            (self.blockers.add if act == "block" else self.blockers.discard)(who)
            return 204
        if act == "end":
            if not self.state(who):
                return 404
            self.are_contacts, self.asker = False, None
            return 204
        if who in self.blockers:
            return 403
        if self.are_contacts:
            return 201 if act == "ask" else 200
        if self.asker == 1 - who:
            self.are_contacts, self.asker = True, None
            return 201 if act == "ask" else 200
        if act == "accept":
            return 404
        self.asker = who
        return 201


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from((0, 1)), st.sampled_from(ACTS)), max_size=14))
def test_any_order_of_acts_leaves_what_the_model_says(
    one_node: Node, acts: list[tuple[int, str]]
) -> None:
    """Each act is answered as expected, and both lists show the same afterwards."""
    with closing(HTTPConnection(one_node.address, one_node.port, timeout=10)) as line:
        users, model = Plain(line), Model()
        for who, act in acts:
            assert users.act(who, act) == model.act(who, act), (who, act)
        for who in (0, 1):
            assert users.state(who) == model.state(who)
            assert users.blocked(who) == (who in model.blockers)
