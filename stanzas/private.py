"""Private XML storage (XEP-0049)."""

from server.errors import ChatError
from stanzas import ns
from stanzas.xml import Element, serialise

PROTOCOL = ("XEP-0049", "1.2", "complete")

QUERY = f"{{{ns.PRIVATE}}}query"
_RESERVED = ("jabber:client", "jabber:server", "vcard-temp")


def read(query: Element) -> tuple[str, str]:
    """Name and XML of the one element that is asked for or kept."""
    if len(query) != 1:
        raise ChatError("bad-field", "one element in a query")
    name: str = query[0].tag
    namespace = name[1:].partition("}")[0] if name.startswith("{") else ""
    if (
        not namespace
        or namespace in _RESERVED
        or namespace.startswith(("jabber:iq:", "http://etherx.jabber.org/"))
    ):
        raise ChatError("bad-field", "not a namespace to keep things in", xmpp="not-acceptable")
    return name, serialise(query[0])


def answer(xml: str) -> str:
    return f"<query xmlns='{ns.PRIVATE}'>{xml}</query>"
