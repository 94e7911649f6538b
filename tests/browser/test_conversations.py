"""The list of conversations, ways in and out: marks, badges, links, logging out."""

import pytest
from playwright.async_api import expect

from tests.support.browser import People
from tests.support.chat_page import ChatPage
from tests.support.eventually import eventually
from tests.support.groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node


@pytest.mark.gen_test(timeout=60)
async def test_conversation_shows_only_what_was_said_in_it(node: Node, people: People) -> None:
    """Going from one to the next leaves nothing behind, though all begin with seq 1."""
    ann, ben = await JsonClient.register(node), await JsonClient.online(node)
    places = {ben.username: (10, ann.id)}
    for name in ("Tea", "Coffee"):
        gid = await make_group(ben, ann)
        await ben.call("PATCH", f"/api/groups/{gid}", {"name": name})
        places[name] = (11, gid)
    for name, (chat, place) in places.items():
        await ben.say(place, f"only in {name}", "only", chat=chat)
    page = await ChatPage.come(people, ann)
    for name in (*places, *places):
        await page.open(name)
        await page.sees(f"only in {name}")
        assert await page.said() == [f"only in {name}"]


@pytest.mark.gen_test(timeout=60)
async def test_conversation_is_pinned_muted_and_archived(node: Node, people: People) -> None:
    """By its menu, on all devices; muted ones count no more, archived ones come back when new."""
    ann, ben, kim = [await JsonClient.online(node) for _ in range(3)]
    await ben.say(ann.id, "first", "first")
    await kim.say(ann.id, "second", "second")
    page = await ChatPage.come(people, ann)
    device = await ChatPage.come(people, ann)
    rows = device.sidebar.get_by_role("link")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text(kim.username)
    await expect(page.page).to_have_title("(2) Tandem")

    async def act(name: str, key: str) -> None:
        await page.row(name).click(button="right")
        await page.menu(key)

    await act(ben.username, "pin")
    await expect(rows.first).to_contain_text(ben.username)
    await act(ben.username, "mute")
    await expect(page.page).to_have_title("(1) Tandem")
    for one in (page, device):
        for key in ("isPinned", "isMuted"):
            mark = one.row(ben.username).get_by_role("img", name=one.t(key))
            await expect(mark).to_be_visible()
    await act(ben.username, "pin-off")
    await act(ben.username, "unmute")
    await expect(page.page).to_have_title("(2) Tandem")
    await act(ben.username, "doArchive")
    await expect(page.row(ben.username)).to_have_count(0)
    await expect(device.row(ben.username)).to_have_count(0)
    archive = device.sidebar.get_by_role("button", name=device.t("archive"))
    await archive.click()
    await expect(device.row(ben.username)).to_be_visible()
    await ben.say(ann.id, "third", "third")
    await expect(page.row(ben.username)).to_contain_text("third")
    await act(ben.username, "markRead")
    await act(kim.username, "markRead")
    await expect(page.page).to_have_title("Tandem")
    await expect(device.page).to_have_title("Tandem")


@pytest.mark.gen_test(timeout=60)
async def test_link_leads_into_a_group(node: Node, people: People) -> None:
    """Made in the group's panel, opened by who first has to log in; revoked, it is dead."""
    ann, kim, late = [await JsonClient.register(node) for _ in range(3)]
    gid = await make_group(ann)
    page = await ChatPage.come(people, ann, f"/#/11/{gid}")
    await page.thread.get_by_role("heading", name="friends").click()
    await page.button("links.title", page.dialog).click()
    await page.button("links.make", page.dialog).click()
    link = await page.dialog.get_by_role("listitem").locator("code").text_content()
    assert link is not None and link.startswith(node.url)
    path = link.removeprefix(node.url)
    guest = await ChatPage.log_in(people, node, kim.username, path=path)
    await guest.button("join.yes", guest.dialog).click()
    await guest.is_in("friends")
    await guest.say("here I am")
    await page.page.keyboard.press("Escape")
    await page.page.keyboard.press("Escape")
    await page.sees("here I am")
    await page.thread.get_by_role("heading", name="friends").click()
    await expect(page.dialog.get_by_role("list", name=page.t("members"))).to_contain_text(
        kim.username
    )
    await page.button("links.title", page.dialog).click()
    await page.button("links.revoke", page.dialog).click()
    await expect(page.dialog.get_by_text(page.t("links.none"))).to_be_visible()
    stranger = await ChatPage.come(people, late, path)
    stranger.person.forgive("status of 404")
    await stranger.button("join.yes", stranger.dialog).click()
    await expect(stranger.dialog.get_by_text(stranger.t("joinFailed.not-found"))).to_be_visible()


KEPT = """() => new Promise((done) => {
    const opening = indexedDB.open("tandem");
    opening.onsuccess = () => {
        const pairs = opening.result.transaction("pairs").objectStore("pairs");
        const [keys, values] = [pairs.getAllKeys(), pairs.getAll()];
        values.onsuccess = () => {
            opening.result.close();
            const shown = [document.title, document.body.innerText];
            done(JSON.stringify([keys.result, values.result, {...localStorage}, shown]));
        };
    };
})"""
"""All that the browser has of somebody."""


@pytest.mark.gen_test(timeout=60)
async def test_log_out_leaves_nothing_of_the_person(node: Node, people: People) -> None:
    """In all tabs: no messages, no names, no login; after asking, for what is unsent is lost."""
    ann, ben = await JsonClient.register(node), await JsonClient.online(node)
    await ben.say(ann.id, "between you and me", "secret")
    page = await ChatPage.come(people, ann, f"/#/10/{ben.id}")
    await page.sees("between you and me")
    second = await page.tab()
    await expect(second.row(ben.username)).to_be_visible()

    async def is_kept() -> bool:
        return "between you and me" in await page.page.evaluate(KEPT)

    await eventually(is_kept)
    await page.page.bring_to_front()
    await page.own_menu("logOut")
    await page.button("logOut", page.dialog).click()
    for one in (page, second):
        await expect(one.page.get_by_label(one.t("password"))).to_be_visible()
        left = await one.page.evaluate(KEPT)
        for word in ("between", ben.username, ann.username, "token", f":{ann.id}:"):
            assert word not in left
