"""Roles in groups: promotion, hand-over, mute, nicks, and what may be changed of a group."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.groups import (
    call,
    make_group,
    members_of,
    now_ms,
    slug,
    talking_group,
    try_to_say,
)
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

FOR_GOOD = 2**53 - 1


@pytest.mark.gen_test(timeout=30)
async def test_promoted_member_has_an_admins_rights_until_demoted(node: Node) -> None:
    """Everybody hears that something changed, and finds the role in the list of members."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await talking_group(alice, bob, carol)
    carols = f"/{gid}/members/{carol.id}"
    assert (await call(bob, "PATCH", carols, {"muted_until": FOR_GOOD}))[0] == 403
    path = f"/{gid}/members/{bob.id}"
    status, member = await call(alice, "PATCH", path, {"role": "admin"}, on=bob.node)
    assert (status, member["role"], member["nickname"]) == (200, "admin", bob.username)
    for client in (alice, bob, carol):
        changed = await client.expect(cmd=22)
        assert changed == {"cmd": 22, "event": "changed", "dstid": gid, "userid": alice.id}
        assert (await members_of(client, gid))[bob.id]["role"] == "admin"
    assert (await call(bob, "GET", f"/{gid}"))[1]["role"] == "admin"
    assert (await call(bob, "PATCH", carols, {"muted_until": FOR_GOOD}))[0] == 200
    await call(alice, "PATCH", path, {"role": "member"}, on=bob.node)
    assert (await call(bob, "PATCH", carols, {"muted_until": 0}))[0] == 403


@pytest.mark.gen_test(timeout=30)
async def test_group_is_handed_over_and_the_old_owner_may_leave(node: Node) -> None:
    """An owner cannot leave; the new one is the only one, the old one an admin."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await talking_group(alice, bob, carol)
    status, problem = await call(alice, "DELETE", f"/{gid}/members/{alice.id}")
    assert (status, slug(problem)) == (409, "conflict")
    status, problem = await call(alice, "PATCH", f"/{gid}/members/{alice.id}", {"role": "member"})
    assert (status, slug(problem)) == (409, "conflict")
    await call(alice, "PATCH", f"/{gid}/members/{bob.id}", {"muted_until": FOR_GOOD}, on=bob.node)
    assert await try_to_say(bob, gid) == "muted"
    path = f"/{gid}/members/{bob.id}"
    status, member = await call(alice, "PATCH", path, {"role": "owner"}, on=bob.node)
    assert (status, member["role"], member["muted_until"]) == (200, "owner", 0)
    assert await try_to_say(bob, gid) == ""
    roles = {userid: member["role"] for userid, member in (await members_of(carol, gid)).items()}
    assert roles == {alice.id: "admin", bob.id: "owner", carol.id: "member"}
    assert (await call(carol, "GET", f"/{gid}"))[1]["owner"] == bob.id
    assert (await call(alice, "DELETE", f"/{gid}", on=bob.node))[0] == 403
    assert (await call(alice, "DELETE", f"/{gid}/members/{alice.id}", on=bob.node))[0] == 204
    assert (await call(bob, "DELETE", f"/{gid}"))[0] == 204


@pytest.mark.gen_test(timeout=30)
async def test_group_handed_to_several_at_once_has_one_owner(node: Node) -> None:
    """One of the hand-overs counts, the others are told so."""
    alice, *heirs = [await JsonClient.register(node) for _ in range(5)]
    gid = await make_group(alice, *heirs)
    answers = await asyncio.gather(
        *(
            call(alice, "PATCH", f"/{gid}/members/{heir.id}", {"role": "owner"}, on=heir.node)
            for heir in heirs
        )
    )
    statuses = [status for status, _ in answers]
    assert statuses.count(200) == 1, answers
    assert set(statuses) <= {200, 403, 409}
    members = await members_of(alice, gid)
    roles = sorted(member["role"] for member in members.values())
    assert roles == ["admin", "member", "member", "member", "owner"]
    assert members[alice.id]["role"] == "admin"
    owner = (await call(alice, "GET", f"/{gid}"))[1]["owner"]
    assert members[owner]["role"] == "owner"


@pytest.mark.gen_test(timeout=30)
async def test_muted_member_neither_speaks_nor_types_until_the_mute_ends(node: Node) -> None:
    """It ends by itself; what is said is heard all the while."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await talking_group(alice, bob)
    path = f"/{gid}/members/{bob.id}"
    until = now_ms() + 1500
    status, member = await call(alice, "PATCH", path, {"muted_until": until}, on=bob.node)
    assert (status, member["muted_until"]) == (200, until)
    await bob.expect(cmd=22, event="changed")
    assert await try_to_say(bob, gid) == "muted"
    bob.send(cmd=13, chat=11, dstid=gid, state="composing")
    assert (await bob.expect(cmd=2))["reason"] == "muted"
    assert now_ms() < until, "too slow a machine for this test"
    await alice.say(gid, "hear me", "c1", chat=11)
    assert (await bob.expect(cmd=11))["content"] == "hear me"
    assert {frame["cmd"] for frame in await alice.settled()} == {22}
    async with asyncio.timeout(10):
        while await try_to_say(bob, gid) == "muted":
            await asyncio.sleep(0.05)
    assert now_ms() >= until
    assert (await alice.expect(cmd=11))["userid"] == bob.id
    assert (await members_of(bob, gid))[bob.id]["muted_until"] == 0


@pytest.mark.gen_test(timeout=30)
async def test_mute_taken_back_on_any_node_lets_the_member_speak(node: Node) -> None:
    """Whichever node it is said on, the member's own one knows soon, and for good."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await talking_group(alice, bob)
    path = f"/{gid}/members/{bob.id}"
    for muted_until, reason in ((FOR_GOOD, "muted"), (0, ""), (FOR_GOOD, "muted"), (1, "")):
        assert (await call(alice, "PATCH", path, {"muted_until": muted_until}))[0] == 200
        async with asyncio.timeout(5):
            while await try_to_say(bob, gid) != reason:
                await asyncio.sleep(0.01)


@pytest.mark.gen_test(timeout=30)
async def test_where_all_are_muted_owner_and_admins_speak(node: Node) -> None:
    """Also an admin who is muted himself does not."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await talking_group(alice, bob, carol)
    await call(alice, "PATCH", f"/{gid}/members/{bob.id}", {"role": "admin"}, on=bob.node)
    for client in (alice, bob, carol):
        status, group = await call(alice, "PATCH", f"/{gid}", {"muted_all": True}, on=client.node)
        assert (status, group["muted_all"]) == (200, True)
    assert await try_to_say(alice, gid) == await try_to_say(bob, gid) == ""
    assert await try_to_say(carol, gid) == "muted"
    bobs = f"/{gid}/members/{bob.id}"
    await call(alice, "PATCH", bobs, {"muted_until": FOR_GOOD}, on=bob.node)
    assert await try_to_say(bob, gid) == "muted"
    await call(alice, "PATCH", f"/{gid}", {"muted_all": False}, on=carol.node)
    assert await try_to_say(carol, gid) == ""


@pytest.mark.gen_test(timeout=30)
async def test_members_name_themselves_and_admins_those_below(node: Node) -> None:
    """The nick is this group's only; an empty one takes it back."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await talking_group(alice, bob, carol)
    own = f"/{gid}/members/{bob.id}"
    status, member = await call(bob, "PATCH", own, {"nick": " Bobby "})
    assert (status, member["nick"], member["nickname"]) == (200, "Bobby", bob.username)
    changed = await carol.expect(cmd=22)
    assert changed == {"cmd": 22, "event": "changed", "dstid": gid, "userid": bob.id}
    assert (await members_of(carol, gid))[bob.id]["nick"] == "Bobby"
    assert (await call(carol, "PATCH", own, {"nick": "Bob the fool"}))[0] == 403
    assert (await call(bob, "PATCH", f"/{gid}/members/{alice.id}", {"nick": "x"}))[0] == 403
    assert (await call(alice, "PATCH", own, {"nick": "Robert"}))[1]["nick"] == "Robert"
    assert (await call(bob, "PATCH", own, {"nick": ""}))[1]["nick"] == ""
    other = await make_group(alice, bob)
    assert (await members_of(bob, other))[bob.id]["nick"] == ""


@pytest.mark.gen_test(timeout=30)
async def test_changed_group_is_read_as_it_is_on_every_node_at_once(node: Node) -> None:
    """So who reads it anew when cmd 22 comes gets what that is about."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await talking_group(alice, bob)
    for n in range(5):
        fields = {
            "name": f"name {n}",
            "avatar": f"https://example.org/{n}.png",
            "memo": f"memo {n}",
            "announcement": f"from tomorrow on: {n}",
            "history": ("joined", "all")[n % 2],
            "join": ("invite", "request")[n % 2],
            "muted_all": bool(n % 2),
        }
        # Two in a row: a node that has just heard of a change rests before it listens again.
        await call(alice, "PATCH", f"/{gid}", {"memo": "soon to be changed"})
        assert (await call(bob, "GET", f"/{gid}"))[1]["memo"] == "soon to be changed"
        status, group = await call(alice, "PATCH", f"/{gid}", fields)
        assert status == 200 and group.items() >= fields.items()
        seen = (await call(bob, "GET", f"/{gid}"))[1]
        assert seen == {**group, "role": "member"}
        assert (await call(bob, "GET", ""))[1]["groups"] == [seen]
        for _ in range(2):
            changed = await bob.expect(cmd=22)
            assert changed == {"cmd": 22, "event": "changed", "dstid": gid, "userid": alice.id}
    status, group = await call(alice, "PATCH", f"/{gid}", {"announcement": "", "name": None})
    assert (group["announcement"], group["name"]) == ("", "name 4")


@pytest.mark.gen_test(timeout=30)
async def test_new_member_sees_all_where_the_group_shows_all(node: Node) -> None:
    """And only what came since where it does not, as the owner says at any time."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    gid = await make_group(alice)
    await alice.say(gid, "before", "c1", chat=11)
    await call(alice, "POST", f"/{gid}/members", {"id": bob.id}, on=bob.node)
    assert await bob.history(11, gid) == []
    await call(alice, "PATCH", f"/{gid}", {"history": "all"}, on=bob.node)
    assert [entry["content"] for entry in await bob.history(11, gid)] == ["before"]
    await call(alice, "PATCH", f"/{gid}", {"history": "joined"}, on=bob.node)
    assert await bob.history(11, gid) == []


WRONG = {
    "group name too long": ("", {"name": "x" * 65}, 413, "64"),
    "announcement too long": ("", {"announcement": "x" * 2001}, 413, "2000"),
    "memo too long": ("", {"memo": "x" * 1001}, 413, "1000"),
    "avatar too long": ("", {"avatar": "https://" + "x" * 2048}, 413, "2048"),
    "avatar no address": ("", {"avatar": "javascript:alert(1)"}, 422, "address"),
    "no name": ("", {"name": "  "}, 422, "empty"),
    "control character": ("", {"announcement": "a\u0000b"}, 400, "U+0000"),
    "unknown history": ("", {"history": "none"}, 422, "history"),
    "unknown join": ("", {"join": "anyhow"}, 422, "join"),
    "no truth value": ("", {"muted_all": 1}, 422, "muted_all"),
    "not to be changed": ("", {"owner": 10_000}, 422, "owner"),
    "unknown role": ("/members/{bob}", {"role": "king"}, 422, "role"),
    "no role": ("/members/{bob}", {"role": ""}, 422, "role"),
    "mute before 1970": ("/members/{bob}", {"muted_until": -1}, 422, "muted_until"),
    "mute beyond numbers": ("/members/{bob}", {"muted_until": 2**53}, 422, "muted_until"),
    "nick too long": ("/members/{bob}", {"nick": "x" * 65}, 413, "64"),
    "nick no XML": ("/members/{bob}", {"nick": "\ufffe"}, 400, "U+FFFE"),
    "handed over with more": ("/members/{bob}", {"role": "owner", "nick": "x"}, 422, "role"),
    "nobody": ("/members/9007199254740991", {"nick": "x"}, 404, "member"),
}


@pytest.mark.gen_test(timeout=30)
async def test_wrong_changes_are_refused_whole_with_a_reason(node: Node) -> None:
    """The answer names field or limit, and nothing is changed."""
    alice, bob = [await JsonClient.register(node) for _ in range(2)]
    gid = await make_group(alice, bob)
    before = (await call(alice, "GET", f"/{gid}"))[1], await members_of(alice, gid)
    for name, (path, body, status, said) in WRONG.items():
        got = await call(alice, "PATCH", f"/{gid}{path.format(bob=bob.id)}", body)
        assert got[0] == status and said in str(got[1]), (name, got)
    assert ((await call(alice, "GET", f"/{gid}"))[1], await members_of(alice, gid)) == before


@pytest.fixture
def small_groups(tmp_path: Path) -> Iterator[Node]:
    own = Node(tmp_path, {"TANDEM_LIMITS_GROUP_MEMBERS": "3"})
    yield own.start()
    own.clean_up()


@pytest.mark.gen_test(timeout=30)
async def test_full_group_takes_nobody_and_says_how_many_it_holds(small_groups: Node) -> None:
    """Neither made, nor added to, nor joined."""
    alice, bob, carol, dave = [await JsonClient.register(small_groups) for _ in range(4)]
    everyone = {"name": "x", "members": [bob.id, carol.id, dave.id]}
    status, problem = await call(alice, "POST", "", everyone)
    assert (status, slug(problem)) == (413, "too-long") and "3 members" in problem["detail"]
    gid = await make_group(alice, bob, carol)
    status, problem = await call(alice, "POST", f"/{gid}/members", {"id": dave.id})
    assert (status, slug(problem)) == (413, "too-long") and "3 members" in problem["detail"]
    assert (await call(bob, "DELETE", f"/{gid}/members/{bob.id}"))[0] == 204
    assert (await call(alice, "POST", f"/{gid}/members", {"id": dave.id}))[0] == 201
