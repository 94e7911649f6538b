"""The nginx configurations of docs/operating.md that serve uploads and the page's files."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from tests.support.browser import CHROMIUM
from tests.support.cluster import wait_for
from tests.support.json_client import JsonClient, http
from tests.support.node import ROOT, Node
from tests.support.ports import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")

KNOWN_TO_NGINX = ("image/png", "video/webm", "audio/x-wav", "text/plain", "application/pdf")
SAME = (
    "Cache-Control",
    "Content-Length",
    "Content-Security-Policy",
    "Content-Type",
    "Cross-Origin-Resource-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "Access-Control-Allow-Origin",
    "Vary",
)


@pytest.fixture
def proxied(own_node: Node) -> Iterator[Node]:
    """A node behind such an nginx."""
    port = free_port()
    base = own_node.directory
    own_node.env["TANDEM_FILES_URL"] = f"http://127.0.0.1:{port}/files"
    own_node.start()
    config = documented("from-disk", port)
    config = config.replace("127.0.0.1:8080", f"127.0.0.1:{own_node.port}")
    config = config.replace("/srv/tandem/files/", f"{base}/var/files/")
    config = config.replace("https://chat.example.org", own_node.url)
    with running(config, base):
        yield own_node
    assert own_node.stop() == 0
    assert own_node.stray_log_lines() == []


@pytest.fixture
def apart(own_node: Node) -> Iterator[tuple[Node, str]]:
    """A node whose page's files are on such an nginx, and that one's address."""
    port = free_port()
    url = own_node.env["TANDEM_WEB_ASSETS_URL"] = f"http://127.0.0.1:{port}"
    base = own_node.directory
    written = subprocess.run(
        [*own_node.command, "assets", "web-files"],
        cwd=base,
        env=own_node.env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert re.fullmatch("web-files/assets/[0-9a-f]{16}\n", written.stdout)
    own_node.start()
    config = documented("gzip_static", port).replace("/srv/tandem/web", f"{base}/web-files")
    with running(config, base):
        yield own_node, url
    assert own_node.stop() == 0
    assert own_node.stray_log_lines() == []


def documented(word: str, port: int) -> str:
    """The documentation's configuration that has the word, without TLS, on the port."""
    blocks = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/operating.md").read_text(), re.DOTALL)
    (config,) = (block for block in blocks if word in block)
    config = re.sub(r"listen .*;", f"listen 127.0.0.1:{port};", config)
    return re.sub(r"ssl_certificate\w* .*;", "", config)


@contextmanager
def running(config: str, base: Path) -> Iterator[None]:
    """An nginx with this configuration, its own files in ``base``."""
    whole = base / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"{kind}_temp_path {base}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole.write_text(
        f"{user} daemon off; pid {base}/nginx.pid; error_log {base}/nginx.log;\n"
        f"events {{}}\nhttp {{ {paths}\n{config}\n}}\n"
    )
    with subprocess.Popen([NGINX, "-c", str(whole), "-e", f"{base}/nginx.log"]) as nginx:
        wait_for((base / "nginx.pid").exists, 10, "nginx does not start")
        try:
            yield
        finally:
            nginx.terminate()


async def fetch(method: str, url: str, body: bytes | None = None, **headers: str) -> HTTPResponse:
    request = HTTPRequest(
        url, method, headers, body, allow_nonstandard_methods=True, decompress_response=False
    )
    return await AsyncHTTPClient().fetch(request, raise_error=False)


@pytest.mark.gen_test(timeout=60)
async def test_nginx_serves_files_with_the_headers_of_the_server(proxied: Node) -> None:
    """Uploaded through it, served by it alone, shown or downloaded as the server would have it."""
    alice = await JsonClient.register(proxied)
    for kind, how in (
        ("image/png", "inline"),
        ("video/webm", "inline"),
        ("audio/x-wav", "inline"),
        ("text/plain", "inline"),
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("text/javascript", "attachment"),
        ("application/x.image-png", "attachment"),
        ("application/pdf", "attachment"),
    ):
        body = {"name": "写真 1.png", "size": 100_000, "type": kind}
        status, offer, _ = await http(proxied, "POST", "/api/uploads", body, token=alice.token)
        assert status == 201, offer
        put = await fetch("PUT", offer["put"], b"x" * 100_000, **offer["headers"])
        assert put.code == 201
        ours = await fetch("GET", proxied.url + urlsplit(offer["get"]).path, Origin=proxied.url)
        for method in ("GET", "HEAD"):
            theirs = await fetch(method, offer["get"], Origin=proxied.url)
            assert theirs.code == 200
            assert theirs.headers["Server"].startswith("nginx")
            for name in SAME:
                expected = ours.headers[name]
                if name == "Content-Type" and kind not in KNOWN_TO_NGINX:
                    expected = "application/octet-stream"
                assert theirs.headers[name] == expected, (kind, name)
            assert theirs.headers["Content-Disposition"] == (
                f"{how}; filename*=UTF-8''%E5%86%99%E7%9C%9F%201.png"
            )
        assert ours.headers["Content-Disposition"].startswith(how)
        part = await fetch("GET", offer["get"], Range="bytes=5-9")
        assert (part.code, part.body) == (206, b"xxxxx")
        assert (await fetch("GET", offer["get"] + "x/..%2f..")).code == 404
        again = await fetch("PUT", offer["put"], b"y" * 100_000, **offer["headers"])
        assert again.code == 409
    base = offer["get"].rsplit("/files/")[0]
    for path in ("/from-disk/", "/files/incoming/x", "/files/", "/files/../signing.key"):
        assert (await fetch("GET", base + path)).code == 404


@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_page_lives_on_files_of_another_host(apart: tuple[Node, str]) -> None:
    """All but the page itself comes from there, compressed, also without a network."""
    node, url = apart
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        told: list[str] = []
        page.on("console", lambda line: told.append(line.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        answers = []
        page.on("response", lambda answer: answers.append(answer))
        page.goto(node.url)
        page.wait_for_function("() => document.body.innerText.trim().length > 0")
        linked = page.locator("link[rel=stylesheet]").count()
        assert page.evaluate("() => document.styleSheets.length") == linked > 0
        assert told == []
        headers = {answer.url: answer.all_headers() for answer in answers if answer.ok}
        scripts = [one for one in headers if one.endswith((".js", ".css"))]
        assert len(scripts) > 5
        for one in scripts:
            assert one.startswith(f"{url}/assets/"), one
            assert headers[one]["content-encoding"] == "gzip"
            assert headers[one]["cache-control"] == "public, max-age=31536000, immutable"
            assert headers[one]["vary"] == "Accept-Encoding"
        page.evaluate("async () => { await navigator.serviceWorker.register('/sw.js'); }")
        page.evaluate("async () => { await navigator.serviceWorker.ready; }")
        page.wait_for_function("() => navigator.serviceWorker.controller?.state === 'activated'")
        page.context.set_offline(True)
        page.reload()
        page.wait_for_function("() => document.body.innerText.trim().length > 0")
        assert page.evaluate("() => getComputedStyle(document.body).margin") == "0px"
        browser.close()


@pytest.mark.gen_test(timeout=60)
async def test_nginx_serves_the_pages_files_as_the_server_does(apart: tuple[Node, str]) -> None:
    """Each of them, with the headers that count."""
    node, url = apart
    written = node.directory / "web-files"
    names = [
        one for one in written.rglob("*") if one.is_file() and one.suffix not in (".gz", ".br")
    ]
    assert len(names) > 10
    for name in names:
        path = f"/{name.relative_to(written).as_posix()}"
        ours, theirs = await fetch("GET", node.url + path), await fetch("GET", url + path)
        assert (theirs.code, theirs.body) == (200, ours.body)
        for header in (
            "Cache-Control",
            "Access-Control-Allow-Origin",
            "Cross-Origin-Resource-Policy",
            "X-Content-Type-Options",
        ):
            assert theirs.headers[header] == ours.headers[header], (path, header)
        assert theirs.headers["Content-Type"] == ours.headers["Content-Type"].partition(";")[0]
    assert (await fetch("GET", f"{url}/assets/0123456789abcdef/js/app.js")).code == 404
