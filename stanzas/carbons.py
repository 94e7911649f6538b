"""Message carbons (XEP-0280): what one device sends, the account's other devices see.

Received messages need no carbon: every available resource gets them itself.
"""

from stanzas import ns
from stanzas.xml import attribute

PROTOCOL = ("XEP-0280", "1.0", "partial: enable, disable and sent; received go to all resources")

ENABLE = f"{{{ns.CARBONS}}}enable"
DISABLE = f"{{{ns.CARBONS}}}disable"


def sent(stanza: str, account: str, xmlns: str) -> str:
    """A copy of one's own message, for the bare JID ``account``."""
    me = attribute(account)
    return (
        f"<message{xmlns} from='{me}' to='{me}' type='chat'><sent xmlns='{ns.CARBONS}'>"
        f"<forwarded xmlns='{ns.FORWARD}'>{stanza}</forwarded></sent></message>"
    )
