"""The key screens: who looks, and what they do until it is seen, by the names people see."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from playwright.async_api import Page, expect

from tests.screens.town import Town
from tests.support.json_client import PASSWORD

Steps = Callable[[Page, Town], Awaitable[None]]


class Screen(NamedTuple):
    """``person``: whose account is signed in; empty: nobody's."""

    name: str
    title: str
    person: str
    steps: Steps
    locale: str = "en-US"


async def sign_in(page: Page, username: str) -> None:
    """From the entrance to the conversations, in whatever language."""
    await page.locator("[autocomplete=username]").fill(username)
    await page.locator("[type=password]").fill(PASSWORD)
    await page.locator("[type=password]").press("Enter")
    await expect(page.get_by_role("navigation").first).to_be_visible()


async def open_conversation(page: Page, name: str) -> None:
    await page.get_by_role("link", name=name).first.click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()


async def entrance(page: Page, town: Town) -> None:
    await expect(page.get_by_label("Username")).to_be_visible()


async def sign_up_with_errors(page: Page, town: Town) -> None:
    """A name that cannot be, and a password that is too short."""
    await page.get_by_role("button", name="Create account").click()
    await page.get_by_label("Username").fill("mara lindqvist")
    await page.get_by_label("Password").fill("short")
    await page.get_by_label("Password").press("Enter")
    await expect(page.get_by_text("8 to 256 characters are needed.")).to_be_visible()


async def nothing_yet(page: Page, town: Town) -> None:
    await expect(page.get_by_text("No conversations yet")).to_be_visible()


async def harbour(page: Page, town: Town) -> None:
    await open_conversation(page, "Jonas Weber")
    await expect(page.get_by_text("Harbour café afterwards?").last).to_be_visible()


async def hikes(page: Page, town: Town) -> None:
    await open_conversation(page, "Weekend hikes")
    await expect(page.get_by_text("see you at 9:30").last).to_be_visible()


SCREENS: Sequence[Screen] = (
    Screen("sign-in", "Sign in", "", entrance),
    Screen("sign-up", "Sign up, with what is wrong", "", sign_up_with_errors),
    Screen("empty", "No conversations yet", "noor", nothing_yet),
    Screen("chat", "Conversations, and a chat of two", "mara", harbour),
    Screen("group", "A group, in two languages", "mara", hikes),
)
"""To come with the page: search, contacts, group administration, profile and devices, XMPP."""
