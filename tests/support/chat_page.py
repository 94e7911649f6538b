"""What people do on the chat page, found by roles and by the names that the page's texts give."""

import json
import re
import time
from functools import cache
from typing import Any, Self

from playwright.async_api import Locator, Page, expect

from tests.support.browser import People, Person
from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import ROOT, Node

_TEXT = re.compile(r'^  "?([\w.-]+)"?:\s*("(?:[^"\\]|\\.)*"),$', re.M)

KEEP_LOGIN = "(login) => localStorage.setItem('tandem:session', login)"
SAID = """() => [...document.querySelectorAll("[role=article]")].map((node) =>
    node.querySelector(".text")?.textContent ?? "")"""


@cache
def texts(language: str) -> dict[str, str]:
    """All that the page says in ``en`` or ``zh``, by name."""
    source = (ROOT / f"web/js/texts/{language}.js").read_text(encoding="utf-8")
    found = {name: json.loads(text) for name, text in _TEXT.findall(source)}
    assert len(found) > 300, "the files of texts are written in another way now"
    return found


class ChatPage:
    """One tab. Steps name texts by their key, so that they work in both languages."""

    def __init__(self, person: Person, page: Page, language: str = "en") -> None:
        self.person = person
        self.page = page
        self.language = language
        self.sidebar = page.get_by_role("navigation")
        self.thread = page.locator("#thread")
        self.messages = page.get_by_role("article")
        self.dialog = page.get_by_role("dialog").last

    def t(self, key: str, **values: Any) -> str:
        """A text of the page, with its places filled."""
        return re.sub(r"\{(\w+)\}", lambda at: str(values[at[1]]), texts(self.language)[key])

    @property
    def is_phone(self) -> bool:
        return (self.page.viewport_size or {"width": 0})["width"] < 700

    def button(self, key: str, within: Page | Locator | None = None, **values: Any) -> Locator:
        return (within or self.page).get_by_role("button", name=self.t(key, **values), exact=True)

    def field(self, key: str, **values: Any) -> Locator:
        """What one writes into, or chooses from, by its label."""
        return self.page.get_by_label(self.t(key, **values), exact=True)

    async def tab(self) -> "ChatPage":
        """One more tab of the same person."""
        return ChatPage(self.person, await self.person.open(), self.language)

    async def menu(self, key: str) -> None:
        """Chooses from the menu that is open."""
        await self.page.get_by_role("menuitem", name=self.t(key), exact=True).click()

    # Conversations

    def row(self, name: str) -> Locator:
        """Of the list of conversations."""
        named = self.page.get_by_text(name, exact=True)
        return self.sidebar.get_by_role("link").filter(has=named)

    def unread(self, name: str, count: int) -> Locator:
        """The mark that says how many messages are unread."""
        label = self.t("unread", count=count)
        return self.row(name).get_by_role("img", name=label, exact=True)

    async def open(self, name: str) -> None:
        await self.back()
        await self.row(name).click()
        await self.is_in(name)

    async def is_in(self, name: str) -> None:
        heading = self.thread.get_by_role("heading", name=name, exact=True)
        await expect(heading).to_be_visible()

    async def back(self) -> None:
        """To the list, where that is not beside the conversation."""
        back = self.button("back")
        if await back.is_visible():
            await back.click()

    async def start(self, key: str) -> None:
        """What the button above the list offers."""
        await self.back()
        await self.button("newChat", self.sidebar).first.click()
        await self.menu(key)

    async def find_person(self, words: str, name: str) -> Locator:
        """Looks in the dialog for somebody; their row."""
        await self.dialog.get_by_role("searchbox").fill(words)
        row = self.dialog.get_by_role("button").filter(has_text=name).first
        await expect(row).to_be_visible()
        return row

    async def own_menu(self, key: str) -> None:
        """What the button with one's own name offers."""
        await self.back()
        await self.sidebar.get_by_role("button").first.click()
        await self.menu(key)

    async def leave_dialog(self) -> None:
        await self.button("close", self.dialog).first.click()

    @property
    def contacts(self) -> Locator:
        """The button that opens them; it says how many requests there are, too."""
        begins = re.compile("^" + re.escape(self.t("contacts")))
        return self.sidebar.get_by_role("button", name=begins)

    # Messages

    @property
    def box(self) -> Locator:
        """What one writes messages in."""
        return self.thread.get_by_role("textbox", name=self.t("message"), exact=True)

    def message(self, text: str) -> Locator:
        return self.messages.filter(has_text=text)

    async def send(self, text: str) -> None:
        """Writes and sends; it may be on its way for long."""
        await self.box.fill(text)
        if self.is_phone:
            await self.button("send", self.thread).click()
        else:
            await self.box.press("Enter")

    async def say(self, text: str) -> None:
        """Sends, and waits until the server has it."""
        await self.send(text)
        await self.has_sent(text)

    async def has_sent(self, text: str) -> None:
        stored = self.page.locator(".stored").and_(self.message(text))
        await expect(stored.last).to_be_visible()

    async def sees(self, text: str) -> None:
        await expect(self.message(text).last).to_be_visible()

    async def said(self) -> list[str]:
        """The texts of the messages that are drawn, from top to bottom."""
        found: list[str] = await self.page.evaluate(SAID)
        return found

    async def act(self, text: str, key: str) -> None:
        """Chooses from a message's menu."""
        await self.open_menu(text)
        await self.menu(key)

    async def open_menu(self, text: str) -> None:
        await self.message(text).last.locator(".bubble").click(button="right")
        await expect(self.page.get_by_role("menu")).to_be_visible()

    async def react(self, text: str, sign: str) -> None:
        """With one of the signs that the menu has."""
        await self.open_menu(text)
        await self.page.get_by_role("menuitemradio", name=sign, exact=True).click()

    async def has_tick(self, text: str, tick: str) -> None:
        """``stored``, ``delivered`` or ``read``."""
        mark = self.message(text).last.get_by_role("img", name=self.t(f"tick.{tick}"), exact=True)
        await expect(mark).to_be_visible()

    async def attach(self, key: str, *paths: str) -> None:
        """Puts files beside the box and sends them."""
        await self.button("attach").click()
        async with self.page.expect_file_chooser() as chosen:
            await self.menu(key)
        await (await chosen.value).set_files(list(paths))
        await self.button("traySend", self.thread.locator(".composer-tray")).click()

    @classmethod
    async def sign_up(
        cls, people: People, node: Node, name: str, nickname: str = "", **look: Any
    ) -> Self:
        """Through the form."""
        person = await people.come(node, **look)
        page = cls(person, person.page, _language(look))
        await page.button("register").click()
        await page.page.get_by_label(page.t("username")).fill(name)
        await page.page.get_by_label(page.t("nickname")).fill(nickname)
        await page.enter_password()
        return page

    async def enter_password(self, password: str = PASSWORD) -> None:
        """And into the chat."""
        await self.page.get_by_label(self.t("password")).fill(password)
        await self.page.get_by_label(self.t("password")).press("Enter")
        await expect(self.sidebar).to_be_visible()

    @classmethod
    async def log_in(cls, people: People, node: Node, name: str, **look: Any) -> Self:
        """Through the form."""
        person = await people.come(node, **look)
        page = cls(person, person.page, _language(look))
        await page.page.get_by_label(page.t("username")).fill(name)
        await page.enter_password()
        return page

    @classmethod
    async def come(cls, people: People, account: JsonClient, path: str = "/", **look: Any) -> Self:
        """With a login of its own from before: no form."""
        person = await people.come(account.node, "/icon.svg", **look)
        person.forgive(r"/favicon\.ico")  # which Chromium asks for beside a bare picture
        await person.page.evaluate(KEEP_LOGIN, await login_of(account))
        await person.page.goto(person.url + path)
        page = cls(person, person.page, _language(look))
        await expect(page.page.locator("#chat")).to_be_visible()
        return page


def _language(look: dict[str, Any]) -> str:
    return "zh" if str(look.get("locale", "")).startswith("zh") else "en"


async def login_of(account: JsonClient) -> str:
    """A new login, as the page keeps it."""
    body = {"id": account.id, "password": PASSWORD}
    status, tokens, _ = await http(account.node, "POST", "/api/login", body)
    assert status == 200, tokens
    lasts = tokens.pop("expires_in")
    return json.dumps(tokens | {"expires": (time.time() + lasts) * 1000})
