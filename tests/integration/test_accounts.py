"""Accounts and tokens over HTTP: sign-up, login, rotation, revocation, profiles."""

import asyncio
import time

import pytest

from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

BAD_REGISTRATIONS = {
    "short password": ({"username": "okname", "password": "short"}, "password"),
    "long password": ({"username": "okname", "password": "x" * 257}, "password"),
    "control in password": ({"username": "okname", "password": "x\u0000" * 8}, "password"),
    "short name": ({"username": "ab", "password": PASSWORD}, "username"),
    "digit first": ({"username": "1abc", "password": PASSWORD}, "username"),
    "space in name": ({"username": "a b c", "password": PASSWORD}, "username"),
    "at in name": ({"username": "a@b.c", "password": PASSWORD}, "username"),
    "long name": ({"username": "a" * 33, "password": PASSWORD}, "username"),
    "mobile without plus": ({"mobile": "13800000000", "password": PASSWORD}, "mobile"),
    "long nickname": (
        {"username": "okname", "nickname": "n" * 65, "password": PASSWORD},
        "nickname",
    ),
    "password missing": ({"username": "okname"}, "password"),
    "password no text": ({"username": "okname", "password": 12345678}, "password"),
}


@pytest.mark.gen_test(timeout=20)
async def test_registration_gives_an_account_that_can_log_in(node: Node) -> None:
    """201 with id, JID and tokens; the same name in other case logs in and cannot be taken."""
    name = fresh_name()
    body = {"username": name.upper(), "password": PASSWORD, "nickname": "Ann 安"}
    status, made, _ = await http(node, "POST", "/api/register", body)
    assert status == 201
    assert set(made) == {"id", "username", "jid", "token", "refresh_token", "expires_in"}
    assert made["id"] >= 10000
    assert (made["username"], made["jid"]) == (name, f"{name}@localhost")
    for login in ({"username": name}, {"username": name.upper()}, {"id": made["id"]}):
        status, again, _ = await http(node, "POST", "/api/login", login | {"password": PASSWORD})
        assert (status, again["id"]) == (200, made["id"])
    status, problem, response = await http(node, "POST", "/api/register", body)
    assert status == 409
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert "username" in problem["errors"]


@pytest.mark.gen_test(timeout=20)
async def test_mobile_logs_in_and_is_unique(node: Node) -> None:
    """An account may have a mobile instead of a name; its JID is then its id."""
    mobile = f"+8613{time.time_ns() % 10**9:09}"
    body = {"mobile": mobile, "password": PASSWORD}
    status, made, _ = await http(node, "POST", "/api/register", body)
    assert (status, made["jid"]) == (201, f"{made['id']}@localhost")
    status, again, _ = await http(node, "POST", "/api/login", body)
    assert (status, again["id"]) == (200, made["id"])
    assert (await http(node, "POST", "/api/register", body))[0] == 409
    _, found, _ = await http(
        node, "GET", "/api/users?q=" + mobile.replace("+", "%2B"), token=made["token"]
    )
    assert [user["id"] for user in found["users"]] == [made["id"]]


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize("name", BAD_REGISTRATIONS)
async def test_registration_with_bad_fields_names_the_field(node: Node, name: str) -> None:
    """422 with the field and what is wrong with it."""
    body, field = BAD_REGISTRATIONS[name]
    status, problem, _ = await http(node, "POST", "/api/register", body)
    assert status == 422
    assert list(problem["errors"]) == [field]
    assert problem["status"] == 422


@pytest.mark.gen_test(timeout=20)
async def test_registration_of_one_name_at_once_succeeds_once(node: Node) -> None:
    """The unique index decides a race."""
    body = {"username": fresh_name(), "password": PASSWORD}
    answers = await asyncio.gather(*(http(node, "POST", "/api/register", body) for _ in range(5)))
    assert sorted(status for status, _, _ in answers) == [201, 409, 409, 409, 409]


@pytest.mark.gen_test(timeout=20)
async def test_malformed_bodies_answer_400_and_never_500(node: Node) -> None:
    """Broken JSON, NaN, surrogates, depth and huge integers are the client's mistake."""
    bodies = [
        b"{",
        b"",
        b'{"password": NaN}',
        b'{"password": "\\ud800aaaaaaaa"}',
        b"[" * 50_000,
        b'{"username":"a","username":"b","password":"xxxxxxxxx"}',
        b'{"id":' + b"9" * 5000 + b"}",
        b"\xff\xfe",
    ]
    for body in bodies:
        for path in ("/api/register", "/api/login", "/api/token"):
            status, _, _ = await http(node, "POST", path, body)
            assert status in (400, 422), (path, body[:30])


@pytest.mark.gen_test(timeout=20)
async def test_login_with_any_wrong_pair_gets_the_same_answer(node: Node) -> None:
    """401 with one body, whether the account exists or not."""
    me = await JsonClient.register(node)
    wrong = [
        {"username": me.username, "password": PASSWORD + "x"},
        {"username": "nobody.here", "password": PASSWORD},
        {"id": 4503599627370496, "password": PASSWORD},
        {"username": "not a name!", "password": PASSWORD},
        {"mobile": "+10000000000", "password": PASSWORD},
        {"username": me.username, "password": ""},
    ]
    answers = [await http(node, "POST", "/api/login", body) for body in wrong]
    assert [status for status, _, _ in answers] == [401] * len(wrong)
    assert len({str(problem) for _, problem, _ in answers}) == 1


@pytest.mark.gen_test(timeout=60)
async def test_login_failures_are_limited_per_address_and_account(own_node: Node) -> None:
    """After five wrong passwords 429 with Retry-After, other accounts still log in."""
    own_node.env["TANDEM_LIMITS_RATE_SCALE"] = "1"
    own_node.start()
    me, other = await JsonClient.register(own_node), await JsonClient.register(own_node)
    wrong = {"id": me.id, "password": "wrong password"}
    for _ in range(5):
        assert (await http(own_node, "POST", "/api/login", wrong))[0] == 401
    status, _, response = await http(own_node, "POST", "/api/login", wrong)
    assert status == 429
    assert int(response.headers["Retry-After"]) > 0
    right = {"id": other.id, "password": PASSWORD}
    assert (await http(own_node, "POST", "/api/login", right))[0] == 200


@pytest.mark.gen_test(timeout=60)
async def test_registrations_are_limited_per_address(own_node: Node) -> None:
    """The eleventh registration from one address within an hour is told to wait."""
    own_node.env["TANDEM_LIMITS_RATE_SCALE"] = "1"
    own_node.start()
    for _ in range(10):
        await JsonClient.register(own_node)
    body = {"username": fresh_name(), "password": PASSWORD}
    assert (await http(own_node, "POST", "/api/register", body))[0] == 429


@pytest.mark.gen_test(timeout=20)
async def test_closed_registration_answers_403(own_node: Node) -> None:
    """The operator alone makes accounts then."""
    own_node.env["TANDEM_AUTH_REGISTRATION"] = "closed"
    own_node.start()
    body = {"username": fresh_name(), "password": PASSWORD}
    assert (await http(own_node, "POST", "/api/register", body))[0] == 403


@pytest.mark.gen_test(timeout=20)
async def test_refresh_rotates_and_reuse_revokes_the_session(node: Node) -> None:
    """A spent refresh token ends its whole family: tokens, refresh tokens and sockets."""
    me = await JsonClient.online(node)
    status, second, _ = await http(node, "POST", "/api/token", {"refresh_token": me.refresh_token})
    assert status == 200
    assert second["refresh_token"] != me.refresh_token
    assert (await http(node, "GET", "/api/me", token=second["token"]))[0] == 200
    status, _, _ = await http(node, "POST", "/api/token", {"refresh_token": me.refresh_token})
    assert status == 401
    assert await me.closed() == 4401
    assert (await http(node, "GET", "/api/me", token=second["token"]))[0] == 401
    body = {"refresh_token": second["refresh_token"]}
    assert (await http(node, "POST", "/api/token", body))[0] == 401


@pytest.mark.gen_test(timeout=20)
async def test_logout_of_all_ends_every_session(node: Node) -> None:
    """{"all": true} closes the sockets of the account's other logins too."""
    me = await JsonClient.online(node)
    _, account, _ = await http(node, "POST", "/api/login", {"id": me.id, "password": PASSWORD})
    elsewhere = await JsonClient(node, account).connect()
    assert (await http(node, "POST", "/api/logout", {"all": True}, token=me.token))[0] == 204
    assert await me.closed() == 4401
    assert await elsewhere.closed() == 4401
    assert (await http(node, "GET", "/api/me", token=elsewhere.token))[0] == 401


@pytest.mark.gen_test(timeout=20)
async def test_logout_ends_only_its_own_session(node: Node) -> None:
    """Another login of the account goes on."""
    me = await JsonClient.online(node)
    _, account, _ = await http(node, "POST", "/api/login", {"id": me.id, "password": PASSWORD})
    elsewhere = await JsonClient(node, account).connect()
    assert (await http(node, "POST", "/api/logout", {}, token=me.token))[0] == 204
    assert await me.closed() == 4401
    await elsewhere.settled()


@pytest.mark.gen_test(timeout=20)
async def test_password_change_needs_the_old_one_and_revokes_other_sessions(node: Node) -> None:
    """The changing session stays; the old password is worth nothing."""
    me = await JsonClient.online(node)
    _, account, _ = await http(node, "POST", "/api/login", {"id": me.id, "password": PASSWORD})
    elsewhere = await JsonClient(node, account).connect()
    wrong = {"old": "not the old one", "new": "a brand new password"}
    assert (await http(node, "POST", "/api/me/password", wrong, token=me.token))[0] in (401, 403)
    right = {"old": PASSWORD, "new": "a brand new password"}
    assert (await http(node, "POST", "/api/me/password", right, token=me.token))[0] == 204
    assert await elsewhere.closed() == 4401
    await me.settled()
    old = {"id": me.id, "password": PASSWORD}
    assert (await http(node, "POST", "/api/login", old))[0] == 401
    new = {"id": me.id, "password": "a brand new password"}
    assert (await http(node, "POST", "/api/login", new))[0] == 200


@pytest.mark.gen_test(timeout=20)
async def test_profile_is_read_changed_and_found(node: Node) -> None:
    """Own profile, public profile, and search by prefix and id."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    changes = {"nickname": "小明", "memo": "hi", "sex": "x", "avatar": "https://a.example/1.png"}
    status, mine, _ = await http(node, "PATCH", "/api/me", changes, token=me.token)
    assert status == 200
    assert {name: mine[name] for name in changes} == changes
    _, mine, _ = await http(node, "GET", "/api/me", token=me.token)
    assert set(mine) >= {"id", "username", "mobile", "nickname", "avatar", "sex", "memo", "created"}
    _, seen, _ = await http(node, "GET", f"/api/users/{me.id}", token=other.token)
    assert seen == {"id": me.id, "username": me.username, "jid": me.jid, **changes}
    for query in (me.username[:-1], str(me.id)):
        _, found, _ = await http(node, "GET", f"/api/users?q={query}", token=other.token)
        assert me.id in [user["id"] for user in found["users"]]
    assert (await http(node, "GET", "/api/users/4503599627370496", token=me.token))[0] == 404
    bad = {"avatar": "javascript:alert(1)"}
    assert (await http(node, "PATCH", "/api/me", bad, token=me.token))[0] == 422


@pytest.mark.gen_test(timeout=20)
async def test_every_private_call_without_a_token_answers_401(node: Node) -> None:
    """No token, a wrong one and a refresh token are all refused."""
    me = await JsonClient.register(node)
    calls = [
        ("GET", "/api/me"),
        ("GET", "/api/users?q=x"),
        ("GET", f"/api/users/{me.id}"),
        ("GET", "/api/conversations"),
        ("GET", f"/api/messages?chat=10&dstid={me.id}"),
        ("GET", "/api/groups"),
        ("POST", "/api/groups"),
        ("POST", "/api/ticket"),
        ("POST", "/api/logout"),
        ("POST", "/api/me/password"),
    ]
    for method, path in calls:
        body = {} if method == "POST" else None
        for token in ("", "a.b.c", me.refresh_token):
            status, problem, response = await http(node, method, path, body, token=token)
            assert (status, problem["status"]) == (401, 401), (method, path, token)
            assert "Bearer" in response.headers["WWW-Authenticate"]


@pytest.mark.gen_test(timeout=20)
async def test_documents_pages_and_probes_are_public(node: Node) -> None:
    """What needs no login: the page, OpenAPI, host-meta, probes, metrics."""
    for path, word in {
        "/": b"<html",
        "/api/openapi.json": b'"3.1.0"',
        "/.well-known/host-meta": b"xmpp-websocket",
        "/.well-known/host-meta.json": b"xmpp-websocket",
        "/livez": b"",
        "/readyz": b"",
        "/metrics": b"tandem_",
    }.items():
        status, _, response = await http(node, "GET", path)
        assert status == 200, path
        assert word in response.body, path
    for path in ("/app.py", "/__init__.py", "/../server/app.py", "/%2e%2e/setup.cfg"):
        assert (await http(node, "GET", path))[0] in (403, 404), path
