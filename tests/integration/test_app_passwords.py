"""Passwords for single XMPP clients: made once, shown once, revoked alone."""

import asyncio
import base64
import re
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from tornado.websocket import websocket_connect

from tests.support.json_client import PASSWORD, SOCKETS, JsonClient, fresh_name, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue

PATH = "/api/me/app-passwords"
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")


async def make(me: JsonClient, name: str = "phone") -> dict[str, Any]:
    status, made, _ = await http(me.node, "POST", PATH, {"name": name}, token=me.token)
    assert status == 201, made
    answer: dict[str, Any] = made
    return answer


async def listed(me: JsonClient) -> list[dict[str, Any]]:
    status, answer, _ = await http(me.node, "GET", PATH, token=me.token)
    assert (status, answer["more"]) == (200, False)
    found: list[dict[str, Any]] = answer["app_passwords"]
    return found


async def revoke(me: JsonClient, number: int) -> int:
    return (await http(me.node, "DELETE", f"{PATH}/{number}", token=me.token))[0]


async def stream(node: Node, me: JsonClient, password: str, mechanism: str = "PLAIN") -> XmppClient:
    client = XmppClient(node, me.jid, password, mechanism=mechanism)
    return await client.login()


@pytest.mark.gen_test(timeout=30)
async def test_app_password_is_shown_once_and_listed_by_name(node: Node) -> None:
    """At least 100 bits in groups that can be typed; the list has no secret."""
    me = await JsonClient.register(node)
    first, second = await make(me), await make(me, "Conversations auf dem Tablet 安")
    assert set(first) == {"id", "name", "password", "jid", "created"}
    assert (first["name"], first["jid"]) == ("phone", me.jid)
    assert re.fullmatch("(?:[a-km-np-z2-9]{6}-){3}[a-km-np-z2-9]{6}", first["password"])
    assert first["password"] != second["password"]
    found = await listed(me)
    assert [set(one) for one in found] == [{"id", "name", "created", "used"}] * 2
    assert [one["name"] for one in found] == ["phone", "Conversations auf dem Tablet 安"]
    assert [one["used"] for one in found] == [0, 0]
    assert await listed(await JsonClient.register(node)) == []


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_each_of_the_passwords_logs_in_with_each_mechanism(
    node: Node, mechanism: str
) -> None:
    """The app passwords and the account's own; each login is known by its password."""
    me, ann = await JsonClient.register(node), await JsonClient.online(node)
    made = [await make(me, name) for name in ("one", "two", "three")]
    for password in (made[0]["password"], made[2]["password"], PASSWORD):
        client = await stream(node, me, password, mechanism)
        assert client.boundjid.bare == me.jid
        await ann.say(me.id, password[:5], password)
        assert (await client.expect())["body"] == password[:5]
        await client.settled()
        await client.logout()
    if me.node is node:  # else the other one may have it in memory
        assert [one["used"] > 0 for one in await listed(me)] == [True, False, True]


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_wrong_password_fails_alike_with_and_without_app_passwords(
    node: Node, mechanism: str
) -> None:
    """Another account's app password is as wrong as any."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    theirs = await make(other)
    wrong = theirs["password"]
    assert await failure(node, me.jid, wrong, mechanism) == "not-authorized"
    mine = await make(me)
    for password in (wrong, mine["password"].upper(), mine["password"][:-1], PASSWORD + "x"):
        assert await failure(node, me.jid, password, mechanism) == "not-authorized"
    nobody = "nobody.at.all@localhost"
    assert await failure(node, nobody, mine["password"], mechanism) == "not-authorized"


async def failure(node: Node, jid: str, password: str, mechanism: str) -> str:
    """The condition with which a login is refused."""
    client = XmppClient(node, jid, password, mechanism=mechanism)
    said: list[str] = []
    client.add_event_handler("failed_auth", lambda stanza: said.append(stanza["condition"]))
    with pytest.raises(ConnectionError):
        await client.login()
    return said[0]


@pytest.mark.gen_test(timeout=30)
async def test_app_password_is_not_for_http(node: Node) -> None:
    """It opens XMPP streams and nothing else."""
    me = await JsonClient.register(node)
    password = (await make(me))["password"]
    body = {"id": me.id, "password": password}
    assert (await http(me.node, "POST", "/api/login", body))[0] == 401
    body = {"old": password, "new": "a brand new password"}
    assert (await http(me.node, "POST", "/api/me/password", body, token=me.token))[0] == 403


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("mechanism", ("SCRAM-SHA-256", "PLAIN"))
async def test_revoked_app_password_ends_its_streams_and_no_others(
    node: Node, mechanism: str
) -> None:
    """On every node; the main password, the other app password and the session go on."""
    me = await JsonClient.online(node)
    lost, kept = await make(me, "lost"), await make(me, "kept")
    ending = [await stream(node, me, lost["password"], mechanism) for _ in range(2)]
    staying = [
        await stream(node, me, password, mechanism) for password in (kept["password"], PASSWORD)
    ]
    assert await revoke(me, lost["id"]) == 204
    for client in ending:
        await client.ended()
    for client in staying:
        await client.ping()
    await me.settled()
    assert [one["name"] for one in await listed(me)] == ["kept"]
    assert await failure(node, me.jid, lost["password"], mechanism) == "not-authorized"
    assert await revoke(me, lost["id"]) == 404
    assert (await make(me, "new"))["id"] not in (lost["id"], kept["id"])


OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
BIND = (
    "<iq xmlns='jabber:client' type='set' id='b'>"
    "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
)


class Unbound:
    """An XMPP stream over WebSocket that has logged in and is not bound yet."""

    def __init__(self, node: Node) -> None:
        self._url = f"ws://127.0.0.1:{node.port}/xmpp-websocket"

    async def log_in(self, me: JsonClient, password: str) -> "Unbound":
        self._socket = await websocket_connect(self._url, subprotocols=["xmpp"])
        SOCKETS.append(self._socket)
        plain = base64.b64encode(f"\0{me.username}\0{password}".encode()).decode()
        sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
        await self.say(OPEN)
        await self.say(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{plain}</auth>")
        assert "<success" in await self.hear()
        await self.say(OPEN)
        return self

    async def say(self, xml: str) -> None:
        await self._socket.write_message(xml)

    async def hear(self) -> str:
        """All up to the answer of a login, or the end of the stream."""
        heard = ""
        while "<success" not in heard:
            frame = await self._socket.read_message()
            if frame is None:
                break
            heard += str(frame)
        return heard


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("what", ("revoked", "session ended", "renamed", "deleted"))
async def test_stream_that_is_bound_after_its_login_was_ended_ends_too(
    node: Node, what: str
) -> None:
    """Whoever looked for its connections did not see it yet."""
    me = await JsonClient.register(node)
    made = await make(me)
    password = me.token if what == "session ended" else made["password"]
    unbound = await Unbound(me.node).log_in(me, password)
    call, body = {
        "revoked": (("DELETE", f"{PATH}/{made['id']}"), None),
        "session ended": (("POST", "/api/logout"), {}),
        "renamed": (("PATCH", "/api/me"), {"username": fresh_name()}),
        "deleted": (("DELETE", "/api/me"), {"password": PASSWORD}),
    }[what]
    assert (await http(me.node, *call, body, token=me.token))[0] in (200, 204)
    await unbound.say(BIND)
    heard = await unbound.hear()
    assert "not-authorized" in heard
    assert "<close" in heard


@pytest.mark.gen_test(timeout=30)
async def test_app_password_of_another_is_answered_like_none(node: Node) -> None:
    """Numbers are each account's own."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    theirs = await make(other)
    for number in (theirs["id"], 0, 4503599627370496, "x"):
        assert (await http(me.node, "DELETE", f"{PATH}/{number}", token=me.token))[0] == 404
    assert len(await listed(other)) == 1


@pytest.mark.gen_test(timeout=60)
async def test_new_password_revokes_the_app_passwords_and_ends_their_streams(node: Node) -> None:
    """Whoever changes it does so because somebody may know too much."""
    me = await JsonClient.online(node)
    made = await make(me)
    client = await stream(node, me, made["password"])
    body = {"old": PASSWORD, "new": "a brand new password"}
    assert (await http(me.node, "POST", "/api/me/password", body, token=me.token))[0] == 204
    await client.ended()
    assert await listed(me) == []
    assert await failure(node, me.jid, made["password"], "PLAIN") == "not-authorized"
    await me.settled()
    again = await make(me)
    assert again["id"] > made["id"]
    await stream(node, me, again["password"], "SCRAM-SHA-256")
    await stream(node, me, "a brand new password", "SCRAM-SHA-256")


@pytest.mark.gen_test(timeout=60)
async def test_app_passwords_are_at_most_twenty_however_fast(node: Node) -> None:
    """409 beyond that; at the same moment only one is made."""
    me = await JsonClient.register(node)
    answers = await asyncio.gather(
        *(http(node, "POST", PATH, {"name": str(n)}, token=me.token) for n in range(10))
    )
    statuses = [status for status, _, _ in answers]
    assert 201 in statuses
    assert set(statuses) <= {201, 409}
    assert len(await listed(me)) == statuses.count(201)
    for _ in range(20 - statuses.count(201)):
        await make(me)
    status, problem, _ = await http(me.node, "POST", PATH, {"name": "x"}, token=me.token)
    assert (status, problem["type"]) == (409, "/problems/conflict")
    assert len({one["id"] for one in await listed(me)}) == 20


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    "body", ({"name": ""}, {"name": "  "}, {}, {"name": 1}, {"name": "x", "password": "of my own"})
)
async def test_app_password_needs_a_name(node: Node, body: dict[str, Any]) -> None:
    """422."""
    me = await JsonClient.register(node)
    assert (await http(me.node, "POST", PATH, body, token=me.token))[0] == 422


@pytest.mark.gen_test(timeout=60)
async def test_app_passwords_survive_an_upgrade_of_the_hashes(own_node: Node) -> None:
    """Settings change, the account's hash follows at the next login; SCRAM still fits all."""
    own_node.start()
    me = await JsonClient.register(own_node)
    made = await make(me)
    own_node.stop()
    own_node.env["TANDEM_AUTH_ARGON2_PASSES"] = "2"
    own_node.env["TANDEM_AUTH_SCRAM_SHA256_ITERATIONS"] = "5000"
    own_node.start()
    async with AsyncMongoClient[Any](own_node.mongodb_url) as client:
        before = await client.tandem.users.find_one({"_id": me.id})
        body = {"id": me.id, "password": PASSWORD}
        assert (await http(own_node, "POST", "/api/login", body))[0] == 200
        after = await client.tandem.users.find_one({"_id": me.id})
        assert after["password"] != before["password"]
        assert (await http(own_node, "POST", "/api/login", body))[0] == 200
        assert await client.tandem.users.find_one({"_id": me.id}) == after
    for mechanism in MECHANISMS:
        for password in (made["password"], PASSWORD):
            await (await stream(own_node, me, password, mechanism)).logout()
    assert await revoke(me, made["id"]) == 204
    assert (await http(own_node, "POST", "/api/login", body))[0] == 200
    for mechanism in MECHANISMS:
        await (await stream(own_node, me, PASSWORD, mechanism)).logout()


@pytest.mark.gen_test(timeout=60)
async def test_account_without_a_password_logs_in_with_an_app_password(own_node: Node) -> None:
    """Every mechanism; no password is its own."""
    own_node.start()
    me = await JsonClient.register(own_node)
    async with AsyncMongoClient[Any](own_node.mongodb_url) as client:
        bare = {"$unset": {"password": "", "scram": ""}}
        assert (await client.tandem.users.update_one({"_id": me.id}, bare)).modified_count == 1
    assert await failure(own_node, me.jid, PASSWORD, "SCRAM-SHA-256") == "not-authorized"
    password = (await make(me))["password"]
    for mechanism in MECHANISMS:
        await (await stream(own_node, me, password, mechanism)).logout()
        assert await failure(own_node, me.jid, PASSWORD, mechanism) == "not-authorized"


@pytest.mark.gen_test(timeout=60)
async def test_app_password_without_scram_logs_in_with_plain(own_node: Node) -> None:
    """Where the operator stores no verifiers."""
    own_node.env["TANDEM_AUTH_SCRAM"] = "false"
    own_node.start()
    me = await JsonClient.register(own_node)
    await stream(own_node, me, (await make(me))["password"])
