"""Publishing, private XML and bookmarks as XML."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from server.errors import ChatError
from server.pep import NodeConfig
from stanzas import bookmarks, ns, private, pubsub

TUNE = "http://jabber.org/protocol/tune"
PUBSUB = f"<pubsub xmlns='{ns.PUBSUB}'>"
OWNER = f"<pubsub xmlns='{ns.PUBSUB_OWNER}'>"


def form(kind: str, *fields: tuple[str, str], how: str = "submit") -> str:
    inside = "".join(f"<field var='{k}'><value>{v}</value></field>" for k, v in fields)
    named = f"<field var='FORM_TYPE' type='hidden'><value>{kind}</value></field>"
    return f"<x xmlns='{ns.FORMS}' type='{how}'>{named}{inside}</x>"


def read(text: str) -> pubsub.Request:
    return pubsub.read(etree.fromstring(f"{text}</pubsub>"))


def test_publish_is_read_with_its_payload_and_options() -> None:
    """The payload alone, with the namespaces that it needs."""
    options = form(pubsub.OPTIONS, ("pubsub#access_model", "open"), ("pubsub#max_items", "max"))
    request = read(
        f"{PUBSUB}<publish node='{TUNE}'><item id='1'><tune xmlns='{TUNE}'><a/></tune></item>"
        f"</publish><publish-options>{options}</publish-options>"
    )
    assert request[:4] == (
        "publish",
        TUNE,
        ["1"],
        {"access_model": ["open"], "max_items": ["max"]},
    )
    assert request.xml == f'<tune xmlns="{TUNE}"><a/></tune>'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{PUBSUB}", ""),
        (f"{PUBSUB}<publish node='n'/>", "item-required"),
        (f"{PUBSUB}<publish node='n'><item/><item/></publish>", "item-required"),
        (f"{PUBSUB}<publish node='n'><item><a/><b/></item></publish>", "invalid-payload"),
        (f"{PUBSUB}<retract node='n'/>", "item-required"),
        (f"{PUBSUB}<retract node='n'><item/></retract>", "item-required"),
        (f"{PUBSUB}<items node='n' max_items='0'/>", ""),
        (f"{PUBSUB}<items node='n' max_items='\u0663'/>", ""),
        (f"{OWNER}<configure node='n'>{form(pubsub.OPTIONS)}</configure>", ""),
    ],
)
def test_wrong_requests_are_named(text: str, why: str) -> None:
    """By the conditions of XEP-0060."""
    with pytest.raises(ChatError) as refused:
        read(text)
    assert (refused.value.slug, refused.value.pubsub) == ("bad-field", why)


def test_too_many_items_are_refused() -> None:
    """One request names so many."""
    with pytest.raises(ChatError, match="too-long"):
        read(f"{PUBSUB}<items node='n'>{'<item/>' * (pubsub.IDS + 1)}</items>")


def test_configuration_comes_back_as_it_was_written() -> None:
    """What a client is shown and sends back changes nothing."""
    config = NodeConfig(title="<&'>", max_items=0, roster_groups_allowed=["a", "b"])
    shown = pubsub.configuration("configure", "n", msgspec.structs.asdict(config))
    request = pubsub.read(etree.fromstring(shown))
    values: dict[str, Any] = {
        name: texts if name == "roster_groups_allowed" else texts[0]
        for name, texts in (request.options or {}).items()
    }
    assert values.pop("max_items") == "max"
    back = msgspec.convert({**values, "max_items": 0}, NodeConfig, strict=False)
    assert back == config


def test_events_have_their_shapes() -> None:
    """XEP-0163 section 4.3, XEP-0060 sections 7.2.2, 8.4 and 8.5."""
    head = f"<event xmlns='{ns.PUBSUB_EVENT}'>"
    assert pubsub.event("n", "purge") == f"{head}<purge node='n'/></event>"
    assert pubsub.event("n", "delete") == f"{head}<delete node='n'/></event>"
    gone = "<items node='n'><retract id='1'/><retract id='2'/></items>"
    assert pubsub.event("n", "retract", ["1", "2"]) == f"{head}{gone}</event>"
    late = pubsub.event("n", "items", ["1"], "<x/>", 1000, "localhost")
    assert late == (
        f"{head}<items node='n'><item id='1'><x/></item></items></event>"
        f"<delay xmlns='{ns.DELAY}' from='localhost' stamp='1970-01-01T00:00:01.000Z'/>"
    )


@pytest.mark.parametrize(
    "inside",
    ["", "<a xmlns='u'/><b xmlns='u'/>", "<a/>", "<x xmlns='jabber:iq:roster'/>"],
)
def test_private_query_has_one_element_of_a_free_namespace(inside: str) -> None:
    """XEP-0049 section 5."""
    with pytest.raises(ChatError):
        private.read(etree.fromstring(f"<p:query xmlns:p='{ns.PRIVATE}'>{inside}</p:query>"))


def test_private_element_is_known_by_its_name() -> None:
    """Namespace and name."""
    query = f"<query xmlns='{ns.PRIVATE}'><a xmlns='u'>1</a></query>"
    assert private.read(etree.fromstring(query)) == ("{u}a", '<a xmlns="u">1</a>')


_names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=20)


@given(
    st.dictionaries(
        st.from_regex(r"\A[a-z]{1,9}@rooms\.localhost\Z"), st.tuples(_names, _names, st.booleans())
    )
)
def test_bookmarks_are_the_same_by_both_ways(rooms: dict[str, tuple[str, str, bool]]) -> None:
    """What is written back as it was read is no change of any."""
    known = {room: bookmarks.write(*each) for room, each in rooms.items()}
    old = bookmarks.as_old(known.items(), "")
    assert bookmarks.from_old(old, known) == (known, "")
    assert set(bookmarks.from_old(old, {})[0]) == set(known)


def test_what_the_old_form_does_not_have_is_kept() -> None:
    """Extensions of the bookmark, and addresses of pages beside the rooms."""
    more = "<extensions><state xmlns='urn:my'/></extensions>"
    known = {"a@b": f"<conference xmlns='{ns.BOOKMARKS}' name='A'>{more}</conference>"}
    changed = (
        f"<storage xmlns='{ns.OLD_BOOKMARKS}'><conference jid='a@b/x' name='B' autojoin='1'/>"
        "<url url='http://a.example'/></storage>"
    )
    now, rest = bookmarks.from_old(changed, known)
    made = etree.fromstring(now["a@b"])
    assert (made.get("name"), made.get("autojoin")) == ("B", "true")
    assert made.find(f"{{{ns.BOOKMARKS}}}extensions/{{urn:my}}state") is not None
    again = etree.fromstring(bookmarks.as_old(now.items(), rest))
    assert [etree.QName(child).localname for child in again] == ["conference", "url"]


def test_what_is_no_bookmark_is_not_shown_as_one() -> None:
    """Clients may publish anything under that name."""
    assert bookmarks.as_old([("a@b", "<x xmlns='u'/>")], "") == (
        f"<storage xmlns='{ns.OLD_BOOKMARKS}'></storage>"
    )
    for wrong in ("<x xmlns='u'/>", f"<storage xmlns='{ns.OLD_BOOKMARKS}'><conference/></storage>"):
        with pytest.raises(ChatError):
            bookmarks.from_old(wrong, {})
