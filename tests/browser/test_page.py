"""The web page in a real Chromium: two people on the page, a third one on slixmpp."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import NETWORK_ERRORS, People, Person
from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

HOSTILE = "<img src=x onerror=alert(1)> &amp; \u202eright to left"


async def sign_up(people: People, node: Node, name: str, width: int = 1280) -> Person:
    person = await people.come(node, width=width)
    page = person.page
    await page.get_by_role("button", name="Create").click()
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.locator("#entrance-form [type=submit]").click()
    await expect(page.locator("#chat")).to_be_visible()
    return person


async def find(page: Page, name: str) -> None:
    """Opens a conversation with somebody by searching for the name."""
    await page.locator("#new-chat").click()
    await page.locator("dialog input").fill(name)
    await page.locator("dialog .people button").first.click()
    await expect(page.locator("#thread-name")).to_have_text(name)


async def say(page: Page, text: str) -> None:
    await type_and_send(page, text)
    await expect(page.locator("#messages .own.stored", has_text=text)).to_be_visible()


async def type_and_send(page: Page, text: str) -> None:
    await page.locator("#text").fill(text)
    await page.locator("#composer [type=submit]").click()


async def sees(page: Page, text: str) -> None:
    await expect(page.locator("#messages .message", has_text=text)).to_be_visible()


@pytest.mark.gen_test(timeout=120)
async def test_two_people_on_the_page_and_one_on_xmpp_chat_with_each_other(
    node: Node, people: People, tmp_path: Path
) -> None:
    """Sign-up, search, text both ways, hostile text shown as text, and both chat with slixmpp."""
    ann, ben = fresh_name(), fresh_name()
    account = await JsonClient.register(node)
    first = (await sign_up(people, node, ann)).page
    second = (await sign_up(people, node, ben, width=390)).page
    third = await XmppClient(node, account.jid).login()
    await find(first, ben)
    await say(first, "hello from the page 你好")
    await second.locator("#conversations a").click()
    await sees(second, "hello from the page 你好")
    await say(second, HOSTILE)
    await sees(first, HOSTILE)
    await expect(first.locator("#messages img")).to_have_count(0)
    for page, name in ((first, ann), (second, ben)):
        if page is second:
            await page.locator("#back").click()
        await find(page, account.username)
        await say(page, f"to xmpp from {name}")
        heard = await third.expect()
        assert heard["body"] == f"to xmpp from {name}"
        third.say(heard["from"].bare, f"xmpp answers {name}")
        await sees(page, f"xmpp answers {name}")
    folder = Path(os.environ.get("SCREENSHOTS", str(tmp_path)))
    await first.screenshot(path=folder / "page-desktop.png")
    await second.screenshot(path=folder / "page-phone.png")
    await third.logout()


@pytest.mark.gen_test(timeout=120)
async def test_page_reconnects_after_a_server_kill_and_sends_what_was_typed(
    own_node: Node, people: People
) -> None:
    """What is sent while the server is gone arrives once it is back: once and in order."""
    own_node.start()
    bob = await JsonClient.register(own_node)
    person = await sign_up(people, own_node, fresh_name())
    page = person.page
    await find(page, bob.username)
    await say(page, "before")
    person.forgive(*NETWORK_ERRORS)
    own_node.kill()
    for text in ("one", "two", "three"):
        await type_and_send(page, text)
    own_node.start()
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await expect(page.locator("#messages .own.stored", has_text="three")).to_be_visible(
        timeout=60_000
    )
    status, found, _ = await http(own_node, "GET", "/api/conversations", token=bob.token)
    assert status == 200
    sender = found["conversations"][0]["dstid"]
    stored = [m["content"] for m in await bob.history(10, sender)]
    assert stored == ["before", "one", "two", "three"]


@pytest.mark.gen_test(timeout=60)
async def test_page_shows_what_is_wrong_with_a_registration(node: Node, people: People) -> None:
    """A taken name and a short password are told beside their fields."""
    taken = await JsonClient.register(node)
    person = await people.come(node)
    person.forgive("status of 4(09|22)")
    page = person.page
    await page.get_by_role("button", name="Create").click()
    await page.get_by_label("Username").fill(taken.username)
    await page.get_by_label("Password").fill("short")
    await page.locator("#entrance-form [type=submit]").click()
    await expect(page.locator("#error-password")).to_be_visible()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.locator("#entrance-form [type=submit]").click()
    await expect(page.locator("#error-username")).to_be_visible()
