"""What the other browser tests stand on: complaints are heard, and a cut cable cuts everything."""

import asyncio

import pytest

from tests.support.browser import People, Person, until
from tests.support.eventually import eventually
from tests.support.node import Node

COMPLAINTS = {
    "console error: spoken": "console.error('spoken')",
    "console warning: warned": "console.warn('warned')",
    "uncaught: Error: thrown": "setTimeout(() => { throw new Error('thrown') })",
    "uncaught: Error: rejected": "Promise.reject(new Error('rejected')) && 0",
    "CSP: script-src-elem forbids inline": """{
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.head.append(script);
    }""",
    "CSP: style-src-attr forbids inline": "document.body.setAttribute('style', 'color: red')",
}


@pytest.mark.gen_test(timeout=60)
async def test_what_goes_wrong_in_a_page_is_a_complaint(node: Node, people: People) -> None:
    """In a second tab as well. What is forgiven is none."""
    person = await people.come(node)
    second = await person.open()
    for complaint, script in COMPLAINTS.items():
        await second.evaluate(script)

        async def is_heard(wanted: str = complaint) -> bool:
            return any(wanted in said for said in person.left_complaints())

        await eventually(is_heard)
    person.forgive("spoken")
    assert not any("spoken" in said for said in person.left_complaints())
    assert any("warned" in said for said in person.left_complaints())
    person.forgive(".")


@pytest.mark.gen_test(timeout=60)
async def test_person_has_the_browser_that_was_asked_for(node: Node, people: People) -> None:
    """Language, colours, size and touch; and nothing of another person's."""
    person = await people.come(node, width=390, height=844, scale=2, locale="zh-CN", scheme="dark")
    other = await people.come(node)
    look = """[navigator.language, innerWidth, innerHeight, devicePixelRatio,
        matchMedia("(prefers-color-scheme: dark)").matches, navigator.maxTouchPoints > 0,
        localStorage.mine]"""
    await person.page.evaluate("localStorage.mine = 'yes'")
    assert await person.page.evaluate(look) == ["zh-CN", 390, 844, 2, True, True, "yes"]
    assert await other.page.evaluate(look) == ["en-US", 1280, 800, 1, False, False, None]


async def open_socket(person: Person) -> None:
    """A WebSocket of the page, whose end it notes in ``window.ended``."""
    await person.page.evaluate("""new Promise((done, failed) => {
        window.socket = new WebSocket(`${origin.replace("http", "ws")}/xmpp-websocket`, "xmpp");
        socket.onopen = done;
        socket.onclose = () => { window.ended = true; failed(new Error("closed")); };
    })""")


FETCHES = "fetch('/livez').then((answer) => answer.status, () => 0)"


@pytest.mark.gen_test(timeout=60)
async def test_cut_cable_ends_open_sockets_and_refuses_new_ones_until_mended(
    node: Node, people: People
) -> None:
    """Others go on meanwhile."""
    person, other = await people.come(node), await people.come(node)
    for each in (person, other):
        await open_socket(each)
    await person.cut()
    await until(person.page, "window.ended")
    assert await person.page.evaluate(FETCHES) == 0
    assert await person.page.evaluate("navigator.onLine")
    assert await other.page.evaluate(FETCHES) == 200
    assert await other.page.evaluate("window.ended === undefined")
    await person.go_offline()
    assert not await person.page.evaluate("navigator.onLine")
    await person.come_back()
    assert await person.page.evaluate("navigator.onLine")
    assert await person.page.evaluate(FETCHES) == 200


@pytest.mark.gen_test(timeout=60)
async def test_held_cable_is_silent_until_it_is_mended(node: Node, people: People) -> None:
    """What was asked while answers were held back comes in the end."""
    person = await people.come(node)
    person.cable.hold("down")
    answer = asyncio.ensure_future(person.page.evaluate(FETCHES))
    assert (
        await person.page.evaluate(f"""Promise.race([
        {FETCHES}, new Promise((done) => setTimeout(done, 300, "silence"))
    ])""")
        == "silence"
    )
    assert not answer.done()
    await person.come_back()
    assert await answer == 200
