"""For who has a screen reader, a keyboard, weak eyes, or is made ill by what moves."""

from typing import Any, Literal

import pytest
from playwright.async_api import Locator, expect

from tests.support.axe import violations
from tests.support.browser import People, until
from tests.support.chat_page import ChatPage
from tests.support.contacts import ask, befriend, block
from tests.support.groups import make_group
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node


@pytest.mark.gen_test(timeout=60)
async def test_what_is_wrong_with_a_page_is_told_with_its_place(node: Node, people: People) -> None:
    """Faint text, a picture without a text, a field without a label; after them no more."""
    page = (await people.come(node)).page
    before = await violations(page)
    await page.evaluate("""() => {
        const faint = Object.assign(document.createElement("p"), {id: "faint", innerText: "hm"});
        Object.assign(faint.style, {color: "#ddd", background: "#fff"});
        const picture = Object.assign(document.createElement("img"), {id: "picture"});
        picture.src = "/icon.svg";
        const field = Object.assign(document.createElement("input"), {id: "field"});
        document.querySelector("main").append(faint, picture, field);
    }""")
    added = [line for line in await violations(page) if line not in before]
    assert sorted(line.partition(":")[0] for line in added) == [
        "color-contrast (serious) at #faint",
        "image-alt (critical) at #picture",
        "label (critical) at #field",
    ]


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_entrance_breaks_no_rule(node: Node, people: People, scheme: str) -> None:
    """In both colour schemes."""
    person = await people.come(node, scheme="dark" if scheme == "dark" else "light")
    assert await violations(person.page) == []


LOOKS = [
    pytest.param({"width": 1280, "height": 800, "scheme": "light"}, id="desktop-light"),
    pytest.param({"width": 390, "height": 844, "scheme": "dark"}, id="phone-dark"),
]


async def furnished(people: People, node: Node, **look: Any) -> tuple[ChatPage, JsonClient]:
    """Somebody with a contact, requests, and a group in which every kind of message was said."""
    ann, ben, kim = [await JsonClient.online(node) for _ in range(3)]
    await befriend(ann, ben)
    await ask(kim, ann)
    await block(ann, await JsonClient.register(node))
    old = await JsonClient.online(node)
    nickname = "Featherstonehaugh-Cholmondeley of Llanfairpwllgwyn"
    assert (await old.call("PATCH", "/api/me", {"nickname": nickname}))[0] == 200
    await befriend(ann, old)
    gid = await make_group(ann, ben, kim)
    news = {"announcement": "Bring a rain jacket", "join": "request", "memo": "Hikes"}
    await ann.call("PATCH", f"/api/groups/{gid}", news)
    first = await ben.say(gid, "https://example.org is a link", f"{gid} first", chat=11)
    for number, fields in enumerate(
        (
            {"content": "an answer", "ref": first["id"]},
            {"content": "@everybody hello 👍", "at": [ann.id]},
            {"content": "🎉"},
            {"content": "long " * 400},
            {"media": 3, "url": f"{node.url}/icon.svg", "amount": 3},
            {"media": 4, "url": f"{node.url}/icons/512.png", "memo": "a picture"},
            {"media": 7, "url": "https://example.org/a", "content": "A link"},
            {"media": 8, "url": f"{node.url}/icon.svg", "memo": "a film"},
            {"media": 9, "amount": kim.id, "content": "Kim"},
            {"media": 10, "url": f"{node.url}/icon.svg", "memo": "a.pdf", "amount": 12_345},
        )
    ):
        ben.send(cmd=11, dstid=gid, cid=f"{gid} {number}", **fields)
        await ben.expect(cmd=1, cid=f"{gid} {number}")
    own = await ann.say(gid, "one's own", f"{gid} own", chat=11)
    await ben.act(16, 11, gid, own["id"], f"{gid} sign", content="❤️")
    gone = await ann.say(gid, "to be recalled", f"{gid} gone", chat=11)
    await ann.act(14, 11, gid, gone["id"], f"{gid} recall")
    await ben.say(ann.id, "hello", f"{gid} hello")
    page = await ChatPage.come(people, ann, **look)
    # What is no voice and no film is told by the browser too.
    page.person.forgive("icon.svg")
    return page, ben


@pytest.mark.gen_test(timeout=180)
@pytest.mark.parametrize("look", LOOKS)
async def test_nothing_of_the_page_breaks_a_rule(
    node: Node, people: People, look: dict[str, Any]
) -> None:
    """The list, both kinds of chat with every kind of message, panels, menus, and the picker.

    Nothing has to be scrolled sideways, and the last message keeps its distance.
    """
    page, ben = await furnished(people, node, **look)
    await page.page.emulate_media(reduced_motion="reduce")  # what is coming in is faint
    found: list[str] = []

    async def look_at(what: str) -> None:
        await expect(page.page.locator(".spinning:visible")).to_have_count(0)
        found.extend(f"{what}: {line}" for line in await violations(page.page))
        found.extend(f"{what}: wider than shown: {it}" for it in await page.page.evaluate(WIDER))

    async def close() -> None:
        if await page.page.locator("dialog[open]").count():
            await page.leave_dialog()
        else:
            await page.page.keyboard.press("Escape")

    await expect(page.row(ben.username)).to_be_visible()
    await look_at("list")
    await page.sidebar.get_by_role("button").first.click()
    await look_at("own menu")
    await close()
    for key in ("newChat", "newGroup"):
        await page.start(key)
        await page.find_person(ben.username, ben.username)
        await look_at(key)
        await close()
    await page.contacts.click()
    await expect(page.dialog.get_by_text(page.t("contacts.blocked"))).to_be_visible()
    await look_at("contacts")
    await page.dialog.get_by_role("button", name=ben.username).first.click()
    await expect(page.dialog.get_by_text(ben.jid)).to_be_visible()
    await look_at("person")
    await close()
    await close()
    await page.row("friends").click()
    await page.sees("one's own")
    await look_at("group")
    last = await page.message("recalled").locator(".bubble").bounding_box()
    below = await page.thread.locator(".composer").bounding_box()
    assert last and below and last["y"] + last["height"] + 6 <= below["y"] <= 844
    await page.act("one's own", "reply")
    await look_at("answering")
    await close()
    await page.open_menu("one's own")
    await look_at("menu of a message")
    await close()
    await page.act("one's own", "seenBy")
    await expect(page.dialog).to_be_visible()
    await look_at("readers")
    await close()
    await page.button("emoji").click()
    await expect(page.page.get_by_role("button", name="grinning face", exact=True)).to_be_visible()
    await look_at("emoji")
    await close()
    await page.button("more", page.thread.locator("header").first).click()
    await look_at("menu of a conversation")
    await page.menu("groupInfo")
    await expect(page.dialog.get_by_role("list", name=page.t("members"))).to_be_visible()
    await look_at("group panel")
    await page.button("links.title", page.dialog).click()
    await page.button("links.make", page.dialog).click()
    await expect(page.button("links.copy", page.dialog).last).to_be_visible()
    await look_at("links")
    await close()
    await page.button("group.edit", page.dialog).click()
    await expect(page.page.locator("dialog[open]")).to_have_count(2)
    await look_at("editing a group")
    await close()
    await close()
    await page.button("findHere").click()
    await page.dialog.get_by_role("searchbox").fill("link")
    await expect(page.dialog.get_by_role("listitem").first).to_be_visible()
    await look_at("search")
    await close()
    await page.open(ben.username)
    await page.say("a chat of two")
    await page.has_sent("a chat of two")
    await page.box.fill("x" * 19_900)
    await look_at("chat of two")
    assert not found, "\n".join(found)


WIDER = """() => [...document.querySelectorAll("dialog[open] *, main *")].filter((node) => {
    const isScrolled = ["auto", "scroll"].includes(getComputedStyle(node).overflowX);
    return isScrolled && node.scrollWidth > node.clientWidth;
}).map((node) => node.className)"""


async def tab_to(page: ChatPage, wanted: Locator, key: str = "Tab") -> None:
    """Goes on by the keyboard until the focus is there, and is seen."""
    for _ in range(60):
        await page.page.keyboard.press(key)
        if await wanted.evaluate("(node) => node === document.activeElement"):
            break
    await expect(wanted).to_be_focused()
    await is_focus_seen(page)


async def is_focus_seen(page: ChatPage) -> None:
    assert (
        await page.page.evaluate("""() => {
        const node = document.activeElement;
        const {outlineStyle, outlineWidth} = getComputedStyle(node);
        const isSeen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
        return node.matches(":focus-visible") && isSeen ? "" : node.outerHTML.slice(0, 200);
    }""")
        == ""
    )


@pytest.mark.gen_test(timeout=120)
async def test_everything_is_done_by_keyboard(node: Node, people: People) -> None:
    """Sign in, open, write, answer, react, and each panel; the focus comes back to where it was."""
    ann, ben = await JsonClient.online(node), await JsonClient.online(node)
    await befriend(ann, ben)
    await ben.say(ann.id, "hello Ann", "hello")
    person = await people.come(node)
    page = ChatPage(person, person.page)
    press, type_in = page.page.keyboard.press, page.page.keyboard.type
    await expect(page.page.get_by_label(page.t("username"))).to_be_focused()
    await type_in(ann.username)
    await tab_to(page, page.page.get_by_label(page.t("password")))
    await type_in(PASSWORD)
    await press("Enter")

    await expect(page.row(ben.username)).to_be_visible()
    await tab_to(page, page.row(ben.username))
    await press("Enter")
    await expect(page.box).to_be_focused()
    await type_in("written by keys")
    await press("Enter")
    await page.has_sent("written by keys")
    await expect(page.box).to_be_focused()
    await tab_to(page, page.page.get_by_role("region", name=page.t("messages")), "Shift+Tab")
    await press("ArrowUp")
    await expect(page.message("written by keys")).to_be_focused()
    await press("ArrowUp")
    await expect(page.message("hello Ann")).to_be_focused()
    await is_focus_seen(page)
    await press("Enter")
    await expect(page.page.get_by_role("menuitemradio", name="👍")).to_be_focused()
    await press("Enter")
    await expect(page.message("hello Ann").get_by_role("button", name="👍")).to_be_visible()
    await expect(page.message("hello Ann")).to_be_focused()
    await press("Enter")
    for _ in range(6):
        await press("ArrowDown")
    await expect(page.page.get_by_role("menuitem", name=page.t("reply"))).to_be_focused()
    await press("Enter")
    await expect(page.box).to_be_focused()
    await type_in("an answer by keys")
    await press("Enter")
    await page.has_sent("an answer by keys")
    await expect(page.message("an answer by keys").locator(".quote")).to_contain_text("hello Ann")
    await press("ArrowUp")
    await expect(page.box).to_have_value("an answer by keys")
    await type_in("!")
    await press("Enter")
    await page.sees("an answer by keys!")

    menu = page.sidebar.get_by_role("button").first
    start = page.button("newChat", page.sidebar)
    more = page.button("more", page.thread.locator("header").first)
    for opener, keys in (
        (menu, ("profile", "devices", "xmppApp", "settings")),
        (start, ("newChat", "newGroup")),
        (more, ("personInfo", "findHere")),
    ):
        for key in keys:
            await tab_to(page, opener)
            await press("Enter")
            item = page.page.get_by_role("menuitem", name=page.t(key), exact=True)
            while not await item.evaluate("(node) => node === document.activeElement"):
                await press("ArrowDown")
            await is_focus_seen(page)
            await press("Enter")
            await expect(page.dialog).to_be_visible()
            await press("Escape")
            await expect(page.page.get_by_role("dialog")).to_have_count(0)
            await expect(opener).to_be_focused()
    for opener, after in ((page.contacts, page.contacts), (page.button("emoji"), page.box)):
        await tab_to(page, opener)
        await press("Enter")
        await expect(page.dialog).to_be_visible()
        await press("Escape")
        await expect(page.page.get_by_role("dialog")).to_have_count(0)
        await expect(after).to_be_focused()


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_nothing_moves_for_who_wants_less_motion(
    node: Node, people: People, motion: Literal["reduce", "no-preference"]
) -> None:
    """Others see menus, dialogs, the picker and the place of a jump come with a movement."""
    page, _ = await furnished(people, node, height=2400)
    await page.page.emulate_media(reduced_motion=motion)
    await page.page.evaluate(COUNT_ANIMATIONS)

    async def moves_with(animation: str) -> None:
        if motion != "reduce":
            await until(page.page, f"animations.has('{animation}')")

    await page.open("friends")
    await page.open_menu("one's own")
    await moves_with("appear")
    await page.page.keyboard.press("Escape")
    await page.message("an answer").last.locator(".quote").click()
    await moves_with("virtual-list-highlight")
    await page.button("emoji").click()
    await expect(page.page.get_by_role("button", name="grinning face", exact=True)).to_be_visible()
    await moves_with("widget-rise")
    await page.page.keyboard.press("Escape")
    await page.contacts.click()
    await page.leave_dialog()
    if motion == "reduce":
        assert await page.page.evaluate("[...animations]") == []


COUNT_ANIMATIONS = """() => {
    window.animations = new Set();
    addEventListener("animationstart", (event) => animations.add(event.animationName), true);
    addEventListener("transitionrun", (event) => animations.add(event.propertyName), true);
}"""
