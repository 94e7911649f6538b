"""Small answers are well-formed and say what they should: ping, roster, time, version."""

import pytest
from lxml import etree

from server.errors import ChatError
from stanzas import ns, ping, roster, time, version

MARK = "x<'\"&>\n😀"


@pytest.mark.parametrize("xmlns", ["", f" xmlns='{ns.CLIENT}'"])
def test_ping_of_a_client_is_a_request_with_its_number(xmlns: str) -> None:
    """XEP-0199, with marks in the resource."""
    found = etree.fromstring(ping.request(MARK, "example.org", f"a@b/{MARK}", xmlns))
    assert dict(found.attrib) == {
        "type": "get",
        "id": MARK,
        "from": "example.org",
        "to": f"a@b/{MARK}",
    }
    assert [child.tag for child in found] == [f"{{{ns.PING}}}ping"]


def test_roster_is_a_query_of_items() -> None:
    """Marks in names and groups; the version only for who knows of versions."""
    told = roster.answer([roster.item("a@b", MARK, (MARK,), "to", True)], MARK)
    found = etree.fromstring(told)
    assert (found.tag, dict(found.attrib)) == (f"{{{ns.ROSTER}}}query", {"ver": MARK})
    (item,) = found
    told_of = {"jid": "a@b", "name": MARK, "subscription": "to", "ask": "subscribe"}
    assert dict(item.attrib) == told_of
    assert [group.text for group in item] == [MARK]
    empty = etree.fromstring(roster.answer((), ""))
    assert (len(empty), dict(empty.attrib)) == (0, {})


@pytest.mark.parametrize(
    ("inside", "condition"),
    [
        ("", "bad-request"),
        ("<item/>", "bad-request"),
        ("<item jid='a@b'/><item jid='c@b'/>", "bad-request"),
        ("<item jid='a@b'><group>x</group><group>x</group></item>", "bad-request"),
        ("<item jid='a@b'><group/></item>", "not-acceptable"),
        (f"<item jid='a@b' name='{'x' * 65}'/>", "not-acceptable"),
        (f"<item jid='a@b'><group>{'x' * 65}</group></item>", "not-acceptable"),
    ],
)
def test_roster_set_that_is_wrong_gets_the_rfcs_error(inside: str, condition: str) -> None:
    """RFC 6121 section 2.3.3."""
    with pytest.raises(ChatError) as refused:
        roster.read(etree.fromstring(f"<query xmlns='{ns.ROSTER}'>{inside}</query>"))
    assert refused.value.condition.xmpp == condition


def test_time_is_utc() -> None:
    """XEP-0202: offset and stamp."""
    found = etree.fromstring(time.answer(1_767_323_045_678))
    assert found.findtext(f"{{{ns.TIME}}}tzo") == "+00:00"
    assert found.findtext(f"{{{ns.TIME}}}utc") == "2026-01-02T03:04:05.678Z"


def test_version_names_the_software() -> None:
    """XEP-0092; the operating system is nobody's business."""
    found = etree.fromstring(version.answer("1.0<&"))
    assert [(etree.QName(each).localname, each.text) for each in found] == [
        ("name", "Tandem"),
        ("version", "1.0<&"),
    ]


def test_namespaces_are_each_there_once() -> None:
    """Two names for one namespace would be a slip."""
    values = [value for name, value in vars(ns).items() if name.isupper()]
    assert len(values) == len(set(values))
