"""Who may call what of groups: one row for each call, one column for each kind of caller."""

from typing import Any

import pytest

from tests.support.groups import call, make_group
from tests.support.json_client import JsonClient, http
from tests.support.node import Node

CALLERS = ("nobody", "stranger", "member", "muted", "gone", "admin", "owner")
"""``nobody`` is not logged in, ``gone`` was a member once."""

FOR_GOOD = 2**53 - 1

# Of what is named in braces each caller has an own one, but for owner and deputy: the deputy is
# another admin, the target a plain member, the guest in no group, the asker asked to be let in.
ROWS: list[tuple[str, str, Any, tuple[int, ...]]] = [
    ("GET", "/{gid}", None, (401, 403, 200, 200, 403, 200, 200)),
    ("PATCH", "/{gid}", {"name": "new"}, (401, 403, 403, 403, 403, 200, 200)),
    ("PATCH", "/{gid}", {"announcement": "new"}, (401, 403, 403, 403, 403, 200, 200)),
    ("PATCH", "/{gid}", {"muted_all": True}, (401, 403, 403, 403, 403, 200, 200)),
    ("PATCH", "/{gid}", {"history": "all"}, (401, 403, 403, 403, 403, 403, 200)),
    ("PATCH", "/{gid}", {"join": "request"}, (401, 403, 403, 403, 403, 403, 200)),
    ("DELETE", "/{gid}", None, (401, 403, 403, 403, 403, 403, 204)),
    ("GET", "/{gid}/members", None, (401, 403, 200, 200, 403, 200, 200)),
    ("POST", "/{gid}/members", {"id": "{guest}"}, (401, 403, 403, 403, 403, 201, 201)),
    ("POST", "/{gid}/members", {"id": "{own}"}, (401, 403, 403, 403, 403, 201, 201)),
    ("DELETE", "/{gid}/members/{target}", None, (401, 403, 403, 403, 403, 204, 204)),
    ("DELETE", "/{gid}/members/{own}", None, (401, 403, 204, 204, 403, 204, 409)),
    ("DELETE", "/{gid}/members/{deputy}", None, (401, 403, 403, 403, 403, 403, 204)),
    ("DELETE", "/{gid}/members/{owner}", None, (401, 403, 403, 403, 403, 403, 409)),
    ("DELETE", "/{gid}/members/{guest}", None, (401, 403, 404, 404, 403, 404, 404)),
    *(
        ("PATCH", f"/{{gid}}/members/{{{whom}}}", body, statuses)
        for whom, body, statuses in (
            ("target", {}, (401, 403, 200, 200, 403, 200, 200)),
            ("target", {"role": "admin"}, (401, 403, 403, 403, 403, 403, 200)),
            ("target", {"role": "owner"}, (401, 403, 403, 403, 403, 403, 200)),
            ("own", {"role": "admin"}, (401, 403, 403, 403, 403, 403, 409)),
            ("own", {"role": "owner"}, (401, 403, 403, 403, 403, 403, 409)),
            ("deputy", {"role": "member"}, (401, 403, 403, 403, 403, 403, 200)),
            ("target", {"muted_until": FOR_GOOD}, (401, 403, 403, 403, 403, 200, 200)),
            ("deputy", {"muted_until": FOR_GOOD}, (401, 403, 403, 403, 403, 403, 200)),
            ("owner", {"muted_until": FOR_GOOD}, (401, 403, 403, 403, 403, 403, 403)),
            ("own", {"muted_until": 0}, (401, 403, 403, 403, 403, 403, 403)),
            ("own", {"nick": "me"}, (401, 403, 200, 200, 403, 200, 200)),
            ("target", {"nick": "you"}, (401, 403, 403, 403, 403, 200, 200)),
            ("deputy", {"nick": "you"}, (401, 403, 403, 403, 403, 403, 200)),
            ("target", {"nick": "a", "role": "admin"}, (401, 403, 403, 403, 403, 403, 200)),
            ("own", {"nick": "a", "muted_until": 0}, (401, 403, 403, 403, 403, 403, 403)),
        )
    ),
    ("POST", "/{gid}/invitations", {}, (401, 403, 403, 403, 403, 201, 201)),
    ("GET", "/{gid}/invitations", None, (401, 403, 403, 403, 403, 200, 200)),
    ("DELETE", "/{gid}/invitations/{link}", None, (401, 403, 403, 403, 403, 204, 204)),
    ("POST", "/{gid}/requests", {}, (401, 403, 409, 409, 403, 409, 409)),
    ("POST", "/{open}/requests", {}, (401, 201, 409, 409, 201, 409, 409)),
    ("GET", "/{open}/requests", None, (401, 403, 403, 403, 403, 200, 200)),
    ("POST", "/{open}/requests/{asker}/accept", {}, (401, 403, 403, 403, 403, 201, 201)),
    ("DELETE", "/{open}/requests/{asker}", None, (401, 403, 403, 403, 403, 204, 204)),
    ("DELETE", "/{open}/requests/{own}", None, (401, 403, 403, 403, 403, 404, 404)),
]

UNKNOWN = 2**52
"""The id of no group."""

_people: dict[str, list[JsonClient]] = {}


async def people(node: Node) -> list[JsonClient]:
    """The same for all rows."""
    if node.url not in _people:
        _people[node.url] = [await JsonClient.register(node) for _ in range(29)]
    return _people[node.url]


class Cast:
    """A group with everybody in place, made for one row."""

    def __init__(self, crowd: list[JsonClient]) -> None:
        self.clients = dict(zip(CALLERS[1:], crowd, strict=False))
        self.deputy = crowd[6]
        self.targets, self.guests, self.askers = crowd[8:15], crowd[15:22], crowd[22:29]
        self.links: list[int] = [0] * len(CALLERS)
        self.gid = 0

    async def assemble(self, path: str) -> "Cast":
        people = self.clients
        owner = people["owner"]
        insiders = [people[name] for name in ("member", "muted", "gone", "admin")]
        gid = self.gid = await make_group(owner, *insiders, self.deputy, *self.targets)
        for admin in (people["admin"], self.deputy):
            await call(owner, "PATCH", f"/{gid}/members/{admin.id}", {"role": "admin"})
        muted = f"/{gid}/members/{people['muted'].id}"
        await call(owner, "PATCH", muted, {"muted_until": FOR_GOOD})
        await call(owner, "DELETE", f"/{gid}/members/{people['gone'].id}")
        if "{open}" in path:
            await call(owner, "PATCH", f"/{gid}", {"join": "request"})
        if "{asker}" in path:
            for asker in self.askers:
                assert (await call(asker, "POST", f"/{gid}/requests", {}))[0] == 201
        if "{link}" in path:
            for at in range(len(CALLERS)):
                _, link = await call(owner, "POST", f"/{gid}/invitations", {})
                self.links[at] = link["id"]
        return self

    def ids_for(self, at: int, gid: int) -> dict[str, int]:
        caller = self.clients.get(CALLERS[at], self.clients["stranger"])
        return {
            "gid": gid,
            "open": gid,
            "own": caller.id,
            "owner": self.clients["owner"].id,
            "deputy": self.deputy.id,
            "target": self.targets[at].id,
            "guest": self.guests[at].id,
            "asker": self.askers[at].id,
            "link": self.links[at],
        }


def filled(body: Any, ids: dict[str, int]) -> Any:
    """With the ids in place of their names."""
    if body is None:
        return None
    return {
        field: ids[value[1:-1]] if str(value).startswith("{") else value
        for field, value in body.items()
    }


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    ("method", "path", "body", "expected"), ROWS, ids=[f"{m} {p} {b}" for m, p, b, _ in ROWS]
)
async def test_call_is_for_whom_the_table_says(
    node: Node, method: str, path: str, body: Any, expected: tuple[int, ...]
) -> None:
    """And to a stranger a group is like one that does not exist, but where it takes requests."""
    cast = await Cast(await people(node)).assemble(path)
    got = []
    for at, name in enumerate(CALLERS):
        ids = cast.ids_for(at, cast.gid)
        token = cast.clients[name].token if name in cast.clients else ""
        url = "/api/groups" + path.format(**ids)
        status, problem, _ = await http(node, method, url, filled(body, ids), token=token)
        got.append(status)
        if name == "stranger" and status != 201:
            ids = cast.ids_for(at, UNKNOWN)
            url = "/api/groups" + path.format(**ids)
            nowhere = await http(node, method, url, filled(body, ids), token=token)
            assert nowhere[:2] == (status, problem)
    assert tuple(got) == expected


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", CALLERS)
async def test_code_of_an_invitation_lets_everybody_in_who_is_logged_in(
    node: Node, name: str
) -> None:
    """Those who were members and went too; members stay what they are."""
    cast = await Cast(await people(node)).assemble("")
    _, link = await call(cast.clients["owner"], "POST", f"/{cast.gid}/invitations", {})
    token = cast.clients[name].token if name in cast.clients else ""
    body = {"code": link["code"]}
    status, group, _ = await http(node, "POST", "/api/join", body, token=token)
    if name == "nobody":
        assert status == 401
    else:
        role = name if name in ("admin", "owner") else "member"
        assert (status, group["role"]) == (200, role)
