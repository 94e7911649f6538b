"""The page of the widgets' tests, and pictures to give it."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, ViewportSize

from tests.support.node import ROOT

_HERE = ROOT / "tests/browser/widgets"
_WEB = ROOT / "web"
PAGE: dict[str, Path] = {
    "/index.html": _HERE / "index.html",
    "/page.js": _HERE / "page.js",
    "/js": _WEB / "js",
    "/css": _WEB / "css",
    "/vendor": _WEB / "vendor",
}
DESKTOP, PHONE = (1280, 800), (390, 844)

# JavaScript: a File of what lies under /files, and a Blob as something that Python can read.
FILE = """async (name) => {
    const blob = await (await fetch(`/files/${name}`)).blob();
    return new File([blob], name, { type: blob.type });
}"""
BASE64 = """async (blob) => new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(",")[1]);
    reader.readAsDataURL(blob);
})"""


def visit(
    browser: Browser, site: str, size: tuple[int, int] = DESKTOP, language: str = "en", **more: Any
) -> Page:
    phone = size == PHONE
    viewport = ViewportSize(width=size[0], height=size[1])
    context = browser.new_context(viewport=viewport, has_touch=phone, is_mobile=phone, **more)
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(f"{site}/index.html")
    # Functions, here and in all tests: an expression would be evaluated anew each time that it is
    # asked, which the page's policy forbids.
    page.wait_for_function("() => window.ready")
    page.evaluate("language => chooseLanguage(language)", language)
    return page


def photo(width: int, height: int) -> Image.Image:
    """A picture whose left top corner is red, on a ground that is not easily compressed away."""
    image = Image.effect_noise((width, height), 40).convert("RGB")
    ImageDraw.Draw(image).rectangle((0, 0, width // 4, height // 4), fill=(255, 0, 0))
    return image


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **more)
    return stream.getvalue()


def red(image: Image.Image, x: int, y: int) -> bool:
    r, g, b = image.convert("RGB").getpixel((x, y))  # type: ignore[misc]
    return r > 200 and g < 90 and b < 90
