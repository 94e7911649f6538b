"""Uploaded files in a real Chromium: shown where they are harmless, downloaded where not."""

import pytest
from playwright.async_api import Page

from tests.support.browser import People, until
from tests.support.json_client import JsonClient
from tests.support.node import Node

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


async def upload(page: Page, account: JsonClient, blob: str, name: str, kind: str) -> str:
    """The address of what the JavaScript expression ``blob`` gives, uploaded by the page itself."""
    url = await page.evaluate(
        f"""async ([name, type, token]) => {{
            {MADE_BY_PAGE}
            const blob = await {blob};
            const asked = await fetch("/api/uploads", {{
                method: "POST",
                headers: {{
                    Authorization: `Bearer ${{token}}`,
                    "Content-Type": "application/json",
                }},
                body: JSON.stringify({{name, size: blob.size, type}}),
            }});
            const offer = await asked.json();
            const {{put, headers}} = offer;
            const done = await fetch(put, {{method: "PUT", headers, body: blob}});
            if (done.status !== 201) throw new Error(`${{done.status}} ${{await done.text()}}`);
            return offer.get;
        }}""",
        [name, kind, account.token],
    )
    return str(url)


async def opens(page: Page, url: str, shown: str) -> None:
    """Goes to a file and waits until it is shown."""
    await page.goto(url)
    await until(page, shown)


@pytest.mark.gen_test(timeout=90)
async def test_picture_and_film_are_shown_in_a_page_and_alone(node: Node, people: People) -> None:
    """In ``<img>`` and ``<video>``, with seeking; and opened by themselves, under their own CSP."""
    account = await JsonClient.register(node)
    person = await people.come(node)
    person.forgive("favicon.ico")  # asked for where a file is opened alone
    page = person.page
    picture = await upload(page, account, "picture()", "写真.png", "image/png")
    film = await upload(page, account, "film()", "film.webm", "video/webm")
    await page.evaluate(
        """([picture, film]) => {
            window.picture = document.body.appendChild(document.createElement("img"));
            window.picture.src = picture;
            window.film = document.body.appendChild(document.createElement("video"));
            window.film.muted = true;
            window.film.src = film;
            window.film.play();
        }""",
        [picture, film],
    )
    await until(page, "picture.complete && picture.naturalWidth === 64")
    await until(page, "film.videoWidth === 64 && film.currentTime > 0.1")
    text = "new Blob(['<b>plain</b> 你好'])"
    plain = await upload(page, account, text, "a.txt", "text/plain")
    await opens(page, picture, "document.images[0].naturalWidth === 64")
    await opens(page, film, "document.querySelector('video').videoWidth === 64")
    await opens(page, plain, "document.body.innerText.includes('<b>plain</b> 你好')")


@pytest.mark.gen_test(timeout=90)
async def test_no_file_acts_in_our_origin(node: Node, people: People) -> None:
    """A page and a picture with scripts do not open, and a script does not run in our page."""
    account = await JsonClient.register(node)
    person = await people.come(node)
    person.forgive("Refused to execute script .*/a.js")
    page = person.page
    hostile = "new Blob([`<script>localStorage.robbed = 1</script>`])"
    html = await upload(page, account, hostile, "a.html", "text/html")
    svg = "new Blob([`<svg xmlns='http://www.w3.org/2000/svg'><script>localStorage.robbed = 1"
    svg = await upload(page, account, svg + "</script></svg>`])", "a.svg", "image/svg+xml")
    script = "new Blob(['localStorage.robbed = 1'])"
    script = await upload(page, account, script, "a.js", "text/javascript")
    for url in (html, svg):
        async with page.expect_download() as download:
            await page.evaluate("(url) => { location.href = url; }", url)
        await (await download.value).cancel()
    how = await page.evaluate(
        """async ([script, ...frames]) => {
            for (const url of frames) {
                document.body.append(Object.assign(document.createElement("iframe"), {src: url}));
            }
            const tag = document.head.appendChild(document.createElement("script"));
            tag.src = script;
            return new Promise((done) => {
                tag.onload = () => done("ran");
                tag.onerror = () => done("refused");
            });
        }""",
        [script, html, svg],
    )
    assert how == "refused"
    assert await page.evaluate("location.pathname") == "/"
    assert await page.evaluate("localStorage.robbed === undefined")
