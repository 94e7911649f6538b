"""Results and errors: ``stanzas/replies.py``."""

import pytest
from lxml import etree

from server.errors import CONDITIONS, ChatError, Slug
from stanzas import ns, replies
from stanzas.replies import Origin

MARK = "x<'\"&>\n😀"
ME = f"alice@example.org/{MARK}"
WEBSOCKET = f" xmlns='{ns.CLIENT}'"

DEFINED = {
    "bad-request": {"modify"},
    "conflict": {"cancel"},
    "feature-not-implemented": {"cancel", "modify"},
    "forbidden": {"auth"},
    "internal-server-error": {"cancel", "wait"},
    "item-not-found": {"cancel"},
    "not-acceptable": {"modify", "cancel"},
    "not-allowed": {"cancel"},
    "not-authorized": {"auth"},
    "policy-violation": {"modify", "wait"},
    "resource-constraint": {"wait"},
    "service-unavailable": {"cancel", "wait"},
}
"""Conditions of RFC 6120 section 8.3.3 with the types that are sensible for them."""


@pytest.mark.parametrize("slug", CONDITIONS)
@pytest.mark.parametrize("name", ["message", "iq", "presence"])
@pytest.mark.parametrize("xmlns", ["", WEBSOCKET])
def test_error_of_every_slug_is_a_stanza_error(slug: Slug, name: str, xmlns: str) -> None:
    """Well-formed with marks in id, address and detail; the slug stands in the text."""
    text = replies.error(Origin(name, MARK, f"bob@b/{MARK}"), ME, xmlns, ChatError(slug, MARK))
    found = etree.fromstring(text)
    assert etree.QName(found).localname == name
    assert etree.QName(found).namespace == (ns.CLIENT if xmlns else None)
    assert dict(found.attrib) == {"type": "error", "id": MARK, "from": f"bob@b/{MARK}", "to": ME}
    (error,) = found
    condition, told, *more = error
    assert [one.tag for one in more] == [f"{{{ns.BLOCKING_ERRORS}}}blocked"] * (slug == "blocked")
    row = CONDITIONS[slug]
    assert condition.tag == f"{{{ns.STANZA_ERRORS}}}{row.xmpp}"
    assert error.get("type") in DEFINED[row.xmpp]
    assert (told.tag, told.text) == (f"{{{ns.STANZA_ERRORS}}}text", f"{slug}: {MARK}")


def test_error_for_who_is_blocked_is_that_for_who_is_away() -> None:
    """To the letter."""
    asked = Origin("message", "1", "bob@b/balcony")
    blocked = ChatError("not-allowed", "does not take it", xmpp="service-unavailable")
    away = replies.error_of(asked, ME, "", "service-unavailable", "cancel")
    assert replies.error(asked, ME, "", blocked) == away


def test_error_without_detail_has_the_title_of_its_slug() -> None:
    """Nobody gets an empty text."""
    found = etree.fromstring(replies.error(Origin("iq", "1", ""), ME, "", ChatError("taken")))
    assert found[0][1].text == f"taken: {CONDITIONS['taken'].title}"


def test_error_of_condition_alone_has_no_text() -> None:
    """For conditions outside the table."""
    found = etree.fromstring(
        replies.error_of(Origin("iq", "1", ""), ME, "", "jid-malformed", "modify")
    )
    assert [child.tag for child in found[0]] == [f"{{{ns.STANZA_ERRORS}}}jid-malformed"]


def test_result_swaps_addresses_and_holds_what_is_inside() -> None:
    """Absent attributes stay absent."""
    whole = etree.fromstring(replies.result(Origin("iq", MARK, MARK), ME, WEBSOCKET, "<q/>"))
    assert dict(whole.attrib) == {"type": "result", "id": MARK, "from": MARK, "to": ME}
    assert len(whole) == 1
    bare = etree.fromstring(replies.result(Origin("iq", "", ""), ME, ""))
    assert dict(bare.attrib) == {"type": "result", "to": ME}
    assert len(bare) == 0


def test_origin_of_stanza_is_its_name_id_and_addressee() -> None:
    """The namespace is left behind; what is absent is empty."""
    stanza = etree.fromstring(f"<iq{WEBSOCKET} id='1' to='a@b' from='x@y' type='get'/>")
    assert replies.origin(stanza) == Origin("iq", "1", "a@b")
    stanza.set("type", "result")
    assert replies.origin(stanza).is_answer
    assert replies.origin(etree.fromstring("<message/>")) == Origin("message", "", "")
