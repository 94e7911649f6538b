"""The deletion of an account: what ends, what goes, and what stays for the others."""

import asyncio
import time
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from tornado.httpclient import HTTPClientError

from tests.support.eventually import eventually
from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node, TwoNodes
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue


async def leave(me: JsonClient, password: str = PASSWORD) -> int:
    body = {"password": password}
    return (await http(me.node, "DELETE", "/api/me", body, token=me.token))[0]


def database_of(node: Node | TwoNodes) -> "AsyncMongoClient[Any]":
    return AsyncMongoClient(getattr(node, "one", node).mongodb_url)


@pytest.mark.gen_test(timeout=60)
async def test_deleted_account_is_out_at_once_on_every_node(node: Node) -> None:
    """Its sockets close with 4403, its streams end, no token, ticket or password is good."""
    me = await JsonClient.online(node)
    devices = [await me.another_device().connect() for _ in range(2)]
    body = {"name": "phone"}
    _, app, _ = await http(me.node, "POST", "/api/me/app-passwords", body, token=me.token)
    streams = [
        await XmppClient(node, me.jid, password, mechanism="PLAIN").login()
        for password in (PASSWORD, me.token, app["password"])
    ]
    _, ticket, _ = await http(me.node, "POST", "/api/ticket", {}, token=me.token)
    assert await leave(me) == 204
    assert [await each.closed() for each in (me, *devices)] == [4403] * 3
    for stream in streams:
        await stream.ended()
    for one in getattr(node, "nodes", (node,)):

        async def knows(one: Node = one) -> bool:
            return (await http(one, "GET", "/api/me", token=me.token))[0] == 401

        await eventually(knows, 5)
        for name in ({"username": me.username}, {"id": me.id}):
            status, _, _ = await http(one, "POST", "/api/login", {**name, "password": PASSWORD})
            assert status == 401
        device = me.another_device()
        device.node, device.token = one, ticket["ticket"]
        with pytest.raises(HTTPClientError) as refused:
            await device.connect()
        assert refused.value.code == 403
    refresh = {"refresh_token": me.refresh_token}
    assert (await http(node, "POST", "/api/token", refresh))[0] == 401
    for password in (PASSWORD, app["password"]):
        for mechanism in ("SCRAM-SHA-256", "PLAIN"):
            with pytest.raises(ConnectionError):
                await XmppClient(node, me.jid, password, mechanism=mechanism).login()


@pytest.mark.gen_test(timeout=30)
async def test_wrong_password_deletes_nothing(node: Node) -> None:
    """403, as with a change of the password; and a body without one is invalid."""
    me = await JsonClient.online(node)
    assert await leave(me, "not the password") == 403
    assert (await http(me.node, "DELETE", "/api/me", {}, token=me.token))[0] == 422
    await me.settled()
    assert (await http(me.node, "GET", "/api/me", token=me.token))[0] == 200


@pytest.mark.gen_test(timeout=60)
async def test_what_was_said_stays_for_the_others_under_a_deleted_account(node: Node) -> None:
    """History, inbox and archive have it; profile and search have nothing but that it is gone."""
    me, ann = await JsonClient.online(node), await JsonClient.online(node)
    profile = {"nickname": "Somebody", "memo": "hi", "avatar": "https://a.example/1.png"}
    assert (await http(me.node, "PATCH", "/api/me", profile, token=me.token))[0] == 200
    await me.say(ann.id, "remember me", "1")
    await ann.expect(cmd=10)
    await ann.say(me.id, "I will", "2")
    assert (await http(ann.node, "GET", f"/api/users/{me.id}", token=ann.token))[1][
        "nickname"
    ] == "Somebody"
    assert await leave(me) == 204
    gone = {
        "id": me.id,
        "username": "",
        "jid": f"{me.id}@localhost",
        "nickname": "",
        "avatar": "",
        "sex": "",
        "memo": "",
        "deleted": True,
    }

    async def is_gone() -> bool:
        path = f"/api/users/{me.id}"
        return (await http(ann.node, "GET", path, token=ann.token))[:2] == (200, gone)

    await eventually(is_gone, 5)
    assert [m["content"] for m in await ann.history(10, me.id)] == ["remember me", "I will"]
    _, inbox, _ = await http(ann.node, "GET", "/api/conversations", token=ann.token)
    (line,) = inbox["conversations"]
    assert (line["dstid"], line["name"], line["avatar"]) == (me.id, "deleted account", "")
    for query in (me.username, str(me.id)):
        _, found, _ = await http(ann.node, "GET", f"/api/users?q={query}", token=ann.token)
        assert found["users"] == []
    xena = await XmppClient(node, ann.jid).login()
    archive = await xena.plugin["xep_0313"].retrieve(iterator=False)
    stanzas = [one["mam_result"]["forwarded"]["stanza"] for one in archive["mam"]["results"]]
    assert [(s["body"], s["from"].bare) for s in stanzas] == [
        ("remember me", f"{me.id}@localhost"),
        ("I will", ann.jid),
    ]


@pytest.mark.gen_test(timeout=40)
async def test_nobody_can_send_to_a_deleted_account(node: Node) -> None:
    """As to one that never was; from both protocols, though the sender knew it a moment ago."""
    me, ann = await JsonClient.register(node), await JsonClient.online(node)
    xena = await XmppClient(node, ann.jid).login()
    await ann.say(me.id, "before", "before")
    xena.say(me.jid, "before")
    await xena.settled()
    assert await leave(me) == 204
    count = 0

    async def json_is_told() -> bool:
        nonlocal count
        count += 1
        ann.send(cmd=10, dstid=me.id, content="after", cid=str(count))
        frame = await ann.expect_that(lambda f: f.get("cid") == str(count) and f["cmd"] in (1, 2))
        return bool(frame.get("reason") == "no-such-user")

    await eventually(json_is_told, 5)

    async def xmpp_is_told(jid: str) -> bool:
        xena.say(jid, "after")
        return any("no-such-user" in str(message) for message in await xena.settled())

    for jid in (me.jid, f"{me.id}@localhost"):
        await eventually(lambda jid=jid: xmpp_is_told(jid), 5)  # type: ignore[misc]
    body = {"name": "us", "members": [me.id]}
    assert (await http(ann.node, "POST", "/api/groups", body, token=ann.token))[0] == 404


@pytest.mark.gen_test(timeout=40)
async def test_nothing_of_a_deleted_account_is_left_in_the_database(node: Node) -> None:
    """But its id, and its username, which is kept from others for a while; the number is free."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    mobile = f"+8615{time.time_ns() % 10**9:09}"
    changes = {"mobile": mobile, "nickname": "Somebody", "username": fresh_name()}
    assert (await http(me.node, "PATCH", "/api/me", changes, token=me.token))[0] == 200
    body = {"name": "phone"}
    assert (await http(me.node, "POST", "/api/me/app-passwords", body, token=me.token))[0] == 201
    assert await leave(me) == 204
    async with database_of(node) as client:
        document = await client.tandem.users.find_one({"_id": me.id})
        assert set(document) == {"_id", "deleted", "leaving", "names", "former"}
        assert set(document["names"]) == {me.username, changes["username"]}
        assert await client.tandem.sessions.count_documents({"userid": me.id}) == 0
        assert await client.tandem.pointers.count_documents({"_id": me.id}) == 0
    for name in (me.username, changes["username"]):
        rename = {"username": name}
        status, _, _ = await http(other.node, "PATCH", "/api/me", rename, token=other.token)
        assert status == 409
    rename = {"mobile": mobile}
    assert (await http(other.node, "PATCH", "/api/me", rename, token=other.token))[0] == 200


@pytest.mark.gen_test(timeout=60)
async def test_deletion_that_was_cut_off_is_finished_after_the_start(own_node: Node) -> None:
    """The mark is all that the first process came to; and the account cannot log in meanwhile."""
    own_node.start()
    me = await JsonClient.register(own_node)
    async with AsyncMongoClient[Any](own_node.mongodb_url) as client:
        users, sessions = client.tandem.users, client.tandem.sessions
        await users.update_one({"_id": me.id}, {"$set": {"deleted": 1, "leaving": 1}})
        body = {"id": me.id, "password": PASSWORD}
        assert (await http(own_node, "POST", "/api/login", body))[0] == 401
        assert await sessions.count_documents({"userid": me.id}) == 1
        own_node.kill()
        own_node.start()

        async def is_finished() -> bool:
            document = await users.find_one({"_id": me.id})
            return set(document) == {"_id", "deleted"}

        await eventually(is_finished)
        assert await sessions.count_documents({"userid": me.id}) == 0


@pytest.mark.gen_test(timeout=60)
async def test_names_of_a_deleted_account_are_free_after_their_time(own_node: Node) -> None:
    """Then the document is a bare id."""
    own_node.start()
    me = await JsonClient.register(own_node)
    assert await leave(me) == 204
    async with AsyncMongoClient[Any](own_node.mongodb_url) as client:
        users = client.tandem.users
        past = {"$set": {"former.0.until": 1, "leaving": 1}}
        assert (await users.update_one({"_id": me.id}, past)).modified_count == 1
        own_node.kill()
        own_node.start()
        body = {"username": me.username, "password": PASSWORD}

        async def is_free() -> bool:
            return (await http(own_node, "POST", "/api/register", body))[0] == 201

        await eventually(is_free)
    _, account, _ = await http(own_node, "POST", "/api/login", body)
    assert account["id"] != me.id


@pytest.mark.gen_test(timeout=60)
async def test_operator_deletes_an_account_of_the_running_server(own_node: Node) -> None:
    """Its connections close within seconds."""
    own_node.start()
    me = await JsonClient.online(own_node)
    status, said = await operate(own_node, "deluser", me.username)
    assert (status, str(me.id) in said) == (0, True)
    assert await me.closed(5) == 4403

    async def is_refused() -> bool:
        return (await http(own_node, "GET", "/api/users?q=x", token=me.token))[0] == 401

    await eventually(is_refused, 5)
    body = {"id": me.id, "password": PASSWORD}
    assert (await http(own_node, "POST", "/api/login", body))[0] == 401
    assert (await operate(own_node, "deluser", me.username))[0] == 1


async def operate(node: Node, *arguments: str) -> tuple[int | None, str]:
    """A command of the operator: its exit status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *node.command, *arguments, cwd=node.directory, env=node.env, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()
