"""Service discovery (XEP-0030) of the server and of one's own account."""

from collections.abc import Iterable

from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0030", "2.5.0", "partial: server and own account, no nodes")

_SERVER = (
    ns.DISCO_INFO,
    ns.DISCO_ITEMS,
    ns.PING,
    ns.VERSION,
    ns.TIME,
    ns.CARBONS,
    ns.DELAY,
    ns.OOB,
    ns.BLOCKING,
)
_ROOMS = (ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PING, ns.MUC, ns.CONFERENCE)
_ROOM = (
    *(ns.DISCO_INFO, ns.DISCO_ITEMS, ns.MUC, ns.ARCHIVE, f"{ns.ARCHIVE}#extended", ns.IDS),
    *(ns.OCCUPANT, ns.MODERATE, f"{ns.MUC}#stable_id", f"{ns.MUC}#self-ping-optimization"),
    *("muc_hidden", "muc_membersonly", "muc_nonanonymous", "muc_persistent", "muc_unsecured"),
)
_ACCOUNT = (ns.DISCO_INFO, ns.ARCHIVE, f"{ns.ARCHIVE}#extended", ns.IDS)


def server_info() -> str:
    return _info("<identity category='server' type='im' name='Tandem'/>", _SERVER)


def account_info() -> str:
    return _info("<identity category='account' type='registered'/>", _ACCOUNT)


def items(listed: Iterable[tuple[str, str]] = ()) -> str:
    """``listed``: JIDs and names."""
    inside = "".join(
        f"<item jid='{attribute(jid)}' name='{attribute(name)}'/>" for jid, name in listed
    )
    return f"<query xmlns='{ns.DISCO_ITEMS}'>{inside}</query>"


def rooms_info() -> str:
    """Of the address that the rooms are at."""
    return _info("<identity category='conference' type='text' name='Rooms'/>", _ROOMS)


def room_info(name: str, features: tuple[str, ...], form: str) -> str:
    """``form``: more about the room (XEP-0128)."""
    identity = f"<identity category='conference' type='text' name='{attribute(name)}'/>"
    return _info(identity, (*_ROOM, *features), form)


def has_node(query: Element) -> bool:
    """Whether a node is asked for; there are none."""
    return bool(query.get("node"))


def _info(identity: str, features: tuple[str, ...], more: str = "") -> str:
    listed = "".join(f"<feature var='{attribute(feature)}'/>" for feature in features)
    return f"<query xmlns='{ns.DISCO_INFO}'>{identity}{listed}{more}</query>"
