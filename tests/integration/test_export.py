"""Everything that the service has of one person, as one document."""

import json
from pathlib import Path
from typing import Any

import pytest

import server.export
from server.export import messages_of
from server.model import Message, Tally
from server.ports import Stored
from server.settings import load
from server.store.mongo import open_store
from server.store.mongod import PrivateMongod
from tests.integration.test_groups import make_group
from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue


async def export(me: JsonClient) -> tuple[dict[str, Any], str]:
    status, document, response = await http(me.node, "GET", "/api/me/export", token=me.token)
    assert status == 200, document
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Disposition"].startswith("attachment")
    return document, response.body.decode()


@pytest.mark.gen_test(timeout=60)
async def test_export_has_what_was_said_and_nothing_of_others(node: Node) -> None:
    """Profile, sessions, names of app passwords and both sides of own conversations."""
    me, ann, bob = [await JsonClient.online(node) for _ in range(3)]
    mobile = {"mobile": f"+8613{me.id:09}", "nickname": "安 \u2028", "memo": '"]}'}
    assert (await http(ann.node, "PATCH", "/api/me", {"memo": "secret"}, token=ann.token))[0] == 200
    assert (await http(me.node, "PATCH", "/api/me", mobile, token=me.token))[0] == 200
    body = {"name": "tablet"}
    _, made, _ = await http(me.node, "POST", "/api/me/app-passwords", body, token=me.token)
    xena = await XmppClient(node, ann.jid).login()
    mine = [await me.say(ann.id, f"mine {n}", str(n)) for n in range(3)]
    xena.say(me.jid, "theirs")
    await me.expect(cmd=10, content="theirs")
    await me.say(me.id, "a note", "note")
    await ann.say(bob.id, "not for me", "1")
    gid = await make_group(me, ann)
    await me.say(gid, "mine in a group", "g1", chat=11)
    await me.expect(cmd=22)
    await ann.expect(cmd=11)
    await ann.say(gid, "not mine", "g1", chat=11)
    document, text = await export(me)
    assert set(document) == {
        "exported",
        "profile",
        "sessions",
        "app_passwords",
        "contacts",
        "groups",
        "conversations",
        "files",
        "published",
        "private_xml",
        "messages",
        "group_messages",
    }
    assert [(one["gid"], one["role"]) for one in document["groups"]] == [(gid, "owner")]
    assert {one["conversation"] for one in document["conversations"]} >= {f"g{gid}"}
    assert [one["content"] for one in document["group_messages"]] == ["mine in a group"]
    _, profile, _ = await http(me.node, "GET", "/api/me", token=me.token)
    assert document["profile"] == profile
    assert profile["nickname"] == "安 \u2028"
    assert [set(one) for one in document["sessions"]] == [
        {"sid", "device", "address", "created", "seen", "current"}
    ]
    assert [one["name"] for one in document["app_passwords"]] == ["tablet"]
    said = [(m["userid"], m["dstid"], m["content"]) for m in document["messages"]]
    assert sorted(said) == sorted(
        [
            *((me.id, ann.id, f"mine {n}") for n in range(3)),
            (ann.id, me.id, "theirs"),
            (me.id, me.id, "a note"),
        ]
    )
    ids = {message["content"]: message["id"] for message in document["messages"]}
    assert [ids[f"mine {n}"] for n in range(3)] == [ack["id"] for ack in mine]
    for secret in (
        PASSWORD,
        made["password"],
        "secret",
        "not for me",
        "not mine",
        "hash",
        "argon2",
        "stored_key",
    ):
        assert secret not in text
    assert me.refresh_token.partition(".")[2] not in text


@pytest.mark.gen_test(timeout=90)
async def test_export_of_many_messages_has_each_once(node: Node) -> None:
    """More than a page, in several conversations that go on at the same time."""
    me = await JsonClient.online(node)
    others = [await JsonClient.online(node) for _ in range(4)]
    for n in range(130):
        for other in others:
            me.send(cmd=10, dstid=other.id, content=f"{n} for {other.id}", cid=f"{n} {other.id}")
    for other in others:
        await me.expect(20, cmd=1, cid=f"129 {other.id}")
    document, _ = await export(me)
    contents = [message["content"] for message in document["messages"]]
    assert len(contents) == 520
    assert set(contents) == {f"{n} for {other.id}" for n in range(130) for other in others}
    ids = [message["id"] for message in document["messages"]]
    assert ids == sorted(ids)


@pytest.mark.gen_test(timeout=40)
@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_export_has_each_of_several_messages_with_the_same_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Two nodes may give the same one in two conversations; wherever a page ends."""
    monkeypatch.setattr(server.export, "PAGE", page)
    settings = load(None, {"TANDEM_DATA_DIR": str(tmp_path)})
    said = {(conv, seq) for conv in ("1-2", "1-3", "1-4") for seq in range(1, 5)}
    async with (
        PrivateMongod(settings.mongodb, tmp_path) as mongod,
        open_store(mongod.url, settings.mongodb) as store,
    ):
        for conv, seq in said:
            message = Message(id=seq // 2 + 7, userid=1, cmd=10, content=conv, seq=seq)
            owners = [int(part) for part in conv.split("-")]
            await store.messages.insert(
                [store.messages.encode(Stored(message, "", conv), owners, Tally())]
            )
        found = [(m.content, m.seq) async for m in messages_of(store.messages, 1)]
    assert len(found) == len(said)
    assert set(found) == said


@pytest.mark.gen_test(timeout=30)
async def test_export_of_a_new_account_is_a_document_too(node: Node) -> None:
    """Empty lists."""
    me = await JsonClient.register(node)
    document, _ = await export(me)
    assert (document["messages"], document["app_passwords"]) == ([], [])


@pytest.mark.gen_test(timeout=30)
async def test_export_is_for_oneself_only(node: Node) -> None:
    """No token, no document."""
    status, _, _ = await http(node, "GET", "/api/me/export")
    assert status == 401


@pytest.mark.gen_test(timeout=60)
async def test_exports_are_limited_per_hour(own_node: Node) -> None:
    """The sixth is told to wait; others are not."""
    own_node.env["TANDEM_LIMITS_RATE_SCALE"] = "1"
    own_node.start()
    me, other = await JsonClient.register(own_node), await JsonClient.register(own_node)
    for _ in range(5):
        await export(me)
    status, _, response = await http(own_node, "GET", "/api/me/export", token=me.token)
    assert status == 429
    assert 0 < int(response.headers["Retry-After"]) <= 3600
    await export(other)
    assert json.loads((await export(other))[1])
