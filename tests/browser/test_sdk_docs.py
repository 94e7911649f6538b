"""The examples of docs/sdk.md, as they stand there."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, People, until
from tests.support.eventually import eventually
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import ROOT, Node
from tests.support.nodejs import MISSING, NODE


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "docs/sdk.md").read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
@pytest.mark.gen_test(timeout=60)
async def test_page_of_thirty_lines_logs_in_lists_and_chats(node: Node, people: People) -> None:
    """Somebody signs in on it, opens the conversation, reads and answers."""
    page_text = example("html")
    assert len(page_text.splitlines()) == 30
    ann, bob = await JsonClient.register(node), await JsonClient.online(node)
    await bob.say(ann.id, "hello from Bob", "b1")
    person = await people.come(node)
    person.forgive(r"favicon\.ico")
    await person.context.route(
        "**/thirty", lambda route: route.fulfill(body=page_text, content_type="text/html")
    )
    page = await person.open("/thirty")
    await page.locator("[name=who]").fill(ann.username)
    await page.locator("[name=password]").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.locator("#list li").first.click()
    await until(page, "document.querySelector('#log').innerText.includes('hello from Bob')")
    await page.locator("[name=text]").fill("<b>hello Bob</b>")
    await page.get_by_role("button", name="Send").click()
    heard = await bob.expect(cmd=10, userid=ann.id)
    assert heard["content"] == "<b>hello Bob</b>"
    await until(page, "document.querySelector('#log').innerText.includes('<b>hello Bob</b>')")


@pytest.mark.skipif(not NODE, reason=MISSING)
@pytest.mark.gen_test(timeout=60)
async def test_program_under_node_answers_what_it_hears(node: Node, tmp_path: Path) -> None:
    """It notes something to itself, and quotes whoever writes to it."""
    robot, bob = await JsonClient.register(node), await JsonClient.online(node)
    wheres = {
        '"ws"': f'"{ROOT}/tests/clients/node_modules/ws/wrapper.mjs"',
        '"./tandem.js"': f'"{ROOT}/web/sdk/tandem.js"',
    }
    text = example("js")
    for told, where in wheres.items():
        assert told in text
        text = text.replace(told, where)
    script = tmp_path / "robot.mjs"
    script.write_text(text)
    env = {"TANDEM_URL": node.url, "TANDEM_USER": robot.username, "TANDEM_PASSWORD": PASSWORD}
    process = await asyncio.create_subprocess_exec(NODE, str(script), env={**os.environ, **env})
    try:
        await eventually(lambda: robot.history(10, robot.id))  # it is there
        await bob.say(robot.id, "anybody there?", "b1")
        heard = await bob.expect(cmd=10, userid=robot.id)
        assert heard["content"] == "You said: anybody there?"
        notes = await robot.history(10, robot.id)
        assert [note["content"] for note in notes] == ["a note to myself"]
    finally:
        process.kill()
        await process.wait()
