"""Rooms (XEP-0045): joining, presence, messages, invitations.

What is written here begins with the ``from`` attribute; before it each stream writes its own
beginning and the recipient.
"""

from typing import NamedTuple

from server.model import RECALL, Message, Names, Role, clean_text, stanza_id
from stanzas import chat_states, invites, markers, messages, moderation, ns, occupants
from stanzas.delay import delay, moment_ms
from stanzas.xml import Element, attribute, text

PROTOCOL = (
    (
        "XEP-0045",
        "1.35.5",
        "partial: members only, not anonymous; no voice requests, no registration; private "
        "messages are 1:1 messages; show and status are not passed on",
    ),
    ("XEP-0410", "1.1.0", "complete"),
)

JOIN = f"{{{ns.MUC}}}x"
USER = f"{{{ns.MUC_USER}}}x"
SUBJECT = f"{{{ns.CLIENT}}}subject"
BODY = f"{{{ns.CLIENT}}}body"
_HISTORY = f"{{{ns.MUC}}}history"
_PASSWORD = f"{{{ns.MUC}}}password"
_INVITE = f"{{{ns.MUC_USER}}}invite"
_DECLINE = f"{{{ns.MUC_USER}}}decline"
_REASON = f"{{{ns.MUC_USER}}}reason"

REASON_CHARS = 1000

SELF, NOT_ANONYMOUS, CREATED, LOGGED, NICK_GIVEN = 110, 100, 201, 170, 210
BANNED, NICK_CHANGED, KICKED, NO_LONGER_MEMBER = 301, 303, 307, 321
CONFIGURATION_CHANGED, TECHNICAL = 104, 333
VOICE_REQUEST = f"{ns.MUC}#request"


class HistoryWanted(NamedTuple):
    """What of the past a client wants on joining; None: it does not say."""

    stanzas: int | None
    chars: int | None
    since_ms: int | None


class Place(NamedTuple):
    """What presence says of an occupant. ``nick``: a new one, ``jid``: of the account.

    ``is_away``: a member without a place in the room.
    """

    role: Role | None
    has_voice: bool = False
    jid: str = ""
    nick: str = ""
    is_outcast: bool = False
    is_away: bool = False


class Invited(NamedTuple):
    """A mediated invitation, or that one is declined. ``jid``: to whom it goes."""

    jid: str
    reason: str
    is_declined: bool


def history_wanted(x: Element, now_ms: int) -> HistoryWanted:
    """Raises ``bad-field``."""
    found = x.find(_HISTORY)
    if found is None:
        return HistoryWanted(None, None, None)
    since = moment_ms(found.get("since")) if found.get("since") else None
    seconds = _number(found.get("seconds"))
    if seconds is not None:
        since = max(since or 0, now_ms - 1000 * seconds)
    return HistoryWanted(_number(found.get("maxstanzas")), _number(found.get("maxchars")), since)


def _number(value: str | None) -> int | None:
    plain = value is not None and value.isascii() and value.isdigit() and len(value) <= 9
    return int(value) if plain and value is not None else None


def reason(element: Element, tag: str) -> str:
    """Why somebody does something. Raises ``too-long``."""
    return clean_text((element.findtext(tag) or "").strip(), "reason", REASON_CHARS)


def password(x: Element) -> str:
    return (x.findtext(_PASSWORD) or "").strip()


def affiliation(role: Role | None) -> str:
    return "none" if role is None else role


def room_role(role: Role | None, has_voice: bool) -> str:
    if role is None:
        return "none"
    if role != "member":
        return "moderator"
    return "participant" if has_voice else "visitor"


def item(place: Place, actor: str = "", reason: str = "") -> str:
    inside = f"<actor nick='{attribute(actor)}'/>" if actor else ""
    inside += f"<reason>{text(reason)}</reason>" if reason else ""
    standing = "outcast" if place.is_outcast else affiliation(place.role)
    names = f" jid='{attribute(place.jid)}'" if place.jid else ""
    names += f" nick='{attribute(place.nick)}'" if place.nick else ""
    role = "none" if place.is_away else room_role(place.role, place.has_voice)
    return f"<item affiliation='{standing}' role='{role}'{names}>{inside}</item>"


def presence(
    sender: str, occupant_id: str, inside: str, codes: tuple[int, ...] = (), *, is_here: bool = True
) -> str:
    """An occupant's presence; ``inside``: the item, and what else it says of the room."""
    statuses = "".join(f"<status code='{code}'/>" for code in codes)
    kind = "" if is_here else " type='unavailable'"
    return (
        f" from='{attribute(sender)}'{kind}><x xmlns='{ns.MUC_USER}'>{inside}{statuses}</x>"
        f"{occupant_id}</presence>"
    )


def destroyed(instead: str, reason: str) -> str:
    where = f" jid='{attribute(instead)}'" if instead else ""
    told = f"<reason>{text(reason)}</reason>" if reason else ""
    return f"<destroy{where}>{told}</destroy>"


def message(
    entry: Message, *, room: str, gid: int, nick: str, xml: str, is_delayed: bool = False
) -> str:
    """A message or act in a room. ``room``: its JID; ``nick``: the author's there."""
    names = Names.of(xml)
    place = f"{room}/{nick}"
    who = occupants.write(gid, entry.userid)
    is_moderation = entry.cmd == RECALL and bool(names.whose)
    parts = [
        f" from='{attribute(room if is_moderation else place)}' type='groupchat' "
        f"id='{attribute(stanza_id(entry, xml))}'>"
    ]
    if is_moderation:
        parts.append(moderation.write(names.target, place, who))
    else:
        messages.write_entry(parts, entry, names, is_in_room=True)
        parts.append(who)
    parts.append(f"<stanza-id xmlns='{ns.IDS}' by='{attribute(room)}' id='{entry.id}'/>")
    if entry.cid:
        parts.append(f"<origin-id xmlns='{ns.IDS}' id='{attribute(entry.cid)}'/>")
    if is_delayed:
        parts.append(delay(attribute(room), entry.ts))
    parts.append("</message>")
    return "".join(parts)


def typing(state: str, sender: str) -> str:
    return f" from='{attribute(sender)}' type='groupchat'>{chat_states.write(state)}</message>"


def displayed(name: str, sender: str) -> str:
    return f" from='{attribute(sender)}' type='groupchat'>{markers.write(name)}</message>"


def subject(words: str, sender: str) -> str:
    told = f"<subject>{text(words)}</subject>" if words else "<subject/>"
    return f" from='{attribute(sender)}' type='groupchat'>{told}</message>"


def status(room: str, code: int) -> str:
    """What all occupants are told of the room."""
    return (
        f" from='{attribute(room)}' type='groupchat'><x xmlns='{ns.MUC_USER}'>"
        f"<status code='{code}'/></x></message>"
    )


def invitations(stanza: Element) -> list[Invited]:
    """Those in a message to a room. Raises ``too-long``."""
    found = stanza.find(USER)
    if found is None:
        return []
    return [
        Invited(one.get("to", ""), reason(one, _REASON), one.tag == _DECLINE)
        for one in found
        if one.tag in (_INVITE, _DECLINE)
    ]


def invitation(room: str, sender: str, reason: str, *, is_declined: bool) -> str:
    """A mediated invitation as the invited one gets it, or the inviter that it is declined."""
    name = "decline" if is_declined else "invite"
    told = f"<reason>{text(reason)}</reason>" if reason else ""
    direct = "" if is_declined else invites.write(room, reason)
    return (
        f" from='{attribute(room)}'><x xmlns='{ns.MUC_USER}'><{name} from='{attribute(sender)}'>"
        f"{told}</{name}></x>{direct}</message>"
    )
