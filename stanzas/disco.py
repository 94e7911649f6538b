"""Service discovery (XEP-0030) of the server and of accounts."""

from collections.abc import Iterable

from lxml import etree

from stanzas import caps, ns, pubsub
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0030", "2.5.0", "complete for what is served here")

NAME = "https://tandem.invalid/server"
"""Of this software; it need not be an address of anything."""
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
    ns.CAPS,
    ns.PRIVATE,
)
_ROOMS = (ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PING, ns.MUC, ns.CONFERENCE)
_ROOM = (
    *(ns.DISCO_INFO, ns.DISCO_ITEMS, ns.MUC, ns.ARCHIVE, ns.ARCHIVE_EXTENDED, ns.IDS),
    *(ns.OCCUPANT, ns.MODERATE, f"{ns.MUC}#stable_id", f"{ns.MUC}#self-ping-optimization"),
    *("muc_hidden", "muc_membersonly", "muc_nonanonymous", "muc_persistent", "muc_unsecured"),
)
_CONTACT = (ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PUBSUB, *pubsub.FEATURES)
_ACCOUNT = (
    *(ns.ARCHIVE, ns.ARCHIVE_EXTENDED, ns.IDS),
    *(f"{ns.BOOKMARKS}#compat", f"{ns.BOOKMARKS}#compat-pep"),
)
_REGISTERED = (
    "<identity category='account' type='registered'/><identity category='pubsub' type='pep'/>"
)
OWN_NICK, TRAFFIC = "x-roomuser-item", f"{ns.MUC}#traffic"


def server_info(node: str = "") -> str:
    return _info("<identity category='server' type='im' name='Tandem'/>", _SERVER, node=node)


def account_info() -> str:
    return _info(_REGISTERED, (*_CONTACT, *_ACCOUNT))


def contact_info() -> str:
    """Of an account, for others."""
    return _info(_REGISTERED, _CONTACT)


def node_info(node: str, form: str) -> str:
    """Of something published. ``form``: how it is set."""
    identity = "<identity category='pubsub' type='leaf'/>"
    return _info(identity, (ns.DISCO_INFO, ns.PUBSUB), form, node)


def node_items(jid: str, listed: Iterable[tuple[str, str]]) -> str:
    """What an account publishes: nodes and their titles."""
    inside = "".join(
        f"<item jid='{attribute(jid)}' node='{attribute(node)}'"
        + (f" name='{attribute(title)}'/>" if title else "/>")
        for node, title in listed
    )
    return f"<query xmlns='{ns.DISCO_ITEMS}'>{inside}</query>"


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


def own_nick(nick: str) -> str:
    """The name that one has in a room (XEP-0045 section 7.12)."""
    identity = f"<identity category='conference' type='text' name='{attribute(nick)}'/>"
    return f"<query xmlns='{ns.DISCO_INFO}' node='{OWN_NICK}'>{identity}</query>"


def node(query: Element) -> str:
    name: str = query.get("node", "")
    return name


def has_node(query: Element) -> bool:
    """Whether a node is asked for."""
    return bool(query.get("node"))


def _info(identity: str, features: tuple[str, ...], more: str = "", node: str = "") -> str:
    listed = "".join(f"<feature var='{attribute(feature)}'/>" for feature in features)
    named = f" node='{attribute(node)}'" if node else ""
    return f"<query xmlns='{ns.DISCO_INFO}'{named}>{identity}{listed}{more}</query>"


_VERSION = caps.verification(etree.fromstring(server_info()), "sha-1")
SERVER_NODE = f"{NAME}#{_VERSION}"
"""Where :func:`server_info` is found as well, as its capabilities say."""
SERVER_CAPS = caps.element(NAME, _VERSION)
