"""What waits for an inactive client: ``stanzas/client_state.py``."""

import pytest
from lxml import etree

from stanzas import carbons, ns, passing
from stanzas.client_state import can_wait

STATE = f"<composing xmlns='{ns.CHAT_STATES}'/>"
HINT = f"<no-store xmlns='{ns.HINTS}'/>"


def copied(inside: str) -> bytes:
    """A copy as a session writes it."""
    said = etree.fromstring(f"<message xmlns='{ns.CLIENT}' type='chat'>{inside}</message>")
    forwarded = f"<message xmlns='{ns.CLIENT}' to='b@d'{passing.rest(said, 'a@d/1')}"
    return carbons.copy("sent", forwarded, account="a@d", to="a@d/2", xmlns="", of="chat").encode()


@pytest.mark.parametrize(
    ("stanza", "key"),
    [
        (b"<presence to='a@d' from='b@d/1'/>", ("presence", b"b@d/1")),
        (b"<presence to='a@d' from='b@d/1' type='unavailable'/>", ("presence", b"b@d/1")),
        (b"<presence to='a@d' from='b@d' type='subscribe'/>", None),
        (f"<message from='b@d' type='chat'>{STATE}</message>".encode(), ("typing", b"b@d")),
        (f"<message from='b@d' type='chat'><body>x</body>{STATE}</message>".encode(), None),
        (copied(STATE), ("typed", b"b@d")),
        (copied(STATE + HINT), ("typed", b"b@d")),
        (copied(f"<body>x</body>{STATE}"), None),
        (copied(f"<displayed xmlns='{ns.MARKERS}' id='1'/>"), None),
    ],
)
def test_presence_and_typing_wait(stanza: bytes, key: tuple[str, bytes] | None) -> None:
    """The newest of each, also of what is typed on another device; nothing else."""
    assert can_wait(stanza) == key
