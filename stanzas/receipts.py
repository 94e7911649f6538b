"""Delivery receipts (XEP-0184): cmd 12 with the state ``delivered``."""

from stanzas import ns
from stanzas.xml import attribute

PROTOCOL = ("XEP-0184", "1.4.0", "complete")

RECEIVED = f"{{{ns.RECEIPTS}}}received"
REQUEST = f"<request xmlns='{ns.RECEIPTS}'/>"
"""Asks for a receipt; for messages of JSON clients, which all want to know."""


def write(name: str) -> str:
    """``name``: the id attribute of the message that was received."""
    return f"<received xmlns='{ns.RECEIPTS}' id='{attribute(name)}'/>"
