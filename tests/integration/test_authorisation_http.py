"""Who may do what over HTTP: one row for each call, one column for each kind of caller.

The callers and what is named in braces are those of ``tests/support/cast.py``. A cell is the
status of the answer, or stands for its problem:

    out   403 not-a-member       low   403 not-allowed      blk   403 blocked
    usr   404 no-such-user       nil   404 not-found        401   not-logged-in
    409   conflict               bad   422 invalid
"""

import json
import re
from typing import Any

import pytest

from handlers.api import endpoints
from handlers.http import ROUTES, _pattern
from tests.support.cast import CALLERS, UNKNOWN, Cast, names_in
from tests.support.foreign import same_answer
from tests.support.groups import slug
from tests.support.json_client import JsonClient, http
from tests.support.node import Node

SHORT = {
    "not-a-member": "out",
    "not-allowed": "low",
    "blocked": "blk",
    "no-such-user": "usr",
    "not-found": "nil",
    "not-logged-in": "401",
    "conflict": "409",
    "invalid": "bad",
}

# Below /api. In the order of CALLERS:
# nobody, stranger, blocked, blocker, member, muted, gone, admin, owner
API = """
201 201 201 201 201 201 201 201 201 POST /register {"username": "{name}", "password": "{pw}"}
200 200 200 200 200 200 200 200 200 POST /login {"id": "{own}", "password": "{pw}"}
200 200 200 200 200 200 200 200 200 POST /token {"refresh_token": "{refresh}"}
401 204 204 204 204 204 204 204 204 POST /logout {}
401 200 200 200 200 200 200 200 200 POST /ticket

401 200 200 200 200 200 200 200 200 GET /me
401 200 200 200 200 200 200 200 200 PATCH /me {"memo": "x"}
401 bad bad bad bad bad bad bad bad DELETE /me {}
401 204 204 204 204 204 204 204 204 POST /me/password {"old": "{pw}", "new": "{pw}"}
401 200 200 200 200 200 200 200 200 GET /me/sessions
401 204 204 204 204 204 204 204 204 DELETE /me/sessions/{sid}
401 nil nil nil nil nil nil nil nil DELETE /me/sessions/{their_sid}
401 200 200 200 200 200 200 200 200 GET /me/app-passwords
401 201 201 201 201 201 201 201 201 POST /me/app-passwords {"name": "x"}
401 204 204 204 204 204 204 204 204 DELETE /me/app-passwords/{app}
401 nil nil nil nil nil nil nil nil DELETE /me/app-passwords/{their_app}
401 200 200 200 200 200 200 200 200 GET /me/xmpp
401 200 200 200 200 200 200 200 200 GET /me/export

401 200 200 200 200 200 200 200 200 GET /users?q={other}
401 200 200 200 200 200 200 200 200 GET /users/{other}
401 usr usr usr usr usr usr usr usr GET /users/{none}
401 200 200 200 200 200 200 200 200 GET /contacts
401 201 201 blk 201 201 201 201 201 POST /contacts {"id": "{other}"}
401 201 201 blk 201 201 201 201 201 POST /contacts {"id": "{friend}"}
401 201 201 blk 201 201 201 201 201 POST /contacts {"id": "{suitor}"}
401 usr usr usr usr usr usr usr usr PATCH /contacts/{other} {"memo": "x"}
401 usr 200 200 200 200 200 200 200 PATCH /contacts/{friend} {"memo": "x"}
401 usr usr usr usr usr usr usr usr PATCH /contacts/{suitor} {"memo": "x"}
401 usr usr usr usr usr usr usr usr DELETE /contacts/{other}
401 usr 204 204 204 204 204 204 204 DELETE /contacts/{friend}
401 204 204 usr 204 204 204 204 204 DELETE /contacts/{suitor}
401 usr usr blk usr usr usr usr usr POST /contacts/{other}/accept
401 usr 200 blk 200 200 200 200 200 POST /contacts/{friend}/accept
401 200 200 blk 200 200 200 200 200 POST /contacts/{suitor}/accept
401 200 200 200 200 200 200 200 200 GET /blocks
401 204 204 204 204 204 204 204 204 PUT /blocks/{other}
401 usr usr usr usr usr usr usr usr PUT /blocks/{none}
401 204 204 204 204 204 204 204 204 DELETE /blocks/{other}

401 200 200 200 200 200 200 200 200 GET /groups
401 201 201 201 201 201 201 201 201 POST /groups {"name": "x"}
401 201 low 201 201 201 201 201 201 POST /groups {"name": "x", "members": ["{other}"]}
401 out 200 200 200 200 out 200 200 GET /groups/{gid}
401 out low low low low out 200 200 PATCH /groups/{gid} {"name": "new"}
401 out low low low low out 200 200 PATCH /groups/{gid} {"announcement": "new"}
401 out low low low low out 200 200 PATCH /groups/{gid} {"muted_all": true}
401 out low low low low out low 200 PATCH /groups/{gid} {"history": "all"}
401 out low low low low out low 200 PATCH /groups/{gid} {"join": "request"}
401 out low low low low out low 204 DELETE /groups/{gid}
401 out 200 200 200 200 out 200 200 GET /groups/{gid}/members
401 out low low low low out 201 201 POST /groups/{gid}/members {"id": "{guest}"}
401 out low low low low out 201 201 POST /groups/{gid}/members {"id": "{own}"}
401 out low low low low out 204 204 DELETE /groups/{gid}/members/{target}
401 out 204 204 204 204 out 204 409 DELETE /groups/{gid}/members/{own}
401 out low low low low out low 204 DELETE /groups/{gid}/members/{peer}
401 out low low low low out low 409 DELETE /groups/{gid}/members/{owner}
401 out usr usr usr usr out usr usr DELETE /groups/{gid}/members/{guest}
401 out 200 200 200 200 out 200 200 PATCH /groups/{gid}/members/{target} {}
401 out low low low low out low 200 PATCH /groups/{gid}/members/{target} {"role": "admin"}
401 out low low low low out low 200 PATCH /groups/{gid}/members/{target} {"role": "owner"}
401 out low low low low out low 409 PATCH /groups/{gid}/members/{own} {"role": "admin"}
401 out low low low low out low 409 PATCH /groups/{gid}/members/{own} {"role": "owner"}
401 out low low low low out low 200 PATCH /groups/{gid}/members/{peer} {"role": "member"}
401 out low low low low out 200 200 PATCH /groups/{gid}/members/{target} {"muted_until": "{ever}"}
401 out low low low low out low 200 PATCH /groups/{gid}/members/{peer} {"muted_until": "{ever}"}
401 out low low low low out low low PATCH /groups/{gid}/members/{owner} {"muted_until": "{ever}"}
401 out low low low low out low low PATCH /groups/{gid}/members/{own} {"muted_until": 0}
401 out 200 200 200 200 out 200 200 PATCH /groups/{gid}/members/{own} {"nick": "me"}
401 out low low low low out 200 200 PATCH /groups/{gid}/members/{target} {"nick": "you"}
401 out low low low low out low 200 PATCH /groups/{gid}/members/{peer} {"nick": "you"}
401 out low low low low out low 200 PATCH /groups/{gid}/members/{target} {"nick":"a","role":"admin"}
401 out low low low low out low low PATCH /groups/{gid}/members/{own} {"nick":"a", "muted_until":0}
401 out usr usr usr usr out usr usr PATCH /groups/{gid}/members/{guest} {"nick": "you"}

401 out low low low low out 201 201 POST /groups/{gid}/invitations {}
401 out low low low low out 200 200 GET /groups/{gid}/invitations
401 out low low low low out 204 204 DELETE /groups/{gid}/invitations/{link}
401 out low low low low out nil nil DELETE /groups/{gid}/invitations/{none}
401 200 200 200 200 200 200 200 200 POST /join {"code": "{code}"}
401 nil nil nil nil nil nil nil nil POST /join {"code": "AAAAAAAAAAAAAAAAAAAAAA"}
401 out 409 409 409 409 out 409 409 POST /groups/{gid}/requests {}
401 201 409 409 409 409 201 409 409 POST /groups/{open}/requests {}
401 out low low low low out 200 200 GET /groups/{open}/requests
401 out low low low low out 201 201 POST /groups/{open}/requests/{asker}/accept
401 out low low low low out nil nil POST /groups/{open}/requests/{guest}/accept
401 out low low low low out 204 204 DELETE /groups/{open}/requests/{asker}
401 out low low low low out nil nil DELETE /groups/{open}/requests/{own}

401 200 200 200 200 200 200 200 200 GET /conversations
401 200 200 200 200 200 200 200 200 PATCH /conversations {"chat": 10, "dstid": "{other}","draft":""}
401 usr usr usr usr usr usr usr usr PATCH /conversations {"chat": 10, "dstid": "{none}", "draft":""}
401 out 200 200 200 200 out 200 200 PATCH /conversations {"chat": 11, "dstid": "{gid}", "draft":"x"}
401 out 200 200 200 200 out 200 200 PATCH /conversations {"chat": 11, "dstid": "{gid}"}
401 200 200 200 200 200 200 200 200 GET /messages?chat=10&dstid={other}
401 out 200 200 200 200 out 200 200 GET /messages?chat=11&dstid={gid}
401 out 200 200 200 200 out 200 200 GET /messages?chat=11&dstid={gid}&before=1
401 200 200 200 200 200 200 200 200 GET /receipts?chat=10&dstid={other}
401 out 200 200 200 200 out 200 200 GET /receipts?chat=11&dstid={gid}
401 200 200 200 200 200 200 200 200 GET /search?q=text
401 200 200 200 200 200 200 200 200 GET /search?q=text&chat=10&dstid={other}
401 200 200 200 200 200 200 200 200 GET /search?q=text&chat=11
401 out 200 200 200 200 out 200 200 GET /search?q=text&chat=11&dstid={gid}
401 201 201 201 201 201 201 201 201 POST /uploads {"name": "a.txt", "size": 1, "type": "text/plain"}
"""

BESIDE = """
200 200 200 200 200 200 200 200 200 GET {file}
low low low low low low low low low PUT {file}
nil nil nil nil nil nil nil nil nil GET /files/0/a.txt
low low low low low low low low low PUT /files/0/a.txt
200 200 200 200 200 200 200 200 200 GET /api/openapi.json
200 200 200 200 200 200 200 200 200 GET /.well-known/host-meta
200 200 200 200 200 200 200 200 200 GET /.well-known/host-meta.json
200 200 200 200 200 200 200 200 200 GET /livez
200 200 200 200 200 200 200 200 200 GET /readyz
200 200 200 200 200 200 200 200 200 GET /metrics
nil nil nil nil nil nil nil nil nil GET /api/nothing
"""

ANSWERED_WITHOUT_TOKEN = {
    "POST /api/register",
    "POST /api/login",
    "POST /api/token",
    "GET /api/openapi.json",
    "GET /.well-known/host-meta",
    "GET /.well-known/host-meta.json",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
}

Row = tuple[tuple[str, ...], str, str, Any]
"""What each caller gets; method, path and body."""


def rows(table: str, prefix: str = "") -> list[Row]:
    found = []
    for line in filter(None, table.splitlines()):
        *cells, method, call = line.split(" ", len(CALLERS) + 1)
        path, _, body = call.partition(" ")
        found.append((tuple(cells), method, prefix + path, json.loads(body) if body else None))
    return found


ROWS = [*rows(API, "/api"), *rows(BESIDE)]


def cell(status: int, answer: Any) -> str:
    """An answer as it is written in the table."""
    if status < 400:
        return str(status)
    reason = slug(answer)
    return SHORT.get(reason, f"{status} {reason}")


def calls_of_routes() -> dict[str, bool]:
    """Method and path of each call → whether it is public."""
    return {
        f"{method.upper()} {path}": found.public
        for path, handler in ROUTES
        for method, found in endpoints(handler).items()
    }


def test_table_has_a_row_for_every_call_of_the_url_table() -> None:
    """A new call needs a row here."""
    listed = set()
    for path, handler in ROUTES:
        pattern = re.compile(_pattern(path))
        for _, method, called, _ in ROWS:
            if method.lower() in endpoints(handler) and pattern.fullmatch(called.partition("?")[0]):
                listed.add(f"{method} {path}")
    assert set(calls_of_routes()) - listed == set()


def test_public_calls_are_these_and_no_others() -> None:
    """Whatever else is added asks for a token."""
    public = {call for call, is_public in calls_of_routes().items() if is_public}
    assert public == ANSWERED_WITHOUT_TOKEN


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    ("cells", "method", "path", "body"),
    ROWS,
    ids=[f"{method} {path} {json.dumps(body)}" for _, method, path, body in ROWS],
)
async def test_call_is_for_whom_the_table_says(
    node: Node, cells: tuple[str, ...], method: str, path: str, body: Any
) -> None:
    """And who may not see a group is answered as if there were none, to the last byte."""
    text = path + json.dumps(body)
    cast = await Cast.of(node, text)
    got = []
    for name in CALLERS:
        token = cast.token(name)
        url, filled = cast.fill(path, name), cast.fill(body, name)
        status, answer, response = await http(node, method, url, filled, token=token)
        got.append(cell(status, answer))
        if got[-1] == "out":
            instead = dict.fromkeys(names_in(text) & {"gid", "open", "link"}, UNKNOWN)
            url, filled = cast.fill(path, name, **instead), cast.fill(body, name, **instead)
            *_, nowhere = await http(node, method, url, filled, token=token)
            assert same_answer(response, nowhere)
    assert tuple(got) == cells


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("call", sorted(set(calls_of_routes()) - ANSWERED_WITHOUT_TOKEN))
async def test_whatever_is_wrong_with_the_token_is_refused_alike(node: Node, call: str) -> None:
    """Missing, garbled, ended, of another kind; and before anything else of the call is read."""
    alice = await JsonClient.register(node)
    ticket = (await alice.call("POST", "/api/ticket"))[1]["ticket"]
    ended, refresh = alice.token, alice.refresh_token
    assert (await alice.call("POST", "/api/logout"))[0] == 204
    method, _, path = call.partition(" ")
    path = re.sub(r"\{\w+\}", "not-an-id", path)
    for verb in (method, "HEAD") if method == "GET" else (method,):
        answers = []
        for token in ("", "garbage", "a.b.c", ended[:-3] + "AAA", ended, refresh, ticket):
            status, _, response = await http(node, verb, path, b"{", token=token)
            assert status == 401
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="tandem"'
            answers.append(response)
        assert same_answer(*answers[1:4])


@pytest.mark.gen_test(timeout=30)
async def test_code_of_an_invitation_changes_no_role(node: Node) -> None:
    """Those who went come back as plain members, the others stay what they are."""
    cast = await Cast.of(node, "{code}")
    for name, caller in cast.callers.items():
        status, group = await caller.call("POST", "/api/join", cast.fill({"code": "{code}"}, name))
        role = name if name in ("admin", "owner") else "member"
        assert (status, group["role"]) == (200, role)
