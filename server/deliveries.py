"""What is carried to connections: messages on their way, and hints."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import msgspec

from server.model import Group, Known, Message, State, Tally, User
from server.subscriptions import Kind, Subscription

if TYPE_CHECKING:
    from server.clients import ClientNode

NOTHING_YET = Tally()
_encode_json = msgspec.json.Encoder().encode


class Passed(Protocol):
    """What a codec needs to know of a message that it passes on."""

    @property
    def message(self) -> Message: ...

    @property
    def conv(self) -> str: ...

    @property
    def author(self) -> User: ...

    @property
    def recipient(self) -> User | None: ...

    @property
    def resource(self) -> str:
        """That of the author's connection, empty where it had none or it is not known."""

    @property
    def xml(self) -> str:
        """Serialised XMPP child elements that JSON clients cannot show."""

    def json(self) -> bytes:
        """The message as JSON clients read it, encoded once for all nodes."""


class Delivery(msgspec.Struct, gc=False):
    """A durable message from elsewhere: from another node, or read from the history.

    ``before``: the id of the conversation's entry before it, 0 for none. ``body``: :meth:`json`,
    once it is known.
    """

    message: Message
    conv: str
    author: User
    recipient: User | None
    resource: str
    xml: str
    before: int
    body: bytes = b""

    node: ClassVar[None] = None
    group: ClassVar[None] = None

    def json(self) -> bytes:
        if not self.body:
            self.body = _encode_json(self.message)
        return self.body


class Envelope:
    """A message that a connection of this node sent.

    ``owners``: in whose archives it goes, both users' or the group's; so also whose connections
    it is for. ``origin``: whatever the sender's codec needs to answer. ``dup``: the history had it
    already. ``before``: as in :class:`Delivery`. ``target``: what a recall, edit or reaction is
    of.
    """

    __slots__ = (
        "answered",
        "author",
        "before",
        "body",
        "conv",
        "document",
        "dup",
        "group",
        "message",
        "node",
        "origin",
        "owners",
        "queued_at",
        "recipient",
        "size",
        "tally",
        "target",
        "xml",
    )

    def __init__(
        self,
        message: Message,
        conv: str,
        node: "ClientNode",
        recipient: User | None,
        group: Group | None,
        owners: tuple[int, ...],
        xml: str = "",
        origin: Any = None,
        target: Known | None = None,
    ) -> None:
        self.message = message
        self.conv = conv
        self.node = node
        self.author = node.user
        self.recipient = recipient
        self.group = group
        self.owners = owners
        self.xml = xml
        self.origin = origin
        self.target = target
        self.tally = NOTHING_YET
        self.document = b""
        # About how many bytes it keeps until it is stored.
        widest = 1 if message.content.isascii() else 4
        others = len(message.url) + len(message.pic) + len(message.memo) + len(xml)
        others += 8 * len(message.at)
        if target is not None:
            others += len(target.message.content) + len(target.xml)
        self.size = 512 + widest * len(message.content) + 4 * others
        self.queued_at = 0.0
        self.answered = False
        self.dup = False
        self.before = 0
        self.body = b""

    @property
    def resource(self) -> str:
        return self.node.resource

    def json(self) -> bytes:
        """See :class:`Passed`. Not before the writer has given it its place."""
        if not self.body:
            self.body = _encode_json(self.message)
        return self.body


class Personal(msgspec.Struct):
    """The body of an event that each connection puts into its own words: XMPP sessions only."""


class Stanza(Personal):
    """An XMPP stanza on its way to resources of a user.

    ``rest``: from its ``from`` attribute on, before which each stream writes its own beginning.
    ``resource``: to that one only; else to all that are available, and messages to those that
    take any.
    """

    rest: str
    name: str = "presence"
    resource: str = ""


class Copy(Personal):
    """A message for those devices of a user that ask for copies (XEP-0280).

    ``but``: the resource that sent it or gets it itself. ``of``: its type.
    """

    stanza: str
    kind: Literal["sent", "received"]
    but: str
    of: str


class WebPresence(Personal):
    """What a user shows by connections that are not XMPP's."""

    jid: str
    state: State
    memo: str = ""


class SubscriptionStanza(Personal):
    """``jid`` asked for a subscription, or gave, gave up or took one back.

    ``note``: serialised XMPP child elements that came with it.
    """

    jid: str
    kind: Kind
    note: str = ""


class RosterItem(Personal):
    """A contact in a user's roster (RFC 6121 section 2.1.2), or the change of one.

    ``version``: the roster's, with the change. ``subscription`` may be ``remove`` then.
    """

    jid: str
    name: str = ""
    groups: list[str] = []
    subscription: Subscription | Literal["remove"] = "none"
    asks: bool = False
    version: str = ""


class BlockChange(Personal):
    """A user blocks these JIDs from now on, or no longer."""

    jids: list[str]
    blocked: bool


class NodeEvent(Personal):
    """Something happened to what the user ``jid`` publishes (XEP-0163).

    ``ids``: of the items that it is about; ``xml``: the payload of the one that was published;
    ``at``: when, if that is not now.
    """

    jid: str
    node: str
    what: Literal["items", "retract", "purge", "delete"]
    ids: list[str] = []
    xml: str = ""
    at: int = 0


class Event(msgspec.Struct, gc=False):
    """A hint for ``userids`` and for the members of the group ``gid`` but those in ``but``.

    ``body``: the JSON frame (cmd 12, 13, 20–24), ready to be encoded, or :class:`Personal`.
    ``sender``: a connection of this node that does not get it. For XMPP clients, of cmd 12 and 13:
    ``author``, and ``name``, the id attribute of the message that a receipt is of; where a group is
    dissolved, its room's name.
    """

    userids: Collection[int]
    body: msgspec.Struct
    gid: int = 0
    but: Collection[int] = ()
    sender: "ClientNode | None" = None
    author: User | None = None
    name: str = ""
