"""Who may do what in a room (XEP-0045 sections 9 and 10), and its configuration form."""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, get_args

from server.errors import ChatError
from server.model import Group
from stanzas import jid, ns, room_forms, rooms
from stanzas.room_forms import Field
from stanzas.xml import Element, attribute, text

ADMIN = f"{{{ns.MUC_ADMIN}}}query"
OWNER = f"{{{ns.MUC_OWNER}}}query"
_ITEM = f"{{{ns.MUC_ADMIN}}}item"
_REASON = f"{{{ns.MUC_ADMIN}}}reason"
_DESTROY = f"{{{ns.MUC_OWNER}}}destroy"
_DESTROY_REASON = f"{{{ns.MUC_OWNER}}}reason"
CONFIGURATION = f"{ns.MUC}#roomconfig"
INFORMATION = f"{ns.MUC}#roominfo"

Affiliation = Literal["owner", "admin", "member", "outcast", "none"]
RoomRole = Literal["moderator", "participant", "visitor", "none"]


class Item(NamedTuple):
    """One line of a list or change; what is absent is empty."""

    affiliation: str
    role: str
    jid: str
    nick: str
    reason: str = ""


class Destroy(NamedTuple):
    """``instead``: another room's JID."""

    instead: str
    reason: str


def items(query: Element) -> list[Item]:
    """Raises ``bad-field``, ``too-long``."""
    found = [
        Item(
            item.get("affiliation", ""),
            item.get("role", ""),
            item.get("jid", ""),
            item.get("nick", ""),
            rooms.reason(item, _REASON),
        )
        for item in query.iterfind(_ITEM)
    ]
    for item in found:
        if bool(item.affiliation) == bool(item.role):
            raise ChatError("bad-field", "an item is of a role or an affiliation")
        if item.affiliation and item.affiliation not in get_args(Affiliation):
            raise ChatError("bad-field", "no such affiliation")
        if item.role and item.role not in get_args(RoomRole):
            raise ChatError("bad-field", "no such role")
    if not found:
        raise ChatError("bad-field", "the query has no item")
    return found


def answer(listed: Iterable[Item]) -> str:
    parts = [f"<query xmlns='{ns.MUC_ADMIN}'>"]
    for item in listed:
        names = f" affiliation='{item.affiliation}'"
        for field in ("role", "jid", "nick"):
            if value := getattr(item, field):
                names += f" {field}='{attribute(value)}'"
        inside = f"<reason>{text(item.reason)}</reason>" if item.reason else ""
        parts.append(f"<item{names}>{inside}</item>")
    return "".join((*parts, "</query>"))


def destroy(query: Element) -> Destroy | None:
    """Raises ``bad-field``, ``too-long``."""
    found = query.find(_DESTROY)
    if found is None:
        return None
    instead = found.get("jid", "")
    return Destroy(str(jid.parse(instead)) if instead else "", rooms.reason(found, _DESTROY_REASON))


def form(group: Group) -> str:
    """The configuration as it is. What rooms here always are is not to be filled in."""
    fields = (
        Field("muc#roomconfig_roomname", "text-single", [group.name], "Name"),
        Field("muc#roomconfig_roomdesc", "text-single", [group.memo], "Description"),
        Field("muc#roomconfig_moderatedroom", "boolean", [_flag(group.muted_all)], "Moderated"),
        Field(
            "muc#roomconfig_historyfor",
            "list-single",
            [group.history],
            "New members see the past from",
            ("joined", "all"),
        ),
        Field("muc#roomconfig_membersonly", "boolean", ["1"], "Members only (always)"),
        Field("muc#roomconfig_persistentroom", "boolean", ["1"], "Persistent (always)"),
        Field("muc#roomconfig_publicroom", "boolean", ["0"], "Public (never)"),
        Field("muc#roomconfig_whois", "list-single", ["anyone"], "JIDs are for", ("anyone",)),
        Field("muc#roomconfig_changesubject", "boolean", ["0"], "Members set the subject (never)"),
        Field("muc#roomconfig_enablelogging", "boolean", ["1"], "Archived (always)"),
    )
    written = room_forms.write("form", CONFIGURATION, fields)
    return f"<query xmlns='{ns.MUC_OWNER}'>{written}</query>"


def configured(form: Element, group: Group) -> dict[str, Any]:
    """The group's fields that a submitted form changes. Raises ``bad-field``."""
    given = room_forms.read(form)
    if given.get("FORM_TYPE", CONFIGURATION) != CONFIGURATION:
        raise ChatError("bad-field", "not this form")
    if given.get("muc#roomconfig_whois", "anyone") != "anyone":
        # Whoever believes names to be hidden would be deceived.
        raise ChatError("not-allowed", "rooms hide nobody's JID", xmpp="not-acceptable")
    changes: dict[str, Any] = {}
    if given.get("muc#roomconfig_roomname"):
        changes["name"] = given["muc#roomconfig_roomname"]
    if "muc#roomconfig_roomdesc" in given:
        changes["memo"] = given["muc#roomconfig_roomdesc"]
    if moderated := given.get("muc#roomconfig_moderatedroom"):
        changes["muted_all"] = room_forms.flag(moderated, "moderatedroom")
    if past := given.get("muc#roomconfig_historyfor"):
        if past not in ("joined", "all"):
            raise ChatError("bad-field", "historyfor is joined or all")
        changes["history"] = past
    return {field: value for field, value in changes.items() if getattr(group, field) != value}


def information(group: Group, most: int) -> str:
    """What disco tells of a room. ``most``: messages of the past that joining gives."""
    fields = (
        Field("muc#roominfo_description", "text-single", [group.memo]),
        Field("muc#roominfo_subject", "text-single", [group.announcement]),
        Field("muc#roominfo_subjectmod", "boolean", ["0"]),
        Field("muc#maxhistoryfetch", "text-single", [str(most)]),
        Field("muc#roominfo_occupants", "text-single", [str(len(group.members))]),
        Field("muc#roomconfig_roomname", "text-single", [group.name]),
    )
    return room_forms.write("result", INFORMATION, fields)


def _flag(value: bool) -> str:
    return "1" if value else "0"
