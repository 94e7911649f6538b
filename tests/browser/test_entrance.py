"""Signing in and up on the page."""

import pytest
from playwright.async_api import expect

from tests.support.browser import People
from tests.support.chat_page import ChatPage
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node


@pytest.mark.gen_test(timeout=60)
async def test_entrance_says_what_is_wrong_beside_each_field(node: Node, people: People) -> None:
    """A name that cannot be or is taken, a short password, a pair that does not match."""
    taken = await JsonClient.register(node)
    person = await people.come(node)
    person.forgive("status of 4(01|09|22)")
    page = ChatPage(person, person.page)
    password = page.page.get_by_label(page.t("password"))
    await page.page.get_by_label(page.t("username")).fill(taken.username)
    await password.fill("not the password")
    await password.press("Enter")
    await expect(page.page.get_by_text(page.t("errorPair"))).to_be_visible()
    await page.button("register").click()
    await password.fill("short")
    await password.press("Enter")
    await expect(page.page.get_by_text(page.t("errorPassword"), exact=True)).to_be_visible()
    await password.fill(PASSWORD)
    await password.press("Enter")
    await expect(page.page.get_by_text(page.t("errorTaken"))).to_be_visible()
    await expect(page.page.get_by_label(page.t("username"))).to_be_focused()
    await page.page.get_by_label(page.t("username")).fill("no spaces")
    await password.press("Enter")
    await expect(page.page.get_by_text(page.t("errorUsername"))).to_be_visible()
