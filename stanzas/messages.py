"""Messages: an XMPP stanza made into the common model, and the other way round.

Beside the model goes ``xml``, what JSON clients cannot show: see :class:`server.model.Names`.
"""

from typing import NamedTuple

import msgspec

from server.errors import ChatError
from server.model import (
    EDIT,
    REACTION,
    RECALL,
    RECEIPT,
    SINGLE,
    TYPING,
    Message,
    Names,
)
from stanzas import (
    chat_states,
    correction,
    hints,
    invites,
    markers,
    ns,
    reactions,
    receipts,
    reply,
    retraction,
)
from stanzas.delay import delay, stamp
from stanzas.xml import Element, attribute, serialise, text

PROTOCOL = (
    ("XEP-0359", "0.7.0", "complete"),
    ("XEP-0066", "1.5", "partial: in messages"),
    ("XEP-0335", "0.1.1", "partial: for what JSON clients say and XMPP has no element for"),
)

_BODY = f"{{{ns.CLIENT}}}body"
_ORIGIN_ID = f"{{{ns.IDS}}}origin-id"
_OOB = f"{{{ns.OOB}}}x"
_STORED_WITHOUT_BODY = (hints.STORE, "{eu.siacs.conversations.axolotl}encrypted")
_SERVER_ONLY = frozenset(
    (
        f"{{{ns.IDS}}}stanza-id",
        f"{{{ns.DELAY}}}delay",
        f"{{{ns.ARCHIVE}}}result",
        f"{{{ns.CARBONS}}}sent",
        f"{{{ns.CARBONS}}}received",
    )
)
"""Elements that only the server may make: dropped from what clients send."""

_ACTS = (retraction.TAG, correction.TAG, reactions.TAG)
_BODY_OF_A_FALLBACK = (_BODY, f"{{{ns.FALLBACK}}}fallback")
"""For clients that do not know what is said besides; we say it in our own words."""

FILE = 10
ID_CHARS = 512

_encode = msgspec.json.Encoder().encode


class Container(msgspec.Struct, omit_defaults=True):
    """What of the model has no XMPP element, for XEP-0335."""

    media: int = 0
    pic: str = ""
    amount: int = 0
    ref: int = 0
    at: list[int] = []


class Said(NamedTuple):
    """What a stanza says: the message, or an act or a hint (cmd 12 to 16), without sender and
    recipient; its ``xml``; and under which name it is of another message, empty for none."""

    message: Message
    xml: str
    of: str = ""


def read(stanza: Element) -> Said | None:
    """None where there is nothing to pass on: no body, and nothing that asks to be stored."""
    for child in stanza:
        tag = child.tag
        if tag == retraction.TAG:
            return _act(stanza, RECALL, retraction.read(child), "", drop=_BODY_OF_A_FALLBACK)
        if tag == correction.TAG:
            body = stanza.findtext(_BODY) or ""
            return _act(stanza, EDIT, correction.read(child), body, drop=(_BODY,))
        if tag == reactions.TAG:
            name, given = reactions.read(child)
            return _act(stanza, REACTION, name, given, drop=_BODY_OF_A_FALLBACK)
    message = _message(stanza)
    if message is not None and (message.message.content or message.message.url):
        return message
    hint = _hint(stanza)
    # Clients ask to have receipts stored as well: it is the pointer that is.
    if hint is not None and (message is None or hint.message.cmd == RECEIPT):
        return hint
    return message


def _act(stanza: Element, cmd: int, of: str, content: str, drop: tuple[str, ...]) -> Said:
    message = Message(cmd=cmd, chat=SINGLE, content=content)
    kept: list[str] = []
    for child in stanza:
        if child.tag == _ORIGIN_ID:
            message.cid = child.get("id", "")
        elif child.tag not in _SERVER_ONLY and child.tag not in _ACTS and child.tag not in drop:
            kept.append(serialise(child))
    return Said(message, Names(_id(stanza), rest="".join(kept)).xml(), of)


def _hint(stanza: Element) -> Said | None:
    """What is not stored: a receipt, a marker, a chat state."""
    said: Said | None = None
    for child in stanza:
        if child.tag == markers.DISPLAYED:
            hint = Message(cmd=RECEIPT, chat=SINGLE, state="read")
            return Said(hint, "", child.get("id", ""))
        if child.tag == receipts.RECEIVED:
            hint = Message(cmd=RECEIPT, chat=SINGLE, state="delivered")
            return Said(hint, "", child.get("id", ""))
        if state := chat_states.read(child.tag):
            said = Said(Message(cmd=TYPING, chat=SINGLE, state=state), "")
    return said


def _message(stanza: Element) -> Said | None:
    message = Message(cmd=SINGLE)
    kept: list[str] = []
    body: str | None = None
    answered = invited = ""
    wanted = False
    for child in stanza:
        tag = child.tag
        if tag == _BODY:
            body = child.text or "" if body is None else body
        elif tag == _ORIGIN_ID:
            message.cid = child.get("id", "")
        elif tag == _OOB and not message.url:
            message.url = (child.findtext(f"{{{ns.OOB}}}url") or "").strip()
            message.memo = child.findtext(f"{{{ns.OOB}}}desc") or ""
        elif tag == reply.TAG:
            answered = reply.read(child)
        elif tag not in _SERVER_ONLY:
            wanted = wanted or tag in _STORED_WITHOUT_BODY
            if tag == invites.TAG:
                invited = invites.read(child)
            kept.append(serialise(child))
    body = body or invited
    if not body and not message.url and not wanted:
        return None
    message.content = body
    if message.url:
        message.media = FILE
        if message.content == message.url:
            message.content = ""
    return Said(message, Names(_id(stanza), rest="".join(kept)).xml(), answered)


def _id(stanza: Element) -> str:
    name: str = stanza.get("id", "")
    return name[:ID_CHARS]


def from_message(
    message: Message,
    *,
    sender: str,
    recipient: str,
    archive: str,
    xml: str = "",
    xmlns: str = "",
    delayed_by: str = "",
    names: Names | None = None,
) -> str:
    """The chat stanza that a message is. ``names``: those of ``xml``, where they are known.

    ``archive``: bare JID of whose archive gives the stanza-id. ``xmlns``: a namespace attribute
    where the stream does not set the default. ``delayed_by``: our domain for what is not live.
    """
    if names is None:
        names = Names.of(xml)
    if names.to and not delayed_by:  # who is handed it later is another device
        recipient = f"{recipient}/{names.to}"
    parts = [
        f"<message{xmlns} from='{attribute(sender)}' to='{attribute(recipient)}' type='chat' "
        f"id='{attribute(names.own or message.cid or str(message.id))}'>"
    ]
    write_entry(parts, message, names)
    parts.append(f"<stanza-id xmlns='{ns.IDS}' by='{attribute(archive)}' id='{message.id}'/>")
    if message.cid:
        parts.append(f"<origin-id xmlns='{ns.IDS}' id='{attribute(message.cid)}'/>")
    if delayed_by:
        parts.append(delay(delayed_by, message.ts))
    parts.append("</message>")
    return "".join(parts)


def write_entry(
    parts: list[str], message: Message, names: Names, *, is_in_room: bool = False
) -> None:
    """What the message or act says, without its ids."""
    if message.recalled:
        parts.append(f"<retracted xmlns='{ns.RETRACT}' stamp='{stamp(message.ts)}'/>")
    elif message.cmd == RECALL:
        parts.append(retraction.write(names.target))
    elif message.cmd == EDIT and not names.target:
        pass  # of what was recalled: it has no text and no name any more
    elif message.cmd == EDIT:
        parts.append(correction.write(names.target, message.content))
    elif message.cmd == REACTION:
        parts.append(reactions.write(names.target, message.content))
    else:
        _write_message(parts, message, names, is_in_room)
    parts.append(names.rest)


def from_hint(hint: Message, *, sender: str, name: str, xmlns: str = "") -> str | None:
    """The stanza of a receipt (cmd 12) or typing notice (cmd 13); None where there is none.

    ``name``: the id attribute of the message that a receipt is of.
    """
    if hint.cmd == TYPING:
        inside = chat_states.write(hint.state)
    elif hint.cmd == RECEIPT and name:
        inside = markers.write(name) if hint.state == "read" else receipts.write(name)
    else:
        return None
    return f"<message{xmlns} from='{attribute(sender)}' type='chat'>{inside}</message>"


def _write_message(parts: list[str], message: Message, names: Names, is_in_room: bool) -> None:
    body = message.content or message.url
    if body:
        parts.append(f"<body>{text(body)}</body>")
    if message.url:
        described = f"<desc>{text(message.memo)}</desc>" if message.memo else ""
        parts.append(f"<x xmlns='{ns.OOB}'><url>{text(message.url)}</url>{described}</x>")
    if message.media > 1 or message.pic or message.amount or message.ref or message.at:
        rest = Container(message.media, message.pic, message.amount, message.ref, message.at)
        parts.append(f"<json xmlns='{ns.JSON}'>{text(_encode(rest).decode())}</json>")
    answered = str(message.ref or "") if is_in_room else names.target
    if answered:
        parts.append(reply.write(answered))
    if not (names.own or names.rest):  # a JSON client's
        parts.append(markers.MARKABLE if is_in_room else receipts.REQUEST + markers.MARKABLE)


def check(stanza: Element) -> None:
    """Raises ``bad-field`` for what a message must not be."""
    if stanza.get("type", "normal") == "groupchat":
        raise ChatError("not-found", "there is no such room")
