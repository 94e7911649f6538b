"""Blocking (XEP-0191): the list of JIDs, and what a client may ask to change in it."""

from collections.abc import Iterable

from server.errors import ChatError
from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0191", "1.3", "partial: bare JIDs of accounts")

BLOCK = f"{{{ns.BLOCKING}}}block"
UNBLOCK = f"{{{ns.BLOCKING}}}unblock"
LIST = f"{{{ns.BLOCKING}}}blocklist"
ITEMS = 100
_ITEM = f"{{{ns.BLOCKING}}}item"


def read(request: Element) -> list[str]:
    """The JIDs of a block or unblock; none means all, for an unblock only."""
    jids = [item.get("jid", "") for item in request.findall(_ITEM)]
    if not all(jids) or (request.tag == BLOCK and not jids) or len(jids) > ITEMS:
        raise ChatError("bad-field", f"1 to {ITEMS} items, each with a jid")
    return jids


def listing(name: str, jids: Iterable[str]) -> str:
    """``name``: ``blocklist``, ``block`` or ``unblock``."""
    items = "".join(f"<item jid='{attribute(jid)}'/>" for jid in jids)
    return f"<{name} xmlns='{ns.BLOCKING}'>{items}</{name}>"
