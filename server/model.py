"""The common message model: what both protocols translate into and out of.

:class:`Message` is at once the JSON wire frame of cmd 10 and 11 (and of what is passed on), the
document in the history and what an XMPP stanza is made from. ``docs/wire.md`` lists the fields.
"""

import re
from typing import Annotated, Literal, NamedTuple

import msgspec

from server.errors import ChatError

VOID = 9
SINGLE = 10
GROUP = 11
RECEIPT = 12
TYPING = 13
RECALL = 14
EDIT = 15
REACTION = 16
ACTS = (RECALL, EDIT, REACTION)
"""Entries of a conversation's log that act on one of its messages, which ``ref`` names."""
PRESENCE = 20

MAX_ID = 2**53 - 1
"""Largest integer that JavaScript reads exactly."""

EPOCH_MS = 1_704_067_200_000
"""2024-01-01 UTC: message ids count milliseconds from here, 41 bits last until 2093."""

Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
Amount = Annotated[int, msgspec.Meta(ge=-MAX_ID, le=MAX_ID)]


class Message(msgspec.Struct, omit_defaults=True, gc=False):
    """One message, or another entry of a conversation's log. Empty fields are left out on the wire.

    ``id``, ``userid``, ``seq`` and ``ts`` (milliseconds since 1970 UTC) are the server's, and so is
    what others did to a message since: ``edited`` (when last), ``recalled``, ``reactions`` (text →
    users). ``cid`` is the sender's own id of up to 64 characters.
    """

    id: Id = 0
    userid: Id = 0
    cmd: Id = 0
    chat: Id = 0
    dstid: Id = 0
    media: Id = 0
    content: str = ""
    pic: str = ""
    url: str = ""
    memo: str = ""
    amount: Amount = 0
    cid: str = ""
    seq: Id = 0
    ts: Id = 0
    ref: Id = 0
    at: list[Id] = []
    state: str = ""
    edited: Id = 0
    recalled: bool = False
    reactions: dict[str, list[Id]] = {}


CONTENT_FIELDS = ("cmd", "dstid", "media", "content", "pic", "url", "memo", "amount", "ref", "at")
"""What "the same content" means for a repeated cid."""


def has_same_content(one: Message, other: Message) -> bool:
    """Whether a repeated cid names the message it named first."""
    return all(getattr(one, field) == getattr(other, field) for field in CONTENT_FIELDS)


def conversation(chat: int, userid: int, dstid: int) -> str:
    """A conversation's key: ``g<group>`` or ``<lower id>-<higher id>``, one for both sides."""
    if chat == GROUP:
        return f"g{dstid}"
    return f"{userid}-{dstid}" if userid < dstid else f"{dstid}-{userid}"


def is_group(conv: str) -> bool:
    return conv.startswith("g")


def partner(conv: str, userid: int) -> int:
    """The other side of a 1:1 conversation; the same user in a conversation with oneself."""
    low, _, high = conv.partition("-")
    return int(high) if int(low) == userid else int(low)


def first_id_of(ms: int) -> int:
    """The lowest message id of a millisecond since 1970 UTC."""
    return (ms - EPOCH_MS) << 12


def ms_of(message_id: int) -> int:
    """When a message got its id, by its writer's clock: milliseconds since 1970 UTC."""
    return (message_id >> 12) + EPOCH_MS


class Tally(NamedTuple):
    """Up to and with an entry: messages (cmd 10, 11), how many of them the 1:1 conversation's
    lower id sent, and the seq of the last one."""

    messages: int = 0
    low: int = 0
    top: int = 0


class Known(NamedTuple):
    """A message that is in the history, in its present state.

    ``xml``: see :class:`Names`. ``first``: the digest of its content as it was sent, empty while
    that has not changed.
    """

    message: Message
    xml: str
    first: bytes


class Names(NamedTuple):
    """What is kept of an entry for XMPP clients, as ``xml`` in two parts: names, and ``rest``.

    ``own``: the id attribute that its stanza came with; ``target``: the name under which they know
    the message that ``ref`` is of; ``rest``: child elements that JSON clients cannot show.
    ``whose``: the id of who wrote that message, where a moderator recalls it. ``to``: the resource
    that it was sent to, if it was one; ``is_private``: other devices get no copy of it.
    """

    own: str = ""
    target: str = ""
    rest: str = ""
    whose: str = ""
    to: str = ""
    is_private: bool = False

    @classmethod
    def of(cls, xml: str) -> "Names":
        head, _, rest = xml.partition("\n")
        if "\t" not in head:
            return cls(head, "", rest)
        own, target, whose, to, private = (head.split("\t") + [""] * 3)[:5]
        return cls(own, target, rest, whose, to, bool(private))

    def xml(self) -> str:
        names = (self.own, self.target, self.whose, self.to)
        head = "\t".join(names)
        if "\n" in head or head.count("\t") >= len(names):
            head = "\t".join(name.translate(_PARTING) for name in names)
        head = f"{head}\tprivate" if self.is_private else head.rstrip("\t")
        return f"{head}\n{self.rest}" if head or self.rest else ""


_PARTING = str.maketrans("\n\t", "  ")


def stanza_id(message: Message, xml: str) -> str:
    """The id attribute of a message's stanza, by which XMPP clients know it."""
    return Names.of(xml).own or message.cid or str(message.id)


def origin_id(message: Message, xml: str) -> str:
    """The origin-id of a message's stanza (XEP-0359), else its id attribute."""
    return message.cid or stanza_id(message, xml)


class User(msgspec.Struct, gc=False):
    """Public profile of an account. ``deleted``: nothing is left of it but the id."""

    id: int
    username: str = ""
    jid: str = ""
    nickname: str = ""
    avatar: str = ""
    sex: str = ""
    memo: str = ""
    deleted: bool = False

    @property
    def shown_name(self) -> str:
        """What stands above a conversation with this user."""
        if self.deleted:
            return "deleted account"
        return self.nickname or self.username or str(self.id)


State = Literal["online", "away", "dnd", "offline"]


class Shown(NamedTuple):
    """What one connection, or a user, shows to contacts. ``at``: since when, milliseconds."""

    state: State
    memo: str
    at: int


OFFLINE = Shown("offline", "", 0)
WEB = "web"
"""The resource that XMPP contacts see in place of all connections that are not XMPP's."""


Role = Literal["owner", "admin", "member"]


class Member(msgspec.Struct, gc=False):
    """One user in a group. ``floor``: what is at or below this seq was before the joining.

    ``nick``: the member's own name in this group. ``muted_until``: milliseconds since 1970 UTC.
    """

    id: int
    role: Role
    joined: int
    floor: int
    nick: str = ""
    muted_until: int = 0


class Group(msgspec.Struct):
    """A group with all its members, as the router needs it.

    ``slug``: the name of its room, where XMPP clients gave it one. ``outcasts``: users who cannot
    come in by a link.
    """

    id: int
    name: str
    owner: int
    members: dict[int, Member]
    avatar: str = ""
    memo: str = ""
    history: Literal["joined", "all"] = "joined"
    muted_all: bool = False
    announcement: str = ""
    join: Literal["invite", "request"] = "invite"
    slug: str = ""
    outcasts: list[int] = []


_NEWLINES = re.compile("\r\n?")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def clean_text(text: str, field: str, limit: int) -> str:
    """``text`` as it is stored: CR LF and CR become LF.

    Raises ``bad-field`` for characters XML cannot carry (XML 1.0 section 2.2) and ``too-long`` for
    more than ``limit`` code points.
    """
    if "\r" in text:
        text = _NEWLINES.sub("\n", text)
    if len(text) > limit:
        raise ChatError(
            "too-long", f"{field} has {len(text)} characters, at most {limit} are allowed"
        )
    if not text.isprintable() and (bad := _NOT_XML.search(text)):
        raise ChatError(
            "bad-field", f"{field} has a character (U+{ord(bad[0]):04X}) that XML cannot carry"
        )
    return text
