"""Direct invitations to rooms (XEP-0249): a 1:1 message, whose text says where to."""

from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0249", "1.2", "complete")

TAG = f"{{{ns.CONFERENCE}}}x"


def read(element: Element) -> str:
    """What clients are shown that do not know invitations: the reason, or the room's JID."""
    reason: str = element.get("reason", "")
    jid: str = element.get("jid", "")
    return f"{reason} ({jid})" if reason and jid else jid


def write(room: str, reason: str) -> str:
    told = f" reason='{attribute(reason)}'" if reason else ""
    return f"<x xmlns='{ns.CONFERENCE}' jid='{attribute(room)}'{told}/>"
