"""A long conversation: loading upward, jumping far back, and returning to its end."""

import re

import pytest
from playwright.async_api import expect

from tests.support.browser import People, until
from tests.support.chat_page import ChatPage
from tests.support.json_client import JsonClient
from tests.support.node import Node

COUNT = 3000
GAP = 8
"""Pixels above the first of several messages, which the oldest is no more when older ones come."""

SCROLLER = "document.querySelector('.scroller')"
PLACES = """() => {
    const {top, bottom} = document.querySelector(".scroller").getBoundingClientRect();
    return [...document.querySelectorAll("[role=article]")].flatMap((node) => {
        const box = node.getBoundingClientRect();
        const text = node.querySelector(".text").textContent;
        return box.top >= top && box.bottom <= bottom ? [[text, box.top]] : [];
    });
}"""
"""The messages in view, and where they are."""


AT_REST = f"""(async () => {{
    const frame = () => new Promise(requestAnimationFrame);
    let before = NaN;
    while (before !== {SCROLLER}.scrollTop) {{
        before = {SCROLLER}.scrollTop;
        for (let count = 0; count < 5; count++) await frame();
    }}
    return before;
}})()"""
"""How far it is scrolled, once nothing moves any more."""


async def told(node: Node) -> tuple[JsonClient, JsonClient]:
    """Two who have said a lot: Ben has counted for Ann, who has read it."""
    ann, ben = await JsonClient.online(node), await JsonClient.online(node)
    for number in range(COUNT):
        text = f"number {number}" + " and so on" * (number % 13)
        ben.send(cmd=10, dstid=ann.id, content=text, cid=f"count {number}")
    ack = await ben.expect(60, cmd=1, cid=f"count {COUNT - 1}")
    ann.send(cmd=12, chat=10, dstid=ben.id, seq=ack["seq"], state="read")
    await ann.settled()
    return ann, ben


def numbers(texts: list[str]) -> list[int]:
    return [int(found[1]) for text in texts if (found := re.match(r"number (\d+)", text))]


async def has_no_gap(page: ChatPage) -> list[int]:
    """The numbers that are drawn follow on each other."""
    drawn = numbers(await page.said())
    assert drawn == list(range(drawn[0], drawn[-1] + 1))
    return drawn


async def in_view(page: ChatPage) -> dict[str, float]:
    return dict(await page.page.evaluate(PLACES))


@pytest.mark.gen_test(timeout=120)
async def test_older_messages_come_without_a_jump(node: Node, people: People) -> None:
    """However late: what is in view stays in its place, and no message is missing or twice."""
    ann, ben = await told(node)
    page = await ChatPage.come(people, ann, f"/#/10/{ben.id}")
    await page.sees(f"number {COUNT - 1} ")
    await page.page.mouse.move(900, 400)
    seen = await has_no_gap(page)
    for _ in range(4):
        page.person.cable.hold("down")
        height = await page.page.evaluate(f"{SCROLLER}.scrollHeight")
        while await page.page.evaluate(AT_REST) > 0:
            await page.page.mouse.wheel(0, -700)
        await expect(page.thread.get_by_text(page.t("loading"))).to_be_visible()
        before = await in_view(page)
        await page.person.come_back()
        await until(page.page, f"{SCROLLER}.scrollHeight > {height} + 1000")
        await has_no_gap(page)
        after = await in_view(page)
        assert before and before.keys() <= after.keys()
        moved = {text: after[text] - y for text, y in before.items() if abs(after[text] - y) > GAP}
        assert moved == {}
    assert (await has_no_gap(page))[0] < seen[0] - 150


@pytest.mark.gen_test(timeout=120)
async def test_jump_far_back_reads_on_from_there_and_returns(node: Node, people: People) -> None:
    """The place that was looked for is in the middle; both ways lead on from it."""
    ann, ben = await told(node)
    page = await ChatPage.come(people, ann, f"/#/10/{ben.id}")
    await page.sees(f"number {COUNT - 1} ")
    await page.button("findHere").click()
    await page.dialog.get_by_role("searchbox").fill("number 157")
    hit = page.dialog.get_by_role("button", name=re.compile(r"number 157(?!\d)"))
    while not await hit.count():
        await page.dialog.get_by_role("listitem").last.scroll_into_view_if_needed()
    await hit.click()
    place = page.messages.filter(has_text=re.compile(r"number 157(?!\d)"))
    await expect(place).to_be_in_viewport()
    box = await place.bounding_box()
    assert box is not None and 250 < box["y"] < 550
    await page.page.mouse.move(900, 400)
    first = (await has_no_gap(page))[0]
    for way in (-900, 900):
        while first > 100 if way < 0 else first < 250:
            await page.page.mouse.wheel(0, way)
            await page.page.evaluate(AT_REST)
            before, first = first, (await has_no_gap(page))[0]
            assert abs(first - before) < 60  # it goes on from where it was
    await ben.say(ann.id, "said meanwhile", "meanwhile")
    await expect(page.button("toEndUnread", count=1)).to_be_visible()
    await expect(page.message("said meanwhile")).to_have_count(0)
    await page.button("toEndUnread", count=1).click()
    await expect(page.message("said meanwhile")).to_be_in_viewport()
    assert (await has_no_gap(page))[-1] == COUNT - 1
    await expect(page.unread(ben.username, 1)).to_have_count(0)


@pytest.mark.gen_test(timeout=120)
async def test_what_is_new_is_marked_and_counted(node: Node, people: People) -> None:
    """A line above the first unread message; while one reads further up, a count at the button."""
    ann, ben = await told(node)
    for number in range(4):
        await ben.say(ann.id, f"new {number}", f"new {number}")
    page = await ChatPage.come(people, ann)
    await expect(page.unread(ben.username, 4)).to_be_visible()
    await page.open(ben.username)
    line = page.thread.get_by_text(page.t("unreadFrom"))
    await expect(line).to_be_in_viewport()
    first = page.message("new 0")
    above, below = await line.bounding_box(), await first.bounding_box()
    assert above is not None and below is not None and above["y"] < below["y"]
    await expect(page.message("new 3")).to_be_in_viewport()
    await expect(page.unread(ben.username, 4)).to_have_count(0)

    await page.page.mouse.move(900, 400)
    await page.page.mouse.wheel(0, -1500)
    await expect(page.message("new 3")).not_to_be_in_viewport()
    before = await in_view(page)
    for number in range(3):
        await ben.say(ann.id, f"newer {number}", f"newer {number}")
    await expect(page.button("toEndUnread", count=3)).to_contain_text("3")
    await expect(page.unread(ben.username, 3)).to_be_visible()
    assert await in_view(page) == before
    await page.button("toEndUnread", count=3).click()
    await expect(page.message("newer 2")).to_be_in_viewport()
    await expect(page.unread(ben.username, 3)).to_have_count(0)
    await expect(page.button("toEnd")).to_be_hidden()
