"""Signing in and up on the page, in a real Chromium."""

import pytest
from playwright.async_api import expect

from tests.support.browser import People
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node


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
