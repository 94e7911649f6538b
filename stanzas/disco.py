"""Service discovery (XEP-0030) of the server and of one's own account."""

from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0030", "2.5", "partial: server and own account, no nodes")

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
_ACCOUNT = (ns.DISCO_INFO, ns.ARCHIVE, f"{ns.ARCHIVE}#extended", ns.IDS)


def server_info() -> str:
    return _info("<identity category='server' type='im' name='Tandem'/>", _SERVER)


def account_info() -> str:
    return _info("<identity category='account' type='registered'/>", _ACCOUNT)


def items() -> str:
    """No items so far: rooms and upload slots come with their services."""
    return f"<query xmlns='{ns.DISCO_ITEMS}'/>"


def has_node(query: Element) -> bool:
    """Whether a node is asked for; there are none."""
    return bool(query.get("node"))


def _info(identity: str, features: tuple[str, ...]) -> str:
    listed = "".join(f"<feature var='{attribute(feature)}'/>" for feature in features)
    return f"<query xmlns='{ns.DISCO_INFO}'>{identity}{listed}</query>"
