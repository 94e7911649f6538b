"""The JSON WebSocket's handshake: 403 before the upgrade for anything wrong; no token in a log."""

import base64
import json
import ssl
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from handlers.certificates import make_self_signed
from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

FORGING_KEY = "another key that is long enough to sign with"


async def handshake(node: Node, query: str, **headers: str) -> int:
    """The HTTP status of a handshake; 101 when it was accepted."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = HTTPRequest(f"{node.chat_url}?{query}", headers=sent)
    try:
        connection = await websocket_connect(request)
    except HTTPClientError as error:
        return int(error.code)
    connection.close()
    return 101


def forged(client: JsonClient, key: str = FORGING_KEY, **claims: object) -> str:
    """The client's own token with other claims, signed with another key."""
    body = jwt.decode(client.token, options={"verify_signature": False})
    body.update(claims)
    return jwt.encode(
        {name: value for name, value in body.items() if value is not None},
        key,
        "HS256",
        headers={"kid": jwt.get_unverified_header(client.token)["kid"]},
    )


def unsigned(client: JsonClient) -> str:
    body = jwt.decode(client.token, options={"verify_signature": False})
    return jwt.encode(body, None, "none")  # type: ignore[arg-type]


def with_payload(client: JsonClient, **claims: object) -> str:
    """The client's token with its payload changed under the old signature."""
    head, _, signature = client.token.split(".")
    body = jwt.decode(client.token, options={"verify_signature": False}) | claims
    middle = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()
    return f"{head}.{middle}.{signature}"


WRONG: dict[str, Callable[[JsonClient, JsonClient], str]] = {
    "no id": lambda me, other: f"token={me.token}",
    "empty id": lambda me, other: f"id=&token={me.token}",
    "id of another user": lambda me, other: f"id={other.id}&token={me.token}",
    "unknown id": lambda me, other: f"id={2**52}&token={me.token}",
    "id beyond 2^53": lambda me, other: f"id={2**53 + me.id}&token={me.token}",
    "negative id": lambda me, other: f"id=-{me.id}&token={me.token}",
    "id with plus": lambda me, other: f"id=%2B{me.id}&token={me.token}",
    "id with underscore": lambda me, other: (
        f"id={me.id // 1000}_{me.id % 1000:03}&token={me.token}"
    ),
    "id in full-width digits": lambda me, other: (
        "id="
        + urllib.parse.quote(
            str(me.id).translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)})
        )
        + f"&token={me.token}"
    ),
    "id twice": lambda me, other: f"id={me.id}&id={other.id}&token={me.token}",
    "id with space": lambda me, other: f"id=%20{me.id}&token={me.token}",
    "no token": lambda me, other: f"id={me.id}",
    "empty token": lambda me, other: f"id={me.id}&token=",
    "token of another user": lambda me, other: f"id={me.id}&token={other.token}",
    "token twice": lambda me, other: f"id={me.id}&token={me.token}&token={other.token}",
    "token that is no UTF-8": lambda me, other: f"id={me.id}&token=%ff%fe.a.b",
    "garbage token": lambda me, other: f"id={me.id}&token=a.b.c",
    "truncated token": lambda me, other: f"id={me.id}&token={me.token[:-8]}",
    "refresh token": lambda me, other: f"id={me.id}&token={me.refresh_token}",
    "signed with another key": lambda me, other: f"id={me.id}&token={forged(me)}",
    "signed with an empty key": lambda me, other: f"id={me.id}&token={unsigned(me)}",
    "payload changed": lambda me, other: f"id={me.id}&token={with_payload(me, sub=str(me.id))}x",
    "subject changed": lambda me, other: f"id={me.id}&token={with_payload(other, sub=str(me.id))}",
    "no expiry": lambda me, other: f"id={me.id}&token={forged(me, exp=None)}",
    "unknown ticket": lambda me, other: f"id={me.id}&token=abcdefghijklmnop",
    "deeply nested token": lambda me, other: (
        f"id={me.id}&token=" + base64.urlsafe_b64encode(b"[" * 3000).decode().rstrip("=") + ".a.b"
    ),
}


@pytest.mark.gen_test(timeout=60)
async def test_handshake_with_wrong_credentials_is_refused_before_the_upgrade(node: Node) -> None:
    """Every kind of wrong id or token gives 403 and never 101; the right pair gives 101."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    outcomes = {name: await handshake(node, make(me, other)) for name, make in WRONG.items()}
    assert outcomes == dict.fromkeys(WRONG, 403)
    assert await handshake(node, f"id={me.id}&token={me.token}") == 101
    assert await handshake(node, f"id={me.id}", Authorization=f"Bearer {me.token}") == 101


ORIGINS = {
    "null": 403,
    "http://evil.example": 403,
    "https://127.0.0.1.evil.example": 403,
    "http://localhost.evil.example:{port}": 403,
    "http://127.0.0.1:1": 403,
    "http://127.0.0.1:{port}": 101,
    "file://": 403,
}


@pytest.mark.gen_test(timeout=30)
async def test_handshake_from_foreign_origins_is_refused(one_node: Node) -> None:
    """Only the service's own origin may connect, whatever Sec-Fetch-Site claims."""
    me = await JsonClient.register(one_node)
    query = f"id={me.id}&token={me.token}"
    for origin, expected in ORIGINS.items():
        sent = origin.format(port=one_node.port)
        assert await handshake(one_node, query, Origin=sent) == expected, origin
        claimed = await handshake(one_node, query, Origin=sent, Sec_Fetch_Site="same-origin")
        assert claimed == expected, origin


@pytest.mark.gen_test(timeout=30)
async def test_handshake_with_rebound_host_is_refused(node: Node) -> None:
    """A name that somebody points at this machine is not the service's own origin."""
    me = await JsonClient.register(node)
    rebound = f"rebound.example:{node.port}"
    status = await handshake(
        node, f"id={me.id}&token={me.token}", Host=rebound, Origin=f"http://{rebound}"
    )
    assert status == 403


@pytest.mark.gen_test(timeout=30)
async def test_ticket_works_once_and_for_its_user_only(node: Node) -> None:
    """A ticket stands in for the token in one handshake of its own user."""
    me, other = await JsonClient.register(node), await JsonClient.register(node)
    _, made, _ = await http(node, "POST", "/api/ticket", {}, token=me.token)
    assert made["expires_in"] == 30
    assert await handshake(node, f"id={me.id}&token={made['ticket']}") == 101
    assert await handshake(node, f"id={me.id}&token={made['ticket']}") == 403
    _, made, _ = await http(node, "POST", "/api/ticket", {}, token=me.token)
    assert await handshake(node, f"id={other.id}&token={made['ticket']}") == 403


@pytest.mark.gen_test(timeout=30)
async def test_handshake_after_logout_is_refused_and_the_socket_closed(node: Node) -> None:
    """Logging out ends the session's connections with 4401 and its tokens at once."""
    me = await JsonClient.online(node)
    status, _, _ = await http(node, "POST", "/api/logout", {}, token=me.token)
    assert status == 204
    assert await me.closed() == 4401
    assert await handshake(node, f"id={me.id}&token={me.token}") == 403
    status, _, _ = await http(node, "POST", "/api/token", {"refresh_token": me.refresh_token})
    assert status == 401


@pytest.mark.gen_test(timeout=30)
async def test_expired_token_is_refused_while_the_connection_lives_on(own_node: Node) -> None:
    """A connection outlives its access token; a new handshake needs a fresh one."""
    own_node.env["TANDEM_AUTH_ACCESS_TOKEN_S"] = "1"
    own_node.start()
    me = await JsonClient.online(own_node)
    expires = jwt.decode(me.token, options={"verify_signature": False})["exp"]
    while time.time() < expires + 0.1:
        await me.settled()
    assert await handshake(own_node, f"id={me.id}&token={me.token}") == 403
    await me.settled()
    status, renewed, _ = await http(
        own_node, "POST", "/api/token", {"refresh_token": me.refresh_token}
    )
    assert status == 200
    assert await handshake(own_node, f"id={me.id}&token={renewed['token']}") == 101


@pytest.mark.gen_test(timeout=30)
async def test_handshake_beyond_the_address_limit_answers_429(own_node: Node) -> None:
    """One address may hold so many connections; the next is refused, and a freed place is given."""
    own_node.env["TANDEM_LIMITS_RATE_SCALE"] = "1"
    own_node.env["TANDEM_LIMITS_CONNECTIONS_PER_ADDRESS"] = "2"
    own_node.start()
    first, second = await JsonClient.online(own_node), await JsonClient.online(own_node)
    assert await handshake(own_node, f"id={first.id}&token={first.token}") == 429
    second.close()
    await second.closed()
    assert await handshake(own_node, f"id={first.id}&token={first.token}") == 101


@pytest.mark.gen_test(timeout=30)
async def test_connections_beyond_the_user_limit_close_the_oldest(own_node: Node) -> None:
    """A user's newest connection stays; the oldest gives way with 4409."""
    own_node.env["TANDEM_LIMITS_RATE_SCALE"] = "1"
    own_node.env["TANDEM_LIMITS_CONNECTIONS_PER_USER"] = "2"
    own_node.start()
    oldest = await JsonClient.online(own_node)
    middle = await oldest.another_device().connect()
    newest = await oldest.another_device().connect()
    assert await oldest.closed() == 4409
    await middle.settled()
    await newest.settled()


@pytest.mark.gen_test(timeout=60)
async def test_no_token_or_password_reaches_the_log(own_node: Node) -> None:
    """Accepted, refused and failing requests leave no secret in the log, even at debug."""
    own_node.start()
    me = await JsonClient.online(own_node)
    _, made, _ = await http(own_node, "POST", "/api/ticket", {}, token=me.token)
    queries = [
        f"id={me.id}&token={me.token}",
        f"id={me.id}&token={me.token}x",
        f"id=1&token={me.token}",
        f"id={me.id}&token={made['ticket']}",
        f"id={me.id}&token=%ff{me.token}",
    ]
    for query in queries:
        await handshake(own_node, query)
        await handshake(own_node, query, Origin="http://evil.example")
        await http(own_node, "GET", f"/chat?{query}")
        await http(own_node, "GET", f"/nowhere?{query}")
        await http(own_node, "GET", f"/api/me?{query}", token=me.token)
        await http(own_node, "DELETE", f"/api/me?{query}")
    await http(own_node, "POST", "/api/login", {"id": me.id, "password": PASSWORD})
    await http(own_node, "POST", "/api/login", {"id": me.id, "password": PASSWORD + "x"})
    await http(own_node, "POST", "/api/token", {"refresh_token": me.refresh_token})
    me.close()
    own_node.stop()
    log = own_node.log()
    secrets = [me.token, me.token.split(".")[2], me.refresh_token, made["ticket"], PASSWORD]
    assert [secret for secret in secrets if secret in log] == []
    assert "/chat" in log


@pytest.mark.gen_test(timeout=60)
async def test_https_and_wss_with_the_configured_certificate(
    own_node: Node, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "crt", tmp_path / "key"
    make_self_signed("localhost", certificate, key)
    own_node.env |= {
        "TANDEM_HTTP_TLS_CERTIFICATE": str(certificate),
        "TANDEM_HTTP_TLS_KEY": str(key),
    }
    own_node.start()
    trust = ssl.create_default_context(cafile=certificate)
    http_client = AsyncHTTPClient()
    base = f"https://localhost:{own_node.port}"
    page = await http_client.fetch(HTTPRequest(base + "/", ssl_options=trust))
    assert b"<html" in page.body
    body = json.dumps({"username": "tls", "password": PASSWORD})
    kind = {"Content-Type": "application/json"}
    request = HTTPRequest(base + "/api/register", "POST", kind, body, ssl_options=trust)
    me = json.loads((await http_client.fetch(request)).body)
    url = f"wss://localhost:{own_node.port}/chat?id={me['id']}&token={me['token']}"
    socket = await websocket_connect(HTTPRequest(url, ssl_options=trust))
    to_myself = {"cmd": 10, "dstid": me["id"], "content": "through TLS", "cid": "t"}
    await socket.write_message(json.dumps(to_myself))
    ack = json.loads(await socket.read_message() or "null")
    assert (ack["cmd"], ack["cid"]) == (1, "t")
    socket.close()
    assert await socket.read_message() is None
    own_node.stop()
    assert own_node.stray_log_lines() == []
