"""Pages of search results: ``server/search.py``."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.model import Message
from server.search import Search
from server.settings import load

nothing: Any = None
search = Search(nothing, nothing, nothing, nothing, nothing, load(None, {}))


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(3, 8), st.integers(0, 40_000))
def test_pages_have_neither_gaps_nor_repeats(ids: list[int], limit: int, length: int) -> None:
    """Though ids of different conversations may be the same, and the next page begins below one."""
    ids = [id for id in sorted(ids, reverse=True) if ids.count(id) < 3]
    everything = [
        Message(id=id, dstid=n, content="x" * length * 5) for n, id in enumerate(ids, start=1)
    ]
    paged: list[Message] = []
    rest, more = everything, True
    while more:
        page = search._page(rest[: limit + 1], limit)
        assert len(page.messages) <= limit and (page.messages or not page.more)
        paged += page.messages
        more = page.more
        rest = [message for message in rest if message.id < paged[-1].id] if paged else []
    assert paged == everything
