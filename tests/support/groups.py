"""Groups for tests: made over HTTP, and changed on the node of whoever has to notice at once."""

import itertools
import time
from typing import Any

from tests.support.eventually import eventually
from tests.support.json_client import JsonClient, http
from tests.support.node import Node

_cids = itertools.count(1)


async def make_group(owner: JsonClient, *members: JsonClient) -> int:
    body = {"name": "friends", "members": [member.id for member in members]}
    status, group, _ = await http(owner.node, "POST", "/api/groups", body, token=owner.token)
    assert status == 201, group
    return int(group["id"])


async def talking_group(owner: JsonClient, *members: JsonClient) -> int:
    """All of them are online, and heard from it."""
    gid = await make_group(owner, *members)
    for client in (owner, *members):
        await client.expect(cmd=22, event="created", dstid=gid)
    await owner.say(gid, "hello", f"hello {next(_cids)}", chat=11)
    for member in members:
        await member.expect(cmd=11, dstid=gid)
    return gid


async def call(
    client: JsonClient, method: str, path: str, body: Any = None, *, on: Node | None = None
) -> tuple[int, Any]:
    """A call of ``/api/groups`` and what is below; ``on``: another node than the client's."""
    status, answer, _ = await http(
        on or client.node, method, f"/api/groups{path}", body, token=client.token
    )
    return status, answer


def slug(problem: Any) -> str:
    return str(problem["type"]).rpartition("/")[2]


async def members_of(client: JsonClient, gid: int) -> dict[int, dict[str, Any]]:
    status, listed = await call(client, "GET", f"/{gid}/members?limit=500")
    assert status == 200, listed
    return {member["id"]: member for member in listed["members"]}


async def try_to_say(client: JsonClient, gid: int) -> str:
    """The reason of the refusal, or nothing."""
    cid = f"try {next(_cids)}"
    client.send(cmd=11, dstid=gid, content="may I?", cid=cid)
    answer = await client.expect_that(lambda frame: frame.get("cid") == cid and frame["cmd"] < 3)
    return str(answer.get("reason", ""))


async def is_refused(client: JsonClient, gid: int) -> bool:
    """Whether the client's node knows that the client is not in the group."""
    return await try_to_say(client, gid) == "not-a-member"


async def hears_no_more(client: JsonClient, gid: int, member: JsonClient) -> None:
    """Waits until nothing said in the group comes to one who has left it. Forgets what came."""

    async def is_gone() -> bool:
        cid = f"try {next(_cids)}"
        await member.say(gid, "does anybody hear?", cid, chat=11)
        # What is on its way to the one who left comes before this.
        await member.say(client.id, "by the way", cid)
        await client.expect(cmd=10, cid=cid)
        heard = {frame["cmd"] for frame in await client.settled()}
        return 11 not in heard and await is_refused(client, gid)

    await eventually(is_gone)


def now_ms() -> int:
    return int(time.time() * 1000)
