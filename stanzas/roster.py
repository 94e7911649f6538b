"""The roster (RFC 6121 section 2): items, and what a client may set."""

from collections.abc import Iterable
from typing import NamedTuple

from server.errors import ChatError
from stanzas import ns
from stanzas.xml import Element, attribute, text

PROTOCOL = ("RFC 6121 sections 2 to 4", "2011-03", "complete; without the optional pre-approval")

NAME_CHARS = 64
GROUPS = 100
_ITEM = f"{{{ns.ROSTER}}}item"
_GROUP = f"{{{ns.ROSTER}}}group"


class Wish(NamedTuple):
    """What a roster set asks for; without ``remove``, name and groups are kept."""

    jid: str
    name: str
    groups: tuple[str, ...]
    remove: bool


def read(query: Element) -> Wish:
    """Raises the errors of RFC 6121 section 2.3.3."""
    if len(query) != 1 or query[0].tag != _ITEM or not query[0].get("jid"):
        raise ChatError("bad-field", "a roster set has one item with a jid")
    item = query[0]
    name = item.get("name", "")
    groups = [(group.text or "").strip() for group in item.findall(_GROUP)]
    if len(set(groups)) != len(groups):
        raise ChatError("bad-field", "the same group twice")
    if len(groups) > GROUPS or any(
        not 0 < len(each) <= NAME_CHARS for each in (*groups, name or "-")
    ):
        raise ChatError(
            "too-long", f"names have 1 to {NAME_CHARS} characters", xmpp="not-acceptable"
        )
    return Wish(item.get("jid"), name, tuple(groups), item.get("subscription") == "remove")


def item(jid: str, name: str, groups: Iterable[str], subscription: str, asks: bool) -> str:
    """``asks``: the owner has asked for a subscription and waits."""
    named = f" name='{attribute(name)}'" if name else ""
    asking = " ask='subscribe'" if asks else ""
    inside = "".join(f"<group>{text(group)}</group>" for group in groups)
    return (
        f"<item jid='{attribute(jid)}'{named} subscription='{subscription}'{asking}>{inside}</item>"
    )


def answer(items: Iterable[str], version: str) -> str:
    """The whole roster, or a push of one item."""
    ver = f" ver='{attribute(version)}'" if version else ""
    return f"<query xmlns='{ns.ROSTER}'{ver}>{''.join(items)}</query>"
