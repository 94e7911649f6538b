"""The web page in a real Chromium: two people on the page, a third one on slixmpp."""

import json
import os
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, Browser, Page, open_browser
from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

HOSTILE = "<img src=x onerror=alert(1)> &amp; \u202eright to left"


async def sign_up(browser: Browser, node: Node, name: str, width: int = 1280) -> Page:
    page = await browser.open(node.url + "/", width, 800)
    await page.until("!document.querySelector('#entrance').hidden")
    await page.click(".switch button")
    await page.fill("#entrance-form [name=username]", name)
    await page.fill("#entrance-form [name=password]", PASSWORD)
    await page.click("#entrance-form [type=submit]")
    await page.until("!document.querySelector('#chat').hidden")
    return page


async def find(page: Page, name: str) -> None:
    """Opens a conversation with somebody by searching for the name."""
    await page.click("#new-chat")
    await page.fill("dialog input", name)
    await page.click("dialog .people button")
    await page.until("location.hash.length > 1 && !document.querySelector('dialog').open")


async def say(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.run("document.querySelector('#composer').requestSubmit()")
    await page.until(f"{texts('.own.stored')}.includes({json.dumps(text)})")


def texts(selector: str = "") -> str:
    """A JavaScript expression: the texts of the messages that are shown."""
    return (
        f"[...document.querySelectorAll('#messages .message{selector}')]"
        ".map((message) => message.innerText).join('\\n')"
    )


async def sees(page: Page, text: str) -> None:
    await page.until(f"{texts()}.includes({json.dumps(text)})")


@pytest.mark.gen_test(timeout=120)
async def test_two_people_on_the_page_and_one_on_xmpp_chat_with_each_other(
    node: Node, tmp_path: Path
) -> None:
    """Sign-up, search, text both ways, hostile text shown as text, and both chat with slixmpp."""
    ann, ben = fresh_name(), fresh_name()
    account = await JsonClient.register(node)
    async with open_browser() as browser:
        first = await sign_up(browser, node, ann)
        second = await sign_up(browser, node, ben, width=390)
        third = await XmppClient(node, account.jid).login()
        await find(first, ben)
        await say(first, "hello from the page 你好")
        await second.click("#conversations a")
        await sees(second, "hello from the page 你好")
        await say(second, HOSTILE)
        await sees(first, HOSTILE)
        assert await first.run("document.querySelectorAll('#messages img').length") == 0
        for page, name in ((first, ann), (second, ben)):
            if page is second:
                await page.click("#back")
            await find(page, account.username)
            await say(page, f"to xmpp from {name}")
            heard = await third.expect()
            assert heard["body"] == f"to xmpp from {name}"
            third.say(heard["from"].bare, f"xmpp answers {name}")
            await sees(page, f"xmpp answers {name}")
        folder = Path(os.environ.get("SCREENSHOTS", str(tmp_path)))
        await first.screenshot(folder / "page-desktop.png")
        await second.screenshot(folder / "page-phone.png")
        await third.logout()


@pytest.mark.gen_test(timeout=120)
async def test_page_reconnects_after_a_server_kill_and_sends_what_was_typed(
    own_node: Node,
) -> None:
    """What is sent while the server is gone arrives once it is back: once and in order."""
    own_node.start()
    bob = await JsonClient.register(own_node)
    async with open_browser() as browser:
        page = await sign_up(browser, own_node, fresh_name())
        await find(page, bob.username)
        await say(page, "before")
        own_node.kill()
        for text in ("one", "two", "three"):
            await page.fill("#text", text)
            await page.run("document.querySelector('#composer').requestSubmit()")
        own_node.start()
        await page.run("window.dispatchEvent(new Event('online'))")
        await page.until(f"{texts('.own.stored')}.includes('three')", 60)
        status, found, _ = await http(own_node, "GET", "/api/conversations", token=bob.token)
        assert status == 200
        sender = found["conversations"][0]["dstid"]
        stored = [m["content"] for m in await bob.history(10, sender)]
        assert stored == ["before", "one", "two", "three"]


@pytest.mark.gen_test(timeout=60)
async def test_page_shows_what_is_wrong_with_a_registration(node: Node) -> None:
    """A taken name and a short password are told beside their fields."""
    taken = await JsonClient.register(node)
    async with open_browser() as browser:
        page = await browser.open(node.url + "/")
        await page.until("!document.querySelector('#entrance').hidden")
        await page.click(".switch button")
        await page.fill("#entrance-form [name=username]", taken.username)
        await page.fill("#entrance-form [name=password]", "short")
        await page.click("#entrance-form [type=submit]")
        await page.until("!document.querySelector('#error-password').hidden")
        await page.fill("#entrance-form [name=password]", PASSWORD)
        await page.click("#entrance-form [type=submit]")
        await page.until("!document.querySelector('#error-username').hidden")
