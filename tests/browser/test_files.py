"""Uploaded files in a real Chromium: shown where they are harmless, downloaded where not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.browser import CHROMIUM, Page, open_browser
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

MADE_BY_PAGE = """
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 64;
    const pen = canvas.getContext('2d');
    const picture = () => new Promise((done) => canvas.toBlob(done, 'image/png'));
    const film = () => new Promise((done) => {
        const parts = [];
        const recorder = new MediaRecorder(canvas.captureStream(30), {mimeType: 'video/webm'});
        const drawing = setInterval(() => {
            pen.fillStyle = `hsl(${Date.now() % 360} 80% 50%)`;
            pen.fillRect(0, 0, 64, 64);
        }, 20);
        recorder.ondataavailable = (event) => parts.push(event.data);
        recorder.onstop = () => {
            clearInterval(drawing);
            done(new Blob(parts, {type: 'video/webm'}));
        };
        recorder.start();
        setTimeout(() => recorder.stop(), 700);
    });
"""


@asynccontextmanager
async def chat_page(node: Node) -> AsyncIterator[tuple[Page, JsonClient]]:
    account = await JsonClient.register(node)
    async with open_browser() as browser:
        page = await browser.open(node.url + "/")
        await page.until("document.readyState === 'complete'")
        yield page, account


async def upload(page: Page, account: JsonClient, blob: str, name: str, type: str) -> str:
    """The address of what the JavaScript expression ``blob`` gives, uploaded by the page itself."""
    url = await page.run(f"""(async () => {{
        {MADE_BY_PAGE}
        const blob = await {blob};
        const asked = await fetch('/api/uploads', {{
            method: 'POST',
            headers: {{
                Authorization: 'Bearer {account.token}',
                'Content-Type': 'application/json',
            }},
            body: JSON.stringify({{name: {json.dumps(name)}, size: blob.size, type: '{type}'}}),
        }});
        const offer = await asked.json();
        const put = await fetch(offer.put, {{method: 'PUT', headers: offer.headers, body: blob}});
        if (put.status !== 201) throw new Error(`${{put.status}} ${{await put.text()}}`);
        return offer.get;
    }})()""")
    return str(url)


async def opens(page: Page, url: str, shown: str) -> None:
    """Goes to a file and asks again and again: in a sandbox the page's own timers do not run."""
    await page.call("Page.navigate", url=url)
    async with asyncio.timeout(15):
        while not await page.run(f"(() => {{ try {{ return {shown} }} catch {{ }} }})()"):
            await asyncio.sleep(0.02)


@pytest.mark.gen_test(timeout=90)
async def test_picture_and_film_are_shown_in_a_page_and_alone(node: Node) -> None:
    """In ``<img>`` and ``<video>``, with seeking; and opened by themselves, under their own CSP."""
    async with chat_page(node) as (page, account):
        picture = await upload(page, account, "picture()", "写真.png", "image/png")
        film = await upload(page, account, "film()", "film.webm", "video/webm")
        await page.run(f"""
            window.picture = document.body.appendChild(document.createElement('img'));
            picture.src = {json.dumps(picture)};
            window.film = document.body.appendChild(document.createElement('video'));
            film.muted = true;
            film.src = {json.dumps(film)};
            film.play();
        """)
        await page.until("picture.complete && picture.naturalWidth === 64")
        await page.until("film.videoWidth === 64 && film.currentTime > 0.1")
        text = "new Blob(['<b>plain</b> 你好'])"
        plain = await upload(page, account, text, "a.txt", "text/plain")
        await opens(page, picture, "document.images[0].naturalWidth === 64")
        await opens(page, film, "document.querySelector('video').videoWidth === 64")
        await opens(page, plain, "document.body.innerText.includes('<b>plain</b> 你好')")


@pytest.mark.gen_test(timeout=90)
async def test_no_file_acts_in_our_origin(node: Node) -> None:
    """A page and a picture with scripts do not open, and a script does not run in our page."""
    async with chat_page(node) as (page, account):
        hostile = "new Blob([`<script>localStorage.robbed = 1</script>`])"
        html = await upload(page, account, hostile, "a.html", "text/html")
        svg = "new Blob([`<svg xmlns='http://www.w3.org/2000/svg'><script>localStorage.robbed = 1"
        svg = await upload(page, account, svg + "</script></svg>`])", "a.svg", "image/svg+xml")
        script = "new Blob(['localStorage.robbed = 1'])"
        script = await upload(page, account, script, "a.js", "text/javascript")
        for url in (html, svg):
            answer = await page.call("Page.navigate", url=url)
            assert answer.get("errorText") == "net::ERR_ABORTED"  # a download
        how = await page.run(f"""(async () => {{
            for (const url of {json.dumps([html, svg])}) {{
                const frame = document.body.appendChild(document.createElement('iframe'));
                frame.src = url;
            }}
            const script = document.head.appendChild(document.createElement('script'));
            script.src = {json.dumps(script)};
            return new Promise((done) => {{
                script.onload = () => done('ran');
                script.onerror = () => done('refused');
            }});
        }})()""")
        assert how == "refused"
        assert await page.run("location.pathname") == "/"
        assert await page.run("localStorage.robbed === undefined")
