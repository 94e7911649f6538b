"""Message carbons (XEP-0280): what one device sends or gets, the account's other devices see."""

from typing import Literal

from stanzas import chat_states, hints, invites, markers, ns, receipts
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0280", "1.0.1", "complete; devices of negative priority get no copies")

ENABLE = f"{{{ns.CARBONS}}}enable"
DISABLE = f"{{{ns.CARBONS}}}disable"

Kind = Literal["sent", "received"]
_PRIVATE = f"{{{ns.CARBONS}}}private"
_BODY = f"{{{ns.CLIENT}}}body"
_PAYLOADS = (markers.DISPLAYED, receipts.RECEIVED, invites.TAG, f"{{{ns.MUC_USER}}}x")


def is_private(stanza: Element) -> bool:
    """Whether no other device is to see it, neither of the sender nor of the recipient."""
    return any(child.tag in (_PRIVATE, hints.NO_COPY) for child in stanza)


def is_eligible(stanza: Element, kind: str) -> bool:
    """Section 6.1; ``kind``: its type. An error is when it quotes what was."""
    if kind in ("groupchat", "headline") or is_private(stanza):
        return False
    return kind == "chat" or any(
        child.tag == _BODY or child.tag in _PAYLOADS or chat_states.read(child.tag)
        for child in stanza
    )


def copy(kind: Kind, forwarded: str, *, account: str, to: str, xmlns: str, of: str) -> str:
    """A copy of ``forwarded``, which is of type ``of``, for the device ``to`` of ``account``."""
    return (
        f"<message{xmlns} from='{attribute(account)}' to='{attribute(to)}' type='{attribute(of)}'>"
        f"<{kind} xmlns='{ns.CARBONS}'><forwarded xmlns='{ns.FORWARD}'>{forwarded}</forwarded>"
        f"</{kind}></message>"
    )
