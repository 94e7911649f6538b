"""Which messages are copied to other devices: XEP-0280 section 6.1, whole."""

import pytest
from lxml import etree

from stanzas import carbons, hints, ns

BODY = "<body>x</body>"
RECEIPT = f"<received xmlns='{ns.RECEIPTS}' id='1'/>"
MARKER = f"<displayed xmlns='{ns.MARKERS}' id='1'/>"
TYPING = f"<composing xmlns='{ns.CHAT_STATES}'/>"
DIRECT = f"<x xmlns='{ns.CONFERENCE}' jid='room@conference.localhost'/>"
MEDIATED = f"<x xmlns='{ns.MUC_USER}'><invite from='a@b'/></x>"
OTHER = "<other xmlns='urn:example:other'/>"
PRIVATE = f"<private xmlns='{ns.CARBONS}'/>"
NO_COPY = f"<no-copy xmlns='{ns.HINTS}'/>"


@pytest.mark.parametrize(
    ("kind", "inside", "is_eligible"),
    [
        ("chat", BODY, True),
        ("chat", OTHER, True),
        ("chat", "", True),
        ("normal", BODY, True),
        ("normal", OTHER, False),
        ("normal", "", False),
        *[("normal", each, True) for each in (RECEIPT, MARKER, TYPING, DIRECT, MEDIATED)],
        ("error", BODY, True),
        ("error", MARKER, True),
        ("error", OTHER, False),
        ("headline", BODY, False),
        ("groupchat", BODY, False),
        *[
            (kind, BODY + mark, False)
            for kind in ("chat", "normal", "error")
            for mark in (PRIVATE, NO_COPY, PRIVATE + NO_COPY)
        ],
    ],
)
def test_what_is_copied(kind: str, inside: str, is_eligible: bool) -> None:
    """By type and content; private is stronger than both."""
    stanza = etree.fromstring(f"<message xmlns='{ns.CLIENT}' type='{kind}'>{inside}</message>")
    assert carbons.is_eligible(stanza, kind) == is_eligible


@pytest.mark.parametrize(
    ("hint", "is_forbidden"),
    [("no-store", True), ("no-permanent-store", True), ("store", False), ("no-copy", False)],
)
def test_what_is_not_kept(hint: str, is_forbidden: bool) -> None:
    """There is no store but the permanent one."""
    stanza = etree.fromstring(f"<message><x/><{hint} xmlns='{ns.HINTS}'/></message>")
    assert hints.forbids_keeping(stanza) == is_forbidden
