"""Message text as it is drawn, QR codes as a camera reads them, and texts in both languages."""

import io

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support.node import ROOT
from tests.support.widgets import visit


@pytest.mark.parametrize(
    "before",
    [
        "\u202e",
        "\u2069\u202e",
        "\u202d\u202e\u2067",
        "\u2069\u2069\u2069\u202e\u2069\u202e",
        "\u05d0",
    ],
)
def test_what_turns_text_around_does_not_turn_what_follows(page: Page, before: str) -> None:
    """The letters of the link, of a mention and of plain text stand in their order."""
    places = page.evaluate(
        """async (text) => {
            const { textNodes } = await widget("linkify");
            place.dir = "auto";
            place.replaceChildren("x ", ...textNodes(text, { mentions: ["Ann"] }));
            const lefts = (node) =>
                [...node.textContent].map((_, at) => {
                    const range = document.createRange();
                    range.setStart(node, at);
                    range.setEnd(node, at + 1);
                    return range.getBoundingClientRect().left;
                });
            return [...place.querySelectorAll("a, .mention")]
                .map(({ firstChild }) => lefts(firstChild))
                .concat([lefts(place.lastChild)]);
        }""",
        f"{before}https://example.org/abc @Ann letters",
    )
    assert len(places) == 3
    for lefts in places:
        assert lefts == sorted(lefts)


@pytest.mark.parametrize(
    "text", ["xmpp:ann@example.org?roster", "https://例子.中国/路?名=小明", "x" * 1500]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_qr_code_is_read_back_from_the_screen(
    browser: Browser, site: str, text: str, scheme: str
) -> None:
    page = visit(browser, site, color_scheme=scheme)
    page.evaluate(
        """async (text) => {
            const code = (await widget("qr")).qrCode(text);
            code.style.width = "600px";
            place.append(code);
        }""",
        text,
    )
    shot = page.get_by_role("img", name="QR code").screenshot()
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(shot)))
    assert found.text == text
    assert found.ec_level == "M"
    page.context.close()


def test_vendored_files_name_their_licence() -> None:
    files = sorted((ROOT / "web/vendor").glob("*.js"))
    assert files
    for file in files:
        assert "MIT" in file.read_text()[:1000], file
