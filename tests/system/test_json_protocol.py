"""The exchanges that docs/json-protocol.md shows are what a server says."""

import re

import pytest

from server.model import Message
from tests.support.node import ROOT, Node
from tests.support.replay import Replay, steps

PAGE = (ROOT / "docs" / "json-protocol.md").read_text()


@pytest.mark.gen_test(timeout=60)
async def test_exchanges_of_the_page_happen_as_they_are_shown(own_node: Node) -> None:
    """All of them, in order, on a fresh server."""
    own_node.start()
    await Replay(own_node).run(PAGE, compares=True)


def test_page_has_every_command_and_every_field() -> None:
    """Each cmd in an exchange, but the void, which nobody brings about; each field in a table."""
    shown = {int(cmd) for step in steps(PAGE) for cmd in re.findall(r'"cmd":(\d+)', step.text)}
    assert shown - {99} == {0, 1, 2, *range(10, 17), *range(20, 25), 30, 31}
    assert '{"cmd":9,' in PAGE
    fields = {name for row in re.findall(r"^\| (`.*?`) \|", PAGE, re.M) for name in row.split("`")}
    assert set(Message.__struct_fields__) - {"state"} <= fields
