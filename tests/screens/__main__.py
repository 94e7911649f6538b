"""``python -m tests.screens``: the key screens as pictures, with a server of their own.

    python -m tests.screens --out /tmp/screens --only chat --only group

Each is taken at phone and desktop size, in light and dark, and ``README.md`` beside them shows all.
"""

import argparse
import asyncio
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.async_api import Error, Page

from tests.screens.media import compressed
from tests.screens.shots import SCREENS, Screen
from tests.screens.town import Town, settle
from tests.support.browser import Chromium, People, connected, until
from tests.support.chat_page import ChatPage
from tests.support.json_client import JsonClient
from tests.support.node import ROOT, Node


class Layout(NamedTuple):
    name: str
    width: int
    height: int
    scale: int


LAYOUTS = (Layout("phone", 390, 844, 2), Layout("desktop", 1280, 800, 1))
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

HEAD = """# Key screens

Made by `python -m tests.screens` from a server with made-up people, at 390×844 (twice the pixels)
and 1280×800, in light and dark.
"""


def file_of(screen: Screen, layout: Layout, scheme: str) -> str:
    return f"{screen.name}-{layout.name}-{scheme}.png"


async def take(page: Page, screen: Screen, layout: Layout, out: Path) -> None:
    """In both colour schemes, when everything that is shown has been loaded."""
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await until(
            page,
            "document.fonts.ready.then(() => new Promise(requestAnimationFrame)).then(() =>"
            " [...document.images].every((image) => image.complete || image.loading === 'lazy')"
            " && !document.querySelector('[aria-busy=true]'))",
        )
        picture = await page.screenshot(animations="disabled", caret="hide")
        path = out / file_of(screen, layout, scheme)
        path.write_bytes(await asyncio.to_thread(compressed, picture))
        sys.stdout.write(f"{path} {path.stat().st_size // 1024} KiB\n")


async def visit(
    people: People, town: Town, layout: Layout, screens: list[Screen], out: Path
) -> list[str]:
    """One person's screens in one browser; which of them could not be reached."""
    first, failed = screens[0], []
    person = await people.come(
        town.node,
        width=layout.width,
        height=layout.height,
        scale=layout.scale,
        locale=first.locale,
    )
    language = first.locale[:2]
    if first.person:
        at = ChatPage(person, person.page, language)
        await at.page.get_by_label(at.t("username")).fill(first.person)
        await at.enter_password()
    await person.page.close()
    for screen in screens:
        page = await person.open()
        try:
            await screen.steps(ChatPage(person, page, language), town)
            await take(page, screen, layout, out)
        except (Error, AssertionError, TimeoutError) as error:
            failed.append(f"{screen.name} {layout.name}: {error}")
        await page.close()
    await person.context.close()
    return failed


async def shoot(node: Node, chromium: Chromium, screens: list[Screen], out: Path) -> list[str]:
    failed: list[str] = []
    async with connected(chromium) as people:
        town = await settle(node)
        for layout in LAYOUTS:
            for _, group in groupby(screens, lambda screen: (screen.person, screen.locale)):
                failed += await visit(people, town, layout, list(group), out)
        await JsonClient.close_all()
    return failed


def index(out: Path) -> str:
    """The page that shows all that are there."""
    parts = [HEAD]
    for screen in SCREENS:
        cells = []
        for layout in LAYOUTS:
            for scheme in SCHEMES:
                file = file_of(screen, layout, scheme)
                if (out / file).exists():
                    width = layout.width // 2 if layout.name == "phone" else layout.width // 3
                    text = f"{screen.title}, {layout.name}, {scheme}"
                    cells.append(
                        f'<a href="{file}"><img src="{file}" width="{width}" alt="{text}"></a>'
                    )
        if cells:
            columns = [f"| {' | '.join(cells)} |", "|" + " --- |" * len(cells)]
            heads = [f"{layout.name}, {scheme}" for layout in LAYOUTS for scheme in SCHEMES]
            parts.append(
                f"\n## {screen.title}\n\n| {' | '.join(heads)} |\n{columns[1]}\n{columns[0]}\n"
            )
    return "".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.screens")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/screens")
    parser.add_argument("--only", action="append", choices=[screen.name for screen in SCREENS])
    options = parser.parse_args()
    screens = [screen for screen in SCREENS if not options.only or screen.name in options.only]
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tandem-screens-") as directory, Chromium() as chromium:
        node = Node(Path(directory)).start()
        try:
            failed = asyncio.run(shoot(node, chromium, screens, options.out))
        finally:
            node.stop()
    (options.out / "README.md").write_text(index(options.out), encoding="utf-8")
    total = sum(file.stat().st_size for file in options.out.glob("*.png"))
    sys.stdout.write(f"{total / 1_000_000:.1f} MB in all\n")
    for line in failed:
        sys.stdout.write(f"NOT REACHED {line}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
