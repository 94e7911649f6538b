"""Moderated message retraction (XEP-0425): cmd 14 by an owner or admin of another's message."""

from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0425", "0.3.0", "partial: the reason is not kept")

TAG = f"{{{ns.MODERATE}}}moderate"


def read(element: Element) -> str:
    """The stanza-id of the message."""
    return element.get("id", "")


def write(name: str, by: str, occupant_id: str) -> str:
    """``by``: the moderator in the room."""
    return (
        f"<retract xmlns='{ns.RETRACT}' id='{attribute(name)}'>"
        f"<moderated xmlns='{ns.MODERATE}' by='{attribute(by)}'>{occupant_id}</moderated></retract>"
    )
