"""Ids of what others have are answered like ids of nothing: the same to the last byte.

That an account exists is no secret, its profile is there for everybody. So ids of users are here
only where they name something else, such as a contact or a request. Groups that one is not in are
compared in the tables of ``test_authorisation_*``.
"""

import json
from typing import Any

import pytest

from tests.support.cast import UNKNOWN
from tests.support.contacts import ask, befriend
from tests.support.foreign import told
from tests.support.groups import make_group
from tests.support.json_client import JsonClient, http
from tests.support.node import Node

# Alice asks. Bob's and Carol's is what is in the last columns but one, the last is of nobody's.
CALLS = """
DELETE /api/me/sessions/{id}                          : bobs_sid        no_sid
DELETE /api/me/app-passwords/{id}                     : bobs_app        none
PATCH /api/contacts/{id} {"memo": "x"}                : carol           none
DELETE /api/contacts/{id}                             : carol           none
POST /api/contacts/{id}/accept                        : dave            none
DELETE /api/groups/{own}/invitations/{id}             : bobs_link       none
POST /api/groups/{own}/requests/{id}/accept           : dave            none
DELETE /api/groups/{own}/requests/{id}                : dave            none
DELETE /api/groups/{own}/members/{id}                 : carol           none
PATCH /api/groups/{own}/members/{id} {"nick": "x"}    : carol           none
PATCH /api/groups/{own}/members/{id} {"role": "admin"}: carol           none
PATCH /api/groups/{own}/members/{id} {"role": "owner"}: carol           none
PATCH /api/groups/{own}/members/{id} {}               : carol           none
GET /api/groups/{own}/members?after={id}              : carol           none
POST /api/join {"code": "{id}"}                       : revoked_code    no_code
POST /api/join {"code": "{id}"}                       : used_code       no_code
POST /api/join {"code": "{id}"}                       : dissolved_code  no_code
GET /api/messages?chat=10&dstid={id}                  : bob             none
GET /api/messages?chat=10&dstid={id}                  : bobs_group      none
GET /api/receipts?chat=10&dstid={id}                  : bob             none
GET /api/conversations?before=9007199254740991.g{id}  : bobs_group      none
GET /api/search?q=secret&chat=10&dstid={id}           : bob             none
GET /api/search?q=secret&sender={id}                  : bob             none
PATCH /api/conversations {"chat": 10, "dstid": "{id}"}: bobs_group      none
POST /api/contacts {"id": "{id}"}                     : bobs_group      none
PUT /api/blocks/{id}                                  : bobs_group      none
GET /api/users/{id}                                   : bobs_group      none
PUT /files/{id}/a.txt                                 : bobs_file       no_file
PUT /files/{id}/a.txt?slot={slot}                     : bobs_file       no_file
"""
FRAMES = """
{"cmd": 10, "dstid": "{id}", "content": "x"}                                   : bobs_group none
{"cmd": 12, "chat": 10, "dstid": "{id}", "seq": 1, "state": "read"}            : bob        none
{"cmd": 13, "chat": 10, "dstid": "{id}", "state": "composing"}                 : bob        none
{"cmd": 14, "chat": 10, "dstid": "{id}", "ref": "{bobs}"}                      : bob        none
{"cmd": 14, "chat": 10, "dstid": "{carol}", "ref": "{id}"}                     : bobs       none
{"cmd": 14, "chat": 10, "dstid": "{carol}", "ref": "{id}"}                     : ones_own   none
{"cmd": 14, "chat": 11, "dstid": "{own}", "ref": "{id}"}                       : in_group   none
{"cmd": 15, "chat": 10, "dstid": "{id}", "ref": "{bobs}", "content": "y"}      : bob        none
{"cmd": 15, "chat": 10, "dstid": "{carol}", "ref": "{id}", "content": "y"}     : bobs       none
{"cmd": 15, "chat": 10, "dstid": "{carol}", "ref": "{id}", "content": "y"}     : ones_own   none
{"cmd": 15, "chat": 11, "dstid": "{own}", "ref": "{id}", "content": "y"}       : in_group   none
{"cmd": 16, "chat": 10, "dstid": "{id}", "ref": "{bobs}", "content": "y"}      : bob        none
{"cmd": 16, "chat": 10, "dstid": "{carol}", "ref": "{id}", "content": "y"}     : bobs       none
{"cmd": 16, "chat": 10, "dstid": "{carol}", "ref": "{id}", "content": "y"}     : ones_own   none
{"cmd": 16, "chat": 11, "dstid": "{own}", "ref": "{id}", "content": "y"}       : in_group   none
{"cmd": 30, "before": "9007199254740991.g{id}"}                                : bobs_group none
{"cmd": 31, "chat": 10, "dstid": "{id}"}                                       : bob        none
"""


def rows(table: str) -> list[tuple[str, str, str]]:
    found = []
    for line in filter(None, table.splitlines()):
        text, _, names = line.rpartition(":")
        theirs, nothing = names.split()
        found.append((text.strip(), theirs, nothing))
    return found


def fill(text: str, ids: dict[str, Any]) -> str:
    """Ids in place of their names; a number loses its quotes."""
    for name, value in ids.items():
        if isinstance(value, int):
            text = text.replace(f'"{{{name}}}"', str(value))
        text = text.replace(f"{{{name}}}", str(value))
    return text


_worlds: dict[str, tuple[JsonClient, dict[str, Any]]] = {}


async def world(node: Node) -> tuple[JsonClient, dict[str, Any]]:
    """Alice, and what there is; the same for all rows, since none of them may change anything."""
    if node.url not in _worlds:
        _worlds[node.url] = await make_world(node)
    alice, ids = _worlds[node.url]
    return await alice.another_device().connect(), ids


async def make_world(node: Node) -> tuple[JsonClient, dict[str, Any]]:
    alice, bob, carol, dave = [await JsonClient.online(node) for _ in range(4)]
    bobs = (await bob.say(carol.id, "secret", "c1"))["id"]
    ones_own = (await alice.say(alice.id, "note", "c1"))["id"]
    await alice.say(carol.id, "x", "c1")
    await befriend(bob, carol)
    await ask(dave, bob)
    own, gid = await make_group(alice), await make_group(bob, carol)
    in_group = (await bob.say(gid, "secret", "c2", chat=11))["id"]
    await alice.say(own, "x", "c2", chat=11)
    await bob.call("PATCH", f"/api/groups/{gid}", {"join": "request"})
    await dave.call("POST", f"/api/groups/{gid}/requests", {})
    for _ in range(3):
        _, app = await bob.call("POST", "/api/me/app-passwords", {"name": "phone"})
    links = f"/api/groups/{gid}/invitations"
    _, link = await bob.call("POST", links, {})
    _, revoked = await bob.call("POST", links, {})
    await bob.call("DELETE", f"{links}/{revoked['id']}")
    _, used = await bob.call("POST", links, {"uses": 1})
    await (await JsonClient.register(node)).call("POST", "/api/join", {"code": used["code"]})
    other = await make_group(bob)
    _, dissolved = await bob.call("POST", f"/api/groups/{other}/invitations", {})
    await bob.call("DELETE", f"/api/groups/{other}")
    file = {"name": "a.txt", "size": 1, "type": "text/plain"}
    _, offer = await bob.call("POST", "/api/uploads", file)
    put = offer["put"].removeprefix(node.url)
    assert (await http(node, "PUT", put, b"x", Content_Type="text/plain"))[0] == 201
    _, mine = await alice.call("POST", "/api/uploads", file)
    bobs_file = put.split("/")[2]
    return alice, {
        "bob": bob.id,
        "carol": carol.id,
        "dave": dave.id,
        "none": UNKNOWN,
        "own": own,
        "bobs_group": gid,
        "bobs": bobs,
        "ones_own": ones_own,
        "in_group": in_group,
        "bobs_sid": bob.refresh_token.partition(".")[0],
        "no_sid": "A" * 22,
        "bobs_app": app["id"],
        "bobs_link": link["id"],
        "revoked_code": revoked["code"],
        "used_code": used["code"],
        "dissolved_code": dissolved["code"],
        "no_code": "A" * 22,
        "bobs_file": bobs_file,
        "no_file": f"{'0' * 32}.{bobs_file.partition('.')[2]}",
        "slot": mine["put"].partition("slot=")[2],
    }


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(("text", "theirs", "nothing"), rows(CALLS))
async def test_call_on_what_is_anothers_tells_nothing(
    node: Node, text: str, theirs: str, nothing: str
) -> None:
    """Status, headers and body; only the id itself may come back."""
    alice, ids = await world(node)
    answers = []
    for name in (theirs, nothing):
        method, call = fill(text, ids | {"id": ids[name]}).split(" ", 1)
        path, _, body = call.partition(" ")
        body_sent = body.encode() if body else b"x" if method == "PUT" and "files" in path else None
        *_, response = await http(node, method, path, body_sent, token=alice.token)
        answers.append(told(response, ids[name]))
    assert answers[0] == answers[1]


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(("text", "theirs", "nothing"), rows(FRAMES))
async def test_frame_on_what_is_anothers_tells_nothing(
    node: Node, text: str, theirs: str, nothing: str
) -> None:
    """The same answer, or the same silence."""
    alice, ids = await world(node)
    answers = []
    for name in (theirs, nothing):
        frame = json.loads(fill(text, ids | {"id": ids[name]}))
        alice.send(**frame, cid="c", rid="c")
        if frame["cmd"] != 13:
            answer = await alice.expect_that(lambda one: one["cmd"] != 0)
            answers.append(json.dumps(answer).replace(str(ids[name]), "?"))
        assert await alice.settled() == []
    assert len(set(answers)) <= 1
