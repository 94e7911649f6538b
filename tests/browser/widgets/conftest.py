"""A page with nothing but the widgets, in a real Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.support.browser import CHROMIUM
from tests.support.static import serving
from tests.support.widgets import PAGE, visit

MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    # Not for longer than a module: it keeps an event loop running, beside which no other one may.
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(driver: Playwright) -> Iterator[Browser]:
    arguments = ["--no-sandbox", *MICROPHONE]
    chromium = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield chromium
    chromium.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What is put here the page finds under ``/files``."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def site(files: Path) -> Iterator[str]:
    with serving({**PAGE, "/files": files}) as url:
        yield url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    opened = visit(browser, site)
    yield opened
    opened.context.close()
