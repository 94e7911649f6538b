"""One story of three people: two at a browser, the third with an XMPP app."""

from typing import Any

import pytest
from playwright.async_api import Page, WebSocket, expect

from tests.support.browser import People, until
from tests.support.chat_page import ChatPage
from tests.support.json_client import JsonClient, fresh_name
from tests.support.node import ROOT, Node
from tests.support.rooms import RoomClient, room_of

PHONE: dict[str, Any] = {"width": 390, "height": 844}
DESKTOP: dict[str, Any] = {"width": 1280, "height": 800}
PICTURE = str(ROOT / "web/icons/512.png")

LOOKS = [
    pytest.param({**PHONE, "locale": "zh-CN"}, id="phone-zh"),
    pytest.param({**PHONE, "locale": "en-US"}, id="phone-en"),
    pytest.param({**DESKTOP, "locale": "zh-CN"}, id="desktop-zh"),
    pytest.param({**DESKTOP, "locale": "en-US"}, id="desktop-en"),
]


class Story:
    """Ann and Ben at the page, Kim with slixmpp, and the group they make."""

    ann: ChatPage
    ben: ChatPage
    kim: RoomClient

    def __init__(self, node: Node, people: People, look: dict[str, Any]) -> None:
        self.node, self.people, self.look = node, people, look
        self.names = {name: f"{name} {fresh_name()}" for name in ("Ann", "Ben", "Kim")}
        self.group = f"Trio {fresh_name()}"

    def username(self, name: str) -> str:
        return self.names[name].split()[1]

    async def tell(self) -> None:
        await self.they_sign_up()
        await self.ann_asks_ben_to_be_her_contact()
        await self.ann_and_ben_chat()
        await self.a_group_is_made_and_kim_talks_in_it()
        await self.a_picture_is_shown()
        await self.messages_are_answered_edited_recalled_and_reacted_to()
        await self.ann_searches()
        await self.ann_is_offline_for_a_while()
        await self.ann_opens_a_second_tab()
        await self.ann_takes_another_device()

    async def they_sign_up(self) -> None:
        """The third has an account already."""
        people, node, look = self.people, self.node, self.look
        self.ann, self.ben = [
            await ChatPage.sign_up(people, node, self.username(name), self.names[name], **look)
            for name in ("Ann", "Ben")
        ]
        account = await JsonClient.register(node, self.username("Kim"))
        await account.call("PATCH", "/api/me", {"nickname": self.names["Kim"]})
        self.kim = RoomClient(node, account.jid)
        await self.kim.login()

    async def ann_asks_ben_to_be_her_contact(self) -> None:
        ann, ben, name = self.ann, self.ben, self.names["Ben"]
        await ann.start("newChat")
        row = await ann.find_person(self.username("Ben"), name)
        await ann.button("contacts.add", ann.dialog, name=name).click()
        await expect(row).to_contain_text(ann.t("contacts.asked"))
        await ben.contacts.click()
        await ben.button("contacts.accept", ben.dialog, name=self.names["Ann"]).click()
        await expect(
            ben.button("contacts.chat", ben.dialog, name=self.names["Ann"])
        ).to_be_visible()
        await ben.leave_dialog()
        await row.click()
        await ann.is_in(name)
        await expect(ann.thread.get_by_text(ann.t("presence.online"))).to_be_visible()

    async def ann_and_ben_chat(self) -> None:
        ann, ben = self.ann, self.ben
        await ann.say("Hello from the page 你好")
        await ben.open(self.names["Ann"])
        await ben.sees("Hello from the page 你好")
        await ann.has_tick("Hello from the page", "read")
        await ben.box.press_sequentially("Hi")
        await expect(ann.thread.get_by_text(ann.t("writing"))).to_be_visible()
        await ben.say("Hi there")
        await ann.sees("Hi there")

    async def a_group_is_made_and_kim_talks_in_it(self) -> None:
        ann, ben, kim = self.ann, self.ben, self.kim
        await ann.start("newGroup")
        await ann.field("groupName").fill(self.group)
        await (await ann.find_person(self.username("Ben"), self.names["Ben"])).click()
        await (await ann.find_person(self.username("Kim"), self.names["Kim"])).click()
        await ann.button("create").click()
        await ann.is_in(self.group)
        await ann.say("Welcome to the trio")
        await ben.open(self.group)
        await ben.sees("Welcome to the trio")
        self.room = room_of(kim, ann.page.url.split("/")[-1])
        await kim.join(self.room, "Kim")
        kim.say_in(self.room, "Kim speaks XMPP")
        for page in (ann, ben):
            await page.sees("Kim speaks XMPP")
        await ben.say("Ben heard Kim")
        await kim.expect(lambda one: one["body"] == "Ben heard Kim")

    async def a_picture_is_shown(self) -> None:
        ann, ben = self.ann, self.ben
        await ann.attach("attachPicture", PICTURE)
        picture = ben.messages.get_by_role("button", name=ben.t("kind.picture"))
        await expect(picture).to_be_visible()
        await until(ben.page, "document.querySelector('.message img')?.naturalWidth > 0")
        await self.kim.expect(lambda one: ".png" in one["body"] or ".webp" in one["body"])
        await picture.click()
        await expect(ben.dialog.get_by_role("img").first).to_be_visible()
        await ben.page.keyboard.press("Escape")

    async def messages_are_answered_edited_recalled_and_reacted_to(self) -> None:
        ann, ben, kim = self.ann, self.ben, self.kim
        await ben.act("Kim speaks XMPP", "reply")
        await ben.say("An answer to Kim")
        quote = ann.message("An answer to Kim").get_by_role("button", name="Kim speaks XMPP")
        await expect(quote).to_be_visible()
        await ben.act("An answer to Kim", "edit")
        await ben.send("An edited answer to Kim")
        await ann.sees("An edited answer to Kim")
        await expect(ann.message("An edited answer")).to_contain_text(ann.t("edited"))
        await ben.say("Ben regrets this")
        await ann.sees("Ben regrets this")
        await ben.act("Ben regrets this", "recall")
        await ben.button("recall", ben.dialog).click()
        await ann.sees(ann.t("recalledBy", name=self.names["Ben"]))
        await expect(ann.message("Ben regrets this")).to_have_count(0)
        await ann.react("Kim speaks XMPP", "👍")
        await ben.react("Kim speaks XMPP", "👍")
        chip = ann.message("Kim speaks XMPP").get_by_role("button", name="👍")
        await expect(chip.filter(has_text="2")).to_be_visible()
        await kim.expect(lambda one: "👍" in str(one))

    async def ann_searches(self) -> None:
        """What she looks for has gone up and away."""
        ann = self.ann
        for number in range(60):
            self.kim.say_in(self.room, f"Kim counts to {number}")
        await ann.sees("Kim counts to 59")
        await expect(ann.message("Welcome to the trio")).to_have_count(0)
        await ann.button("findHere", ann.thread).click()
        await ann.dialog.get_by_role("searchbox").fill("welcome TRIO")
        await ann.dialog.get_by_role("button", name="Welcome to the trio").click()
        await expect(ann.message("Welcome to the trio")).to_be_in_viewport()
        await ann.button("toEnd", ann.thread).click()
        await expect(ann.message("Kim counts to 59")).to_be_in_viewport()

    async def ann_is_offline_for_a_while(self) -> None:
        """What was said meanwhile is there afterwards, once and in order, hers too."""
        ann, ben, kim = self.ann, self.ben, self.kim
        head = ann.thread.locator("header").first
        await ann.person.go_offline()
        await expect(head).to_contain_text(ann.t("noConnection"))
        said = [f"said without Ann {number}" for number in range(4)]
        await ben.say(said[0])
        kim.say_in(self.room, said[1])
        await ben.sees(said[1])
        await ben.say(said[2])
        await ann.send("Ann writes offline")
        await ann.send("and once more")
        kim.say_in(self.room, said[3])
        await ben.sees(said[3])
        await ann.person.come_back()
        await expect(head).not_to_contain_text(ann.t("noConnection"))
        for page in (ann, ben):
            await page.sees("and once more")
            await expect(
                page.page.locator(".stored").and_(page.message("once more"))
            ).to_be_visible()
            assert (await page.said())[-6:] == [*said, "Ann writes offline", "and once more"]

    async def ann_opens_a_second_tab(self) -> None:
        """Both tabs are on one connection, and show the same."""
        ann = self.ann
        sockets: list[WebSocket] = []

        def watch(page: Page) -> None:
            page.on("websocket", lambda one: sockets.append(one))

        ann.person.context.once("page", watch)
        second = await ann.tab()
        await second.open(self.group)
        await second.say("from the second tab")
        await ann.sees("from the second tab")
        await ann.page.bring_to_front()
        await ann.say("from the first tab")
        await second.sees("from the first tab")
        await self.ben.sees("from the first tab")
        assert sockets == []
        await second.page.close()

    async def ann_takes_another_device(self) -> None:
        """Messages, what is read, and drafts are the same on both."""
        ann, ben = self.ann, self.ben
        look = {**self.look, **(DESKTOP if ann.is_phone else PHONE)}
        device = await ChatPage.log_in(self.people, self.node, self.username("Ann"), **look)
        await device.open(self.names["Ben"])
        await device.sees("Hi there")
        await device.say("from the other device")
        await ann.open(self.names["Ben"])
        await ann.sees("from the other device")
        await ann.box.fill("a draft of Ann's")
        await ann.open(self.group)
        if device.is_phone:
            await device.back()
            await expect(device.row(self.names["Ben"])).to_contain_text("a draft of Ann's")
        else:
            await expect(device.box).to_have_value("a draft of Ann's")
        await device.open(self.group)
        await ben.open(self.names["Ann"])
        await ben.say("unread on both, read on one")
        for page in (ann, device):
            await page.back()
            await expect(page.unread(self.names["Ben"], 1)).to_be_visible()
        await device.open(self.names["Ben"])
        await expect(ann.unread(self.names["Ben"], 1)).to_have_count(0)


@pytest.mark.gen_test(timeout=180)
@pytest.mark.parametrize("look", LOOKS)
async def test_three_people_chat_on_page_and_xmpp(
    node: Node, people: People, look: dict[str, Any]
) -> None:
    """From signing up to a second device, in each language and size."""
    await Story(node, people, look).tell()
