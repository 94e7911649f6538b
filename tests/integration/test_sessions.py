"""Where one is logged in: the list of sessions, and ending one."""

from typing import Any

import pytest

from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue


async def log_in_again(me: JsonClient, device: str = "") -> JsonClient:
    """Another session of the account."""
    body = {"id": me.id, "password": PASSWORD}
    status, account, _ = await http(me.node, "POST", "/api/login", body, User_Agent=device)
    assert status == 200
    return JsonClient(me.service, account)


async def sessions(me: JsonClient) -> list[dict[str, Any]]:
    status, answer, _ = await http(me.node, "GET", "/api/me/sessions", token=me.token)
    assert (status, answer["more"]) == (200, False)
    found: list[dict[str, Any]] = answer["sessions"]
    return found


@pytest.mark.gen_test(timeout=30)
async def test_sessions_are_listed_with_device_address_and_times(node: Node) -> None:
    """The last seen first; the one that asks is marked; no secret is among it."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    phone = await log_in_again(me, "Phone/1.0 (x)")
    listed = await sessions(phone)
    fields = {"sid", "device", "address", "created", "seen", "current"}
    assert [set(each) for each in listed] == [fields, fields]
    assert [each["current"] for each in listed] == [True, False]
    assert listed[0]["device"].startswith("Phone/1.0")
    assert {each["address"] for each in listed} == {"127.0.0.1"}
    assert all(0 < each["created"] <= each["seen"] for each in listed)
    assert [each["sid"] for each in await sessions(me)] == [each["sid"] for each in listed]
    assert [each["current"] for each in await sessions(other)] == [True]


@pytest.mark.gen_test(timeout=30)
async def test_ended_session_has_no_token_and_no_socket_on_any_node(node: Node) -> None:
    """4401 for its connections; the other session goes on."""
    me = await JsonClient.online(node)
    phone = await (await log_in_again(me)).connect()
    tablet = await phone.another_device().connect()
    stream = await XmppClient(node, me.jid, phone.token, mechanism="PLAIN").login()
    (theirs,) = [each for each in await sessions(me) if not each["current"]]
    path = f"/api/me/sessions/{theirs['sid']}"
    assert (await http(me.node, "DELETE", path, token=me.token))[0] == 204
    assert [await phone.closed(), await tablet.closed()] == [4401, 4401]
    await stream.ended()
    for one in {me.node, phone.node, tablet.node}:
        assert (await http(one, "GET", "/api/me", token=phone.token))[0] == 401
    body = {"refresh_token": phone.refresh_token}
    assert (await http(node, "POST", "/api/token", body))[0] == 401
    assert [each["current"] for each in await sessions(me)] == [True]
    assert (await http(me.node, "DELETE", path, token=me.token))[0] == 404
    await me.settled()


@pytest.mark.gen_test(timeout=30)
async def test_own_session_can_be_ended_too(node: Node) -> None:
    """That is a logout."""
    me = await JsonClient.online(node)
    (mine,) = await sessions(me)
    path = f"/api/me/sessions/{mine['sid']}"
    assert (await http(me.node, "DELETE", path, token=me.token))[0] == 204
    assert await me.closed() == 4401
    assert (await http(me.node, "GET", "/api/me", token=me.token))[0] == 401


@pytest.mark.gen_test(timeout=30)
async def test_session_of_another_is_answered_like_none(node: Node) -> None:
    """404 with the same problem, for malformed names too; and it lives on."""
    me, other = await JsonClient.register(node), await JsonClient.online(node)
    (theirs,) = await sessions(other)
    answers = []
    for sid in (theirs["sid"], "nosuchsession", "app:1", "%20", "a" * 200, "%C3%A4", "1"):
        path = f"/api/me/sessions/{sid}"
        status, problem, _ = await http(me.node, "DELETE", path, token=me.token)
        answers.append((status, problem["type"]))
    assert set(answers) == {(404, "/problems/not-found")}
    await other.settled()
    assert len(await sessions(other)) == 1


@pytest.mark.gen_test(timeout=60)
async def test_connecting_moves_last_seen_and_a_restart_keeps_it(own_node: Node) -> None:
    """Known at once to the node, and in the database when it stops."""
    own_node.start()
    me = await JsonClient.register(own_node)
    (before,) = await sessions(me)
    assert before["seen"] == before["created"]
    await me.connect()
    (connected,) = await sessions(me)
    assert connected["seen"] > before["seen"]
    me.close()
    await me.closed()
    (gone,) = await sessions(me)
    assert gone["seen"] > connected["seen"]
    own_node.stop()
    own_node.start()
    (kept,) = await sessions(me)
    assert kept == gone
