"""Uploads over HTTP: slots, bytes in and out, and everything that must not get through."""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from server.clients import now_ms
from server.errors import ChatError
from server.files.disk import DiskFiles
from server.files.names import key_in
from server.files.seal import Seal
from server.files.uploads import DAY_MS, Uploads
from server.settings import load
from server.store.mongo import open_store
from tests.support.eventually import eventually
from tests.support.json_client import JsonClient, http
from tests.support.node import Node, TwoNodes

pytestmark = pytest.mark.dialogue

MIB = 1024 * 1024
LIMIT = 25 * MIB


async def ask(client: JsonClient, name: str, size: int, type: str) -> tuple[int, Any]:
    body = {"name": name, "size": size, "type": type}
    status, answer, _ = await http(client.node, "POST", "/api/uploads", body, token=client.token)
    return status, answer


async def slot(client: JsonClient, size: int, type: str = "image/png", name: str = "a.png") -> Any:
    status, offer = await ask(client, name, size, type)
    assert status == 201, offer
    return offer


async def fetch(method: str, url: str, body: bytes | None = None, **headers: str) -> HTTPResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = HTTPRequest(
        url, method, sent, body, allow_nonstandard_methods=True, decompress_response=False
    )
    return await AsyncHTTPClient().fetch(request, raise_error=False)


async def put(offer: Any, body: bytes, **headers: str) -> int:
    return (await fetch("PUT", offer["put"], body, **(offer["headers"] | headers))).code


async def upload(client: JsonClient, body: bytes, type: str = "image/png", **named: str) -> str:
    """The address of a file that was uploaded well."""
    offer = await slot(client, len(body), type, **named)
    assert await put(offer, body) == 201
    return str(offer["get"])


def at(node: Node, url: str) -> str:
    """The same address on this node."""
    parts = urlsplit(url)
    return node.url + parts.path + (f"?{parts.query}" if parts.query else "")


def incoming(node: Node | TwoNodes) -> list[Path]:
    """What is being uploaded."""
    one = node.pick()
    directory = Path(one.env.get("TANDEM_FILES_DIR") or one.directory / "var" / "files")
    return list((directory / "incoming").iterdir())


async def until_nothing_is_left(node: Node | TwoNodes) -> None:
    async with asyncio.timeout(10):
        while incoming(node):
            await asyncio.sleep(0.01)


SOCKETS: list[asyncio.StreamWriter] = []
"""Of the running test, closed when it ends."""


@pytest.fixture(autouse=True)
def close_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    async def close_all() -> None:
        while SOCKETS:
            writer = SOCKETS.pop()
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    yield
    request.getfixturevalue("io_loop").run_sync(close_all)


async def connect(node: Node) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection that reads little ahead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port, limit=1024)
    SOCKETS.append(writer)
    return reader, writer


class RawPut:
    """A PUT written by hand, as far as the test wants."""

    def __init__(self, offer: Any, **headers: str) -> None:
        self.url = urlsplit(offer["put"])
        given = {"Host": self.url.netloc} | offer["headers"] | headers
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
        start = f"PUT {self.url.path}?{self.url.query} HTTP/1.1"
        self.head = "\r\n".join([start, *lines, "", ""]).encode()

    async def begin(self, body: bytes = b"") -> "RawPut":
        self.reader, self.writer = await asyncio.open_connection(self.url.hostname, self.url.port)
        SOCKETS.append(self.writer)
        self.writer.write(self.head + body)
        await self.writer.drain()
        return self

    async def answer(self) -> int:
        """The status; 0 where the connection ended without one."""
        async with asyncio.timeout(10):
            line = await self.reader.readline()
        self.writer.close()
        return int(line.split()[1]) if line else 0


@pytest.mark.gen_test(timeout=30)
async def test_uploaded_file_is_sent_and_read_by_others(node: Node) -> None:
    """Slot, PUT, message, GET without a token: the very bytes, on any node."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    body = os.urandom(300_000)
    status, offer = await ask(alice, "写真 1.png", len(body), "image/png")
    assert status == 201
    assert offer["headers"] == {"Content-Type": "image/png"}
    assert 0 < offer["expires_in"] <= 300
    assert len(re.findall("[0-9a-f]{32}", offer["get"])) == 1
    assert (await fetch("PUT", at(bob.node, offer["put"]), body, **offer["headers"])).code == 201
    alice.send(cmd=10, dstid=bob.id, media=4, url=offer["get"], cid="c1")
    message = await bob.expect(cmd=10)
    answer = await fetch("GET", at(bob.node, message["url"]))
    assert (answer.code, answer.body) == (200, body)
    assert (await fetch("GET", at(alice.node, message["url"]))).body == body
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"] == (
        "inline; filename=\"__ 1.png\"; filename*=UTF-8''%E5%86%99%E7%9C%9F%201.png"
    )


@pytest.mark.gen_test(timeout=30)
async def test_upload_of_another_size_or_type_is_refused(node: Node) -> None:
    """One byte too few or too many, another type or none; afterwards the right one is taken."""
    alice = await JsonClient.register(node)
    offer = await slot(alice, 1000)
    assert await put(offer, b"x" * 999) == 400
    assert await put(offer, b"x" * 1001) == 413
    assert await put(offer, b"") == 400
    for kind in ("image/jpeg", "text/html", "image/png; x=1", ""):
        assert await put(offer, b"x" * 1000, Content_Type="") == 415
        assert await put(offer, b"x" * 1000, **{"Content-Type": kind}) == 415
    assert (await fetch("GET", offer["get"])).code == 404
    assert await put(offer, b"x" * 1000, **{"Content-Type": "IMAGE/png"}) == 201
    assert (await fetch("GET", offer["get"])).body == b"x" * 1000
    assert incoming(node) == []


@pytest.mark.gen_test(timeout=30)
async def test_second_upload_to_a_slot_is_a_conflict(node: Node) -> None:
    """On whichever node, and while the first one is under way too; what is there stays."""
    alice = await JsonClient.register(node)
    offer = await slot(alice, 3)
    first = await RawPut(offer, Content_Length="3").begin(b"a")
    async with asyncio.timeout(10):
        while not incoming(node):
            await asyncio.sleep(0.01)
    assert await put(offer, b"xyz") == 409
    first.writer.write(b"bc")
    assert await first.answer() == 201
    for _ in range(2):
        again = await fetch("PUT", at(node.pick(), offer["put"]), b"xyz", **offer["headers"])
        assert again.code == 409
    assert (await fetch("GET", offer["get"])).body == b"abc"


@pytest.mark.gen_test(timeout=30)
async def test_length_has_to_be_said_and_kept(node: Node) -> None:
    """No length, chunks, nonsense, and a promise that is not kept: nothing is stored."""
    alice = await JsonClient.register(node)
    offer = await slot(alice, 5)
    chunked = await RawPut(offer, Transfer_Encoding="chunked").begin(b"5\r\nhello\r\n0\r\n\r\n")
    assert await chunked.answer() == 411
    assert await (await RawPut(offer).begin()).answer() == 411
    for length in ("-5", "5x", "٥", "+5"):
        raw = RawPut(offer)
        raw.head = raw.head[:-2] + f"Content-Length: {length}\r\n\r\n".encode()
        assert await (await raw.begin(b"hello")).answer() == 400
    huge = await RawPut(offer, Content_Length=str(LIMIT + 1)).begin()
    assert await huge.answer() == 413
    broken = await RawPut(offer, Content_Length="5").begin(b"he")
    broken.writer.close()
    await until_nothing_is_left(node)
    assert (await fetch("GET", offer["get"])).code == 404

    async def is_taken() -> bool:
        status = await put(offer, b"hello")
        assert status in (201, 409), "409: the server may not know yet that the other one broke off"
        return status == 201

    await eventually(is_taken)


@pytest.mark.gen_test(timeout=30)
async def test_broken_off_upload_leaves_nothing(node: Node) -> None:
    """The bytes that came are gone with the connection, and the slot is still good."""
    alice = await JsonClient.register(node)
    offer = await slot(alice, MIB)
    broken = await RawPut(offer, Content_Length=str(MIB)).begin(b"x" * 500_000)
    async with asyncio.timeout(10):
        while not any(path.stat().st_size > 400_000 for path in incoming(node)):
            await asyncio.sleep(0.01)
    broken.writer.transport.abort()
    await until_nothing_is_left(node)
    assert (await fetch("GET", offer["get"])).code == 404
    assert await put(offer, b"y" * MIB) == 201


@pytest.mark.gen_test(timeout=30)
async def test_address_that_was_tampered_with_is_refused(node: Node) -> None:
    """Another name, key, seal, or none: 403, and the body is not waited for."""
    alice = await JsonClient.register(node)
    offer, other = await slot(alice, 5), await slot(alice, 5, name="b.png")
    parts = urlsplit(offer["put"])
    seal = parts.query.removeprefix("slot=")
    key, name = parts.path.split("/")[2:]
    base = f"{parts.scheme}://{parts.netloc}/files"
    for url in (
        f"{base}/{key}/b.png?slot={seal}",
        f"{base}/{key_in(other['get'])}/{name}?slot={seal}",
        f"{base}/{key}/{name}?slot={seal[:-1]}{'A' if seal[-1] != 'A' else 'B'}",
        f"{base}/{key}/{name}?slot={'A' if seal[0] != 'A' else 'B'}{seal[1:]}",
        f"{base}/{key}/{name}?slot=",
        f"{base}/{key}/{name}?slot=%ff",
        f"{base}/{key}/{name}",
        f"{base}/nonsense/{name}?slot={seal}",
    ):
        assert await put(offer | {"put": url}, b"hello") == 403
    held = await RawPut(offer | {"put": f"{base}/{key}/{name}"}, Content_Length="1000").begin()
    assert await held.answer() == 403
    assert (await fetch("PUT", f"{base}/{key}", b"hello")).code == 404
    for method in ("POST", "DELETE", "PATCH"):
        assert (await fetch(method, offer["put"], b"hello", **offer["headers"])).code == 405
    assert await put(offer, b"hello") == 201


@pytest.mark.gen_test(timeout=60)
async def test_trickling_upload_holds_nothing_else(node: Node) -> None:
    """Messages and other uploads go on while one comes byte by byte."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    slow_offer = await slot(alice, 20)
    slow = await RawPut(slow_offer, Content_Length="20").begin()
    for number in range(20):
        slow.writer.write(bytes([number]))
        await alice.say(bob.id, f"text {number}", f"c{number}")
        await bob.expect(cmd=10, content=f"text {number}")
        await upload(alice, b"quick")
    assert await slow.answer() == 201
    assert (await fetch("GET", slow_offer["get"])).body == bytes(range(20))


def rss_kib(node: Node) -> int:
    """Memory of the server's process."""
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])


@pytest.mark.gen_test(timeout=60)
async def test_largest_upload_does_not_go_through_memory(node: Node) -> None:
    """25 MiB in and out again, with a fast sender and with a reader that does not read."""
    alice = await JsonClient.register(node)
    await upload(alice, b"x" * MIB)  # what is needed for any
    body = os.urandom(LIMIT)
    offer = await slot(alice, LIMIT, "video/mp4", "film.mp4")
    before = rss_kib(alice.node)
    raw = await RawPut(offer, Content_Length=str(LIMIT)).begin()
    highest = 0
    for start in range(0, LIMIT, MIB):
        raw.writer.write(body[start : start + MIB])
        await raw.writer.drain()
        highest = max(highest, rss_kib(alice.node))
    assert await raw.answer() == 201
    answer = asyncio.create_task(fetch("GET", offer["get"]))
    while not answer.done():
        highest = max(highest, rss_kib(alice.node))
        await asyncio.sleep(0.001)
    assert (await answer).body == body
    assert highest - before < 2 * 1024
    path = urlsplit(offer["get"]).path
    for _ in range(20):
        stuck, writer = await connect(alice.node)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await stuck.readline()
        highest = max(highest, rss_kib(alice.node))
    assert highest - before < 20 * 512


@pytest.mark.gen_test(timeout=30)
async def test_parts_of_a_file(node: Node) -> None:
    """RFC 9110: one range, from the end, beyond the end, with conditions."""
    alice = await JsonClient.register(node)
    url = await upload(alice, b"0123456789", "text/plain", name="a.txt")
    for asked, status, body, told in (
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=5-3", 200, b"0123456789", None),
        ("nonsense", 200, b"0123456789", None),
    ):
        answer = await fetch("GET", url, Range=asked)
        assert (answer.code, answer.body) == (status, body), asked
        assert answer.headers.get("Content-Range") == told
        assert answer.headers["Content-Length"] == str(len(body))
    etag = (await fetch("GET", url)).headers["Etag"]
    assert (await fetch("GET", url, If_None_Match=etag)).code == 304
    assert (await fetch("GET", url, If_None_Match=f'"other", {etag}')).code == 304
    assert (await fetch("GET", url, If_None_Match='"other"')).code == 200
    assert (await fetch("GET", url, Range="bytes=0-0", If_Range=etag)).code == 206
    assert (await fetch("GET", url, Range="bytes=0-0", If_Range='"other"')).code == 200
    head = await fetch("HEAD", url, Range="bytes=0-0")
    assert (head.code, head.body, head.headers["Content-Length"]) == (200, b"", "10")
    empty = await upload(alice, b"")
    assert (await fetch("GET", empty)).body == b""
    assert (await fetch("GET", empty, Range="bytes=0-")).code == 416


@pytest.mark.parametrize(
    ("kind", "how", "served"),
    [
        ("image/png", "inline", "image/png"),
        ("audio/mpeg", "inline", "audio/mpeg"),
        ("video/webm", "inline", "video/webm"),
        ("text/plain; charset=UTF-8", "inline", "text/plain; charset=utf-8"),
        ("text/html", "attachment", "text/html"),
        ("image/svg+xml", "attachment", "image/svg+xml"),
        ("application/xhtml+xml", "attachment", "application/xhtml+xml"),
        ("application/pdf", "attachment", "application/pdf"),
        ("text/javascript", "attachment", "application/octet-stream"),
        ("", "attachment", "application/octet-stream"),
    ],
)
@pytest.mark.gen_test(timeout=30)
async def test_only_harmless_kinds_are_shown_in_the_browser(
    node: Node, kind: str, how: str, served: str
) -> None:
    """And all of them are nobody's page, whatever is in them."""
    alice = await JsonClient.register(node)
    url = await upload(alice, b"<script>alert(1)</script>", kind, name="x.bin")
    for method in ("GET", "HEAD"):
        headers = (await fetch(method, url)).headers
        assert headers["Content-Disposition"] == f'{how}; filename="x.bin"'
        assert headers["Content-Type"] == served
        assert headers["X-Content-Type-Options"] == "nosniff"
        sandbox, default, *_ = headers["Content-Security-Policy"].split("; ")
        assert (sandbox, default) == (
            "sandbox allow-same-origin" if how == "inline" else "sandbox",
            "default-src 'none'",
        )
        assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Accept-Ranges"] == "bytes"
        assert "Server" not in headers


@pytest.mark.gen_test(timeout=30)
async def test_file_of_unknown_type_may_come_as_any(node: Node) -> None:
    """A browser does not know every type: it says nothing, and sends something."""
    alice = await JsonClient.register(node)
    offer = await slot(alice, 3, "")
    assert offer["headers"] == {"Content-Type": "application/octet-stream"}
    assert await put(offer, b"abc", **{"Content-Type": "text/html"}) == 201
    answer = await fetch("GET", offer["get"])
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.gen_test(timeout=30)
async def test_hostile_names_end_up_harmless(node: Node) -> None:
    """No path, no header, no turned text; and the address has the name that is sent."""
    alice = await JsonClient.register(node)
    for name, kept in (
        ("../../../etc/passwd", "passwd"),
        ("a\r\nSet-Cookie: x=1", "aSet-Cookie: x=1"),
        ('"; filename="evil.exe', "_; filename=_evil.exe"),
        ("cod\u202egnp.exe", "codgnp.exe"),
        ("100%2e.png", "100_2e.png"),
        ("a?b#c&d.png", "a?b#c&d.png"),
    ):
        url = await upload(alice, b"x", "text/html", name=name)
        headers = (await fetch("GET", url)).headers
        assert f'attachment; filename="{kept}"' in headers["Content-Disposition"]
        assert "Set-Cookie" not in headers
    for name in ("", "..", "/", "\x00"):
        status, problem = await ask(alice, name, 1, "image/png")
        assert (status, list(problem["errors"])) == (422, ["name"])
    for kind in ("png", "image/png\r\nX: y", "image/png; q=1"):
        status, problem = await ask(alice, "a.png", 1, kind)
        assert (status, list(problem["errors"])) == (422, ["type"])


@pytest.mark.gen_test(timeout=30)
async def test_nothing_but_files_is_found_below_files(node: Node) -> None:
    """Other names and keys, paths out of the directory, what is being uploaded: 404."""
    alice = await JsonClient.register(node)
    url = await upload(alice, b"secret")
    offer = await slot(alice, 5)
    await RawPut(offer, Content_Length="5").begin(b"x")
    key, name = urlsplit(url).path.split("/")[2:]
    for path in (
        f"{key}/..",
        f"{key}/a%2Fb",
        f"{key}/%2e%2e",
        f"{key}/a%00b",
        f"{key}",
        f"{key}/",
        f"{key}/{name}/",
        f"{'0' * 32}.image~png/{name}",
        f"{key[:32]}.text~html/{name}",
        f"{key[:32]}/{name}",
        f"..%2F..%2Fsigning.key/{name}",
        "../signing.key",
        "incoming/" + urlsplit(offer["get"]).path.split("/")[2],
        "",
    ):
        answer = await fetch("GET", f"{alice.node.url}/files/{path}")
        assert answer.code == 404, path
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await fetch("GET", offer["get"])).code == 404


@pytest.mark.gen_test(timeout=30)
async def test_pages_of_foreign_origins_neither_upload_nor_read(node: Node) -> None:
    """The rule of all calls; our own page may ask beforehand and read the answer."""
    alice = await JsonClient.register(node)
    offer = await slot(alice, 1)
    evil = {"Origin": "https://evil.example"}
    assert await put(offer, b"x", **evil) == 403
    own = f"{urlsplit(offer['put']).scheme}://{urlsplit(offer['put']).netloc}"
    asked = await fetch("OPTIONS", offer["put"], Origin=own, Access_Control_Request_Method="PUT")
    assert asked.code == 204
    assert "PUT" in asked.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in asked.headers["Access-Control-Allow-Headers"]
    assert await put(offer, b"x", Origin=own) == 201
    assert (await fetch("GET", offer["get"], **evil)).code == 403
    answer = await fetch("GET", offer["get"], Origin=own)
    assert (answer.code, answer.headers["Access-Control-Allow-Origin"]) == (200, own)


@pytest.mark.gen_test(timeout=30)
async def test_slot_needs_a_login_and_a_size_that_is_allowed(node: Node) -> None:
    """401 without a token, 413 naming the limit, 422 for what is no size."""
    alice = await JsonClient.register(node)
    body = {"name": "a.png", "size": 1, "type": "image/png"}
    assert (await http(node, "POST", "/api/uploads", body))[0] == 401
    status, problem = await ask(alice, "a.png", LIMIT + 1, "image/png")
    assert (status, problem["type"]) == (413, "/problems/too-long")
    assert str(LIMIT) in problem["detail"]
    for size in (-1, 1.5, "1", None, 2**60):
        status, problem = await ask(alice, "a.png", size, "image/png")  # type: ignore[arg-type]
        assert (status, list(problem["errors"])) == (422, ["size"])
    assert (await ask(alice, "a.png", LIMIT, "image/png"))[0] == 201


@pytest.mark.gen_test(timeout=60)
async def test_uploads_are_limited_by_number_and_bytes(own_node: Node) -> None:
    """Also those asked for at the same moment; 429 says how long to wait, and others go on."""
    own_node.env |= {"TANDEM_LIMITS_RATE_SCALE": "1", "TANDEM_FILES_BYTES_PER_DAY": str(LIMIT)}
    own_node.start()
    alice, bob, carol = [await JsonClient.register(own_node) for _ in range(3)]
    answers = await asyncio.gather(*(ask(alice, "a.png", 1, "image/png") for _ in range(30)))
    assert sorted({status for status, _ in answers}) in ([201, 429], [429])
    assert [status for status, _ in answers].count(201) <= 10
    for _ in range(9):
        assert (await ask(bob, "a.png", 1, "image/png"))[0] == 201
    assert (await ask(bob, "a.png", 1, "image/png"))[0] == 201
    body = {"name": "a.png", "size": 1, "type": "image/png"}
    status, problem, answer = await http(own_node, "POST", "/api/uploads", body, token=bob.token)
    assert (status, problem["type"]) == (429, "/problems/slow-down")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert (await ask(carol, "a.png", LIMIT - 5, "image/png"))[0] == 201
    assert (await ask(carol, "a.png", 6, "image/png"))[0] == 429
    assert (await ask(carol, "a.png", 5, "image/png"))[0] == 201
    assert own_node.stop() == 0
    assert own_node.stray_log_lines() == []


@pytest.mark.gen_test(timeout=60)
async def test_expired_slot_and_overlong_upload_are_refused(own_node: Node) -> None:
    """An upload begins in time and ends in time, or nothing of it is kept."""
    own_node.env |= {"TANDEM_FILES_SLOT_S": "1", "TANDEM_FILES_UPLOAD_S": "1"}
    own_node.start()
    alice = await JsonClient.register(own_node)
    offer, late = await slot(alice, 5), await slot(alice, 5)
    assert offer["expires_in"] == 1
    slow = await RawPut(offer, Content_Length="5").begin(b"hell")
    assert await slow.answer() == 0
    await until_nothing_is_left(own_node)
    async with asyncio.timeout(10):
        while (status := await put(late, b"hallo")) == 201:
            late = await slot(alice, 5)
            await asyncio.sleep(2.1)
    assert status == 403
    assert (await fetch("GET", late["get"])).code == 404
    assert own_node.stop() == 0


@pytest.mark.gen_test(timeout=60)
async def test_disk_that_does_not_take_more_stops_uploads_only(own_node: Node) -> None:
    """503, a warning and nothing left; messages and files that are there go on."""
    own_node.start()
    alice, bob = await JsonClient.online(own_node), await JsonClient.online(own_node)
    url = await upload(alice, b"here")
    offer = await slot(alice, 5)
    files = own_node.directory / "var" / "files"
    (files / "incoming").rename(files / "away")
    assert await put(offer, b"hello") == 503
    status, problem = await ask(alice, "a.png", 5, "image/png")
    assert (status, problem["type"]) == (503, "/problems/storage-away")
    await alice.say(bob.id, "still here", "c1")
    await bob.expect(cmd=10, content="still here")
    assert (await fetch("GET", url)).body == b"here"
    (files / "away").rename(files / "incoming")
    assert await put(offer, b"hello") == 201
    assert "WARNING handlers.hygiene http_storage_away" in own_node.log()
    assert own_node.stop() == 0
    assert own_node.stray_log_lines() == []


@pytest.mark.gen_test(timeout=60)
async def test_stopping_server_cuts_uploads_and_leaves_nothing(own_node: Node) -> None:
    """SIGTERM does not wait for the bytes of a phone; the client asks again later."""
    own_node.start()
    alice = await JsonClient.register(own_node)
    offer = await slot(alice, 5)
    slow = await RawPut(offer, Content_Length="5").begin(b"hell")
    async with asyncio.timeout(10):
        while not incoming(own_node):
            await asyncio.sleep(0.01)
    own_node.signal(15)
    assert await slow.answer() == 0
    assert await own_node.stopped() == 0
    assert incoming(own_node) == []
    assert own_node.stray_log_lines() == []


@pytest.mark.gen_test(timeout=60)
async def test_addresses_and_names_of_files_stay_out_of_the_log(node: Node) -> None:
    """Whoever has the address may read the file."""
    alice = await JsonClient.register(node)
    url = await upload(alice, b"x", name="very-private.png")
    await fetch("GET", url)
    await fetch("GET", url + "x")
    await fetch("GET", url.replace("very", "%ff"))
    key = key_in(url)
    assert key is not None
    assert key[:32] not in node.log()
    assert "very-private" not in node.log()


@pytest.mark.gen_test(timeout=60)
async def test_files_are_forgotten_exported_and_swept(node: Node, tmp_path: Path) -> None:
    """A row goes with its file; slots that were never used go; only one's own are deleted."""
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    one = node.one if isinstance(node, TwoNodes) else node
    settings = load(None, {"TANDEM_DATA_DIR": str(tmp_path)})
    disk = DiskFiles(tmp_path / "files", Seal(b"k" * 32), "", 0)

    async def uploaded(client: JsonClient, name: str) -> str:
        offer = await uploads.slot(client.id, name, 3, "image/png", "http://localhost")
        writer = await disk.begin(key_in(offer.get) or "", 3)
        await writer.write(b"abc")
        await writer.commit()
        return offer.get

    async def is_there(url: str) -> bool:
        return await disk.size(key_in(url) or "") == 3

    async with open_store(one.mongodb_url, settings.mongodb) as store:
        uploads = Uploads(store.uploads, disk, settings)
        hers = [await uploaded(alice, f"{number}.png") for number in range(3)]
        his = await uploaded(bob, "his.png")
        unused = await uploads.slot(bob.id, "unused.png", 3, "image/png")
        listed = await uploads.export(alice.id)
        assert [each["name"] for each in listed] == ["0.png", "1.png", "2.png"]
        assert (listed[0]["size"], listed[0]["type"]) == (3, "image/png")
        assert key_in(listed[0]["url"]) == key_in(hers[0])

        await uploads.forget([hers[0], his, "http://example.org/x.png", "nonsense"], alice.id)
        assert [await is_there(url) for url in (*hers, his)] == [False, True, True, True]
        assert [each["name"] for each in await uploads.export(alice.id)] == ["1.png", "2.png"]
        # Its slot was still good: what came through it goes with the sweep.
        await disk.begin(key_in(hers[0]) or "", 0)

        usable_ms = 1000 * int(settings.files.slot_s + settings.files.upload_s)
        await uploads.sweep(now_ms() + usable_ms - 1000)
        assert (await store.uploads.usage(bob.id, 0))[0] == 2
        await uploads.sweep(now_ms() + usable_ms + 300_000)
        assert [await is_there(url) for url in (*hers, his)] == [False, True, True, True]
        names = [row["name"] for row in await store.uploads.of_user(bob.id)]
        assert names == ["his.png"], unused
        assert (await store.uploads.usage(alice.id, 0))[:2] == (3, 9)
        await uploads.sweep(now_ms() + DAY_MS + 1)
        assert (await store.uploads.usage(alice.id, 0))[:2] == (2, 6)
        assert await store.uploads.due(now_ms() + 2 * DAY_MS, 100) == []

        await uploads.forget_user(alice.id)
        assert [await is_there(url) for url in (*hers, his)] == [False, False, False, True]
        assert await uploads.export(alice.id) == []
        await uploads.sweep(now_ms() + 3 * DAY_MS)
        assert (await store.uploads.usage(alice.id, 0))[0] == 0
        with pytest.raises(ChatError):
            await uploads.slot(alice.id, "a.png", -1, "image/png")
    await disk.close()
