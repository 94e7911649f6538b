"""Whatever breaks while people write: nothing is lost, nothing is there twice, order is kept."""

import asyncio

import pytest
from playwright.async_api import expect

from tests.support.browser import NETWORK_ERRORS, People, until
from tests.support.chat_page import ChatPage
from tests.support.json_client import JsonClient
from tests.support.node import Node

HEIGHT = 4000
"""Of the window: all that is said is drawn."""
PATIENCE_MS = 40_000

CAN_GO_OFFLINE = """navigator.serviceWorker.ready.then(() => new Promise((done) => {
    const opening = indexedDB.open("tandem");
    opening.onsuccess = () => {
        const pairs = opening.result.transaction("pairs").objectStore("pairs").getAllKeys();
        pairs.onsuccess = () => {
            opening.result.close();
            done(pairs.result.some((key) => key.includes(":log:")));
        };
    };
}))"""
"""The page's worker is there, and the last messages are in storage."""


async def two(node: Node, people: People) -> tuple[tuple[ChatPage, JsonClient], ...]:
    """Two people, each with the conversation with the other before them."""
    ann, ben = await JsonClient.register(node), await JsonClient.register(node)
    pages = []
    for account, other in ((ann, ben), (ben, ann)):
        page = await ChatPage.come(people, account, f"/#/10/{other.id}", height=HEIGHT)
        await page.is_in(other.username)
        pages.append((page, account))
    return tuple(pages)


async def stored(one: JsonClient, other: JsonClient) -> list[str]:
    """What the server has of their conversation."""
    return [message["content"] for message in await one.history(10, other.id)]


async def agree(said: list[str], *pages: ChatPage) -> None:
    """All of them show this, with nothing still on its way."""
    for page in pages:
        await expect(page.messages).to_have_count(len(said), timeout=PATIENCE_MS)
        await expect(page.page.locator(".message.stored")).to_have_count(len(said))
        assert await page.said() == said


async def all_arrive(page: ChatPage, count: int) -> None:
    """So many messages of this person's have reached the server."""
    own = page.page.locator(".message.own.stored")
    await expect(own).to_have_count(count, timeout=PATIENCE_MS)


@pytest.mark.gen_test(timeout=180)
async def test_cuts_while_both_write_lose_nothing(node: Node, people: People) -> None:
    """Half typed, sent but not acked, acked but not heard: at every moment the cable is cut."""
    (ann, ann_account), (ben, ben_account) = await two(node, people)

    async def write(page: ChatPage, name: str) -> list[str]:
        said = [f"{name} {number}" for number in range(24)]
        for number, text in enumerate(said):
            way = number % 8
            if way == 1:
                page.person.cable.hold("down")  # the acks of what is sent now do not come
            elif way == 3:
                await page.person.cut()
            elif way == 4:
                await page.box.press_sequentially(text[:-1])
                await page.person.come_back()
                await page.box.press_sequentially(text[-1])
                await page.box.press("Enter")
                continue
            elif way == 6:
                await page.person.go_offline()
            elif way == 7:
                await page.person.come_back()
            await page.send(text)
        return said

    own = await asyncio.gather(write(ann, "Ann"), write(ben, "Ben"))
    for page in (ann, ben):
        await all_arrive(page, 24)
    found = await stored(ann_account, ben_account)
    for name, said in zip(("Ann", "Ben"), own, strict=True):
        assert [text for text in found if text.startswith(name)] == said
    assert len(found) == 48
    await agree(found, ann, ben)


@pytest.mark.gen_test(timeout=180)
async def test_killed_server_loses_nothing_that_is_being_written(
    own_node: Node, people: People
) -> None:
    """``kill -9`` twice while both write, once with their acks still on the cable."""
    own_node.start()
    (ann, ann_account), (ben, ben_account) = await two(own_node, people)
    for page in (ann, ben):
        page.person.forgive(*NETWORK_ERRORS)

    async def write(page: ChatPage, name: str) -> list[str]:
        said = [f"{name} {number}" for number in range(20)]
        for text in said:
            await page.send(text)
        return said

    writing = asyncio.gather(write(ann, "Ann"), write(ben, "Ben"))
    await ben.sees("Ann 3")
    ann.person.cable.hold("down")
    await ben.sees("Ann 5")
    own_node.kill()
    await ann.person.come_back()
    await asyncio.to_thread(own_node.start)
    own = await writing
    own_node.kill()
    await asyncio.to_thread(own_node.start)
    for page in (ann, ben):
        await all_arrive(page, 20)
    found = await stored(ann_account, ben_account)
    for name, said in zip(("Ann", "Ben"), own, strict=True):
        assert [text for text in found if text.startswith(name)] == said
    await agree(found, ann, ben)


@pytest.mark.gen_test(timeout=120)
async def test_reload_in_the_middle_loses_nothing(node: Node, people: People) -> None:
    """What was shown as said is said, whenever the page is loaded anew; the rest is in the box."""
    (ann, ann_account), (ben, ben_account) = await two(node, people)
    said = [f"Ann {number}" for number in range(20)]
    for number, text in enumerate(said):
        if number % 5 == 2:
            ann.person.cable.hold("down")
        await ann.send(text)
        if number % 5 == 4:
            await ann.sees(text)
            await ann.person.cut()
            await ann.person.come_back()
            await ann.page.reload()
            await ann.is_in(ben_account.username)
    await all_arrive(ann, 20)
    assert await stored(ben_account, ann_account) == said
    await agree(said, ann, ben)


@pytest.mark.gen_test(timeout=120)
async def test_offline_reload_keeps_what_waits_to_be_sent(node: Node, people: People) -> None:
    """Without a network the page comes from its worker, the messages from storage."""
    (ann, ann_account), (ben, ben_account) = await two(node, people)
    await ann.say("Ann 0")
    await until(ann.page, CAN_GO_OFFLINE)
    await ann.person.go_offline()
    said = ["Ann 0", *[f"Ann {number}" for number in range(1, 6)]]
    for text in said[1:]:
        await ann.send(text)
    await ann.sees(said[-1])
    await ann.page.reload()
    await ann.is_in(ben_account.username)
    await expect(ann.messages).to_have_count(len(said))
    assert await ann.said() == said
    await ann.person.come_back()
    await all_arrive(ann, len(said))
    assert await stored(ben_account, ann_account) == said
    await agree(said, ann, ben)


@pytest.mark.gen_test(timeout=120)
async def test_follower_goes_on_sending_when_the_leading_tab_is_closed(
    node: Node, people: People
) -> None:
    """The connection ends with the tab that has it, and another tab opens one."""
    (ann, ann_account), (ben, ben_account) = await two(node, people)
    await ann.say("Ann 0")
    second = await ann.tab()
    await second.page.set_viewport_size({"width": 1280, "height": HEIGHT})
    await second.open(ben_account.username)
    await second.sees("Ann 0")
    said = [f"Ann {number}" for number in range(20)]
    for number, text in enumerate(said[1:10]):
        await (ann if number % 3 else second).send(text)
    closing = asyncio.ensure_future(ann.page.close())
    for text in said[10:]:
        await second.send(text)
    await closing
    await all_arrive(second, len(said))
    assert await stored(ben_account, ann_account) == said
    await agree(said, second, ben)
