"""The page and its files over HTTP: who may keep them, who may read them, what is not there."""

import asyncio
import gzip
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import brotli
import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from handlers.pages import content_security_policy
from server.settings import load
from tests.support.node import Node

FOR_EVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that names itself, another host for the assets and one for the files."""
    env = {
        "TANDEM_HTTP_PUBLIC_URL": "https://chat.example.org",
        "TANDEM_WEB_ASSETS_URL": "https://cdn.example.org/t",
        "TANDEM_FILES_URL": "http://files.example.org:8080/files",
    }
    running = Node(tmp_path_factory.mktemp("elsewhere"), env).start()
    yield running
    assert running.stop() == 0
    assert running.stray_log_lines() == []


async def fetch(node: Node, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    """``_`` in a header's name is ``-``."""
    request = HTTPRequest(
        node.url + path,
        method,
        {name.replace("_", "-"): value for name, value in headers.items()},
        allow_nonstandard_methods=True,
        decompress_response=False,
        follow_redirects=False,
    )
    return await AsyncHTTPClient().fetch(request, raise_error=False)


async def script_of(node: Node) -> str:
    """The path of the page's script in the set."""
    page = (await fetch(node, "/")).body.decode()
    (path,) = re.findall(r'<script type="module" src="(?:https://[^/]*/t)?([^"]*)">', page)
    return str(path)


def policy_of(answer: HTTPResponse) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["Content-Security-Policy"].split("; ")]
    return {name: sources for name, *sources in parts}


@pytest.mark.gen_test
async def test_files_of_the_set_may_be_kept_for_ever_by_everybody(node: Node) -> None:
    """Named by their content, and of use to pages of any origin."""
    path = await script_of(node)
    assert re.fullmatch("/assets/[0-9a-f]{16}/js/app.js", path)
    for method in ("GET", "HEAD"):
        answer = await fetch(node, path, method)
        assert answer.code == 200
        assert answer.headers["Cache-Control"] == FOR_EVER
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Encoding" not in answer.headers
        assert (answer.body == b"") is (method == "HEAD")
        assert int(answer.headers["Content-Length"]) > 100


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/sw.js", "/manifest.webmanifest", "/icon.svg"]
)
async def test_what_has_no_hash_is_asked_for_each_time(node: Node, path: str) -> None:
    """By our own pages only."""
    answer = await fetch(node, path)
    assert (answer.code, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    again = await fetch(node, path, If_None_Match=answer.headers["Etag"])
    assert (again.code, again.body) == (304, b"")


@pytest.mark.gen_test
async def test_sdk_may_be_imported_by_pages_of_others(node: Node) -> None:
    """From an address that stays, and always the newest."""
    answer = await fetch(node, "/sdk/tandem.d.ts", Origin="https://www.example.org")
    assert (answer.code, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    packed = await fetch(node, "/sdk/tandem.d.ts", Accept_Encoding="br")
    assert brotli.decompress(packed.body) == answer.body


@pytest.mark.gen_test
async def test_each_encoding_is_a_representation_of_its_own(node: Node) -> None:
    """Its own length and ETag, the same content; 304 for the one that the browser has."""
    for path in ("/", await script_of(node)):
        plain = await fetch(node, path)
        etags = {plain.headers["Etag"]}
        for accepted, unpack in (
            ("gzip", gzip.decompress),
            ("gzip, deflate, br", brotli.decompress),
        ):
            answer = await fetch(node, path, Accept_Encoding=accepted)
            assert answer.headers["Content-Encoding"] == accepted.split(", ")[-1]
            assert unpack(answer.body) == plain.body
            assert len(answer.body) < 0.6 * len(plain.body)
            head = await fetch(node, path, "HEAD", Accept_Encoding=accepted)
            for name in ("Content-Encoding", "Content-Length", "Etag", "Content-Type"):
                assert head.headers[name] == answer.headers[name]
            same = await fetch(
                node, path, Accept_Encoding=accepted, If_None_Match=answer.headers["Etag"]
            )
            assert (same.code, same.body) == (304, b"")
            assert same.headers["Vary"] == "Accept-Encoding"
            other = await fetch(node, path, If_None_Match=answer.headers["Etag"])
            assert (other.code, other.body) == (200, plain.body)
            etags.add(answer.headers["Etag"])
        assert len(etags) == 3
        refused = await fetch(node, path, Accept_Encoding="br;q=0, gzip;q=0")
        assert refused.body == plain.body


@pytest.mark.gen_test
async def test_pictures_are_not_compressed_again(node: Node) -> None:
    """A PNG comes as it is."""
    answer = await fetch(node, "/icons/192.png", Accept_Encoding="br, gzip")
    assert answer.headers["Content-Type"] == "image/png"
    assert "Content-Encoding" not in answer.headers
    assert answer.body.startswith(b"\x89PNG")


@pytest.mark.gen_test
async def test_what_is_not_there_is_kept_by_nobody(node: Node) -> None:
    """A set that this node does not have may be another node's, or the next version's."""
    path = await script_of(node)
    for wrong in (
        "/assets/0123456789abcdef/js/app.js",
        path + "x",
        path.replace("app", "nope"),
        path.rpartition("/")[0] + "/",
        "/assets/",
        "/assets",
        "/nope.js",
        "/package.json",
        "/open-before",
    ):
        answer = await fetch(node, wrong)
        assert (answer.code, answer.body) == (404, b"404\n"), wrong
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "Etag" not in answer.headers


@pytest.mark.gen_test
async def test_pages_are_read_only(node: Node) -> None:
    """Whatever the path, with what is allowed instead."""
    for path in ("/", "/sw.js", await script_of(node), "/nope"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = await fetch(node, path, method)
            assert (answer.code, answer.headers["Allow"]) == (405, "GET, HEAD")
            assert answer.headers["Cache-Control"] == "no-store"


async def ask(node: Node, target: bytes) -> bytes:
    """The answer to a request line that no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.gen_test(timeout=60)
async def test_no_spelling_of_a_path_leads_out_or_to_a_second_address(node: Node) -> None:
    """Traversal, encoded slashes and dots, NUL, bytes that are no UTF-8: 400 or 404."""
    path = (await script_of(node)).encode()
    base = path.removesuffix(b"js/app.js")
    hostile = [
        path.replace(b"/app", b"%2fapp"),
        path.replace(b"/app", b"%2Fapp"),
        path.replace(b"/app", b"//app"),
        path.replace(b"/app", b"/./app"),
        path.replace(b"/app", b"\\app"),
        path.replace(b"a", b"%61"),
        path.upper(),
        path + b"%00",
        path + b"%00.png",
        path + b"/",
        path + b";x",
        path + b"%20",
        b"/" + path,
        base + b"../../sw.js",
        base + b"__init__.py",
        base + b"%2e%2e/%2e%2e/server/app.py",
        base + b"../../../../../../etc/passwd",
        b"/../server/app.py",
        b"/..%2fserver%2fapp.py",
        b"/%2e%2e/pyproject.toml",
        b"/..%5c..%5cetc%5cpasswd",
        b"/.%00./etc/passwd",
        b"//etc/passwd",
        b"/%ff%fe.js",
        b"/\xff.js",
        b"/\x00",
        b"/js/app.js\x00.png",
        b"/js\tapp.js",
        b"/__init__.py",
        b"/js/",
        b"/%",
        b"/%zz",
        b"",
        b"*",
        b"..",
        b"http://localhost/../etc/passwd",
    ]
    dice = random.Random(7)
    letters = [b"/", b".", b"..", b"%2e", b"%2f", b"%5c", b"%00", b"\\", b"~", b"server", b"app.py"]
    letters += [b"js", b"app.js", b"assets", base.strip(b"/"), b"etc", b"passwd", b"%c0%ae", b":"]
    for _ in range(300):
        made = b"/" + b"".join(dice.choices(letters, k=dice.randint(2, 8)))
        if made not in (path, b"/js/app.js"):
            hostile.append(made)
    for target in hostile:
        answer = await ask(node, target)
        assert answer[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 404 ", b""), (target, answer[:200])
        assert b"import " not in answer and b"root:" not in answer, target


@pytest.mark.gen_test
async def test_page_may_reach_its_own_service_only(node: Node) -> None:
    """No scheme is open but ``https:`` for pictures and films, which people link to."""
    policy = policy_of(await fetch(node, "/"))
    own = f"127.0.0.1:{node.port}"
    assert policy == {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "worker-src": ["'self'"],
        "connect-src": ["'self'", f"ws://{own}"],
        "img-src": ["'self'", "data:", "blob:", "https:"],
        "media-src": ["'self'", "blob:", "https:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
    rebound = policy_of(await fetch(node, "/", Host="evil.example"))
    assert rebound["connect-src"] == ["'self'"], "it only resolves to us"


@pytest.mark.gen_test
async def test_page_may_reach_the_other_hosts_of_the_service(elsewhere: Node) -> None:
    """The assets' host for what is below its /assets/, the files' for files, both by settings."""
    answer = await fetch(elsewhere, "/")
    policy = policy_of(answer)
    assets, files = "https://cdn.example.org/t/assets/", "http://files.example.org:8080"
    for name in ("script-src", "style-src", "font-src"):
        assert policy[name] == ["'self'", assets]
    assert policy["worker-src"] == ["'self'"]
    assert policy["connect-src"] == ["'self'", "wss://chat.example.org", assets, files]
    assert policy["img-src"][-2:] == [assets, files]
    assert policy["media-src"][-1] == files
    page = answer.body.decode()
    assert f'href="{assets}' in page and 'href="/manifest.webmanifest"' in page
    assert not re.search(r'(?:src|href)="/(?!manifest)', page)
    worker = await fetch(elsewhere, "/sw.js")
    assert policy_of(worker)["connect-src"] == policy["connect-src"], "it fetches them"
    assert assets.encode() in worker.body.split(b"\n")[0]
    assert (await fetch(elsewhere, await script_of(elsewhere))).code == 200, "for a CDN that asks"


def test_policy_has_no_place_for_what_a_host_says() -> None:
    """Without ``http.public_url`` a name that is not loopback is no part of it."""
    settings = load(None, {})
    assert "ws" not in content_security_policy(settings, None)
    assert " ws://localhost:1" in content_security_policy(settings, "http://localhost:1")
    assert " wss://localhost" in content_security_policy(settings, "https://localhost")


def test_server_does_not_start_with_a_page_that_lacks_a_file(tmp_path: Path) -> None:
    """One line says which."""
    node = Node(tmp_path)
    web = tmp_path / "web"
    (web / "js").mkdir(parents=True)
    (web / "__init__.py").touch()
    for name in ("sw.js", "manifest.webmanifest"):
        (web / name).touch()
    (web / "index.html").write_text('<script src="/js/gone.js"></script>')
    ended = subprocess.run(
        node.command, cwd=tmp_path, env=node.env, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "tandem: the files of the page cannot be served: "
        "index.html refers to /js/gone.js, which is not there"
    )
