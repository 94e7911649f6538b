"""Who was a member once: nothing of the group after leaving, and from the last joining on again."""

import functools
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.groups import (
    call,
    hears_no_more,
    is_refused,
    make_group,
    now_ms,
    slug,
    talking_group,
    try_to_say,
)
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue


async def refusal(client: JsonClient, method: str, path: str, body: Any = None) -> str:
    """What an HTTP call is refused with; nothing where it is not."""
    status, answer = await client.call(method, path, body)
    return slug(answer) if status >= 400 else ""


async def found(client: JsonClient, text: str, more: str = "") -> list[str]:
    """What a search finds."""
    status, answer = await client.call("GET", f"/api/search?q={text}{more}")
    assert status == 200, answer
    return [message["content"] for message in answer["messages"]]


@pytest.mark.gen_test(timeout=40)
@pytest.mark.parametrize("by", ["leaving", "being removed"])
async def test_ex_member_hears_and_reads_nothing_of_the_group(node: Node, by: str) -> None:
    """Live on every device, in inbox, history, receipts, search and export; and says nothing."""
    owner, member, ex = [await JsonClient.online(node) for _ in range(3)]
    second = await ex.another_device().connect()
    gid = await make_group(owner, member, ex)
    mine = await ex.say(gid, "quokka before", "c1", chat=11)
    first = await owner.say(gid, "quokka first", "c1", chat=11)
    for client in (member, ex, second):
        await client.expect(cmd=11, content="quokka first")
    actor = ex if by == "leaving" else owner
    assert (await call(actor, "DELETE", f"/{gid}/members/{ex.id}"))[0] == 204
    for client in (ex, second):
        await client.expect(cmd=22, userid=ex.id, dstid=gid)
        await hears_no_more(client, gid, owner)
    ack = await owner.say(gid, "quokka after", "c2", chat=11)
    await owner.act(16, 11, gid, mine["id"], "c3", content="\U0001f44d")
    await owner.act(15, 11, gid, ack["id"], "c4", content="quokka later")
    await owner.act(14, 11, gid, first["id"], "c5")
    await member.expect(cmd=14)
    member.send(cmd=12, chat=11, dstid=gid, seq=ack["seq"], state="read")
    await owner.expect(cmd=12, userid=member.id)
    owner.send(cmd=13, chat=11, dstid=gid, state="composing")
    assert (await call(owner, "PATCH", f"/{gid}", {"name": "others"}))[0] == 200
    path = f"/{gid}/members/{member.id}"
    assert (await call(owner, "PATCH", path, {"role": "admin"}))[0] == 200
    assert (await call(owner, "DELETE", path))[0] == 204
    await member.expect(cmd=22, event="removed", userid=member.id)
    await owner.say(ex.id, "by the way", "c6")
    for client in (ex, second):
        await client.expect(cmd=10, cid="c6")
        assert [frame for frame in await client.settled() if frame["cmd"] != 10] == []
    group = {"chat": 11, "dstid": gid}
    for frame in (
        {"cmd": 12, **group, "seq": 1, "state": "read"},
        {"cmd": 13, **group, "state": "composing"},
        {"cmd": 14, **group, "ref": mine["id"]},
        {"cmd": 15, **group, "ref": mine["id"], "content": "x"},
        {"cmd": 16, **group, "ref": mine["id"], "content": "x"},
        {"cmd": 31, **group},
        {"cmd": 31, **group, "after": 0},
        {"cmd": 31, **group, "before": 2},
    ):
        assert await ex.refused(**frame) == (403, "not-a-member")
    assert [line["chat"] for line in await ex.inbox()] == [10]
    ex.send(cmd=30, rid="r")
    assert [line["chat"] for line in (await ex.expect(rid="r"))["conversations"]] == [10]
    for called in (
        f"/api/groups/{gid}",
        f"/api/groups/{gid}/members",
        f"/api/messages?chat=11&dstid={gid}",
        f"/api/receipts?chat=11&dstid={gid}",
        f"/api/search?q=quokka&chat=11&dstid={gid}",
    ):
        assert await refusal(ex, "GET", called) == "not-a-member"
    assert await found(ex, "quokka") == await found(ex, "quokka", "&chat=11") == []
    assert (await ex.call("GET", "/api/groups"))[1]["groups"] == []
    # One's own words are one's own; what others did with them since is theirs.
    _, export = await ex.call("GET", "/api/me/export")
    [said] = export["group_messages"]
    assert (said["content"], said["id"]) == ("quokka before", mine["id"])
    assert "reactions" not in said
    assert [line["conversation"][0] for line in export["conversations"]] != ["g"]
    assert export["groups"] == []


@pytest.mark.gen_test(timeout=40)
async def test_member_anew_has_what_was_said_since_the_last_joining(node: Node) -> None:
    """Of what was before nothing can be read, found, counted or acted on, one's own included."""
    owner, ex = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(owner, ex)
    mine = await ex.say(gid, "quokka one", "c1", chat=11)
    await call(ex, "DELETE", f"/{gid}/members/{ex.id}", on=owner.node)
    between = await owner.say(gid, "quokka two", "c2", chat=11)
    assert (await call(owner, "POST", f"/{gid}/members", {"id": ex.id}))[0] == 201
    await ex.expect(cmd=22, event="joined", userid=ex.id)
    after = await owner.say(gid, "quokka three", "c3", chat=11)
    assert await ex.expect(cmd=11, content="quokka three")

    async def is_known() -> bool:
        """To the node of the one who came back."""
        return [entry["seq"] for entry in await ex.history(11, gid)] == [after["seq"]]

    await eventually(is_known)
    for bounds in ({}, {"after": 0}, {"before": 99}):
        ex.send(cmd=31, rid="r", chat=11, dstid=gid, **bounds)
        page = await ex.expect(rid="r")
        assert [message["seq"] for message in page["messages"]] == [after["seq"]]
        assert page["more"] is False
    ex.send(cmd=31, rid="r", chat=11, dstid=gid, before=after["seq"])
    assert (await ex.expect(rid="r"))["messages"] == []
    line = await ex.line(gid, chat=11)
    assert (line["unread"], line["last"]["seq"]) == (1, after["seq"])
    assert await found(ex, "quokka") == ["quokka three"]
    for cmd in (14, 15, 16):
        for ack in (mine, between):
            frame = {"cmd": cmd, "chat": 11, "dstid": gid, "ref": ack["id"], "content": "x"}
            assert await ex.refused(**frame) == (404, "no-such-message")
    await ex.act(16, 11, gid, after["id"], "c4", content="\U0001f44d")
    # Where the group shows its past to all, it does so to them as well.
    assert (await call(owner, "PATCH", f"/{gid}", {"history": "all"}))[0] == 200

    async def all_is_there() -> bool:
        return len(await ex.history(11, gid)) == 4

    await eventually(all_is_there)
    assert set(await found(ex, "quokka")) == {"quokka one", "quokka two", "quokka three"}
    assert (await ex.line(gid, chat=11))["unread"] == 1


@pytest.mark.gen_test(timeout=40)
async def test_dissolved_group_is_answered_like_none_to_all_who_were_in_it(node: Node) -> None:
    """The owner included; its log is nobody's any more."""
    owner, member = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(owner, member)
    ack = await member.say(gid, "quokka", "c1", chat=11)
    assert (await call(owner, "DELETE", f"/{gid}"))[0] == 204
    for client in (owner, member):
        await client.expect(cmd=22, event="dissolved", dstid=gid)
        await eventually(functools.partial(is_refused, client, gid))
        for frame in (
            {"cmd": 14, "chat": 11, "dstid": gid, "ref": ack["id"]},
            {"cmd": 31, "chat": 11, "dstid": gid},
            {"cmd": 12, "chat": 11, "dstid": gid, "seq": 1, "state": "read"},
        ):
            assert await client.refused(**frame) == (403, "not-a-member")
        assert await client.inbox() == []
        assert await found(client, "quokka") == []
        for method in ("GET", "DELETE"):
            assert await refusal(client, method, f"/api/groups/{gid}") == "not-a-member"


@pytest.mark.gen_test(timeout=40)
async def test_who_goes_at_once_is_not_brought_back_by_the_news_of_the_joining(
    node: Node,
) -> None:
    """What one node says of a joining may come to another after that one has let the user go."""
    owner, ex = await JsonClient.online(node), await JsonClient.online(node)
    gid, later = await make_group(owner), await talking_group(owner, ex)
    # Nodes rest a moment after each reading of what has changed: the other one does now.
    await call(owner, "PATCH", f"/{gid}", {"announcement": "x"})
    assert (await call(owner, "POST", f"/{gid}/members", {"id": ex.id}))[0] == 201
    assert (await call(ex, "DELETE", f"/{gid}/members/{ex.id}"))[0] == 204
    muted = {"muted_until": now_ms() + 60_000}
    await call(owner, "PATCH", f"/{later}/members/{ex.id}", muted)

    async def all_is_known() -> bool:
        """Changes are heard in the order in which they were made."""
        return await try_to_say(ex, later) == "muted"

    await eventually(all_is_known)
    await ex.settled()
    await owner.say(gid, "who is here?", "c1", chat=11)
    await owner.say(ex.id, "by the way", "c2")
    await ex.expect(cmd=10, cid="c2")
    assert [frame for frame in await ex.settled() if frame["cmd"] == 11] == []
