"""Result sets (XEP-0059): which page a client wants, and which one it got."""

from typing import NamedTuple

from server.errors import ChatError
from stanzas import ns
from stanzas.xml import Element

PROTOCOL = ("XEP-0059", "1.0", "complete; without pages by index, which are optional")


class PageWanted(NamedTuple):
    """``after`` and ``before`` are message ids; ``last``: the last page was asked for."""

    limit: int
    after: int | None
    before: int | None
    last: bool


def read(query: Element, default_limit: int) -> PageWanted:
    """The ``<set/>`` in a query. Raises ``bad-field``, or ``no-such-message`` for a foreign id.

    To count through a long archive is dear, so there are no pages by index (section 2.7).
    """
    found = query.find(f"{{{ns.RSM}}}set")
    if found is None:
        return PageWanted(default_limit, None, None, last=False)
    if found.find(f"{{{ns.RSM}}}index") is not None:
        raise ChatError("bad-field", "no pages by index", xmpp="feature-not-implemented")
    limit = found.findtext(f"{{{ns.RSM}}}max")
    after, before = found.find(f"{{{ns.RSM}}}after"), found.find(f"{{{ns.RSM}}}before")
    if limit is not None and not (limit.isascii() and limit.isdigit() and len(limit) < 10):
        raise ChatError("bad-field", "max is no number")
    return PageWanted(
        default_limit if limit is None else int(limit),
        _id(after),
        _id(before),
        last=before is not None and not before.text,
    )


def _id(element: Element | None) -> int | None:
    if element is None or not element.text:
        return None
    return entry_id(element.text)


def entry_id(given: str) -> int:
    """Raises ``no-such-message`` for what is none of ours."""
    if not (given.isascii() and given.isdigit() and len(given) <= 16):
        raise ChatError("no-such-message", "there is no such entry")
    return int(given)


def answer(first: int | None, last: int | None, first_index: int | None, total: int | None) -> str:
    """The ``<set/>`` that says which page this is.

    Pages read backward go without an index: slixmpp takes one for the end of its reading.
    """
    page = ""
    if first is not None:
        index = "" if first_index is None else f" index='{first_index}'"
        page = f"<first{index}>{first}</first><last>{last}</last>"
    count = "" if total is None else f"<count>{total}</count>"
    return f"<set xmlns='{ns.RSM}'>{page}{count}</set>"
