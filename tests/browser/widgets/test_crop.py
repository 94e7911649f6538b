"""Choosing the part of a picture that becomes an avatar."""

import io
from base64 import b64decode
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.support.widgets import BASE64, FILE, PHONE, photo, red, saved, visit


def crop(page: Page, files: Path) -> None:
    """A wide picture, of which the middle is shown; red is its left top corner."""
    (files / "wide.png").write_bytes(saved(photo(1600, 800), "PNG"))
    page.evaluate(
        f"""async () => {{
            const {{ cropAvatar }} = await widget("crop");
            const file = await ({FILE})("wide.png");
            window.cropping = cropAvatar(file);
        }}"""
    )
    expect(page.get_by_role("application")).to_be_focused()


def avatar(page: Page) -> Image.Image:
    blob = page.evaluate(f"cropping.then({BASE64})")
    image = Image.open(io.BytesIO(b64decode(blob)))
    assert (image.format, image.size) == ("JPEG", (512, 512))
    return image


def use(page: Page) -> Image.Image:
    page.get_by_role("button", name="Use this picture").click()
    image = avatar(page)
    expect(page.locator("dialog")).to_have_count(0)
    return image


def test_crop_gives_the_middle_as_512_by_512(page: Page, files: Path) -> None:
    crop(page, files)
    image = use(page)
    assert not red(image, 9, 9)


def test_crop_is_moved_by_arrow_keys_and_stops_at_the_edge(page: Page, files: Path) -> None:
    crop(page, files)
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    image = use(page)
    # A quarter of the picture's width is red, which is half of the square's, and of its height.
    assert red(image, 9, 9)
    assert red(image, 246, 118)
    assert not red(image, 266, 118)
    assert not red(image, 246, 138)


def test_crop_is_zoomed_by_keys_wheel_and_slider(page: Page, files: Path) -> None:
    crop(page, files)
    page.keyboard.press("+")
    slider = page.get_by_role("slider", name="Zoom")
    grown = float(slider.input_value())
    assert grown > 0
    page.get_by_role("application").hover()
    page.mouse.wheel(0, -300)
    expect(slider).not_to_have_value(str(grown))
    assert float(slider.input_value()) > grown
    slider.fill("0")
    page.get_by_role("application").focus()
    page.keyboard.press("-")
    expect(slider).to_have_value("0")
    use(page)


def test_crop_is_dragged_with_the_mouse(page: Page, files: Path) -> None:
    crop(page, files)
    box = page.get_by_role("application").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y, steps=4)
    page.mouse.move(x + box["width"], y, steps=4)
    page.mouse.up()
    image = use(page)
    assert red(image, 9, 9)
    assert red(image, 246, 118)


def test_crop_is_pinched_with_two_fingers(browser: Browser, site: str, files: Path) -> None:
    page = visit(browser, site, PHONE)
    crop(page, files)
    box = page.get_by_role("application").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 20), ("touchMove", 30), ("touchMove", 60)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    # Three times as large is log(3) / log(6) of the way to six times.
    assert abs(float(page.get_by_role("slider").input_value()) - 0.61) < 0.02
    use(page)
    page.context.close()


@pytest.mark.parametrize("way", ["Cancel", "Escape"])
def test_crop_that_is_left_gives_nothing(page: Page, files: Path, way: str) -> None:
    crop(page, files)
    if way == "Cancel":
        page.get_by_role("button", name="Cancel").click()
    else:
        page.keyboard.press("Escape")
    assert page.evaluate("cropping") is None
    expect(page.locator("dialog")).to_have_count(0)


def test_crop_of_what_is_no_picture_is_told_by_a_text(page: Page) -> None:
    key = page.evaluate(
        """async () => {
            const { cropAvatar } = await widget("crop");
            return cropAvatar(new File(["x"], "x.png")).catch((error) => error.key);
        }"""
    )
    assert key == "pictureBroken"
