"""Message replies (XEP-0461): ``ref`` of cmd 10 and 11."""

from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0461", "0.2.1", "complete")

TAG = f"{{{ns.REPLY}}}reply"


def read(element: Element) -> str:
    """The id of the message that is answered."""
    return element.get("id", "")


def write(name: str) -> str:
    """``name``: the origin-id of the message, else its id attribute."""
    return f"<reply xmlns='{ns.REPLY}' id='{attribute(name)}'/>"
