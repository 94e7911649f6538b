"""What a client that nobody looks at can wait for: ``stanzas/client_state.py``."""

import pytest

from stanzas import pubsub
from stanzas.client_state import can_wait

EVENT = pubsub.event("n", "items", ["1"], "<x/>")


@pytest.mark.parametrize(
    ("stanza", "key"),
    [
        ("<presence to='a' from='b'/>", ("presence", b"b")),
        ("<presence from='b' type='unavailable'/>", ("presence", b"b")),
        ("<presence from='b' type='subscribe'/>", None),
        (
            "<message from='b'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
            ("typing", b"b"),
        ),
        (f"<message from='b' to='a' type='headline' id='7'>{EVENT}</message>", ("event", b"7")),
        (f"<message from='b' type='chat' id='7'>{EVENT}<body>x</body></message>", None),
        ("<message from='b' type='headline' id='7'><body>x</body></message>", None),
        ("<iq from='b' type='result' id='7'/>", None),
    ],
)
def test_what_waits_and_what_takes_its_place(stanza: str, key: tuple[str, bytes] | None) -> None:
    """Presences and typing by their sender; each event by itself; what is kept never waits."""
    assert can_wait(stanza.encode()) == key
