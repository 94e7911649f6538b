"""axe-core over a page: what keeps people with a screen reader, a keyboard or weak eyes out."""

from functools import cache
from typing import Any

import pytest
from playwright.async_api import Page

from tests.support.node import ROOT

SOURCE = ROOT / "tests/clients/node_modules/axe-core/axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice")

_RUN = """async (tags) => {
  const {violations} = await axe.run(document, {
    runOnly: {type: "tag", values: tags},
    resultTypes: ["violations"],
  });
  return violations;
}"""


@cache
def _axe() -> str:
    if not SOURCE.exists():
        pytest.skip("axe-core is not installed: .ci/install says why")
    return SOURCE.read_text(encoding="utf-8")


async def violations(page: Page) -> list[str]:
    """One line for each node that breaks a rule: the rule, the node, and what is wrong with it.

    The page as it is now, in its present size and colours. What moves is judged where it is.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_axe())
    found: list[dict[str, Any]] = await page.evaluate(_RUN, list(TAGS))
    return [
        f"{rule['id']} ({rule['impact']}) at {_where(node['target'])}: {_why(node)}"
        for rule in found
        for node in rule["nodes"]
    ]


def _where(target: list[str | list[str]]) -> str:
    """A selector; in shadow trees a list of them."""
    return " ".join(part if isinstance(part, str) else " >>> ".join(part) for part in target)


def _why(node: dict[str, Any]) -> str:
    reasons = [check["message"] for check in (*node["any"], *node["all"], *node["none"])]
    return "; ".join(reasons) or node["html"]
