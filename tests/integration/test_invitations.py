"""Ways into groups: invitation links and requests."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.groups import call, make_group, members_of, now_ms, slug, talking_group
from tests.support.json_client import JsonClient, http
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

DAY_MS = 24 * 3600 * 1000


async def join(client: JsonClient, code: str) -> tuple[int, object]:
    status, answer, _ = await http(
        client.node, "POST", "/api/join", {"code": code}, token=client.token
    )
    return status, answer


@pytest.mark.gen_test(timeout=30)
async def test_whoever_has_the_link_joins_by_it(node: Node) -> None:
    """Members hear it, the new one takes part from then on; coming again changes nothing."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await talking_group(alice, bob)
    status, link = await call(alice, "POST", f"/{gid}/invitations", {})
    assert status == 201
    assert link["uses"] == 0 and link["by"] == alice.id and len(link["code"]) == 22
    assert abs(link["expires"] - now_ms() - 7 * DAY_MS) < 60_000
    for _ in range(2):
        status, group = await join(carol, link["code"])
        assert status == 200
        assert group == {**(await call(bob, "GET", f"/{gid}"))[1], "role": "member"}
    for client in (alice, bob, carol):
        joined = await client.expect(cmd=22)
        assert joined == {"cmd": 22, "event": "joined", "dstid": gid, "userid": carol.id}
    await carol.say(gid, "thanks", "c1", chat=11)
    assert (await bob.expect(cmd=11))["content"] == "thanks"
    assert [entry["content"] for entry in await carol.history(11, gid)] == ["thanks"]
    assert not [frame for frame in await alice.settled() if frame["cmd"] == 22]


@pytest.mark.gen_test(timeout=30)
async def test_bad_code_is_answered_alike_whatever_is_wrong_with_it(node: Node) -> None:
    """Unknown, malformed, used up, expired, revoked, and of a dissolved group."""
    alice, bob, carol = [await JsonClient.register(node) for _ in range(3)]
    gid, gone = await make_group(alice), await make_group(alice)
    _, once = await call(alice, "POST", f"/{gid}/invitations", {"uses": 1})
    _, short = await call(alice, "POST", f"/{gid}/invitations", {"expires_in": 1})
    _, revoked = await call(alice, "POST", f"/{gid}/invitations", {})
    _, dissolved = await call(alice, "POST", f"/{gone}/invitations", {})
    assert (await join(bob, once["code"]))[0] == 200
    path = f"/{gid}/invitations/{revoked['id']}"
    assert (await call(alice, "DELETE", path))[0] == 204
    assert (await call(alice, "DELETE", path))[0] == 404
    assert (await call(alice, "DELETE", f"/{gone}", on=carol.node))[0] == 204
    async with asyncio.timeout(10):
        while (await call(alice, "GET", f"/{gid}/invitations"))[1]["invitations"]:
            await asyncio.sleep(0.05)
    codes = [one["code"] for one in (once, short, revoked, dissolved)]
    answers = [
        await join(carol, code)
        for code in (*codes, "A" * 22, "", "x", "\u0000", "Ж" * 22, "A" * 5000)
    ]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 404 and slug(answers[0][1]) == "not-found"
    assert list(await members_of(alice, gid)) == [alice.id, bob.id]


@pytest.mark.gen_test(timeout=30)
async def test_counted_link_lets_in_so_many_and_no_more(node: Node) -> None:
    """However many come at once, on whichever node; a member's coming again is not counted."""
    alice, *others = [await JsonClient.register(node) for _ in range(9)]
    gid = await make_group(alice)
    _, link = await call(alice, "POST", f"/{gid}/invitations", {"uses": 3})
    assert (await join(alice, link["code"]))[0] == 200
    answers = await asyncio.gather(*(join(other, link["code"]) for other in others))
    assert sorted(status for status, _ in answers) == [200] * 3 + [404] * 5
    assert len(await members_of(alice, gid)) == 4
    assert (await call(alice, "GET", f"/{gid}/invitations"))[1]["invitations"] == []


@pytest.mark.gen_test(timeout=30)
async def test_links_are_listed_with_what_is_left_of_them(node: Node) -> None:
    """For owner and admins of this group; the number of links is limited."""
    alice, bob = [await JsonClient.register(node) for _ in range(2)]
    gid, other = await make_group(alice), await make_group(alice)
    made = [(await call(alice, "POST", f"/{gid}/invitations", {"uses": 5}))[1] for _ in range(2)]
    await call(alice, "POST", f"/{other}/invitations", {})
    await join(bob, made[0]["code"])
    made[0]["uses"] = 4
    status, listed = await call(alice, "GET", f"/{gid}/invitations")
    assert (status, listed["more"]) == (200, False)
    assert sorted(listed["invitations"], key=lambda one: -one["uses"]) == made[::-1]
    path = f"/{other}/invitations/{made[0]['id']}"
    assert (await call(alice, "DELETE", path))[0] == 404  # another group's
    made_now = await asyncio.gather(
        *(call(alice, "POST", f"/{other}/invitations", {}) for _ in range(99))
    )
    assert {status for status, _ in made_now} == {201}
    status, problem = await call(alice, "POST", f"/{other}/invitations", {})
    assert (status, slug(problem)) == (413, "too-long") and "100" in problem["detail"]


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    "body", ({"expires_in": 0}, {"expires_in": 30 * 86_400 + 1}, {"uses": -1}, {"code": "mine"})
)
async def test_wrong_link_is_not_made(node: Node, body: dict[str, object]) -> None:
    """422 that names the field."""
    alice = await JsonClient.register(node)
    gid = await make_group(alice)
    status, problem = await call(alice, "POST", f"/{gid}/invitations", body)
    assert (status, list(problem["errors"])) == (422, list(body))


@pytest.mark.gen_test(timeout=30)
async def test_request_is_told_to_owner_and_admins_and_accepted(node: Node) -> None:
    """Where the group takes requests; asking again changes nothing."""
    alice, bob, carol, eve = [await JsonClient.online(node) for _ in range(4)]
    gid = await talking_group(alice, bob, carol)
    path = f"/{gid}/requests"
    assert (await call(eve, "POST", path, {"text": "please"}))[0] == 403
    await call(alice, "PATCH", f"/{gid}/members/{bob.id}", {"role": "admin"}, on=eve.node)
    await call(alice, "PATCH", f"/{gid}", {"join": "request"}, on=eve.node)
    for client in (alice, bob, carol):
        for _ in range(2):
            await client.expect(cmd=22, event="changed", userid=alice.id)
    status, asked = await call(eve, "POST", path, {"text": "please"})
    assert (status, asked["id"], asked["text"]) == (201, eve.id, "please")
    assert (await call(eve, "POST", path, {"text": "now!"})) == (201, asked)
    for client in (alice, bob):
        changed = await client.expect(cmd=22)
        assert changed == {"cmd": 22, "event": "changed", "dstid": gid, "userid": eve.id}
    _, listed = await call(bob, "GET", path, on=eve.node)
    assert listed == {"requests": [asked], "more": False}
    status, member = await call(bob, "POST", f"{path}/{eve.id}/accept", on=eve.node)
    assert (status, member["id"], member["role"]) == (201, eve.id, "member")
    for client in (alice, bob, carol, eve):
        joined = await client.expect(cmd=22)
        assert (joined["event"], joined["userid"]) == ("joined", eve.id)
    await eve.say(gid, "hi", "c1", chat=11)
    assert (await carol.expect(cmd=11))["content"] == "hi"
    assert (await call(alice, "GET", path))[1]["requests"] == []
    assert (await call(bob, "POST", f"{path}/{eve.id}/accept", on=eve.node))[0] == 404
    status, problem = await call(eve, "POST", path, {})
    assert (status, slug(problem)) == (409, "conflict")


@pytest.mark.gen_test(timeout=30)
async def test_request_is_refused_or_taken_back_or_settled_by_adding(node: Node) -> None:
    """Then it waits no more, and can be made again."""
    alice, bob, *askers = [await JsonClient.register(node) for _ in range(5)]
    gid = await make_group(alice, bob)
    path = f"/{gid}/requests"
    for asker in askers:
        await call(alice, "PATCH", f"/{gid}", {"join": "request"}, on=asker.node)
        assert (await call(asker, "POST", path, {}))[0] == 201
    _, page = await call(alice, "GET", f"{path}?limit=2")
    assert ([one["id"] for one in page["requests"]], page["more"]) == (
        [asker.id for asker in askers[:2]],
        True,
    )
    _, page = await call(alice, "GET", f"{path}?after={askers[1].id}")
    assert ([one["id"] for one in page["requests"]], page["more"]) == ([askers[2].id], False)
    refused, back, added = askers
    assert (await call(back, "DELETE", f"{path}/{refused.id}"))[0] == 403
    assert (await call(bob, "DELETE", f"{path}/{refused.id}"))[0] == 403
    assert (await call(alice, "DELETE", f"{path}/{refused.id}"))[0] == 204
    assert (await call(alice, "DELETE", f"{path}/{refused.id}"))[0] == 404
    assert (await call(back, "DELETE", f"{path}/{back.id}"))[0] == 204
    assert (await call(back, "DELETE", f"{path}/{back.id}"))[0] == 403
    assert (await call(alice, "POST", f"/{gid}/members", {"id": added.id}))[0] == 201
    assert (await call(alice, "GET", path))[1]["requests"] == []
    assert (await call(refused, "POST", path, {"text": "again"}))[1]["text"] == "again"


@pytest.mark.gen_test(timeout=30)
async def test_wrong_request_says_why(node: Node) -> None:
    """Text that is too long or that XML cannot carry."""
    alice, bob = [await JsonClient.register(node) for _ in range(2)]
    gid = await make_group(alice)
    await call(alice, "PATCH", f"/{gid}", {"join": "request"}, on=bob.node)
    status, problem = await call(bob, "POST", f"/{gid}/requests", {"text": "x" * 501})
    assert status == 413 and "500" in problem["detail"]
    assert (await call(bob, "POST", f"/{gid}/requests", {"text": "\u0001"}))[0] == 400


@pytest.fixture
def small_groups(tmp_path: Path) -> Iterator[Node]:
    env = {"TANDEM_LIMITS_GROUP_MEMBERS": "2", "TANDEM_LIMITS_RATE_SCALE": "2"}
    own = Node(tmp_path, env)
    yield own.start()
    own.clean_up()


@pytest.mark.gen_test(timeout=30)
async def test_full_group_lets_nobody_in_and_uses_nothing_up(small_groups: Node) -> None:
    """The link and the request are good again when somebody has left."""
    alice, bob, carol, dave = [await JsonClient.register(small_groups) for _ in range(4)]
    gid = await make_group(alice, bob)
    _, link = await call(alice, "POST", f"/{gid}/invitations", {"uses": 1})
    await call(alice, "PATCH", f"/{gid}", {"join": "request"})
    await call(dave, "POST", f"/{gid}/requests", {})
    status, problem = await join(carol, link["code"])
    assert (status, slug(problem)) == (413, "too-long")
    accept = f"/{gid}/requests/{dave.id}/accept"
    assert (await call(alice, "POST", accept))[0] == 413
    await call(bob, "DELETE", f"/{gid}/members/{bob.id}")
    assert (await join(carol, link["code"]))[0] == 200
    await call(carol, "DELETE", f"/{gid}/members/{carol.id}")
    assert (await call(alice, "POST", accept))[0] == 201


@pytest.mark.gen_test(timeout=30)
async def test_who_asks_everywhere_is_slowed_down(small_groups: Node) -> None:
    """One user's requests in an hour are limited: 429 with the time to wait."""
    alice, bob, eve = [await JsonClient.register(small_groups) for _ in range(3)]
    statuses = []
    for owner in [alice, bob] * 31:
        gid = await make_group(owner)
        await call(owner, "PATCH", f"/{gid}", {"join": "request"})
        status, _ = await call(eve, "POST", f"/{gid}/requests", {})
        statuses.append(status)
        if status == 429:
            break
    assert statuses == [201] * 60 + [429]
