"""The key screens: who looks, and what they do until it is seen, by the names people see."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from playwright.async_api import expect

from tests.screens.town import Town
from tests.support.chat_page import ChatPage

Steps = Callable[[ChatPage, Town], Awaitable[None]]
HIKES = "Weekend hikes 周末徒步"


class Screen(NamedTuple):
    """``person``: whose account is signed in; empty: nobody's."""

    name: str
    title: str
    person: str
    steps: Steps
    locale: str = "en-US"


async def entrance(at: ChatPage, town: Town) -> None:
    await expect(at.page.get_by_label(at.t("username"))).to_be_visible()


async def sign_up_with_errors(at: ChatPage, town: Town) -> None:
    """A name that cannot be, and a password that is too short."""
    await at.button("register").click()
    await at.page.get_by_label(at.t("username")).fill("mara lindqvist")
    await at.page.get_by_label(at.t("nickname")).fill("林若溪")
    await at.page.get_by_label(at.t("password")).fill("short")
    await at.page.get_by_label(at.t("password")).press("Enter")
    await expect(at.page.get_by_text(at.t("errorPassword"))).to_be_visible()


async def nothing_yet(at: ChatPage, town: Town) -> None:
    await expect(at.page.get_by_text(at.t("noConversations"))).to_be_visible()


async def conversations(at: ChatPage, town: Town) -> None:
    await expect(at.row("Jonas Weber")).to_be_visible()


async def harbour(at: ChatPage, town: Town) -> None:
    await at.open("Jonas Weber")
    await at.sees("Harbour café afterwards?")


async def hikes(at: ChatPage, town: Town) -> None:
    await at.open(HIKES)
    await at.sees("see you at 9:30")


async def search(at: ChatPage, town: Town) -> None:
    await at.sidebar.get_by_role("searchbox").fill("harbour")
    await at.button("findMessages", at.sidebar, words="harbour").click()
    await expect(at.dialog.get_by_role("mark").first).to_be_visible()


async def contacts(at: ChatPage, town: Town) -> None:
    await at.sidebar.get_by_role("button", name=at.t("contacts")).click()
    await expect(at.dialog.get_by_text("Priya Raman")).to_be_visible()


async def group(at: ChatPage, town: Town) -> None:
    """As its owner sees it, who can change everything."""
    await at.open(HIKES)
    await at.thread.get_by_role("button", name=HIKES).first.click()
    await expect(at.dialog.get_by_text(town.title("jonas"))).to_be_visible()


async def profile(at: ChatPage, town: Town) -> None:
    await at.own_menu("profile")
    await expect(at.dialog.get_by_label(at.t("profile.memo"))).to_be_visible()


async def devices(at: ChatPage, town: Town) -> None:
    await at.own_menu("devices")
    await expect(at.dialog.get_by_text("Gajim at work")).to_be_visible()


async def xmpp(at: ChatPage, town: Town) -> None:
    await at.own_menu("xmppApp")
    jid = town["mara"].jid
    await expect(at.dialog.get_by_role("img", name=at.t("xmpp.qr", jid=jid))).to_be_visible()


async def offline(at: ChatPage, town: Town) -> None:
    """What is written waits. It is never sent: the browser is closed before it is back."""
    await at.open("Jonas Weber")
    await at.sees("Harbour café afterwards?")
    await at.person.go_offline()
    await at.send("On my way! Ten minutes.")
    await at.has_tick("On my way!", "queued")
    await expect(at.thread.locator("header").first).to_contain_text(at.t("noConnection"))


SCREENS: Sequence[Screen] = (
    Screen("sign-in", "Sign in", "", entrance),
    Screen("sign-up", "Sign up, with what is wrong (Chinese)", "", sign_up_with_errors, "zh-CN"),
    Screen("empty", "No conversations yet", "noor", nothing_yet),
    Screen("list", "Conversations", "mara", conversations),
    Screen("chat", "A chat of two", "mara", harbour),
    Screen("group", "A group: pictures, a voice, answers and reactions", "mara", hikes),
    Screen("search", "Search in all messages", "mara", search),
    Screen("group-info", "A group, as its owner sees it", "mara", group),
    Screen("devices", "Devices", "mara", devices),
    Screen("xmpp", "Connect an XMPP app", "mara", xmpp),
    Screen("offline", "Without a connection", "mara", offline),
    Screen("contacts", "Contacts, with requests (Chinese)", "mara", contacts, "zh-CN"),
    Screen("profile", "Profile (Chinese)", "mara", profile, "zh-CN"),
)
