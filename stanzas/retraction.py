"""Message retraction (XEP-0424): cmd 14."""

from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0424", "0.4.2", "complete")

TAG = f"{{{ns.RETRACT}}}retract"
_READABLE = "This person took a message back, which your client does not support."


def read(element: Element) -> str:
    """The id of the message that is taken back."""
    return element.get("id", "")


def write(name: str) -> str:
    """``name``: the id attribute under which the message is known."""
    return (
        f"<retract xmlns='{ns.RETRACT}' id='{attribute(name)}'/>"
        f"<fallback xmlns='{ns.FALLBACK}' for='{ns.RETRACT}'/>"
        f"<body>{_READABLE}</body><store xmlns='{ns.HINTS}'/>"
    )
