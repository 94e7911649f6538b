"""What rooms read and write: ``stanzas/rooms.py``, ``room_admin.py``, ``room_forms.py``."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from server.errors import ChatError
from server.model import GROUP, Group, Message
from stanzas import ns, occupants, room_admin, room_forms, rooms
from stanzas.room_admin import Item
from stanzas.room_forms import Field

NOW = 1_760_000_000_000
words = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"))


def element(text: str) -> Any:
    return etree.fromstring(text)


def history(attributes: str) -> rooms.HistoryWanted:
    return rooms.history_wanted(element(f"<x xmlns='{ns.MUC}'><history {attributes}/></x>"), NOW)


def test_history_is_as_much_as_all_bounds_allow() -> None:
    """The later of since and seconds; numbers that are none are not there."""
    assert history("maxstanzas='7' maxchars='0'") == (7, 0, None)
    assert history("seconds='10'").since_ms == NOW - 10_000
    assert history("seconds='10' since='1970-01-01T00:00:00Z'").since_ms == NOW - 10_000
    assert history("seconds='10' since='2999-01-01T00:00:00Z'").since_ms == 32_472_144_000_000
    for odd in ("-1", "x", "1e3", "٣", "9" * 400, " 1", ""):
        assert history(f"maxstanzas='{odd}' seconds='{odd}'") == (None, None, None)
    assert rooms.history_wanted(element(f"<x xmlns='{ns.MUC}'/>"), NOW) == (None, None, None)
    with pytest.raises(ChatError, match="bad-field"):
        history("since='soon'")


@given(words, words, words)
def test_whatever_people_are_called_is_well_formed(nick: str, reason: str, password: str) -> None:
    """And comes out as it went in."""
    place = rooms.Place("admin", jid="a@b", nick=nick)
    inside = rooms.item(place, nick, reason) + rooms.destroyed(nick, reason)
    told = element("<presence" + rooms.presence(f"r@c/{nick}", occupants.write(1, 2), inside, (1,)))
    assert told.get("from") == f"r@c/{nick}"
    item = told.find(".//{*}item")
    assert (item.get("nick") or "") == nick
    assert (item.findtext("{*}reason") or "") == reason
    invited = "<message xmlns='jabber:client'" + rooms.invitation(
        "r@c", nick, reason, is_declined=False
    )
    assert element(invited).find(f".//{{{ns.MUC_USER}}}invite").get("from") == nick
    said = Message(id=1, userid=2, cmd=GROUP, content=reason or "x", cid=nick)
    entry = rooms.message(said, room="r@c", gid=1, nick=nick, xml="", is_delayed=True)
    assert element(f"<message{entry}").findtext("body") == (reason or "x")
    assert element(f"<message{rooms.subject(reason, nick)}").findtext("subject") == reason


@given(st.lists(st.tuples(words, st.lists(words, max_size=3)), max_size=5))
def test_forms_come_out_as_they_went_in(fields: list[tuple[str, list[str]]]) -> None:
    """With several values as lines; of two fields with one name the last."""
    written = room_forms.write(
        "form", "kind", [Field(name, "text-multi", values) for name, values in fields]
    )
    expected = {"FORM_TYPE": "kind"} | {name: "\n".join(values) for name, values in fields}
    assert room_forms.read(element(written)) == expected


def items(inside: str) -> list[Item]:
    return room_admin.items(element(f"<query xmlns='{ns.MUC_ADMIN}'>{inside}</query>"))


def test_items_are_of_a_role_or_an_affiliation() -> None:
    """Nothing else is taken."""
    [one] = items("<item affiliation='admin' jid='a@b'><reason> x </reason></item>")
    assert one == ("admin", "", "a@b", "", "x")
    for bad in (
        *("", "<item/>", "<item role='none' affiliation='none'/>", "<item role='king'/>"),
        *("<item affiliation='visitor'/>", "<item role='' affiliation=''/>"),
        *("<item xmlns='x' role='none'/>", "<x/>"),
    ):
        with pytest.raises(ChatError, match="bad-field"):
            items(bad)
    with pytest.raises(ChatError, match="too-long"):
        items(f"<item role='none'><reason>{'o' * 1001}</reason></item>")


def test_destruction_names_another_room_or_none() -> None:
    """By a JID, and for a reason of some length."""

    def read(inside: str) -> Any:
        return room_admin.destroy(element(f"<query xmlns='{ns.MUC_OWNER}'>{inside}</query>"))

    assert read("") is None and read("<destroy xmlns='x'/>") is None
    assert read("<destroy/>") == ("", "")
    assert read("<destroy jid='A@b'><reason>alas</reason></destroy>") == ("a@b", "alas")
    with pytest.raises(ChatError, match="bad-field"):
        read("<destroy jid='@'/>")
    with pytest.raises(ChatError, match="too-long"):
        read(f"<destroy><reason>{'o' * 1001}</reason></destroy>")


def test_configuration_changes_what_is_other_than_before() -> None:
    """Fields that rooms here do not have are left; what would deceive the owner is refused."""
    group = Group(1, "friends", 1, {}, memo="old")

    def read(fields: dict[str, str]) -> dict[str, Any]:
        written = [Field(name, "text-single", [value]) for name, value in fields.items()]
        form = room_forms.write("submit", room_admin.CONFIGURATION, written)
        return room_admin.configured(element(form), group)

    prefix = "muc#roomconfig_"
    assert read({}) == read({f"{prefix}roomname": "friends", f"{prefix}maxusers": "9"}) == {}
    assert read({f"{prefix}roomname": "", f"{prefix}roomdesc": ""}) == {"memo": ""}
    assert read({f"{prefix}moderatedroom": "true", f"{prefix}historyfor": "all"}) == {
        "muted_all": True,
        "history": "all",
    }
    for name, value in (("moderatedroom", "yes"), ("historyfor", "none")):
        with pytest.raises(ChatError, match="bad-field"):
            read({prefix + name: value})
    assert read({f"{prefix}whois": "anyone", f"{prefix}persistentroom": "0"}) == {}
    with pytest.raises(ChatError) as refused:
        read({f"{prefix}whois": "moderators"})
    assert refused.value.condition[2:] == ("not-acceptable", "modify")
    other = room_forms.write("submit", "other", ())
    with pytest.raises(ChatError, match="bad-field"):
        room_admin.configured(element(other), group)
