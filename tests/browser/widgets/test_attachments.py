"""Files: chosen, pasted, dropped, and sent from the tray with progress, cancel and retry."""

from playwright.sync_api import Browser, Page, expect

from tests.support.widgets import visit

# JavaScript: a tray whose uploads wait for the test: `uploads` has them in the order they began.
TRAY = """async () => {
    const { attachmentTray } = await widget("attachments");
    const { createObjectURL, revokeObjectURL } = URL;
    window.urls = new Set();
    URL.createObjectURL = (blob) => {
        const url = createObjectURL.call(URL, blob);
        urls.add(url);
        return url;
    };
    URL.revokeObjectURL = (url) => {
        urls.delete(url);
        revokeObjectURL.call(URL, url);
    };
    window.uploads = [];
    window.sent = [];
    window.left = 0;
    const canvas = new OffscreenCanvas(64, 64);
    canvas.getContext("2d").fillRect(0, 0, 64, 64);
    const picture = new File([await canvas.convertToBlob()], "a.png", { type: "image/png" });
    const text = new File(["x".repeat(3_400_000)], "b.pdf", { type: "application/pdf" });
    const long = "a name as long as people give to what they want to find again ".repeat(3);
    const third = new File(["x"], `${long}.tar.gz`);
    window.tray = attachmentTray([picture, text, third], {
        upload: (file, { onProgress, signal }) =>
            new Promise((done, fail) => {
                uploads.push({ name: file.name, onProgress, signal, done, fail });
                signal.addEventListener("abort", () => fail(signal.reason));
            }),
        onSent: (file, url, caption) => sent.push([file.name.slice(0, 6), url, caption]),
        onClose: () => left++,
        explain: ({ message }) => message,
    });
    place.append(tray.node);
    tray.focus();
}"""


def entry(page: Page, name: str):  # type: ignore[no-untyped-def]
    return page.get_by_role("listitem").filter(has_text=name)


def test_tray_sends_in_order_with_progress_and_the_caption_goes_with_the_first(page: Page) -> None:
    page.evaluate(TRAY)
    caption = page.get_by_role("textbox", name="Add a caption")
    expect(caption).to_be_focused()
    caption.fill("the harbour")
    caption.press("Enter")
    page.wait_for_function("() => uploads.length === 1")
    page.evaluate("uploads[0].onProgress(0.42)")
    expect(entry(page, "a.png").get_by_role("progressbar")).to_have_js_property("value", 0.42)
    expect(entry(page, "a.png")).to_contain_text("42 %")
    expect(entry(page, "b.pdf")).to_contain_text("waiting")
    for number in range(3):
        page.wait_for_function(f"() => uploads.length === {number + 1}")
        page.evaluate(f"uploads[{number}].done('url{number}')")
    page.wait_for_function("() => left === 1")
    assert page.evaluate("sent") == [
        ["a.png", "url0", "the harbour"],
        ["b.pdf", "url1", ""],
        ["a name", "url2", ""],
    ]
    expect(page.locator(".tray")).to_have_count(0)
    assert page.evaluate("urls.size") == 0


def test_failed_upload_says_why_and_is_tried_again_while_others_go_on(page: Page) -> None:
    page.evaluate(TRAY)
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_function("() => uploads.length === 1")
    page.evaluate("uploads[0].fail(new Error('the file is too large'))")
    expect(entry(page, "a.png").get_by_role("alert")).to_have_text("the file is too large")
    page.wait_for_function("() => uploads.length === 2 && uploads[1].name === 'b.pdf'")
    page.get_by_role("button", name="Send a.png again").click()
    expect(entry(page, "a.png")).to_contain_text("waiting")
    page.evaluate("uploads[1].done(1)")
    page.wait_for_function("() => uploads.length === 3 && uploads[2].name === 'a.png'")
    page.evaluate("uploads[2].done(2)")
    page.wait_for_function("() => uploads.length === 4")
    page.evaluate("uploads[3].done(3)")
    page.wait_for_function("() => left === 1")
    assert page.evaluate("sent.map(([name]) => name)") == ["b.pdf", "a.png", "a name"]


def test_one_is_cancelled_and_then_all_are(page: Page) -> None:
    page.evaluate(TRAY)
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_function("() => uploads.length === 1")
    page.get_by_role("button", name="Cancel a.png").click()
    page.wait_for_function("() => uploads[0].signal.aborted && uploads.length === 2")
    expect(page.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("button", name="Discard all").click()
    page.wait_for_function("() => uploads[1].signal.aborted && left === 1")
    expect(page.locator(".tray")).to_have_count(0)
    assert page.evaluate("[sent.length, uploads.length, urls.size]") == [0, 2, 0]


def test_tray_is_worked_by_keys_and_leaves_with_the_last_file(page: Page) -> None:
    page.evaluate(TRAY)
    for name in ("b.pdf", "a.png"):
        button = page.get_by_role("button", name=f"Remove {name}")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".tray-entry :focus")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_function("() => left === 1")
    page.evaluate(TRAY)
    page.keyboard.press("Escape")
    expect(page.locator(".tray")).to_have_count(0)


def test_more_files_join_the_tray_from_the_chooser(page: Page) -> None:
    page.evaluate(TRAY)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add more").click()
    chooser.value.set_files({"name": "d.txt", "mimeType": "text/plain", "buffer": b"d"})
    expect(entry(page, "d.txt")).to_be_visible()


def test_sizes_are_written_as_people_read_them(browser: Browser, site: str) -> None:
    sizes = "[1234, 34_567, 3_400_000, 5_000_000_000].map(m.fileSize)"
    for language in ("en", "zh"):
        page = visit(browser, site, language=language)
        shown = page.evaluate(f'import("/js/format.js").then((m) => {sizes})')
        assert [size.replace(" ", "") for size in shown] == ["1.2kB", "35kB", "3.4MB", "5GB"]
        page.context.close()


# JavaScript: an event with this in its clipboard or under the mouse.
CARRY = """(kind, carried, related = null) => {
    const data = new DataTransfer();
    for (const one of carried) {
        if (one instanceof File) data.items.add(one);
        else data.setData("text/plain", one);
    }
    const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
    const more = { dataTransfer: data, clipboardData: data, relatedTarget: related };
    const event = new Kind(kind, { bubbles: true, cancelable: true, ...more });
    anchor.dispatchEvent(event);
    return event.defaultPrevented;
}"""


def test_files_are_pasted_and_text_is_left_to_the_field(page: Page) -> None:
    page.evaluate(
        f"""async () => {{
            const {{ onPastedFiles }} = await widget("files");
            window.got = [];
            window.carry = {CARRY};
            window.stop = onPastedFiles(document.body, (files) => got.push(files[0].name));
        }}"""
    )
    picture = "new File(['x'], 'x.png', { type: 'image/png' })"
    assert page.evaluate(f"carry('paste', [{picture}])")
    assert not page.evaluate("carry('paste', ['text'])")
    assert not page.evaluate(f"carry('paste', [{picture}, 'text of a word processor'])")
    page.evaluate("stop()")
    assert not page.evaluate(f"carry('paste', [{picture}])")
    assert page.evaluate("got") == ["x.png"]


def test_dragged_files_are_awaited_by_a_cover_and_dropped(page: Page) -> None:
    page.evaluate(
        f"""async () => {{
            const {{ onDroppedFiles }} = await widget("files");
            window.got = [];
            window.carry = {CARRY};
            window.stop = onDroppedFiles(document.body, (files) => got.push(files[0].name));
        }}"""
    )
    cover = page.locator(".drop-cover")
    assert not page.evaluate("carry('dragenter', ['text'])")
    expect(cover).to_have_count(0)
    file = "new File(['x'], 'x.txt')"
    assert page.evaluate(f"carry('dragenter', [{file}])")
    expect(cover).to_contain_text("Drop files here")
    page.evaluate(f"carry('dragleave', [{file}], place)")  # from one node inside to another
    expect(cover).to_have_count(1)
    page.evaluate(f"carry('dragleave', [{file}])")
    expect(cover).to_have_count(0)
    assert page.evaluate(f"carry('dragover', [{file}])")
    assert page.evaluate(f"carry('drop', [{file}])")
    expect(cover).to_have_count(0)
    assert page.evaluate("got") == ["x.txt"]
    page.evaluate("stop()")
    assert not page.evaluate(f"carry('dragover', [{file}])")
