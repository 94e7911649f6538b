"""axe-core finds nothing on the pages, and would."""

import pytest

from tests.support.axe import violations
from tests.support.browser import People
from tests.support.node import Node


@pytest.mark.gen_test(timeout=60)
async def test_what_is_wrong_with_a_page_is_told_with_its_place(node: Node, people: People) -> None:
    """Faint text, a picture without a text, a field without a label; after them no more."""
    page = (await people.come(node)).page
    before = await violations(page)
    await page.evaluate("""() => {
        const faint = Object.assign(document.createElement("p"), {id: "faint", innerText: "hm"});
        Object.assign(faint.style, {color: "#ddd", background: "#fff"});
        const picture = Object.assign(document.createElement("img"), {id: "picture"});
        picture.src = "/icon.svg";
        const field = Object.assign(document.createElement("input"), {id: "field"});
        document.querySelector("main").append(faint, picture, field);
    }""")
    added = [line for line in await violations(page) if line not in before]
    assert sorted(line.partition(":")[0] for line in added) == [
        "color-contrast (serious) at #faint",
        "image-alt (critical) at #picture",
        "label (critical) at #field",
    ]


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_entrance_breaks_no_rule(node: Node, people: People, scheme: str) -> None:
    """In both colour schemes."""
    person = await people.come(node, scheme="dark" if scheme == "dark" else "light")
    assert await violations(person.page) == []
