"""What we write, read by slixmpp's stanza classes; what they write, read by us.

slixmpp is the second opinion on every element: its interfaces have to give back what went in.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from slixmpp import JID, ClientXMPP
from slixmpp.plugins.xep_0045 import stanza as muc
from slixmpp.plugins.xep_0191.stanza import BlockItem
from slixmpp.plugins.xep_0198 import stanza as sm
from slixmpp.plugins.xep_0352.stanza import Active, Inactive
from slixmpp.stanza import Iq, Message, Presence, StreamError, StreamFeatures

from server import model
from server.errors import CONDITIONS, ChatError
from stanzas import (
    archive,
    blocking,
    carbons,
    client_state,
    delay,
    disco,
    messages,
    moderation,
    ns,
    occupants,
    passing,
    ping,
    presence,
    replies,
    room_admin,
    rooms,
    roster,
    rsm,
    stream,
    stream_management,
    time,
    version,
)
from stanzas.replies import Origin
from stanzas.xml import Bounds, Element, parse_document

PLUGINS = (
    *("xep_0004", "xep_0030", "xep_0045", "xep_0059", "xep_0066", "xep_0085", "xep_0092"),
    *("xep_0184", "xep_0191", "xep_0198", "xep_0199", "xep_0202", "xep_0203", "xep_0249"),
    *("xep_0280", "xep_0297", "xep_0308", "xep_0313", "xep_0333", "xep_0334", "xep_0335"),
    *("xep_0352", "xep_0359", "xep_0421", "xep_0424", "xep_0425", "xep_0428", "xep_0444"),
    "xep_0461",
)
NOON_MS = 1_767_355_200_678
NOON = datetime(2026, 1, 2, 12, 0, 0, 678_000, UTC)
CLIENT = f" xmlns='{ns.CLIENT}'"
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
ROOM = "10004@conference.example.org"
MARK = "a<'\"&>ü 🌹"
"""Everything that has to be escaped somewhere."""
ASKED = Origin("iq", "q1", "example.org")
GROUP = model.Group(
    10004, MARK, 7, {7: model.Member(7, "owner", 0, 0)}, memo="plans", announcement="today"
)


@pytest.fixture(scope="module", autouse=True)
def stanza_plugins() -> Iterator[None]:
    """slixmpp hangs its elements into each other when a client has the plugins."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = ClientXMPP(ROMEO, "")
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def dig(stanza: Any, path: str) -> Any:
    for name in path.split("/"):
        stanza = stanza[name]
    return stanza


def parsed(kind: type, xml: str) -> Any:
    return kind(xml=ElementTree.fromstring(xml))  # noqa: S314 -- as slixmpp's parser gives it


def ours(stanza: Any) -> Element:
    """What slixmpp wrote, as it comes out of our parser."""
    return parse_document(str(stanza).encode(), Bounds(65536, 64))


def message(**fields: Any) -> model.Message:
    return model.Message(**{"id": 41, "cmd": 10, "userid": 7, "dstid": 8, "ts": NOON_MS, **fields})


def chat(of: model.Message, xml: str = "", **more: str) -> str:
    return messages.from_message(
        of, sender=ROMEO, recipient=JULIET, archive=JULIET, xml=xml, xmlns=CLIENT, **more
    )


def in_room(of: model.Message, xml: str = "", *, is_delayed: bool = False) -> str:
    rest = rooms.message(of, room=ROOM, gid=10004, nick="Romeo", xml=xml, is_delayed=is_delayed)
    return f"<message{CLIENT} to='{JULIET}'{rest}"


def result(inside: str) -> str:
    return replies.result(ASKED, JULIET, CLIENT, inside)


def hint(of: model.Message) -> str:
    found = messages.from_hint(of, sender=ROMEO, name="m1", xmlns=CLIENT)
    assert found is not None
    return found


ENTRY = archive.entry(
    chat(message(content=MARK, cid="m1")),
    to=JULIET,
    queryid="q'1",
    message_id=41,
    ts=NOON_MS,
    domain="example.org",
    xmlns=CLIENT,
    sender=ROOM,
)
OCCUPANT = occupants.write(10004, 7)
PLACE = rooms.Place("admin", jid=f"{ROMEO}/pda", nick="Romeo 2")
PRESENCE = f"<presence{CLIENT} to='{JULIET}'"

OURS: dict[str, tuple[type, str, dict[str, Any]]] = {
    "chat": (
        Message,
        chat(message(content=MARK, cid=MARK), delayed_by="example.org"),
        {
            "from": JID(ROMEO),
            "to": JID(JULIET),
            "type": "chat",
            "id": MARK,
            "body": MARK,
            "stanza_id/id": "41",
            "stanza_id/by": JULIET,
            "origin_id/id": MARK,
            "delay/from": JID("example.org"),
            "delay/stamp": NOON,
            "request_receipt": True,
        },
    ),
    "file": (
        Message,
        chat(message(media=10, url="https://example.org/?a=1&b=2", memo=MARK, amount=3)),
        {
            "body": "https://example.org/?a=1&b=2",
            "oob/url": "https://example.org/?a=1&b=2",
            "oob/desc": MARK,
            "json/value": {"media": 10, "amount": 3},
        },
    ),
    "reply": (
        Message,
        chat(message(content="yes", ref=40), model.Names("", "m0").xml()),
        {"body": "yes", "reply/id": "m0"},
    ),
    "correction": (
        Message,
        chat(message(cmd=15, content=MARK), model.Names("", MARK).xml()),
        {"body": MARK, "replace/id": MARK},
    ),
    "reactions": (
        Message,
        chat(message(cmd=16, content="🌹 👍"), model.Names("", "m0").xml()),
        {"reactions/id": "m0", "reactions/values": {"🌹", "👍"}},
    ),
    "retraction": (
        Message,
        chat(message(cmd=14), model.Names("", MARK).xml()),
        {"retract/id": MARK, "fallback/for": ns.RETRACT},
    ),
    "retracted": (
        Message,
        chat(message(recalled=True)),
        {"retracted/stamp": delay.stamp(NOON_MS), "body": ""},
    ),
    "receipt": (Message, hint(message(cmd=12, state="delivered")), {"receipt": "m1"}),
    "marker": (Message, hint(message(cmd=12, state="read")), {"displayed/id": "m1"}),
    "composing": (Message, hint(message(cmd=13, state="composing")), {"chat_state": "composing"}),
    "paused": (Message, hint(message(cmd=13, state="paused")), {"chat_state": "paused"}),
    "carbon": (
        Message,
        carbons.sent(chat(message(content=MARK)), ROMEO, CLIENT),
        {"from": JID(ROMEO), "carbon_sent/body": MARK, "carbon_sent/to": JID(JULIET)},
    ),
    "archive entry": (
        Message,
        ENTRY,
        {
            "from": JID(ROOM),
            "mam_result/id": "41",
            "mam_result/queryid": "q'1",
            "mam_result/forwarded/delay/stamp": NOON,
            "mam_result/forwarded/stanza/body": MARK,
            "mam_result/forwarded/stanza/from": JID(ROMEO),
            "mam_result/forwarded/stanza/origin_id/id": "m1",
        },
    ),
    "archive end": (
        Iq,
        result(archive.fin(True, rsm.answer(41, 43, 5, 99))),
        {
            "id": "q1",
            "mam_fin/complete": "true",
            "mam_fin/rsm/first": "41",
            "mam_fin/rsm/first_index": "5",
            "mam_fin/rsm/last": "43",
            "mam_fin/rsm/count": "99",
        },
    ),
    "archive page in the middle": (
        Iq,
        result(archive.fin(False, rsm.answer(41, 43, None, None))),
        {"mam_fin/complete": "", "mam_fin/rsm/first_index": "", "mam_fin/rsm/count": ""},
    ),
    "archive metadata": (
        Iq,
        result(archive.metadata(((41, NOON_MS), (43, NOON_MS + 1000)))),
        {
            "mam_metadata/start/id": "41",
            "mam_metadata/start/timestamp": NOON,
            "mam_metadata/end/id": "43",
            "mam_metadata/end/timestamp": NOON.replace(second=1),
        },
    ),
    "ping of ours": (
        Iq,
        ping.request("p1", "example.org", f"{JULIET}/pda", CLIENT),
        {"type": "get", "id": "p1", "from": JID("example.org"), "to": JID(f"{JULIET}/pda")},
    ),
    "version": (
        Iq,
        result(version.answer("1.0<&")),
        {"software_version/name": "Tandem", "software_version/version": "1.0<&"},
    ),
    "roster": (
        Iq,
        result(
            roster.answer(
                [
                    roster.item(ROMEO, MARK, ["Friends", MARK], "to", asks=False),
                    roster.item("nurse@example.org", "", [], "none", asks=True),
                ],
                "v7",
            )
        ),
        {
            "roster/ver": "v7",
            "roster/items": {
                JID(ROMEO): {
                    "name": MARK,
                    "subscription": "to",
                    "ask": "",
                    "approved": "",
                    "groups": ["Friends", MARK],
                },
                JID("nurse@example.org"): {
                    "name": "",
                    "subscription": "none",
                    "ask": "subscribe",
                    "approved": "",
                    "groups": [],
                },
            },
        },
    ),
    "items": (
        Iq,
        result(disco.items([(ROOM, MARK)])),
        {"disco_items/items": {(ROOM, None, MARK)}},
    ),
    "presence of JSON": (
        Presence,
        PRESENCE + presence.of_state(f"{ROMEO}/web", "away", MARK),
        {"from": JID(f"{ROMEO}/web"), "type": "away", "show": "away", "status": MARK},
    ),
    "presence that ends": (
        Presence,
        PRESENCE + presence.of_state(f"{ROMEO}/web", "offline", ""),
        {"type": "unavailable"},
    ),
    "occupant": (
        Presence,
        PRESENCE
        + rooms.presence(f"{ROOM}/Romeo", OCCUPANT, rooms.item(PLACE, "Nurse", MARK), (110, 303)),
        {
            "from": JID(f"{ROOM}/Romeo"),
            "type": "available",
            "muc/affiliation": "admin",
            "muc/role": "moderator",
            "muc/jid": JID(f"{ROMEO}/pda"),
            "muc/item_nick": "Romeo 2",
            "muc/item/reason": MARK,
            "muc/item/actor/nick": "Nurse",
            "muc/status_codes": {110, 303},
            "muc/room": ROOM,
            "muc/nick": "Romeo",
            "occupant-id/id": OCCUPANT.partition("id='")[2][:32],
        },
    ),
    "room that is destroyed": (
        Presence,
        PRESENCE + rooms.presence(f"{ROOM}/R", "", rooms.destroyed(ROOM, MARK), is_here=False),
        {"type": "unavailable", "muc/destroy/jid": ROOM, "muc/destroy/reason": MARK},
    ),
    "groupchat": (
        Message,
        in_room(message(cmd=11, content=MARK, cid="m1", ref=40), is_delayed=True),
        {
            "type": "groupchat",
            "from": JID(f"{ROOM}/Romeo"),
            "mucroom": ROOM,
            "mucnick": "Romeo",
            "id": "m1",
            "body": MARK,
            "reply/id": "40",
            "stanza_id/id": "41",
            "stanza_id/by": ROOM,
            "origin_id/id": "m1",
            "delay/from": JID(ROOM),
            "delay/stamp": NOON,
            "occupant-id/id": OCCUPANT.partition("id='")[2][:32],
        },
    ),
    "moderation": (
        Message,
        in_room(message(cmd=14, ref=40), model.Names("", "40", "", "8").xml()),
        {
            "type": "groupchat",
            "from": JID(ROOM),
            "retract/id": "40",
            "retract/moderated/by": JID(f"{ROOM}/Romeo"),
            "retract/moderated/occupant-id/id": OCCUPANT.partition("id='")[2][:32],
        },
    ),
    "subject": (
        Message,
        f"<message{CLIENT} to='{JULIET}'{rooms.subject(MARK, ROOM)}",
        {"type": "groupchat", "subject": MARK, "body": ""},
    ),
    "status of a room": (
        Message,
        f"<message{CLIENT} to='{JULIET}'{rooms.status(ROOM, 104)}",
        {"muc/status_codes": {104}},
    ),
    "typing in a room": (
        Message,
        f"<message{CLIENT} to='{JULIET}'{rooms.typing('composing', f'{ROOM}/Romeo')}",
        {"type": "groupchat", "chat_state": "composing"},
    ),
    "marker in a room": (
        Message,
        f"<message{CLIENT} to='{JULIET}'{rooms.displayed('40', f'{ROOM}/Romeo')}",
        {"type": "groupchat", "displayed/id": "40"},
    ),
    "invitation": (
        Message,
        f"<message{CLIENT} to='{JULIET}'" + rooms.invitation(ROOM, ROMEO, MARK, is_declined=False),
        {
            "muc/invite/from": JID(ROMEO),
            "muc/invite/reason": MARK,
            "groupchat_invite/jid": ROOM,
            "groupchat_invite/reason": MARK,
        },
    ),
    "invitation that is declined": (
        Message,
        f"<message{CLIENT} to='{JULIET}'" + rooms.invitation(ROOM, ROMEO, MARK, is_declined=True),
        {"muc/decline/from": JID(ROMEO), "muc/decline/reason": MARK},
    ),
    "list of a room": (
        Iq,
        result(room_admin.answer([room_admin.Item("owner", "moderator", ROMEO, "Romeo", MARK)])),
        {
            "mucadmin_query/item/affiliation": "owner",
            "mucadmin_query/item/role": "moderator",
            "mucadmin_query/item/jid": ROMEO,
            "mucadmin_query/item/nick": "Romeo",
            "mucadmin_query/item/reason": MARK,
        },
    ),
    "stream error": (
        StreamError,
        f"<stream:error xmlns:stream='{ns.STREAMS}'><conflict xmlns='{ns.STREAM_ERRORS}'/>"
        f"<text xmlns='{ns.STREAM_ERRORS}'>why</text></stream:error>",
        {"condition": "conflict", "text": "why"},
    ),
    "management enabled": (
        sm.Enabled,
        stream_management.enabled("n1", 300),
        {"id": "n1", "max": "300", "resume": True},
    ),
    "management enabled without resumption": (
        sm.Enabled,
        stream_management.enabled("", 300),
        {"id": "", "resume": False},
    ),
    "management resumed": (
        sm.Resumed,
        stream_management.resumed("n1", 2**32 - 1),
        {"previd": "n1", "h": 2**32 - 1},
    ),
    "management failed": (
        sm.Failed,
        stream_management.failed("item-not-found", 5),
        {},
    ),
    "management ack": (sm.Ack, stream_management.answer(7), {"h": 7}),
}


@pytest.mark.parametrize("name", OURS)
def test_slixmpp_reads_what_we_write(name: str) -> None:
    """Each interface gives back what went in."""
    kind, xml, wanted = OURS[name]
    found = parsed(kind, xml)
    assert found.xml.tag == kind.tag_name()
    assert {path: dig(found, path) for path in wanted} == wanted


def test_slixmpp_reads_lists_of_the_blocked() -> None:
    """The list, and both pushes; an unblock of all has no items."""
    for name, jids in (("blocklist", [ROMEO, MARK]), ("block", [ROMEO]), ("unblock", [])):
        items = parsed(Iq, result(blocking.listing(name, jids)))[name]["items"]
        assert [item["jid"] for item in items] == jids


@pytest.mark.parametrize(
    "info",
    [
        disco.server_info(),
        disco.account_info(),
        disco.rooms_info(),
        disco.room_info(MARK, ("muc_moderated",), room_admin.information(GROUP)),
    ],
)
def test_slixmpp_reads_what_is_discovered(info: str) -> None:
    """One identity, no feature twice, and of a room its form."""
    found = parsed(Iq, result(info))["disco_info"]
    [(category, kind, _, name)] = found.get_identities()
    features = found.get_features(dedupe=False)
    assert (category, kind, name) in {
        ("server", "im", "Tandem"),
        ("account", "registered", None),
        ("conference", "text", "Rooms"),
        ("conference", "text", MARK),
    }
    assert ns.DISCO_INFO in features and len(features) == len(set(features))
    if name == MARK:
        assert "muc_moderated" in features
        assert found["form"].get_values() == {
            "FORM_TYPE": ["http://jabber.org/protocol/muc#roominfo"],
            "muc#roominfo_description": "plans",
            "muc#roominfo_subject": "today",
            "muc#roominfo_occupants": "1",
            "muc#roomconfig_roomname": MARK,
        }


def test_slixmpp_reads_the_time() -> None:
    """As text: its getters add a second Z, and know no zone without a date."""
    found = parsed(Iq, result(time.answer(NOON_MS)))["entity_time"]
    told = [found._get_sub_text(name) for name in ("utc", "tzo")]
    assert told == [delay.stamp(NOON_MS), "+00:00"]


@pytest.mark.parametrize("slug", CONDITIONS)
def test_slixmpp_reads_errors(slug: Any) -> None:
    """Type, condition and text of each of ours."""
    problem = ChatError(slug, MARK)
    found = parsed(Iq, replies.error(ASKED, JULIET, CLIENT, problem))
    assert (found["type"], found["id"], found["to"]) == ("error", "q1", JID(JULIET))
    error = found["error"]
    assert error["type"] == problem.condition.xmpp_type
    assert error["text"] == f"{slug}: {MARK}"
    condition = problem.condition.xmpp
    if condition == "policy-violation":  # of RFC 6120; slixmpp knows those of RFC 3920
        assert error.xml.find(f"{{{ns.STANZA_ERRORS}}}{condition}") is not None
    else:
        assert error["condition"] == condition


def opened(**more: Any) -> stream.Stream:
    return stream.Stream("example.org", Bounds(8192, 16), Bounds(65536, 64), **more)


def test_slixmpp_reads_stream_features() -> None:
    """TLS first where it must be, then the mechanisms, then what comes after the login."""
    names = f" xmlns:stream='{ns.STREAMS}'"

    def features(of: stream.Stream) -> Any:
        return parsed(StreamFeatures, of.features().replace(">", f"{names}>", 1))

    tls = features(opened(starttls=True))["starttls"]
    assert tls["required"]
    offered = ["SCRAM-SHA-256", "PLAIN"]
    found = features(opened(mechanisms=offered))
    assert dig(found, "features/mechanisms/mechanisms") == offered
    after = opened()
    after.authenticated()
    found = features(after)["features"]
    assert {"bind", "session", "rosterver", "sm", "csi"} <= set(found)


def test_slixmpp_reads_the_configuration_form_and_fills_it_in() -> None:
    """What it submits changes what was changed in it, and nothing else."""
    found = parsed(Iq, result(room_admin.form(GROUP)))["mucowner_query"]["form"]
    values = found.get_values()
    assert values["muc#roomconfig_roomname"] == MARK
    assert (values["muc#roomconfig_moderatedroom"], values["muc#roomconfig_membersonly"]) == (
        False,
        True,
    )
    assert [one["value"] for one in found.get_fields()["muc#roomconfig_historyfor"]["options"]] == [
        "joined",
        "all",
    ]
    found.reply()
    for field in ("roomname", "roomdesc"):
        found.get_fields()[f"muc#roomconfig_{field}"]["value"] = f"new {field}"
    found.get_fields()["muc#roomconfig_moderatedroom"]["value"] = True
    found["type"] = "submit"
    changes = room_admin.configured(ours(found), GROUP)
    assert changes == {"name": "new roomname", "memo": "new roomdesc", "muted_all": True}


# What slixmpp writes.


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
