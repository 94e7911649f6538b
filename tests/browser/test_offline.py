"""The page without a network, over an upgrade of the server, and as an application, in Chromium."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from server.assets import Assets
from tests.support.browser import CHROMIUM
from tests.support.node import ROOT, Node

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

CACHES = "async () => (await caches.keys()).sort()"
SET = "() => document.querySelector('script[src]').src.match(/assets\\/(\\w+)/)[1]"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A person's browser: nothing is kept from test to test."""
    made = chromium.new_context()
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture
def served(own_node: Node, one_node: Node) -> Iterator[Node]:
    """A server with a page of its own to change, in its working directory."""
    own_node.env["TANDEM_MONGODB_URL"] = one_node.mongodb_url  # restarts are quicker
    own_node.env["TANDEM_MONGODB_DATABASE"] = f"offline-{own_node.port}"
    shutil.copytree(ROOT / "web", own_node.directory / "web")
    release(own_node, "one")
    own_node.start()
    yield own_node
    own_node.stop()
    assert own_node.stray_log_lines() == []


def release(node: Node, version: str) -> str:
    """Changes the page: a module that is imported late tells the version. The name of the set."""
    web = node.directory / "web"
    (web / "js/late.js").write_text(f'export const version = "{version}";\n')
    return Assets(web).hash


def upgrade(node: Node, version: str) -> str:
    assert node.stop() == 0
    made = release(node, version)
    node.start()
    return made


def set_of(page: Page) -> str:
    return str(page.evaluate(SET))


def import_late(page: Page) -> str:
    """What the page gets that imports a module only now."""
    path = f"/assets/{set_of(page)}/js/late.js"
    return str(page.evaluate(f"async () => (await import('{path}')).version"))


def open_page(context: BrowserContext, node: Node) -> Page:
    page = context.new_page()
    page.goto(node.url)
    register(page)
    return page


@contextmanager
def stand_in(node: Node, status: int, answers: dict[str, tuple[str, str]]) -> Iterator[None]:
    """Something else on the stopped server's port: path to type and text; ``status`` for all."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, text = answers.get(self.path, ("text/plain", "nothing"))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Not to the test's output."""

    with ThreadingHTTPServer((node.address, node.port), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def register(page: Page) -> None:
    """Returns when the worker has the page in its hands."""
    page.evaluate("async () => { await navigator.serviceWorker.register('/sw.js'); }")
    taken_over(page, set_of(page))


def update(page: Page, made: str) -> None:
    """Returns when the worker of the set ``made`` has the page in its hands."""
    page.evaluate("async () => { await (await navigator.serviceWorker.ready).update(); }")
    taken_over(page, made)


def taken_over(page: Page, made: str) -> None:
    comes_true(
        page,
        f"""async () => {{
            const {{ active, installing, waiting }} = await navigator.serviceWorker.ready;
            return !installing && !waiting && active.state === "activated"
                && navigator.serviceWorker.controller === active
                && await caches.match("/", {{ cacheName: "tandem-{made}" }});
        }}""",
    )


def comes_true(page: Page, told: str) -> None:
    """Waits in the page; the expression may be asynchronous, unlike Playwright's own."""
    page.evaluate(f"""async () => {{
        const end = Date.now() + 15_000;
        while (!(await ({told})())) {{
            if (Date.now() > end) throw new Error({json.dumps(told)});
            await new Promise((done) => setTimeout(done, 20));
        }}
    }}""")


def shows_itself(page: Page) -> None:
    """Its script ran and its style is in force."""
    comes_true(page, "() => document.body.innerText.trim().length > 0")
    assert page.evaluate("() => document.styleSheets[0].cssRules.length") > 10
    assert page.evaluate("() => getComputedStyle(document.body).margin") == "0px"


def test_page_opens_without_a_network(context: BrowserContext, one_node: Node) -> None:
    """With scripts and styles, all modules that there are, in a tab that is new."""
    first = open_page(context, one_node)
    # The files may be kept for ever, so without this the browser itself would have them.
    context.new_cdp_session(first).send("Network.clearBrowserCache")
    context.set_offline(True)
    first.reload()
    shows_itself(first)
    second = context.new_page()
    second.goto(one_node.url)
    shows_itself(second)
    for name in Assets(ROOT / "web").files:
        if name.startswith(("js/", "css/", "vendor/")) and not name.endswith(".txt"):
            path = f"/assets/{set_of(second)}/{name}"
            assert second.evaluate("(path) => fetch(path).then((one) => one.ok)", path), name
    for path in ("/api/me", "/files/x/y", "/sdk/tandem.d.ts", "/assets/0123456789abcdef/js/app.js"):
        failed = second.evaluate("(path) => fetch(path).then(() => false, () => true)", path)
        assert failed, f"{path} came from a cache"


def test_page_opens_while_the_server_is_away(context: BrowserContext, served: Node) -> None:
    """The port refuses; then something answers 502 for it; then it is back."""
    page = open_page(context, served)
    assert served.stop() == 0
    page.reload()
    shows_itself(page)
    with stand_in(served, 502, {}):
        page.reload()
        shows_itself(page)
    made = release(served, "two")
    served.start()
    page.reload()
    shows_itself(page)
    assert set_of(page) == made, "online the page is the server's, not the one that is kept"


def test_page_does_not_wait_for_a_server_that_hangs(context: BrowserContext, served: Node) -> None:
    """After three seconds the page that is kept is shown."""
    page = open_page(context, served)
    served.signal(signal.SIGSTOP)  # connections are taken and not answered
    try:
        page.reload()
        shows_itself(page)
    finally:
        served.signal(signal.SIGCONT)


def test_open_tab_keeps_its_version_over_upgrades(context: BrowserContext, served: Node) -> None:
    """It imports what the server has no more; the old set goes with the last tab that needs it."""
    old = open_page(context, served)
    first = set_of(old)
    second = upgrade(served, "two")
    new = context.new_page()
    new.goto(served.url)
    assert set_of(new) == second
    update(new, second)
    third = upgrade(served, "three")
    update(new, third)
    context.new_cdp_session(new).send("Network.clearBrowserCache")
    assert new.evaluate(CACHES) == sorted(f"tandem-{one}" for one in (first, second, third))
    assert new.evaluate("(path) => fetch(path).then((one) => one.status)", "/js/late.js") == 200
    assert import_late(old) == "one"
    assert import_late(new) == "two"
    context.set_offline(True)
    new.reload()
    shows_itself(new)
    assert (set_of(new), import_late(new)) == (third, "three"), "page and files are of one version"
    context.set_offline(False)
    # As a still newer worker does that is being installed.
    new.evaluate("async () => { await caches.open('tandem-newer'); }")
    old.close()
    new.reload()
    left = sorted((f"tandem-{third}", "tandem-newer"))
    comes_true(new, f"async () => String((await caches.keys()).sort()) === '{','.join(left)}'")
    assert import_late(new) == "three"


def test_first_visit_is_covered_too(context: BrowserContext, served: Node) -> None:
    """The tab that registered the worker, and was loaded without it, survives an upgrade."""
    page = open_page(context, served)
    update(page, upgrade(served, "two"))
    assert import_late(page) == "one"


def test_worker_of_another_version_than_the_page_is_not_installed(
    context: BrowserContext, served: Node
) -> None:
    """While nodes are replaced, the page may come from an old one and the worker from a new one."""
    page = open_page(context, served)
    first = set_of(page)
    old = page.evaluate("() => fetch('/').then((one) => one.text())")
    second = upgrade(served, "two")
    worker = page.evaluate("() => fetch('/sw.js').then((one) => one.text())")
    assert served.stop() == 0
    told = {"/": ("text/html", old), "/sw.js": ("text/javascript", worker)}
    with stand_in(served, 200, told):
        ended = page.evaluate("""async () => {
            const registration = await navigator.serviceWorker.ready;
            const found = new Promise((done) => registration.onupdatefound = done);
            registration.update().catch(() => null);
            await found;
            const worker = registration.installing;
            while (!["redundant", "activated"].includes(worker.state)) {
                await new Promise((done) => worker.onstatechange = done);
            }
            return worker.state;
        }""")
    assert (ended, page.evaluate(CACHES)) == ("redundant", [f"tandem-{first}"])
    served.start()
    update(page, second)
    assert page.evaluate(CACHES) == sorted((f"tandem-{first}", f"tandem-{second}"))


def test_page_can_be_installed(chromium: Browser, one_node: Node, tmp_path: Path) -> None:
    """Chromium finds nothing missing in manifest and icons."""
    # Nothing can be installed in a context that is thrown away.
    lasting = chromium.browser_type.launch_persistent_context(tmp_path, executable_path=CHROMIUM)
    page = open_page(lasting, one_node)
    devtools = lasting.new_cdp_session(page)
    manifest = devtools.send("Page.getAppManifest")
    assert manifest["errors"] == [] and manifest["url"] == f"{one_node.url}/manifest.webmanifest"
    assert devtools.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
    lasting.close()


def test_nothing_is_against_the_policy(context: BrowserContext, one_node: Node) -> None:
    """The page, its worker and its manifest load without a word in the console."""
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda line: told.append(line.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(one_node.url)
    register(page)
    shows_itself(page)
    assert told == []
