"""What we write about rooms, read by slixmpp; and the configuration form, filled in by it."""

from typing import Any

import pytest
from slixmpp import JID
from slixmpp.stanza import Iq, Message, Presence

from server import model
from stanzas import occupants, room_admin, rooms
from tests.support.slix import (
    CLIENT,
    GROUP,
    JULIET,
    MARK,
    NOON,
    ROMEO,
    ROOM,
    check,
    message,
    ours,
    parsed,
    result,
)

OCCUPANT = occupants.write(10004, 7)
PLACE = rooms.Place("admin", jid=f"{ROMEO}/pda", nick="Romeo 2")
PRESENCE = f"<presence{CLIENT} to='{JULIET}'"


def in_room(of: model.Message, xml: str = "", *, is_delayed: bool = False) -> str:
    rest = rooms.message(of, room=ROOM, gid=10004, nick="Romeo", xml=xml, is_delayed=is_delayed)
    return f"<message{CLIENT} to='{JULIET}'{rest}"


OURS: dict[str, tuple[type, str, dict[str, Any]]] = {
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
}


@pytest.mark.parametrize("name", OURS)
def test_slixmpp_reads_what_we_write_about_rooms(name: str) -> None:
    """The same values."""
    check(*OURS[name])


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
