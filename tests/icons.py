"""Draws the pictures in ``web/icons/`` of ``web/icon.svg``, in Chromium: ``python -m tests.icons``.

Run it when the icon has changed, and look at what comes out.
"""

import re

from playwright.sync_api import sync_playwright

from tests.support.node import ROOT

WEB = ROOT / "web"
ROUND = ((192, "192"), (512, "512"))
"""As it is drawn, with corners that are clear."""
FULL = ((192, "maskable-192"), (512, "maskable-512"), (180, "apple-touch"))
"""To every edge, for systems that cut their own shape out; what is drawn stays where none cuts."""


def main() -> None:
    svg = (WEB / "icon.svg").read_text()
    # Within the middle four fifths of a maskable icon nothing is cut off (W3C, Web App Manifest).
    full = re.sub(r' rx="\d+"', "", svg).replace('viewBox="0 0 48 48"', 'viewBox="-2 -2 52 52"')
    full = full.replace(
        '<rect width="48" height="48"', '<rect x="-2" y="-2" width="52" height="52"'
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page()
        for sizes, picture in ((ROUND, svg), (FULL, full)):
            for size, name in sizes:
                page.set_viewport_size({"width": size, "height": size})
                page.set_content(
                    f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{picture}"
                )
                path = WEB / "icons" / f"{name}.png"
                page.screenshot(path=path, omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
