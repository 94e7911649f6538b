"""The emoji picker: found by words in two languages, walked by keys, a sheet on phones."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.widgets import PHONE, visit


@pytest.mark.parametrize(
    ("language", "word", "found"),
    [("en", "rocket", "🚀"), ("zh", "火箭", "🚀"), ("zh", "rocket", "🚀"), ("en", "猫", "🐱")],
)
def test_emoji_is_found_by_a_word_of_either_language_and_picked_by_enter(
    browser: Browser, site: str, language: str, word: str, found: str
) -> None:
    page = visit(browser, site, language=language)
    open_picker(page)
    page.keyboard.type(word)
    first = page.locator(".emoji-grid button").first
    expect(first).to_have_text(found)
    page.keyboard.press("Enter")
    assert page.evaluate("picked") == [found]
    expect(page.locator(".emoji-picker")).to_have_count(0)
    page.context.close()


def open_picker(page: Page) -> None:
    page.evaluate(
        """async () => {
            const { openEmojiPicker } = await widget("emoji");
            window.picked = [];
            window.ended = 0;
            anchor.onclick = () =>
                openEmojiPicker(anchor, (one) => picked.push(one), { onClose: () => ended++ });
        }"""
    )
    page.click("#anchor")
    page.wait_for_selector(".emoji-grid button")


def test_emoji_grid_is_walked_by_arrow_keys_and_remembers_what_was_used(page: Page) -> None:
    open_picker(page)
    expect(page.get_by_role("searchbox")).to_be_focused()
    shown = page.locator(".emoji-grid button").all_text_contents()
    for key in (
        "ArrowDown",
        "ArrowDown",
        "ArrowRight",
        "ArrowRight",
        "ArrowLeft",
        "End",
        "ArrowUp",
    ):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    assert page.evaluate("picked") == [shown[7]]
    expect(page.locator("#anchor")).to_be_focused()
    page.click("#anchor")
    recent = page.get_by_role("group", name="Recently used")
    expect(recent.get_by_role("button")).to_have_text([shown[7]])
    page.keyboard.press("ArrowDown")
    page.keyboard.type("zebra")  # goes back into the field
    expect(page.locator(".emoji-grid button")).to_have_text(["🦓"])
    page.keyboard.type("xx")
    expect(page.locator(".emoji-list")).to_contain_text("No emoji found")
    page.keyboard.press("Escape")
    expect(page.locator(".emoji-picker")).to_have_count(0)
    expect(page.locator("#anchor")).to_be_focused()
    assert page.evaluate("ended") == 2


def test_emoji_picker_stays_for_more_with_shift_and_closes_by_its_button(page: Page) -> None:
    open_picker(page)
    page.get_by_role("button", name="grinning face", exact=True).click(modifiers=["Shift"])
    page.get_by_role("button", name="grinning face", exact=True).click(modifiers=["Shift"])
    assert page.evaluate("picked") == ["😀", "😀"]
    page.click("#anchor")
    expect(page.locator(".emoji-picker")).to_have_count(0)


def test_emoji_picker_is_a_sheet_at_the_bottom_of_a_phone(browser: Browser, site: str) -> None:
    page = visit(browser, site, PHONE, "zh")
    open_picker(page)
    page.wait_for_function(
        """() => {
            const sheet = document.querySelector(".emoji-picker");
            const moving = sheet.getAnimations().length;
            const { left, bottom, width } = sheet.getBoundingClientRect();
            return !moving && left === 0 && bottom === 844 && width === 390;
        }"""
    )
    expect(page.get_by_role("searchbox")).not_to_be_focused()  # no keyboard over it
    page.get_by_role("button", name="旗帜").tap()
    expect(page.locator(".emoji-section").last).to_be_in_viewport()
    page.get_by_role("button", name="关闭").tap()
    expect(page.locator(".emoji-picker")).to_have_count(0)
    page.context.close()


def test_emoji_picker_in_a_dialog_is_closed_alone(page: Page) -> None:
    page.evaluate(
        """() => {
            const dialog = document.createElement("dialog");
            dialog.append(anchor);
            document.body.append(dialog);
            dialog.showModal();
        }"""
    )
    open_picker(page)
    page.keyboard.press("Escape")
    expect(page.locator(".emoji-picker")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("#anchor")).to_be_focused()
