"""Profile, devices, settings, XMPP apps and search, at the page of a real server."""

import json
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from server import __version__
from tests.support.axe import violations
from tests.support.browser import CHROMIUM, People, Person, until
from tests.support.eventually import eventually
from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

NEW_PASSWORD = "another horse battery"


async def at_the_page(people: People, node: Node, account: JsonClient, **looks: Any) -> Person:
    """Somebody who has logged in to this account."""
    person = await people.come(node, **looks)
    await log_in(person.page, account.username)
    return person


async def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    await page.fill("#entrance-form [name=username]", username)
    await page.fill("#entrance-form [name=password]", password)
    await page.click("#entrance-form [type=submit]")
    await expect(page.locator("#sidebar .me")).to_be_visible()


async def open_panel(page: Page, name: str) -> Locator:
    """One that the own menu leads to, when it has loaded; the newest dialog."""
    await page.click("#sidebar .me")
    await page.get_by_role("menuitem", name=name).click()
    dialog = page.locator("dialog[open]").last
    await expect(dialog.locator(".spinning")).to_have_count(0)
    return dialog


async def own(account: JsonClient) -> dict[str, Any]:
    _, me, _ = await http(account.node, "GET", "/api/me", token=account.token)
    found: dict[str, Any] = me
    return found


async def say(sender: JsonClient, text: str, **where: int) -> dict[str, Any]:
    """Sends a message; its ack."""
    sender.send(content=text, cid=text, **where)
    return await sender.expect(cmd=1, cid=text)


@pytest.mark.gen_test(timeout=60)
async def test_profile_is_changed_on_the_page(node: Node, people: People) -> None:
    """Name, text and number; a taken username is told beside its field, a free one asks first."""
    account, other = await JsonClient.register(node), await JsonClient.register(node)
    person = await at_the_page(people, node, account)
    person.forgive(r"status of (409|422)")
    page = person.page
    profile = await open_panel(page, "Profile")
    await profile.get_by_label("Name that others see").fill("Ann <b>Bold</b>")
    await profile.get_by_label("About me").fill("on the road")
    await profile.get_by_label("Mobile number").fill("123")
    await profile.get_by_role("button", name="Save").click()
    await expect(profile.get_by_label("Mobile number")).to_have_attribute("aria-invalid", "true")
    await expect(profile.locator(".field-error:visible")).to_have_text(re.compile("7 to 15"))
    await profile.get_by_label("Mobile number").fill(f"+44 1632 {account.id:07}")
    await profile.get_by_role("button", name="Save").click()
    await expect(page.locator(".toast")).to_have_text("Saved")
    me = await own(account)
    assert (me["nickname"], me["memo"]) == ("Ann <b>Bold</b>", "on the road")
    assert me["mobile"] == f"+441632{account.id:07}"
    await expect(page.locator("#sidebar .me")).to_contain_text("Ann <b>Bold</b>")

    username = profile.get_by_label("Username")
    await username.fill(other.username)
    await profile.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Change it").click()
    await expect(profile.locator(".field-error:visible")).to_have_text("This username is taken.")
    await username.fill(f"{account.username}.new")
    await profile.get_by_role("button", name="Save").click()
    question = page.locator("dialog.question")
    await expect(question).to_contain_text(f"{account.username}.new@localhost")
    await question.get_by_role("button", name="Change it").click()
    await expect(question).to_be_hidden()

    async def is_renamed() -> bool:
        return (await own(account))["username"] == f"{account.username}.new"

    await eventually(is_renamed)


@pytest.mark.gen_test(timeout=60)
async def test_own_data_is_downloaded(node: Node, people: People) -> None:
    """As one JSON document, named for the account."""
    account = await JsonClient.register(node)
    page = (await at_the_page(people, node, account)).page
    profile = await open_panel(page, "Profile")
    async with page.expect_download() as download:
        await profile.get_by_role("button", name="Download my data").click()
    file = await download.value
    assert file.suggested_filename.startswith(f"tandem-{account.username}-")
    path = await file.path()
    assert json.loads(path.read_text())["profile"]["id"] == account.id


@pytest.mark.gen_test(timeout=60)
async def test_picture_is_cut_out_and_shown_everywhere(node: Node, people: People) -> None:
    """And taken away again. What is no picture is told."""
    account = await JsonClient.register(node)
    page = (await at_the_page(people, node, account)).page
    profile = await open_panel(page, "Profile")
    file = profile.locator("input[type=file]")
    await file.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
    await expect(page.locator(".toast.error")).to_be_visible()
    picture = await drawn(page)
    await file.set_input_files({"name": "me.png", "mimeType": "image/png", "buffer": picture})
    await page.get_by_role("button", name="Use this picture").click()
    await expect(profile.locator(".avatar img")).to_be_visible()
    await expect(page.locator("#sidebar .me .avatar img")).to_have_count(1)
    assert (await own(account))["avatar"].startswith(f"{node.url}/files/")
    await profile.get_by_role("button", name="Remove").click()
    await expect(profile.locator(".avatar img")).to_have_count(0)
    assert (await own(account))["avatar"] == ""


async def drawn(page: Page) -> bytes:
    """A small picture."""
    return bytes(
        await page.evaluate("""async () => {
            const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 48});
            canvas.getContext("2d").fillRect(8, 8, 32, 32);
            const blob = await new Promise((done) => canvas.toBlob(done));
            return [...new Uint8Array(await blob.arrayBuffer())];
        }""")
    )


@pytest.mark.gen_test(timeout=60)
async def test_new_password_logs_the_other_devices_out(node: Node, people: People) -> None:
    """A wrong old one is told and changes nothing; this device stays."""
    account = await JsonClient.register(node)
    here = await at_the_page(people, node, account)
    there = await at_the_page(people, node, account)
    there.forgive(r"status of 401")
    here.forgive(r"status of 403")
    profile = await open_panel(here.page, "Profile")
    await profile.get_by_role("button", name="Change password").click()
    dialog = here.page.locator("dialog.question")
    await dialog.get_by_label("Present password").fill("not this one")
    await dialog.get_by_label("New password").fill(NEW_PASSWORD)
    await dialog.get_by_role("button", name="Change password").click()
    await expect(dialog.locator(".field-error:visible")).to_have_text("This is not the password.")
    await dialog.get_by_label("Present password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Change password").click()
    await expect(dialog).to_be_hidden()
    await expect(there.page.locator("#entrance")).to_be_visible()
    await expect(here.page.locator("#sidebar .me")).to_be_visible()
    await log_in(there.page, account.username, NEW_PASSWORD)


@pytest.mark.gen_test(timeout=60)
async def test_one_device_is_logged_out_by_another(node: Node, people: People) -> None:
    """Each is named by browser and system, and one's own is marked."""
    account = await JsonClient.register(node)
    here = await at_the_page(people, node, account)
    there = await at_the_page(people, node, account)
    there.forgive(r"status of 401")
    devices = await open_panel(here.page, "Devices")
    rows = devices.locator("li").filter(has_text="Chrome on Linux")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("This device")
    await rows.last.get_by_role("button").click()
    question = here.page.locator("dialog.question")
    await question.get_by_role("button", name="Log out").click()
    await expect(there.page.locator("#entrance")).to_be_visible()
    await expect(rows).to_have_count(1)


@pytest.mark.gen_test(timeout=60)
async def test_app_password_of_the_page_opens_xmpp_until_it_is_revoked(
    node: Node, people: People
) -> None:
    """It is shown once, with address and ports; the QR code is the address."""
    account = await JsonClient.register(node)
    page = (await at_the_page(people, node, account)).page
    panel = await open_panel(page, "Connect an XMPP app")
    await expect(panel.locator("code").first).to_have_text(account.jid)
    await expect(panel.get_by_role("link", name="Open in an app")).to_have_attribute(
        "href", f"xmpp:{account.jid}"
    )
    for text in (node.pick().xmpp_port, node.pick().tls_port):
        await expect(panel.get_by_text(str(text), exact=True)).to_be_visible()
    assert await read_qr(page, panel.locator(".qr-place svg")) == f"xmpp:{account.jid}"
    await panel.get_by_label("What is the device called?").fill("My tablet")
    await panel.get_by_role("button", name="Make a password").click()
    password = await panel.locator(".made-password code").inner_text()
    client = await XmppClient(node, account.jid, password).login()
    await panel.get_by_role("button", name="Close").click()

    devices = await open_panel(page, "Devices")
    row = devices.locator("li").filter(has_text="My tablet")
    await expect(row).to_be_visible()
    assert password not in await devices.inner_text()
    await row.get_by_role("button", name="Revoke").click()
    await page.locator("dialog.question").get_by_role("button", name="Revoke").click()
    await client.ended()
    await expect(row).to_have_count(0)


async def read_qr(page: Page, code: Locator) -> str:
    """What the picture of the code says, modules and all: drawn again from the same text."""
    drawn_path = await code.locator("path").last.get_attribute("d")
    uri = await page.locator("dialog[open] a[href^='xmpp:']").get_attribute("href")
    path = await page.evaluate(
        """async (text) => {
            const app = document.querySelector("script[type=module]").src;
            const { qrCode } = await import(new URL("widgets/qr.js", app));
            return qrCode(text).lastElementChild.getAttribute("d");
        }""",
        uri,
    )
    assert path == drawn_path
    assert uri is not None
    return uri


@pytest.mark.gen_test(timeout=60)
async def test_xmpp_page_says_that_the_ports_are_switched_off(
    own_node: Node, people: People
) -> None:
    """Then only the WebSocket is left, and an app that can do that."""
    own_node.env |= {"TANDEM_XMPP_PORT": "0", "TANDEM_XMPP_TLS_PORT": "0"}
    own_node.start()
    account = await JsonClient.register(own_node)
    page = (await at_the_page(people, own_node, account)).page
    panel = await open_panel(page, "Connect an XMPP app")
    await expect(panel).to_contain_text("over WebSocket only")
    await expect(panel).to_contain_text(f"ws://127.0.0.1:{own_node.port}/xmpp-websocket")
    await expect(panel.locator("summary")).to_have_text([re.compile("Gajim")])


@pytest.mark.gen_test(timeout=60)
async def test_search_finds_marks_and_goes_to_the_place(node: Node, people: People) -> None:
    """In all conversations and in one, in pages, by the keyboard alone."""
    account, bob = await JsonClient.register(node), await JsonClient.online(node)
    for number in range(30):
        await say(bob, f"harbour {number:02}", cmd=10, dstid=account.id)
    hostile = "the <b>Café</b> at the harbour"
    place = (await say(bob, hostile, cmd=10, dstid=account.id))["seq"]
    person = await at_the_page(people, node, account)
    person.forgive(r"status of 422")
    page = person.page
    await expect(page.locator("#sidebar .conversation")).to_contain_text("harbour")
    search = await open_search(page, bob.username)
    field = search.get_by_role("searchbox")
    await field.fill("harbour cafe")
    await expect(search.locator(".found li")).to_have_count(1)
    await expect(search.locator("mark")).to_have_text(["Café", "harbour"])
    await expect(search.locator(".found-text")).to_contain_text("<b>Café</b>")
    await field.fill("harbour")
    await expect(search.locator(".found li")).to_have_count(20)
    await search.locator(".found li").last.scroll_into_view_if_needed()
    await expect(search.locator(".found li")).to_have_count(31)
    await field.fill("nowhere")
    await expect(search).to_contain_text("Nothing found")
    await field.fill("x")
    await expect(search).to_contain_text("type a little more")
    await field.fill("cafe")
    await expect(search.locator(".found li")).to_have_count(1)
    await field.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(search).to_be_hidden()
    await until(page, f"location.hash.startsWith('#/10/{bob.id}')")
    await expect(page.locator("#thread")).to_contain_text(hostile)
    assert place == 31


async def open_search(page: Page, name: str) -> Locator:
    """In the conversation with this person."""
    row = page.locator("#sidebar li").filter(has_text=name)
    await row.click(button="right")
    await page.get_by_role("menuitem", name="Search").click()
    return page.locator("dialog[open]").last


@pytest.mark.gen_test(timeout=60)
async def test_theme_and_language_change_at_once(node: Node, people: People) -> None:
    """In another tab too, and they are kept over a reload."""
    account = await JsonClient.register(node)
    person = await at_the_page(people, node, account)
    page, second = person.page, await person.open()
    settings = await open_panel(page, "Settings")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await settings.get_by_text("Dark", exact=True).click()
    dark = await page.evaluate(ground)
    assert dark != light
    await until(second, f"{ground} === '{dark}'")
    bars = "[...document.querySelectorAll('meta[name=theme-color]')].map((bar) => bar.content)"
    assert set(await page.evaluate(bars)) == {dark}
    await settings.get_by_text("中文").click()
    await expect(settings.get_by_role("heading", name="设置")).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"
    await page.reload()
    await expect(page.locator("#sidebar .me")).to_be_visible()
    assert await page.evaluate(ground) == dark
    settings = await open_panel(page, "设置")
    await settings.get_by_role("button", name="关于").click()
    await expect(page.locator("dialog.question")).to_contain_text(f"版本 {__version__}")
    await page.keyboard.press("Escape")
    await settings.get_by_text("跟随系统").click()
    assert await page.evaluate(ground) == light
    await page.emulate_media(color_scheme="dark")
    await until(page, f"{ground} === '{dark}'")


@pytest.mark.gen_test(timeout=60)
async def test_message_that_nobody_looks_at_is_told(node: Node, people: People) -> None:
    """Title and icon, and one notification of two tabs; it goes when the message has been read."""
    account, bob = await JsonClient.register(node), await JsonClient.online(node)
    person = await people.come(node, permissions=["notifications"])
    await log_in(person.page, account.username)
    second = await person.open()
    await expect(second.locator("#sidebar .me")).to_be_visible()
    settings = await open_panel(second, "Settings")
    await settings.get_by_label("Notifications").check()
    await settings.get_by_role("button", name="Close").click()
    first = await say(bob, "are you there?", cmd=10, dstid=account.id)
    tabs = (person.page, second)
    for tab in tabs:
        await until(tab, "document.title === '(1) Tandem'")
        await until(tab, "/unread/.test(document.querySelector('link[rel=icon]').href)")
    await until(second, f"{TOLD}.then((told) => told.length)")
    assert await second.evaluate(TOLD) == [[bob.username, "are you there?", first["seq"]]]
    await second.click("#sidebar a.conversation")
    for tab in tabs:
        await until(tab, "document.title === 'Tandem'")
    await until(second, f"{TOLD}.then((told) => !told.length)")
    await say(bob, "and now?", cmd=10, dstid=account.id)
    await expect(second.locator("#thread")).to_contain_text("and now?")
    assert await second.evaluate(TOLD) == []


TOLD = """navigator.serviceWorker.ready.then((worker) => worker.getNotifications())
    .then((notes) => notes.map(({title, body, data}) => [title, body, data.seq]))"""
"""A promise of the notifications that are shown."""

CLICK = """async () => {
    const [notification] = await self.registration.getNotifications();
    self.dispatchEvent(new NotificationEvent("notificationclick", {notification}));
}"""
"""For the worker: as if somebody had clicked the notification; only, it may not take the focus."""


@pytest.mark.gen_test(timeout=60)
async def test_click_on_a_notification_shows_its_message(node: Node, people: People) -> None:
    """And whoever logs out leaves none behind."""
    account, bob = await JsonClient.register(node), await JsonClient.online(node)
    person = await people.come(node, permissions=["notifications"])
    page = person.page
    await log_in(page, account.username)
    settings = await open_panel(page, "Settings")
    await settings.get_by_label("Notifications").check()
    await settings.get_by_role("button", name="Close").click()
    for number in range(20):
        await say(bob, f"number {number}", cmd=10, dstid=account.id)
    await until(page, f"{TOLD}.then((told) => told[0]?.[1] === 'number 19')")
    [worker] = person.context.service_workers
    await worker.evaluate(CLICK)
    await expect(page.locator("#thread")).to_contain_text("number 19")
    await until(page, f"{TOLD}.then((told) => !told.length)")

    await page.keyboard.press("Escape")
    await until(page, "!document.body.classList.contains('in-thread')")
    await say(bob, "one more", cmd=10, dstid=account.id)
    await until(page, f"{TOLD}.then((told) => told.length)")
    await page.evaluate("localStorage.clear()")
    await page.reload()
    await expect(page.locator("#entrance")).to_be_visible()
    await until(page, f"{TOLD}.then((told) => !told.length)")


@pytest.mark.gen_test(timeout=60)
async def test_account_is_deleted_with_password_and_name(node: Node, people: People) -> None:
    """Not before both are right."""
    account = await JsonClient.register(node)
    person = await at_the_page(people, node, account)
    person.forgive(r"status of 40[13]")
    page = person.page
    profile = await open_panel(page, "Profile")
    await profile.get_by_role("button", name="Delete account").click()
    dialog = page.locator("dialog.question")
    await dialog.get_by_label("Password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Delete account").click()
    await expect(dialog.locator(".field-error:visible")).to_contain_text(account.username)
    await dialog.get_by_label(f"Type {account.username}").fill(account.username)
    await dialog.get_by_label("Password").fill("not this one")
    await dialog.get_by_role("button", name="Delete account").click()
    await expect(dialog.locator(".field-error:visible")).to_have_text("This is not the password.")
    await dialog.get_by_label("Password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Delete account").click()
    await expect(page.locator("#entrance")).to_be_visible()
    await expect(page.locator("#entrance-note")).to_be_hidden()
    status, _, _ = await http(node, "POST", "/api/login", {"id": account.id, "password": PASSWORD})
    assert status == 401


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_account_panels_break_no_rule(node: Node, people: People, scheme: str) -> None:
    """axe-core, in both colour schemes; the search with something found."""
    account, bob = await JsonClient.register(node), await JsonClient.online(node)
    await say(bob, "axe finds nothing", cmd=10, dstid=account.id)
    person = await at_the_page(
        people, node, account, scheme="dark" if scheme == "dark" else "light"
    )
    page = person.page
    await page.emulate_media(reduced_motion="reduce")  # what fades in is faint for a moment
    for name in ("Profile", "Devices", "Connect an XMPP app", "Settings"):
        panel = await open_panel(page, name)
        assert await flaws(page) == [], name
        await panel.get_by_role("button", name="Close").click()
    search = await open_search(page, bob.username)
    await search.get_by_role("searchbox").fill("axe")
    await expect(search.locator("mark")).to_be_visible()
    assert await flaws(page) == []


async def flaws(page: Page) -> list[str]:
    """What breaks a rule in the open panel; not in what lies behind it."""
    return [line for line in await violations(page) if " at .me:" not in line]
