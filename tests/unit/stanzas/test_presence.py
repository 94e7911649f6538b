"""What a presence shows to those who are not on XMPP: ``stanzas/presence.py``."""

import pytest
from lxml import etree

from stanzas import ns, presence

SHOWN = {
    "": ("online", ""),
    "<show>chat</show>": ("online", ""),
    "<show>away</show>": ("away", ""),
    "<show> xa </show>": ("away", ""),
    "<show>dnd</show><status>thesis</status>": ("dnd", "thesis"),
    "<show>offline</show>": ("online", ""),
    "<status>one</status><status xml:lang='de'>eins</status>": ("online", "one"),
    "<status/>": ("online", ""),
    "<status>0123456789x</status>": ("online", "0123456789"),
    "<show xmlns='other'>dnd</show>": ("online", ""),
}


@pytest.mark.parametrize("inside", SHOWN)
def test_show_and_status_become_state_and_memo(inside: str) -> None:
    """What is not known counts as being there."""
    stanza = etree.fromstring(f"<presence xmlns='{ns.CLIENT}'>{inside}</presence>")
    assert presence.shown(stanza, 10) == SHOWN[inside]
