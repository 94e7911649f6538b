"""slixmpp's stanza classes as a second opinion on what we write and read."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from slixmpp import ClientXMPP

from server import model
from stanzas import ns, replies
from stanzas.replies import Origin
from stanzas.xml import Bounds, Element, parse_document

PLUGINS = (
    *("xep_0004", "xep_0030", "xep_0045", "xep_0059", "xep_0066", "xep_0085", "xep_0092"),
    *("xep_0184", "xep_0191", "xep_0198", "xep_0199", "xep_0202", "xep_0203", "xep_0249"),
    *("xep_0280", "xep_0297", "xep_0308", "xep_0313", "xep_0333", "xep_0334", "xep_0335"),
    *("xep_0352", "xep_0359", "xep_0421", "xep_0424", "xep_0425", "xep_0428", "xep_0444"),
    "xep_0461",
)
NOON_MS = 1_767_355_200_678
NOON = datetime(2026, 1, 2, 12, 0, 0, 678_000, UTC)
CLIENT = f" xmlns='{ns.CLIENT}'"
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
ROOM = "10004@conference.example.org"
MARK = "a<'\"&>ü 🌹"
"""Everything that has to be escaped somewhere."""
ASKED = Origin("iq", "q1", "example.org")
GROUP = model.Group(
    10004, MARK, 7, {7: model.Member(7, "owner", 0, 0)}, memo="plans", announcement="today"
)


def _load_plugins() -> None:
    """slixmpp hangs its elements into each other, for all clients, when one has the plugins."""
    loop = asyncio.new_event_loop()
    client = ClientXMPP(ROMEO, "")
    client.loop = loop
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    loop.close()


_load_plugins()


def dig(stanza: Any, path: str) -> Any:
    for name in path.split("/"):
        stanza = stanza[name]
    return stanza


def parsed(kind: Any, xml: str) -> Any:
    return kind(xml=ElementTree.fromstring(xml))  # noqa: S314 -- as slixmpp's parser gives it


def ours(stanza: Any) -> Element:
    """What slixmpp wrote, as it comes out of our parser."""
    return parse_document(str(stanza).encode(), Bounds(65536, 64))


def message(**fields: Any) -> model.Message:
    return model.Message(**{"id": 41, "cmd": 10, "userid": 7, "dstid": 8, "ts": NOON_MS, **fields})


def result(inside: str) -> str:
    return replies.result(ASKED, JULIET, CLIENT, inside)


def check(kind: Any, xml: str, wanted: dict[str, Any]) -> None:
    """Each interface, by its path through the elements, gives back what went in."""
    found = parsed(kind, xml)
    assert found.xml.tag == kind.tag_name()
    assert {path: dig(found, path) for path in wanted} == wanted
