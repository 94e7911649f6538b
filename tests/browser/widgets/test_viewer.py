"""Pictures over the whole window."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.widgets import PHONE, photo, saved, visit


@pytest.fixture
def pictures(files: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (files / name).write_bytes(saved(photo(800, 600), "JPEG"))


def view(page: Page, index: int = 0) -> None:
    page.evaluate(
        """async (index) => {
            const { openViewer } = await widget("viewer");
            anchor.onclick = () => openViewer([
                { url: "/files/a.jpg", name: "a.jpg", alt: "A harbour", caption: "<b>Evening</b>" },
                { url: "/files/b.jpg", preview: "/files/a.jpg" },
                { url: "/files/gone.jpg" },
                { url: "/files/gone.mp4", kind: "video" },
            ], index);
        }""",
        index,
    )
    page.click("#anchor")
    expect(page.locator(".viewer-stage")).not_to_have_class("loading")


def scale(page: Page) -> float:
    got: float = page.evaluate(
        "new DOMMatrix(document.querySelector('.viewer-layer').style.transform).a"
    )
    return got


@pytest.mark.usefixtures("pictures")
def test_viewer_is_walked_by_keys_and_closed_by_escape(page: Page) -> None:
    view(page)
    expect(page.get_by_role("img", name="A harbour")).to_be_visible()
    expect(page.locator(".viewer-caption")).to_have_text("<b>Evening</b>")
    download = page.get_by_role("link", name="Download")
    expect(download).to_have_attribute("href", "/files/a.jpg")
    expect(download).to_have_attribute("download", "a.jpg")
    expect(page.get_by_role("button", name="Previous")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".viewer-count")).to_have_text("2 of 4")
    expect(page.locator(".viewer-layer img")).to_have_count(1)  # the preview has gone
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("alert")).to_have_text(
        "This cannot be shown. It may have been deleted."
    )
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("button", name="Next")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".viewer-count")).to_have_text("3 of 4")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#anchor")).to_be_focused()


@pytest.mark.usefixtures("pictures")
def test_viewer_zooms_by_keys_wheel_and_double_click_and_stays_on_the_picture(page: Page) -> None:
    view(page)
    page.keyboard.press("+")
    assert scale(page) == 1.25
    page.keyboard.press("0")
    assert scale(page) == 1
    page.mouse.move(640, 400)
    page.mouse.wheel(0, -500)
    page.wait_for_function("() => document.querySelector('.zoomed')")
    assert scale(page) == pytest.approx(2.718, abs=0.01)
    page.mouse.down()
    page.mouse.move(4000, 4000, steps=3)
    page.mouse.up()
    corner = "new DOMMatrix(document.querySelector('.viewer-layer').style.transform)"
    assert page.evaluate(f"[{corner}.e, {corner}.f]") == [0, 0]
    page.keyboard.press("ArrowRight")  # moves what is zoomed, and does not leave it
    assert page.evaluate(f"[{corner}.e, {corner}.f]") == [-80, 0]
    expect(page.locator(".viewer-count")).to_have_text("1 of 4")
    page.mouse.dblclick(640, 400)
    assert scale(page) == 1
    page.mouse.dblclick(320, 200)
    assert scale(page) == 2.5
    # What was under the mouse still is.
    assert page.evaluate(f"[320, 200].map((at, side) => at + {corner}[side ? 'f' : 'e'])") == [
        320 - 480,
        200 - 300,
    ]


@pytest.mark.usefixtures("pictures")
def test_viewer_is_swiped_on_a_phone(browser: Browser, site: str) -> None:
    page = visit(browser, site, PHONE, "zh")
    view(page)
    touch = page.context.new_cdp_session(page)

    def swipe(dx: int, dy: int) -> None:
        for kind, part in (("touchStart", 0.0), ("touchMove", 0.5), ("touchMove", 1.0)):
            point = {"x": 195 + dx * part, "y": 400 + dy * part}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    swipe(-20, 10)
    expect(page.locator(".viewer-count")).to_have_text("第 1 个，共 4 个")
    swipe(-120, 20)
    expect(page.locator(".viewer-count")).to_have_text("第 2 个，共 4 个")
    swipe(120, 20)
    expect(page.locator(".viewer-count")).to_have_text("第 1 个，共 4 个")
    swipe(10, 200)
    expect(page.locator("dialog")).to_have_count(0)
    page.context.close()
