"""Ping (XEP-0199)."""

from stanzas import ns
from stanzas.xml import attribute

PROTOCOL = (
    ("XEP-0199", "2.0.1", "complete"),
    ("XEP-0410", "1.1.0", "complete"),
)


def request(number: str, domain: str, me: str, xmlns: str) -> str:
    """The server's own ping of a client that was silent for long."""
    return (
        f"<iq{xmlns} type='get' id='{attribute(number)}' from='{attribute(domain)}' "
        f"to='{attribute(me)}'><ping xmlns='{ns.PING}'/></iq>"
    )
