"""What ``tests.bench.page`` measures with: it sees what it is there to see."""

import pytest

from tests.bench.page import DROPPED, FRAMES, KEEP_DRAWING, LONGEST, TRACED, WATCH_OPENING, seen_in
from tests.support.browser import People, until
from tests.support.node import Node


@pytest.mark.gen_test(timeout=60)
async def test_long_task_is_in_the_trace_with_the_frames_that_it_cost(
    node: Node, people: People
) -> None:
    """A task of 500 ms, in which a screen draws 30 times."""
    page = (await people.come(node)).page
    await page.evaluate(KEEP_DRAWING)
    await people.browser.start_tracing(page=page, categories=TRACED)
    await page.evaluate("""new Promise((done) => setTimeout(() => {
        const end = performance.now() + 500;
        while (performance.now() < end);
        setTimeout(done, 500);
    }, 500))""")
    seen = dict(seen_in(await people.browser.stop_tracing()))
    assert seen[LONGEST] >= 500
    assert 15 < seen[DROPPED] < 95
    assert seen[FRAMES] < 55


@pytest.mark.gen_test(timeout=60)
async def test_opening_is_over_when_the_last_message_is_painted(node: Node, people: People) -> None:
    """Not before: here it comes 200 ms after the click."""
    page = (await people.come(node)).page
    await page.evaluate(WATCH_OPENING, ["p.late", "the last one"])
    await page.evaluate("""addEventListener("click", () => setTimeout(() => {
        const late = Object.assign(document.createElement("p"), {className: "late"});
        late.textContent = "the last one";
        document.body.prepend(late);
    }, 200))""")
    await page.mouse.click(5, 5)
    await until(page, "window.openingMs")
    assert 200 <= await page.evaluate("openingMs") < 5000
