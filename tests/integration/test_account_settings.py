"""One's own profile: names and numbers change, on every node and for both protocols."""

import time
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.support.eventually import eventually
from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue


async def patch(me: JsonClient, **changes: str | None) -> tuple[int, Any]:
    status, answer, _ = await http(me.node, "PATCH", "/api/me", changes, token=me.token)
    return status, answer


async def log_in(node: Node, **name: Any) -> int:
    status, _, _ = await http(node, "POST", "/api/login", {**name, "password": PASSWORD})
    return status


def fresh_mobile() -> str:
    return f"+8613{time.time_ns() % 10**9:09}"


@pytest.mark.gen_test(timeout=30)
async def test_new_username_is_a_new_address_and_the_old_one_is_nobody(node: Node) -> None:
    """Login, search and JID follow; what is sent to the old JID is refused."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    xena = await XmppClient(node, other.jid).login()
    name = fresh_name()
    status, mine = await patch(me, username=name.upper())
    assert (status, mine["username"], mine["jid"]) == (200, name, f"{name}@localhost")
    assert await log_in(me.node, username=name) == 200
    assert await log_in(me.node, username=me.username) == 401
    assert await log_in(me.node, id=me.id) == 200
    _, seen, _ = await http(me.node, "GET", f"/api/users/{me.id}", token=me.token)
    assert seen["username"] == name
    _, found, _ = await http(me.node, "GET", f"/api/users?q={me.username}", token=me.token)
    assert me.id not in [user["id"] for user in found["users"]]

    async def is_nobody() -> bool:
        xena.say(me.jid, "are you still there?")
        return any("no-such-user" in str(message) for message in await xena.settled())

    await eventually(is_nobody, 5)
    await me.connect()
    xena.say(f"{name}@localhost", "hello")
    assert (await me.expect(cmd=10))["content"] == "hello"


@pytest.mark.gen_test(timeout=30)
async def test_former_username_is_kept_for_its_owner(node: Node) -> None:
    """Nobody else gets it, by signing up or by renaming; the owner may take it back."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    assert (await patch(me, username=fresh_name()))[0] == 200
    status, problem = await patch(other, username=me.username)
    assert (status, problem["errors"]) == (409, {"username": "taken"})
    body = {"username": me.username, "password": PASSWORD}
    status, problem, _ = await http(node, "POST", "/api/register", body)
    assert (status, list(problem["errors"])) == (409, ["username"])
    status, mine = await patch(me, username=me.username)
    assert (status, mine["jid"]) == (200, me.jid)
    status, problem = await patch(other, username=me.username)
    assert status == 409


@pytest.mark.gen_test(timeout=30)
async def test_username_can_be_removed_and_set_again(node: Node) -> None:
    """Without one the JID is the id's."""
    me = await JsonClient.register(node)
    status, mine = await patch(me, username="")
    assert (status, mine["username"], mine["jid"]) == (200, "", f"{me.id}@localhost")
    assert await log_in(me.node, username=me.username) == 401
    assert await log_in(me.node, id=me.id) == 200
    name = fresh_name()
    status, mine = await patch(me, username=name)
    assert (status, mine["jid"]) == (200, f"{name}@localhost")


@pytest.mark.gen_test(timeout=30)
async def test_fourth_new_username_in_a_month_has_to_wait(node: Node) -> None:
    """So that nobody keeps all names from the others."""
    me = await JsonClient.register(node)
    for _ in range(3):
        assert (await patch(me, username=fresh_name()))[0] == 200
    body = {"username": fresh_name()}
    status, _, response = await http(me.node, "PATCH", "/api/me", body, token=me.token)
    assert status == 429
    assert 29 * 86400 < int(response.headers["Retry-After"]) <= 30 * 86400
    assert (await patch(me, username=me.username))[0] == 200


@pytest.mark.gen_test(timeout=30)
async def test_mobile_is_set_changed_removed_and_unique(node: Node) -> None:
    """It logs in; when it is given up another account may have it at once."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    first, second = fresh_mobile(), fresh_mobile()
    status, mine = await patch(me, mobile=first)
    assert (status, mine["mobile"]) == (200, first)
    assert await log_in(me.node, mobile=first) == 200
    status, problem = await patch(other, mobile=first)
    assert (status, problem["errors"]) == (409, {"mobile": "taken"})
    assert (await patch(me, mobile=second))[0] == 200
    assert await log_in(me.node, mobile=first) == 401
    assert (await patch(other, mobile=first))[0] == 200
    status, mine = await patch(me, mobile="")
    assert (status, mine["mobile"]) == (200, "")
    assert await log_in(me.node, mobile=second) == 401


BAD_CHANGES = {
    "short name": {"username": "ab"},
    "digits": {"username": "12345"},
    "at": {"username": "a@b.c"},
    "mobile without plus": {"mobile": "13800000000"},
    "long memo": {"memo": "m" * 201},
    "control": {"nickname": "a\u0000b"},
    "script": {"avatar": "javascript:alert(1)"},
}


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", BAD_CHANGES)
async def test_wrong_field_is_named_and_nothing_is_changed(node: Node, name: str) -> None:
    """422, and what else was asked for is not done either."""
    me = await JsonClient.register(node)
    status, problem = await patch(me, sex="x", **BAD_CHANGES[name])
    assert (status, list(problem["errors"])) == (422, list(BAD_CHANGES[name]))
    _, mine, _ = await http(me.node, "GET", "/api/me", token=me.token)
    assert (mine["sex"], mine["username"]) == ("", me.username)


@pytest.mark.gen_test(timeout=30)
async def test_taken_name_changes_nothing_else(node: Node) -> None:
    """All or nothing."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    status, _ = await patch(me, nickname="new", username=other.username)
    assert status == 409
    _, mine, _ = await http(me.node, "GET", "/api/me", token=me.token)
    assert mine["nickname"] == me.username


@pytest.mark.gen_test(timeout=40)
async def test_renaming_ends_streams_under_the_old_jid_on_every_node(node: Node) -> None:
    """They could not be told their new address; with the new name they come back."""
    me = await JsonClient.online(node)
    streams = [await XmppClient(node, me.jid).login() for _ in range(2)]
    name = fresh_name()
    assert (await patch(me, username=name))[0] == 200
    for stream in streams:
        await stream.ended()
    with pytest.raises(ConnectionError):
        await XmppClient(node, me.jid).login()
    again = await XmppClient(node, f"{name}@localhost").login()
    assert again.boundjid.bare == f"{name}@localhost"
    await me.settled()


@pytest.mark.gen_test(timeout=40)
async def test_change_of_other_fields_ends_no_stream(node: Node) -> None:
    """The address is the same."""
    me = await JsonClient.register(node)
    stream = await XmppClient(node, me.jid).login()
    assert (await patch(me, nickname="new", mobile=fresh_mobile(), username=me.username))[0] == 200
    ann = await JsonClient.online(node)
    await ann.say(me.id, "still there?", "1")
    assert (await stream.expect())["body"] == "still there?"
    await stream.ping()


@pytest.mark.gen_test(timeout=30)
async def test_live_messages_carry_the_new_name(node: Node) -> None:
    """A JSON connection that was there before says it too, to XMPP clients on any node."""
    ann, account = await JsonClient.online(node), await JsonClient.register(node)
    xena = await XmppClient(node, account.jid).login()
    name = fresh_name()
    assert (await patch(ann, username=name))[0] == 200
    count = 0

    async def comes_under_the_new_name() -> bool:
        nonlocal count
        count += 1
        await ann.say(account.id, "hello", str(count))
        return bool((await xena.expect())["from"].bare == f"{name}@localhost")

    await eventually(comes_under_the_new_name, 5)
    other = ann.another_device()
    other.node = next(
        (each for each in getattr(node, "nodes", [node]) if each is not ann.node), ann.node
    )
    await other.connect()

    async def other_too() -> bool:
        nonlocal count
        count += 1
        await other.say(account.id, "hello", str(count))
        return bool((await xena.expect())["from"].bare == f"{name}@localhost")

    await eventually(other_too, 5)


@pytest.mark.gen_test(timeout=60)
async def test_former_username_is_free_after_its_time(own_node: Node) -> None:
    """Whoever comes first has it then, and the former owner's account is as it was."""
    own_node.start()
    me = await JsonClient.register(own_node)
    name = fresh_name()
    assert (await patch(me, username=name))[0] == 200
    async with AsyncMongoClient[Any](own_node.mongodb_url) as client:
        users = client.tandem.users
        past = {"$set": {"former.0.until": 1}}
        assert (await users.update_one({"_id": me.id}, past)).modified_count == 1
        own_node.kill()
        own_node.start()
        body = {"username": me.username, "password": PASSWORD}

        async def is_free() -> bool:
            return (await http(own_node, "POST", "/api/register", body))[0] == 201

        await eventually(is_free)
        document = await users.find_one({"_id": me.id})
        assert (document["former"], document["names"]) == ([], [name])
    assert await log_in(own_node, username=name) == 200
    assert (await patch(me, username=me.username))[0] == 409


@pytest.mark.gen_test(timeout=30)
async def test_account_is_told_what_its_xmpp_clients_need(node: Node) -> None:
    """The address is the present one; a client gets in by what is told."""
    me = await JsonClient.register(node)
    name = fresh_name()
    assert (await patch(me, username=name))[0] == 200
    status, ways, _ = await http(me.node, "GET", "/api/me/xmpp", token=me.token)
    assert status == 200
    assert ways == {
        "jid": f"{name}@localhost",
        "domain": "localhost",
        "port": me.node.xmpp_port,
        "tls_port": me.node.tls_port,
        "websocket": f"ws://127.0.0.1:{me.node.port}/xmpp-websocket",
    }
    xena = await XmppClient(me.node, ways["jid"]).login()
    assert xena.boundjid.bare == ways["jid"]
