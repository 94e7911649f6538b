"""What slixmpp writes, read by us."""

from typing import Any

import pytest
from slixmpp import JID
from slixmpp.plugins.xep_0045 import stanza as muc
from slixmpp.plugins.xep_0191.stanza import BlockItem
from slixmpp.plugins.xep_0198 import stanza as sm
from slixmpp.plugins.xep_0352.stanza import Active, Inactive
from slixmpp.stanza import Iq, Message, Presence

from server import model
from stanzas import (
    archive,
    blocking,
    carbons,
    client_state,
    delay,
    messages,
    moderation,
    ns,
    passing,
    presence,
    room_admin,
    rooms,
    roster,
    rsm,
    stream_management,
)
from tests.support.slix import (
    CLIENT,
    JULIET,
    MARK,
    NOON,
    NOON_MS,
    ROMEO,
    ROOM,
    ours,
    parsed,
)


def said(**interfaces: Any) -> messages.Said:
    """What we read in a chat message with these; ``a__b`` is interface ``b`` of element ``a``."""
    stanza = Message()
    stanza["from"], stanza["to"], stanza["type"], stanza["id"] = ROMEO, JULIET, "chat", "m1"
    for path, value in interfaces.items():
        element, _, name = path.rpartition("__")
        (stanza[element] if element else stanza)[name] = value
    found = messages.read(ours(stanza))
    assert found is not None
    return found


def test_text_and_ids_of_slixmpp_are_read() -> None:
    """The body as it is, the origin-id as the cid, the id attribute beside."""
    found = said(body=MARK, origin_id__id=MARK, request_receipt=True)
    assert (found.message.cmd, found.message.content, found.message.cid) == (10, MARK, MARK)
    assert model.Names.of(found.xml).own == "m1"
    assert ns.RECEIPTS in model.Names.of(found.xml).rest


def test_address_of_slixmpp_is_read() -> None:
    """An address that is the body too is no text."""
    found = said(
        body="https://example.org/?a&b", oob__url="https://example.org/?a&b", oob__desc=MARK
    )
    assert found.message.content == ""
    assert (found.message.url, found.message.memo) == ("https://example.org/?a&b", MARK)


def test_acts_of_slixmpp_are_read() -> None:
    """Correction, retraction, reactions and reply, each of the message that it names."""
    found = said(body=MARK, replace__id=MARK)
    assert (found.message.cmd, found.message.content, found.of) == (model.EDIT, MARK, MARK)
    found = said(retract__id=MARK)
    assert (found.message.cmd, found.of) == (model.RECALL, MARK)
    found = said(reactions__id=MARK, reactions__values=["🌹", "👍"])
    assert (found.message.cmd, found.message.content, found.of) == (model.REACTION, "🌹 👍", MARK)
    found = said(body="yes", reply__id=MARK, reply__to=JULIET)
    assert (found.message.cmd, found.message.content, found.of) == (model.SINGLE, "yes", MARK)


def test_hints_of_slixmpp_are_read() -> None:
    """Receipt, marker, and each chat state as one of two."""
    found = said(receipt=MARK)
    assert (found.message.state, found.of) == ("delivered", MARK)
    found = said(displayed__id=MARK)
    assert (found.message.state, found.of) == ("read", MARK)
    states = {state: said(chat_state=state).message.state for state in ("composing", "gone")}
    assert states == {"composing": "composing", "gone": "paused"}


def test_direct_invitation_of_slixmpp_is_read() -> None:
    """Those on JSON see where to and why."""
    found = said(groupchat_invite__jid=ROOM, groupchat_invite__reason=MARK)
    assert found.message.content == f"{MARK} ({ROOM})"


def test_any_stanza_of_slixmpp_is_passed_on() -> None:
    """With what is in it, stamped."""
    stanza = Message()
    stanza["type"], stanza["id"], stanza["lang"], stanza["body"] = "headline", MARK, "de", MARK
    found = parsed(Message, f"<message{CLIENT}" + passing.rest(ours(stanza), f"{ROMEO}/pda"))
    assert found["from"] == JID(f"{ROMEO}/pda")
    wanted = ("headline", MARK, "de", MARK)
    assert (found["type"], found["id"], found["lang"], found["body"]) == wanted


@pytest.mark.parametrize("show", ["", "chat", "away", "xa", "dnd"])
def test_presence_of_slixmpp_is_read(show: str) -> None:
    """Show and status in the words of the common model."""
    stanza = Presence()
    if show:
        stanza["show"] = show
    stanza["status"], stanza["priority"] = MARK, -5
    state = {"xa": "away", "chat": "online", "": "online"}.get(show, show)
    assert presence.shown(ours(stanza), 64) == (state, MARK)


def asks(attribute: str) -> tuple[Iq, Any]:
    """An iq set, and the element in it."""
    iq = Iq()
    iq["type"] = "set"
    return iq, iq[attribute]


def test_archive_query_of_slixmpp_is_read() -> None:
    """Each field of the form, and the page."""
    iq, query = asks("mam")
    query["queryid"], query["with"], query["start"] = "q1", JID(ROMEO), NOON
    query["end"] = NOON.replace(hour=13)
    query["before_id"], query["after_id"], query["ids"] = "43", "41", ["41", "42"]
    query["rsm"]["max"], query["rsm"]["after"] = "10", "41"
    found = archive.read(ours(iq)[0])
    # slixmpp writes no parts of seconds.
    assert found.start_ms is not None and found.start_ms // 1000 == NOON_MS // 1000
    assert found.end_ms is not None and found.end_ms // 1000 == NOON_MS // 1000 + 3600
    assert (found.queryid, found.with_jid) == ("q1", ROMEO)
    assert (found.before_id, found.after_id, found.ids) == (43, 41, [41, 42])
    assert found.page == rsm.PageWanted(10, 41, None, last=False)


def test_pages_of_slixmpp_are_read() -> None:
    """Backward from an entry, and the last page."""
    iq, query = asks("mam")
    query["rsm"]["before"] = "43"
    assert rsm.read(ours(iq)[0], 50) == rsm.PageWanted(50, None, 43, last=False)
    iq, query = asks("mam")
    query["rsm"]["before"] = True
    assert rsm.read(ours(iq)[0], 50) == rsm.PageWanted(50, None, None, last=True)


def test_roster_set_of_slixmpp_is_read() -> None:
    """Name and groups, or the removal."""
    iq, query = asks("roster")
    query["items"] = {ROMEO: {"name": MARK, "groups": ["Friends"], "subscription": "both"}}
    assert roster.read(ours(iq)[0]) == roster.Wish(ROMEO, MARK, ("Friends",), False)
    iq, query = asks("roster")
    query["items"] = {ROMEO: {"subscription": "remove"}}
    assert roster.read(ours(iq)[0]).remove


@pytest.mark.parametrize("name", ["block", "unblock"])
def test_blocking_of_slixmpp_is_read(name: str) -> None:
    """The JIDs."""
    iq, query = asks(name)
    for jid in (ROMEO, MARK):
        item = BlockItem()
        item["jid"] = jid
        query.append(item)
    request = ours(iq)[0]
    assert request.tag == {"block": blocking.BLOCK, "unblock": blocking.UNBLOCK}[name]
    assert blocking.read(request) == [ROMEO, MARK]


def test_carbons_of_slixmpp_are_switched() -> None:
    """By the names in our table."""
    for name, tag in (("enable", carbons.ENABLE), ("disable", carbons.DISABLE)):
        iq, _ = asks(f"carbon_{name}")
        assert ours(iq)[0].tag == tag


def test_joining_of_slixmpp_is_read() -> None:
    """Password, and how much of the past."""
    stanza = Presence()
    join = stanza["muc_join"]
    join["password"] = MARK
    join["history"]["maxstanzas"], join["history"]["maxchars"] = "5", "0"
    join["history"]["since"] = delay.stamp(NOON_MS)
    x = ours(stanza).find(rooms.JOIN)
    assert rooms.password(x) == MARK
    assert rooms.history_wanted(x, NOON_MS) == rooms.HistoryWanted(5, 0, NOON_MS)


def test_invitations_of_slixmpp_are_read() -> None:
    """Mediated, and declined."""
    for name, is_declined in (("invite", False), ("decline", True)):
        stanza = Message()
        stanza["muc"][name]["to"], stanza["muc"][name]["reason"] = ROMEO, MARK
        assert rooms.invitations(ours(stanza)) == [rooms.Invited(ROMEO, MARK, is_declined)]


def test_room_administration_of_slixmpp_is_read() -> None:
    """Changes of roles and affiliations, moderation, the end."""
    iq, query = asks("mucadmin_query")
    for affiliation, role, jid, nick in (("member", "", ROMEO, ""), ("", "none", "", "Romeo")):
        item = muc.MUCAdminItem()
        item["reason"] = MARK
        for field, value in (
            ("affiliation", affiliation),
            ("role", role),
            ("jid", jid),
            ("nick", nick),
        ):
            if value:
                item[field] = value
        query.append(item)
    request = ours(iq)[0]
    assert request.tag == room_admin.ADMIN
    assert room_admin.items(request) == [
        room_admin.Item("member", "", ROMEO, "", MARK),
        room_admin.Item("", "none", "", "Romeo", MARK),
    ]
    iq, query = asks("mucowner_query")
    query["destroy"]["jid"], query["destroy"]["reason"] = ROOM, MARK
    assert room_admin.destroy(ours(iq)[0]) == room_admin.Destroy(ROOM, MARK)
    iq, query = asks("moderate")
    query["id"] = "41"
    query.enable("retract")
    request = ours(iq)[0]
    assert (request.tag, moderation.read(request)) == (moderation.TAG, "41")


def test_stream_management_of_slixmpp_is_read() -> None:
    """Enabling, resuming, counts; and the client's state."""
    enable, resume, ack = sm.Enable(), sm.Resume(), sm.Ack()
    enable["resume"] = True
    resume["previd"], resume["h"] = MARK, 2**32 - 1
    ack["h"] = 7
    written = [ours(one) for one in (enable, resume, sm.RequestAck(), ack)]
    assert tuple(one.tag for one in written) == stream_management.TAGS
    assert written[0].get("resume") in ("true", "1")
    assert (written[1].get("previd"), stream_management.count(written[1].get("h"))) == (
        MARK,
        2**32 - 1,
    )
    assert stream_management.count(written[3].get("h")) == 7
    assert tuple(ours(one).tag for one in (Active(), Inactive())) == client_state.TAGS
