"""Client state indication (XEP-0352): what a client that nobody looks at can wait for."""

import re

from stanzas import ns

PROTOCOL = ("XEP-0352", "1.0.0", "complete")

TAGS = tuple(f"{{{ns.CSI}}}{name}" for name in ("active", "inactive"))
ACTIVE, INACTIVE = TAGS
FEATURE = f"<csi xmlns='{ns.CSI}'/>"

_PRESENCE = re.compile(rb"<presence\b[^>]*>")
_FROM = re.compile(rb" from='([^']*)'")
_TYPE = re.compile(rb" type='([^']*)'")
_STATE = re.compile(rb"<message\b[^>]*><\w+ xmlns='http://jabber.org/protocol/chatstates'/></mess")


_COPIED = re.compile(
    rb"<message\b[^>]*><sent xmlns='urn:xmpp:carbons:2'><forwarded [^>]*>"
    rb"<message\b[^>]* to='([^']*)'[^>]*>"
    rb'(?:<\w+ xmlns="http://jabber.org/protocol/chatstates"/>|<[\w-]+ xmlns="urn:xmpp:hints"/>)+'
    rb"</message></forwarded>"
)


def can_wait(stanza: bytes) -> tuple[str, bytes] | None:
    """What a newer one replaces it by: kind and sender of a presence or of a typing notice, or to
    whom another device of the account types."""
    head = _PRESENCE.search(stanza, 0, 1024)
    if head is not None:
        kind = _TYPE.search(head[0])
        if kind is not None and kind[1] != b"unavailable":
            return None
        name = "presence"
    elif head := _STATE.search(stanza, 0, 1024):
        name = "typing"
    elif head := _COPIED.search(stanza, 0, 2048):
        return "typed", head[1]
    else:
        return None
    sender = _FROM.search(head[0])
    return None if sender is None else (name, sender[1])
