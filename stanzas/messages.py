"""Messages: an XMPP stanza made into the common model, and the other way round.

Beside the model goes ``xml``, what JSON clients cannot show: the stanza's ``id`` attribute on the
first line, then its other child elements as they came.
"""

import msgspec

from server.errors import ChatError
from server.model import SINGLE, Message
from stanzas import ns
from stanzas.delay import delay
from stanzas.xml import Element, attribute, serialise, text

PROTOCOL = ("XEP-0359", "0.7", "complete")

_BODY = f"{{{ns.CLIENT}}}body"
_ORIGIN_ID = f"{{{ns.IDS}}}origin-id"
_OOB = f"{{{ns.OOB}}}x"
_STORED_WITHOUT_BODY = (f"{{{ns.HINTS}}}store", "{eu.siacs.conversations.axolotl}encrypted")
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


def to_message(stanza: Element) -> tuple[Message, str] | None:
    """The message that a chat stanza is, without sender and recipient, and its ``xml``.

    None where there is nothing to store: no body, and nothing that asks to be stored.
    """
    message = Message(cmd=SINGLE)
    kept: list[str] = []
    body: str | None = None
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
        elif tag not in _SERVER_ONLY:
            wanted = wanted or tag in _STORED_WITHOUT_BODY
            kept.append(serialise(child))
    if not body and not message.url and not wanted:
        return None
    message.content = body or ""
    if message.url:
        message.media = FILE
        if message.content == message.url:
            message.content = ""
    number = stanza.get("id", "").replace("\n", " ")[:ID_CHARS]
    return message, f"{number}\n{''.join(kept)}" if number or kept else ""


def from_message(
    message: Message,
    *,
    sender: str,
    recipient: str,
    archive: str,
    xml: str = "",
    xmlns: str = "",
    delayed_by: str = "",
) -> str:
    """The chat stanza that a message is.

    ``archive``: bare JID of whose archive gives the stanza-id. ``xmlns``: a namespace attribute
    where the stream does not set the default. ``delayed_by``: our domain for what is not live.
    """
    number, _, kept = xml.partition("\n")
    parts = [
        f"<message{xmlns} from='{attribute(sender)}' to='{attribute(recipient)}' type='chat' "
        f"id='{attribute(number or message.cid or str(message.id))}'>"
    ]
    body = message.content or message.url
    if body:
        parts.append(f"<body>{text(body)}</body>")
    if message.url:
        described = f"<desc>{text(message.memo)}</desc>" if message.memo else ""
        parts.append(f"<x xmlns='{ns.OOB}'><url>{text(message.url)}</url>{described}</x>")
    if message.media > 1 or message.pic or message.amount or message.ref or message.at:
        rest = Container(message.media, message.pic, message.amount, message.ref, message.at)
        parts.append(f"<json xmlns='{ns.JSON}'>{text(_encode(rest).decode())}</json>")
    parts.append(kept)
    parts.append(f"<stanza-id xmlns='{ns.IDS}' by='{attribute(archive)}' id='{message.id}'/>")
    if message.cid:
        parts.append(f"<origin-id xmlns='{ns.IDS}' id='{attribute(message.cid)}'/>")
    if delayed_by:
        parts.append(delay(delayed_by, message.ts))
    parts.append("</message>")
    return "".join(parts)


def check(stanza: Element) -> None:
    """Raises ``bad-field`` for what a message must not be."""
    if stanza.get("type", "normal") == "groupchat":
        raise ChatError("not-found", "rooms are not served over XMPP yet")
