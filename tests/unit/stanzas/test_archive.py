"""The archive query and its answers: ``stanzas/archive.py``."""

import pytest
from lxml import etree

from server.errors import ChatError
from stanzas import archive, ns, rsm
from stanzas.xml import Element

NOON = 1_767_355_200_000


def query(fields: str = "", page: str = "", queryid: str = "") -> Element:
    form = f"<x xmlns='{ns.FORMS}' type='submit'>{fields}</x>" if fields else ""
    asked = f" queryid='{queryid}'" if queryid else ""
    return etree.fromstring(f"<query xmlns='{ns.ARCHIVE}'{asked}>{form}{page}</query>")


def field(name: str, *values: str) -> str:
    return f"<field var='{name}'>{''.join(f'<value>{each}</value>' for each in values)}</field>"


FORM_TYPE = field("FORM_TYPE", ns.ARCHIVE)


def test_read_of_a_bare_query_asks_for_everything() -> None:
    """The first page of the usual size, with everybody, of all times."""
    page = rsm.PageWanted(archive.DEFAULT_PAGE, None, None, last=False)
    assert archive.read(query()) == archive.ArchiveQuery("", "", None, None, page)
    assert archive.read(query(FORM_TYPE)) == archive.ArchiveQuery("", "", None, None, page)


def test_read_of_all_fields_gives_them() -> None:
    """In any order, with the page beside the form."""
    fields = (
        field("end", "2026-01-02T12:00:00.500Z")
        + field("with", "bob@example.org/pad")
        + FORM_TYPE
        + field("start", "2026-01-02T14:00:00+02:00")
    )
    page = f"<set xmlns='{ns.RSM}'><max>3</max><after>9</after></set>"
    found = archive.read(query(fields, page, "q'1".replace("'", "&apos;")))
    assert found.queryid == "q'1"
    assert found.with_jid == "bob@example.org/pad"
    assert (found.start_ms, found.end_ms) == (NOON, NOON + 500)
    assert found.page == rsm.PageWanted(3, 9, None, last=False)


def test_read_of_ids_bounds_and_names_entries() -> None:
    """All values of ``ids``; what is no id of ours cannot be there."""
    ids = "<field var='ids'><value>7</value><value>9</value></field>"
    found = archive.read(query(ids + field("after-id", "3") + field("before-id", "12")))
    assert (found.ids, found.after_id, found.before_id) == ([7, 9], 3, 12)
    for name in ("ids", "after-id", "before-id"):
        with pytest.raises(ChatError, match="no such entry"):
            archive.read(query(field(name, "x")))


@pytest.mark.parametrize(
    "empty", [field("with"), field("with", ""), field("start"), field("end", "")]
)
def test_read_of_empty_field_is_as_if_it_were_not_there(empty: str) -> None:
    """A form may be submitted with fields that nobody filled in."""
    assert archive.read(query(FORM_TYPE + empty)) == archive.read(query())


@pytest.mark.parametrize(
    "wrong",
    [
        field("nmae", "x"),
        field("before-ids", "7"),
        field("", "x"),
        "<field><value>x</value></field>",
        field("FORM_TYPE", "urn:xmpp:mam:1"),
        field("FORM_TYPE"),
        field("start", "yesterday"),
        field("start", "2026-01-02"),
        field("end", "2026-01-02T12:00:00"),
        field("end", "2026-02-30T12:00:00Z"),
    ],
)
def test_read_of_wrong_field_is_refused(wrong: str) -> None:
    """Unknown fields (XEP-0313 section 4.1.4), other forms, times without zone or sense."""
    with pytest.raises(ChatError) as refused:
        archive.read(query(wrong))
    assert refused.value.slug == "bad-field"


def test_unknown_field_is_not_implemented() -> None:
    """XEP-0313 section 4.1.5 names the condition."""
    with pytest.raises(ChatError) as refused:
        archive.read(query(field("include-groupchat", "true")))
    assert refused.value.condition.xmpp == "feature-not-implemented"
    assert refused.value.condition.xmpp_type == "cancel"


@pytest.mark.parametrize(
    ("default", "is_right"),
    [("always", True), ("never", True), ("roster", True), ("", False), ("maybe", False)],
)
def test_preferences_are_checked(default: str, is_right: bool) -> None:
    """XEP-0441 knows three."""
    wanted = etree.fromstring(f"<prefs xmlns='{ns.ARCHIVE}' default='{default}'/>")
    if is_right:
        archive.check_preferences(wanted)
        return
    with pytest.raises(ChatError, match="default must be"):
        archive.check_preferences(wanted)


def test_fields_of_another_namespace_are_not_read() -> None:
    """Only data forms count."""
    other = f"<x xmlns='urn:other'>{field('nmae', 'x')}</x>"
    assert archive.read(query(page=other)) == archive.read(query())


def test_form_names_exactly_the_fields_that_are_read() -> None:
    """Each of them can be submitted."""
    found = etree.fromstring(archive.form())
    names = {each.get("var"): each.get("type") for each in found.iter(f"{{{ns.FORMS}}}field")}
    assert names == {
        "FORM_TYPE": "hidden",
        "with": "jid-single",
        "start": "text-single",
        "end": "text-single",
        "after-id": "text-single",
        "before-id": "text-single",
        "ids": "list-multi",
    }
    assert found.findtext(f".//{{{ns.FORMS}}}value") == ns.ARCHIVE


@pytest.mark.parametrize("xmlns", ["", f" xmlns='{ns.CLIENT}'"])
def test_entry_has_the_stanza_its_time_and_the_query(xmlns: str) -> None:
    """Marks in what the client chose are escaped."""
    mark = "q<'\"&>"
    text = archive.entry(
        f"<message xmlns='{ns.CLIENT}'><body>&lt;</body></message>",
        to=f"a@b/{mark}",
        queryid=mark,
        message_id=7,
        ts=NOON,
        domain="example.org",
        xmlns=xmlns,
    )
    found = etree.fromstring(text)
    result = found.find(f"{{{ns.ARCHIVE}}}result")
    assert (found.get("to"), dict(result.attrib)) == (f"a@b/{mark}", {"queryid": mark, "id": "7"})
    delay, stanza = result.find(f"{{{ns.FORWARD}}}forwarded")
    assert delay.get("stamp") == "2026-01-02T12:00:00.000Z"
    assert stanza.findtext(f"{{{ns.CLIENT}}}body") == "<"


def test_entry_without_queryid_has_no_such_attribute() -> None:
    """An empty one was not asked for."""
    text = archive.entry(
        "<m/>", to="a@b/c", queryid="", message_id=7, ts=NOON, domain="d", xmlns=""
    )
    assert "queryid" not in text


def test_fin_says_whether_this_was_all() -> None:
    """``complete`` stands only on the last page."""
    page = rsm.answer(1, 2, 0, 2)
    whole, part = (etree.fromstring(archive.fin(done, page)) for done in (True, False))
    assert (whole.get("complete"), part.get("complete")) == ("true", None)
    assert whole[0].tag == f"{{{ns.RSM}}}set"
