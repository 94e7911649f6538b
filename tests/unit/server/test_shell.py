"""What the page needs to begin with: asked for at once, and not too much of it."""

import re
from posixpath import dirname, join, normpath

from server.assets import PAGE, Assets, compress, web_directory

MOST_BYTES = 150 * 1024
LANGUAGES = ("en", "zh")
"""One of them is loaded."""
STATIC = re.compile(r'^(?:import|export)\b[^;"()]*?"(\.[^"]+)"', re.MULTILINE)
DYNAMIC = re.compile(r'\bimport\("(\.[^"]+)"\)')
PRELOADED = re.compile(r'<link rel="modulepreload"[^>]* href="/([^"]+)">')
STYLES = re.compile(r'<link rel="stylesheet" href="/([^"]+)">')
BEGINNING = "js/app.js"
ENTRANCE = "js/entrance.js"
"""Comes with the texts, which are not waited for longer than it is: whoever is logged in has no use
for it."""

WEB = web_directory()
HTML = (WEB / PAGE).read_text()


def imported(module: str, pattern: re.Pattern[str] = STATIC) -> set[str]:
    found = pattern.findall((WEB / module).read_text())
    return {normpath(join(dirname(module), name)) for name in found}


def modules() -> set[str]:
    """The one where the page begins, those that it loads itself, and all that these import."""
    left = {BEGINNING} | imported(BEGINNING, DYNAMIC)
    found: set[str] = set()
    while left:
        module = left.pop()
        found.add(module)
        left |= imported(module) - found
    return found


def test_page_asks_at_once_for_the_modules_that_it_begins_with_and_no_others() -> None:
    preloaded = PRELOADED.findall(HTML)
    assert f'<script type="module" src="/{BEGINNING}"></script>' in HTML
    assert {BEGINNING, ENTRANCE, *preloaded} == modules()
    assert len(preloaded) == len(modules()) - 2


def test_shell_is_small_enough_in_each_language() -> None:
    """As it is sent: the page, its styles, modules and texts, compressed by Brotli."""
    files = Assets(WEB).files
    page = Assets(WEB).find("/")
    assert page is not None
    shell = {name: files[name].body for name in (*modules(), *STYLES.findall(HTML))}
    shell[PAGE] = page.body
    size = sum(len(compress(body, "br")) for body in shell.values())
    for language in LANGUAGES:
        texts = len(compress(files[f"js/texts/{language}.js"].body, "br"))
        assert size + texts <= MOST_BYTES, f"{size + texts:,} bytes"
