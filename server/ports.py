"""What the core asks of its outsides: the database and the bus between nodes.

``server/store`` answers the first with MongoDB, ``server/bus`` the second. Every method of the
stores raises :class:`server.errors.StorageAway` when the database does not answer in time.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

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
    """How far an ordered insert came: so many documents stored, then ``duplicate`` or the end."""

    stored: int
    duplicate: bool


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

    async def delete(self, sid: str) -> None: ...

    async def delete_all(self, userid: int, but_sid: str) -> None: ...


class GroupStore(Protocol):
    """Groups, and their members (unique: group and user)."""

    async def insert(self, group: Document, members: Sequence[Document]) -> None: ...

    async def get(self, gid: int) -> Document | None: ...

    async def members(self, gid: int) -> list[Document]: ...

    async def of_user(self, userid: int) -> list[Document]:
        """The user's member documents."""

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
    def accounts(self) -> AccountStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def groups(self) -> GroupStore: ...

    async def is_up(self) -> bool: ...

    async def agree_on_key(self, fingerprint: str) -> bool:
        """Whether this signing key is the one that this database's nodes share."""


class Bus(Protocol):
    """Carries deliveries to every node that has connections for them. At most once."""

    def listen(self, deliver: Callable[[Any], None]) -> None:
        """``deliver`` is called, in order, for whatever is published on any node."""

    def publish(self, delivery: Any) -> None:
        """Never waits, never raises."""

    def close(self) -> Awaitable[None]: ...
