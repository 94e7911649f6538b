"""What the core asks of its outsides: the database and the bus between nodes.

``server/store`` answers the first with MongoDB, ``server/bus`` the second. Every method of the
stores raises :class:`server.errors.StorageAway` when the database does not answer in time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from server.deliveries import Envelope, Event
from server.model import Message

Document = dict[str, Any]


class Stored(NamedTuple):
    """One entry of a conversation's log as the history has it."""

    message: Message
    xml: str
    conv: str


class Placed(Protocol):
    """A message that has its place in its conversation's log, and its document's bytes."""

    @property
    def conv(self) -> str: ...

    @property
    def message(self) -> Message: ...

    @property
    def document(self) -> bytes: ...


class Inserted(NamedTuple):
    """How far an ordered insert came: so many documents stored, then ``duplicate`` or the end.

    ``duplicate``: what another document has already, its place in the conversation or its cid.
    """

    stored: int
    duplicate: Literal["", "place", "cid"]


class Terms(NamedTuple):
    """What a message is found by: its place, what a search can ask of it, its text's grams."""

    conv: str
    seq: int
    id: int
    userid: int
    media: int
    ts: int
    grams: list[str]


class Scope(NamedTuple):
    """What a search asks the index: in each conversation of ``spans`` what is above the first seq,
    up to the second.

    ``grams``: a message has to have them all; the first should be the rarest. ``userid``: the
    sender; ``since_ms`` and ``until_ms`` belong to it.
    """

    spans: Mapping[str, tuple[int, int]]
    grams: Sequence[str]
    userid: int | None
    media: int | None
    since_ms: int | None
    until_ms: int | None


class Found(NamedTuple):
    """Where a message is that may be wanted."""

    conv: str
    seq: int
    id: int


class MessageStore(Protocol):
    """The conversations' log. Unique: (conv, seq), (conv, userid, cid)."""

    def encode(self, entry: Stored, owners: Sequence[int]) -> bytes:
        """The document's bytes. Raises ``ValueError`` for what the database cannot carry."""

    async def insert(self, documents: Sequence[bytes]) -> Inserted:
        """Stores in order, journaled on a majority, up to the first duplicate."""

    async def stored_prefix(self, placed: Sequence[Placed]) -> int:
        """How many of the first are durably stored exactly as they were encoded."""

    async def is_there(self, placed: Placed) -> bool:
        """Whether exactly this document was written, durably or not yet."""

    async def by_cids(self, conv: str, userid: int, cids: Sequence[str]) -> dict[str, Message]:
        """The durably stored messages that these cids name."""

    async def last(self, conv: str) -> Message | None:
        """The entry with the highest seq."""

    async def lasts(self, convs: Sequence[str]) -> dict[str, Message]:
        """The last entry of each conversation that has one."""

    async def page(
        self, conv: str, *, above: int, after: int | None, before: int | None, limit: int
    ) -> list[Message]:
        """Ascending entries with seq > ``above``: first ones ``after``, else last ``before``."""

    async def entries(self, conv: str, after: int, before: int | None, limit: int) -> list[Stored]:
        """The first entries with ``after`` < seq < ``before``, ascending."""

    async def newest(self, owners: Sequence[int], after_id: int, before_id: int) -> dict[str, int]:
        """Of the entries in these archives between two ids: conversation → highest seq."""

    async def void(self, conv: str, seq: int, ts: int) -> None:
        """Stores that there is nothing at this seq, unless there is something."""

    async def count_of_others(self, conv: str, userid: int, above: int) -> int:
        """Messages of others with seq > ``above``."""

    async def archive(
        self,
        owner: int,
        *,
        conv: str | None,
        start_ms: int | None,
        end_ms: int | None,
        after_id: int | None,
        before_id: int | None,
        limit: int,
        backward: bool,
    ) -> list[Stored]:
        """1:1 entries of one account by id, ascending; ``backward`` takes the newest."""

    async def archive_count(
        self,
        owner: int,
        *,
        conv: str | None,
        start_ms: int | None,
        end_ms: int | None,
        before_id: int | None = None,
    ) -> int: ...

    async def archive_has(self, owner: int, message_id: int) -> bool: ...

    async def missed(self, userid: int, after_id: int, limit: int) -> list[Stored]:
        """The newest ``limit`` 1:1 messages of others behind ``after_id``, ascending."""


class ConversationStore(Protocol):
    """Which 1:1 conversations an account has."""

    async def add(self, conv: str, members: Sequence[int]) -> None:
        """Remembers a conversation; again is no change."""

    async def of_user(self, userid: int) -> list[str]: ...


class SearchStore(Protocol):
    """The index of the search: terms of messages, and of each conversation its mark, the seq up to
    which all of it is indexed."""

    async def marks(self, convs: Collection[str]) -> dict[str, int]: ...

    async def mark(self, marks: Mapping[str, int]) -> None:
        """Moves forward only."""

    async def read(self, places: Sequence[tuple[str, int]]) -> list[Stored]:
        """What the log has there durably, by conversation and seq; recalled ones without text."""

    async def add(self, terms: Sequence[Terms]) -> None:
        """Those that have terms already keep them."""

    async def put(self, terms: Sequence[Terms]) -> None:
        """Durably, in place of those that are there."""

    async def find(
        self, scope: Scope, upto_id: int, but: Sequence[Found], limit: int
    ) -> list[Found]:
        """The newest with ids up to ``upto_id``, by descending id, without ``but``."""

    async def sample(self, count: int) -> list[list[str]]:
        """The grams of so many messages by chance."""


class AccountStore(Protocol):
    """Accounts as documents; ``_id`` is the user id. Unique: username, mobile."""

    async def next_id(self) -> int: ...

    async def insert(self, document: Document) -> str | None:
        """None, or the name of the field that is taken."""

    async def by_id(self, userid: int) -> Document | None: ...

    async def by_ids(self, userids: Sequence[int]) -> list[Document]: ...

    async def by_name(
        self, field: Literal["username", "mobile"], value: str
    ) -> Document | None: ...

    async def by_prefix(self, prefix: str, limit: int) -> list[Document]: ...

    async def update(self, userid: int, changes: Mapping[str, Any]) -> None: ...

    async def everyone(self) -> list[Document]: ...

    async def pointer(self, userid: int) -> int:
        """Id of the last message handed to an XMPP client of this account."""

    async def move_pointers(self, pointers: Mapping[int, int]) -> None:
        """Moves forward only."""


class SessionStore(Protocol):
    """Logged-in sessions; ``_id`` is the sid. Expired ones vanish by TTL."""

    async def insert(self, document: Document) -> None: ...

    async def get(self, sid: str) -> Document | None: ...

    async def rotate(self, sid: str, old_hash: bytes, changes: Mapping[str, Any]) -> bool:
        """Replaces the refresh token if ``old_hash`` is the current one."""

    async def spend(self, ticket: bytes, expires: datetime) -> bool:
        """Marks a ticket as used until ``expires``; False: it was already."""

    async def delete(self, sid: str) -> None: ...

    async def delete_all(self, userid: int, but_sid: str) -> None: ...


class ConnectionStore(Protocol):
    """Connections of all nodes, ``{_id, node, userid, since, resource?, presence?, farewell?}``.

    Unique: user and resource. And the leases of the nodes.
    """

    async def insert(self, documents: Sequence[Document]) -> None:
        """Those that are there already are left alone."""

    async def claim(self, document: Document) -> Document | None:
        """Inserts one with a resource, unless another has it: gives that one."""

    async def set(self, key: str, fields: Mapping[str, Any]) -> None: ...

    async def remove(self, keys: Sequence[str]) -> None: ...

    async def of_users(self, userids: Sequence[int]) -> list[Document]: ...

    async def of_node(self, node: str) -> list[Document]: ...

    async def renew(self, node: str, lease_s: float) -> bool:
        """False: the lease had run out, or is the first."""

    async def alive(self) -> list[str]:
        """The nodes whose lease is good."""

    async def bury(self, node: str) -> None:
        """Forgets a node and its connections."""


class ChangeStore(Protocol):
    """What nodes tell each other by way of the database. Changes are kept for an hour, tails for
    some minutes."""

    def new_id(self) -> Any:
        """An ``_id`` that no other node makes."""

    async def now(self) -> datetime:
        """The database's clock."""

    async def add(self, change: Document) -> datetime:
        """Stores it, once, and gives the time that the database stamped it with as ``at``."""

    async def since(self, at: datetime, but: Sequence[Any] = ()) -> list[Document]:
        """Those stamped then or later, oldest first, without those that ``but`` names."""


class GroupStore(Protocol):
    """Groups, and their members (unique: group and user)."""

    async def insert(self, group: Document, members: Sequence[Document]) -> None: ...

    async def get(self, gid: int) -> Document | None: ...

    async def members(self, gid: int) -> list[Document]: ...

    async def of_user(self, userid: int) -> list[Document]:
        """The user's member documents."""

    async def gids_of(self, userid: int) -> list[int]:
        """The groups that the user is in; many such questions at once cost few queries."""

    async def by_ids(self, gids: Sequence[int]) -> list[Document]: ...

    async def counts(self, gids: Sequence[int]) -> dict[int, int]: ...

    async def add_member(self, member: Document) -> bool:
        """False: was one already."""

    async def remove_member(self, gid: int, userid: int) -> bool: ...

    async def delete(self, gid: int) -> None: ...


class Store(Protocol):
    """The database: its collections, and whether it answers."""

    @property
    def messages(self) -> MessageStore: ...

    @property
    def conversations(self) -> ConversationStore: ...

    @property
    def search(self) -> SearchStore: ...

    @property
    def accounts(self) -> AccountStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def groups(self) -> GroupStore: ...

    @property
    def changes(self) -> ChangeStore: ...

    @property
    def tails(self) -> ChangeStore: ...

    @property
    def connections(self) -> ConnectionStore: ...

    async def is_up(self) -> bool: ...

    async def agree_on_key(self, fingerprint: str) -> bool:
        """Whether this signing key is the one that this database's nodes share."""


class Bus(Protocol):
    """Carries deliveries to every node that watches them. At most once; nothing is kept.

    A topic is a user's or a group's id, which are never the same. ``is_shared``: there may be
    other nodes. ``is_up``: they can be reached now. ``watched``: how many topics are.
    ``lost``: what was published and could not be carried, since the start.
    """

    lost: int

    @property
    def is_shared(self) -> bool: ...

    @property
    def is_up(self) -> bool: ...

    @property
    def watched(self) -> int: ...

    def listen(
        self,
        deliver: Callable[[Any], None],
        poked: Callable[[], None],
        rejoined: Callable[[], None],
    ) -> None:
        """Who is told what comes, before :meth:`open`. Neither may wait.

        ``deliver`` gets what this node publishes, in the publisher's turn, and what others
        publish on topics that this node watches. ``poked``: another node says that it changed
        something. ``rejoined``: there is a connection (again); until now, much may have been lost.
        """

    async def open(self) -> None:
        """Connects. Does not fail where there is nothing to connect to, but goes on trying."""

    def publish(self, delivery: Envelope | Event) -> None:
        """Never waits, never raises."""

    def poke(self) -> None:
        """Tells all other nodes to look for changes."""

    def watch(self, topic: int) -> None:
        """Brings what is published on this topic, whatever happens to the connection."""

    def unwatch(self, topic: int) -> None: ...

    async def settled(self) -> None:
        """Until what was watched before is in effect, or cannot be."""

    async def close(self) -> None: ...
