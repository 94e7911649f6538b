"""What ill-meaning people send is text and nothing else, and the page stays in shape."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import expect
from slixmpp.xmlstream import ET

from tests.support.browser import People, until
from tests.support.chat_page import ChatPage
from tests.support.contacts import befriend
from tests.support.groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

RUN = "window.ran=true"
MARKUP = (
    f'<img src=x onerror="{RUN}">',
    f"<script>{RUN}</script><svg onload='{RUN}'><iframe srcdoc='<script>parent.{RUN}</script>'>",
    f"</p></li></ol><style>*{{display:none}}</style><a href=javascript:{RUN}>click</a>",
    "&lt;b&gt; &amp;amp; &#x3c;script&#x3e; ${7*7} {{7*7}} {name} %s \\u003cb\\u003e",
)
LINKS = (
    f"javascript:{RUN} JaVaScRiPt:{RUN} data:text/html,<script>{RUN}</script> vbscript:x",
    f"https://example.org/\"onmouseover={RUN}//' https://example.org/<script>{RUN}</script>",
    "https://user:password@evil.example/?next=javascript:1 http://[::1]:99999/ http://",
    "https://аррӏе.example/ https://example.org\u202egpj.exe https://例え.jp/\u200b",
)
DIRECTIONS = (
    "\u202egnp.txt\u202d \u2066\u2067\u2068 never closed \u202e\u202e\u202e dlrow olleh",
    "שלום \u202bעולם and مرحبا \u2069\u2069\u2069\u2069 back",
)
INVISIBLE = (
    "a\u200bb\u200cc\u200dd\ufeffe\u00adf\u034fg\u2028line\u2029paragraph\u0085next",
    "\u200b\u200b\u200b",
    "\t\ttabs   and    spaces\n\n\n\nlines\n",
)
LARGE = (
    "W" * 20_000,
    "https://example.org/" + "a" * 1_900 + "?" + "b=c&" * 4_000,
    "👩‍👩‍👧‍👦" * 2_500,
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f" * 2_800,
    "Z" + "\u0301\u0327\u0336\u20dd" * 4_900,
    "\n" * 19_990 + "end",
    "@" * 20_000,
    "https://a.b " * 1_600,
    "漢" * 20_000,
)
TEXTS = (*MARKUP, *LINKS, *DIRECTIONS, *INVISIBLE, *LARGE)

NAMES = {
    "markup": f'"><img src=x onerror="{RUN}"><b>',
    "directions": "\u202e" + "evil\u2066" * 9,
    "wide": "W" * 64,
    "marks": "Z" + "\u0301\u0327\u0336" * 21,
}

XHTML = f"""<html xmlns="http://jabber.org/protocol/xhtml-im">
    <body xmlns="http://www.w3.org/1999/xhtml"><b>bold</b><img src="x" onerror="{RUN}" alt=""/>
    <a href="javascript:{RUN}">click</a></body></html>"""
OUT_OF_BAND = f"""<x xmlns="jabber:x:oob"><url>javascript:{RUN}</url><desc>a</desc></x>"""

FOREIGN = """() => [...document.querySelectorAll(".message .text *")]
    .filter((node) => !["A", "BDI", "BUTTON"].includes(node.tagName)
        || (node.href && !/^https?:/.test(node.href))
        || [...node.attributes].some(({name}) => /^on|^style$|^src/.test(name)))
    .map((node) => node.outerHTML.slice(0, 200))"""
"""Elements in messages that are none of ours."""

WIDE = """() => [document.documentElement,
        ...document.querySelectorAll(".scroller, .message, .bubble, .chip, #sidebar, dialog[open],"
            + ".conversations, dialog[open] .dialog-body, dialog[open] li, .menu, .toast")]
    .filter((node) => node.scrollWidth > node.clientWidth + 1 && node.clientWidth)
    .map((node) => `${node.tagName}.${node.className}: ${node.scrollWidth} in ${node.clientWidth},`
        + node.textContent.slice(0, 60))"""
"""What would have to be scrolled sideways."""

NEWEST = """() => [...document.querySelectorAll(".message .text")].at(-1)"""

PHONE: dict[str, Any] = {"width": 390, "height": 844}
DESKTOP: dict[str, Any] = {"width": 1280, "height": 800}


async def is_in_shape(page: ChatPage) -> None:
    """Nothing of theirs is an element, nothing ran, nothing sticks out."""
    assert await page.page.evaluate(FOREIGN) == []
    assert await page.page.evaluate(WIDE) == []
    assert not await page.page.evaluate("window.ran")


async def shows(page: ChatPage, text: str) -> None:
    """The newest message says this, letter for letter, when it is unfolded at the latest."""
    begin = text[:20]
    said = f"({NEWEST})()?.textContent"
    await until(page.page, f"{said}?.startsWith({json.dumps(begin)})")
    assert await page.page.evaluate(f"{said}.isWellFormed()")
    await is_in_shape(page)
    more = page.messages.last.get_by_role("button", name=page.t("showAll"))
    if await more.count():
        shown = await page.page.evaluate(said)
        is_beginning = text.startswith(shown.removesuffix("…"))
        assert is_beginning
        await more.click()
        await is_in_shape(page)
    is_whole = await page.page.evaluate(said) == text  # pytest compares long texts for hours
    assert is_whole


@pytest.mark.gen_test(timeout=120)
async def test_hostile_texts_are_shown_as_they_are(node: Node, people: People) -> None:
    """In the conversation, in the list, as a quote; and one can write on meanwhile."""
    ann, mal = await JsonClient.register(node), await JsonClient.online(node)
    page = await ChatPage.come(people, ann, f"/#/10/{mal.id}", **PHONE)
    await page.is_in(mal.username)
    last: dict[str, Any] = {}
    for number, text in enumerate(TEXTS):
        last = await mal.say(ann.id, text, f"cid {number}")
        await shows(page, text)
        mal.send(cmd=10, dstid=ann.id, content=f"that {number}", ref=last["id"], cid=f"q {number}")
        await page.sees(f"that {number}")
        await is_in_shape(page)
    await page.say("I have seen it all")
    await page.back()
    for number, text in enumerate(TEXTS):
        await mal.say(ann.id, text, f"list {number}")
    await is_in_shape(page)


@pytest.mark.gen_test(timeout=120)
async def test_hostile_stanzas_are_shown_as_their_body(node: Node, people: People) -> None:
    """Markup beside the body is ignored; an address that is no web page is refused."""
    ann, mal = await JsonClient.register(node), await JsonClient.register(node)
    page = await ChatPage.come(people, ann, f"/#/10/{mal.id}")
    await page.is_in(mal.username)
    xmpp = await XmppClient(node, mal.jid).login()
    for text in (*MARKUP, *LINKS, *DIRECTIONS, INVISIBLE[0]):
        xmpp.say(ann.jid, text)
        await shows(page, text)
    for number, beside in enumerate((XHTML, OUT_OF_BAND)):
        message = xmpp.make_message(mto=ann.jid, mbody=f"only this {number}", mtype="chat")
        message.append(ET.fromstring(beside))
        message.send()
    assert (await xmpp.expect())["error"]["condition"] == "bad-request"  # the address
    await shows(page, "only this 0")
    assert "only this 1" not in await page.said()


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("kind", NAMES)
async def test_hostile_names_stay_in_their_places(node: Node, people: People, kind: str) -> None:
    """Of people, groups, files and cards, as memos, announcements, reactions and app passwords."""
    name, size = NAMES[kind], DESKTOP if kind == "markup" else PHONE
    ann, mal = await JsonClient.register(node), await JsonClient.online(node)
    await mal.call("PATCH", "/api/me", {"nickname": name, "memo": name * 3})
    await befriend(ann, mal)
    gid = await make_group(mal, ann)
    facts = {"name": name, "memo": name * 9, "announcement": name * 9}
    assert (await mal.call("PATCH", f"/api/groups/{gid}", facts))[0] == 200
    await mal.call("PATCH", f"/api/groups/{gid}/members/{mal.id}", {"nick": name})
    await say_everything(mal, gid, name)
    page = await ChatPage.come(people, ann, **size)
    await page.row(name).first.wait_for()
    await is_in_shape(page)
    await page.page.goto(f"{page.person.url}/#/11/{gid}")
    await page.sees("the last one")
    await is_in_shape(page)
    await page.open_menu("the last one")
    await is_in_shape(page)
    await page.page.keyboard.press("Escape")
    await page.thread.get_by_role("heading").click()
    await expect(page.dialog.get_by_text(page.t("group.ownNick"))).to_be_visible()
    await is_in_shape(page)
    await page.dialog.get_by_role("list", name=page.t("members")).get_by_text(name).first.click()
    await expect(page.dialog.get_by_text(mal.jid)).to_be_visible()
    await is_in_shape(page)


async def say_everything(mal: JsonClient, gid: int, name: str) -> None:
    """Whatever a message may carry, called so."""
    url = f"https://example.org/{quote(name, safe='')}?q=<b>"
    for number, fields in enumerate(
        (
            {"media": 2, "url": url, "content": name, "memo": name * 9},
            {"media": 5, "amount": 10**15, "memo": name * 9},
            {"media": 7, "url": url, "memo": name},
            {"media": 9, "amount": mal.id, "content": name},
            {"media": 10, "url": url, "memo": name * 4, "amount": 2**52},
            {"media": 10, "url": "https://example.org/%ff%fe%", "amount": 5},
            {"media": 2, "url": "https://example.org/%ff%fe%", "memo": name},
            {"media": 4, "url": "https://[bad", "content": name},
            {"media": 777, "content": name, "memo": name, "url": url},
            {"content": f"@{name} {name}"},
        )
    ):
        mal.send(cmd=11, dstid=gid, cid=f"{gid} {number}", **fields)
        answer = await mal.expect_that(lambda one: "cid" in one)
        assert answer["cmd"] == 1, answer
    last = await mal.say(gid, "the last one", f"{gid} last", chat=11)
    await mal.act(16, 11, gid, last["id"], f"{gid} sign", content=name)
