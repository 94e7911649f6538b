"""Last message correction (XEP-0308): cmd 15, which is not bound to the last message."""

from stanzas import ns
from stanzas.xml import Element, attribute, text

PROTOCOL = ("XEP-0308", "1.2.1", "complete")

TAG = f"{{{ns.CORRECT}}}replace"


def read(element: Element) -> str:
    """The id of the message that is corrected."""
    return element.get("id", "")


def write(name: str, content: str) -> str:
    """``name``: the id attribute under which the message is known."""
    return f"<body>{text(content)}</body><replace xmlns='{ns.CORRECT}' id='{attribute(name)}'/>"
