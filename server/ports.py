"""What the core asks of its outsides: the database and the bus between nodes.

``server/store`` answers the first with MongoDB, ``server/bus`` the second. Every method of the
stores raises :class:`server.errors.StorageAway` when the database does not answer in time.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from server.deliveries import Envelope, Event
from server.model import Known, Message, Role, Tally

Document = dict[str, Any]


class Stored(NamedTuple):
    """One entry of a conversation's log as the history has it. ``xml``: see ``Names``."""

    message: Message
    xml: str
    conv: str


class End(NamedTuple):
    """Where a conversation's log ends."""

    seq: int
    id: int
    tally: Tally


class Act(NamedTuple):
    """A stored recall, edit or reaction, and the message that it acts on.

    ``target.first``: always the digest of the content that the message was sent with.
    """

    conv: str
    entry: Message
    target: Known


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

    def encode(self, entry: Stored, owners: Sequence[int], tally: Tally) -> bytes:
        """The document's bytes. Raises ``ValueError`` for what the database cannot carry."""

    async def insert(self, documents: Sequence[bytes]) -> Inserted:
        """Stores in order, journaled on a majority, up to the first duplicate."""

    async def stored_prefix(self, placed: Sequence[Placed]) -> int:
        """How many of the first are durably stored exactly as they were encoded."""

    async def is_there(self, placed: Placed) -> bool:
        """Whether exactly this document was written, durably or not yet."""

    async def by_cids(self, conv: str, userid: int, cids: Sequence[str]) -> dict[str, Known]:
        """The durably stored messages that these cids name."""

    async def by_id(self, conv: str, message_id: int) -> Known | None:
        """The durably stored message of this id."""

    async def at(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Stored]:
        """The entries at these conversations' seqs."""

    async def tallies(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Tally]:
        """Those of the entries at these conversations' seqs."""

    async def last(self, conv: str) -> End | None:
        """That of the entry with the highest seq."""

    async def lasts(self, convs: Sequence[str]) -> dict[str, End]:
        """The same of each conversation that has an entry."""

    async def page(
        self, conv: str, *, above: int, after: int | None, before: int | None, limit: int
    ) -> list[Message]:
        """Ascending entries with seq > ``above``: first ones ``after``, else last ``before``."""

    async def entries(self, conv: str, after: int, before: int | None, limit: int) -> list[Stored]:
        """The first entries with ``after`` < seq < ``before``, ascending.

        Up to the first that is just being applied.
        """

    async def newest(self, owners: Sequence[int], after_id: int, before_id: int) -> dict[str, int]:
        """Of the entries in these archives between two ids: conversation → highest seq."""

    async def void(self, conv: str, seq: int, ts: int) -> None:
        """Stores that there is nothing at this seq, unless there is something."""

    async def apply(
        self, acts: Sequence[Act], digest: Callable[[Message], bytes]
    ) -> set[tuple[str, int]]:
        """Does to the messages what was said of them; again is no change.

        Of a recalled one and of its edits nothing is left but that they were there, and the
        digests of what was first sent. Gives those that are recalled: conversation and id.
        """

    async def named(self, conv: str, authors: Sequence[int], name: str) -> Message | None:
        """The entry that XMPP clients know under this id: of the first author who has one."""

    async def unapplied(self, after_id: int, before_id: int, limit: int) -> list[Stored]:
        """Stored recalls, edits and reactions between two ids that were not applied, ascending."""

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
    ) -> int | None:
        """None: more than 10,000."""

    async def archive_named(self, owner: int, ids: Sequence[int]) -> list[Stored]:
        """Those of these entries that are in the archive, ascending."""

    async def archive_has(self, owner: int, message_id: int) -> bool: ...

    async def own_in_groups(self, userid: int, after: tuple[str, int], limit: int) -> list[Stored]:
        """The user's messages in groups behind this conversation and seq, in their order."""

    async def missed(self, userid: int, after_id: int, limit: int) -> list[Stored]:
        """The newest ``limit`` 1:1 messages of others behind ``after_id``, ascending.

        With reactions, and recalls and edits of messages up to ``after_id``.
        """


class Pointer(NamedTuple):
    """How far one user has come in a conversation; ``tally``: that of the entry ``read``."""

    conv: str
    userid: int
    read: int
    delivered: int
    tally: Tally


class PlaceStore(Protocol):
    """A user's place in each conversation: pointers and settings. Of groups: the member."""

    async def add(self, conv: str, members: Sequence[int]) -> None:
        """Begins a 1:1 conversation; again is no change."""

    async def of(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Document]:
        """Those of (conversation, user) that are there."""

    async def of_conversation(self, conv: str) -> list[Document]: ...

    async def singles_of(self, userid: int) -> list[str]:
        """The user's 1:1 conversations."""

    async def move(self, pointers: Sequence[Pointer]) -> None:
        """Moves forward only."""

    async def set(self, conv: str, userid: int, fields: Mapping[str, Any], since: int) -> bool:
        """False: not a member of this group. A 1:1 conversation without a message begins so, with
        ``since`` as its place among the others: a message id."""

    async def inbox(self, userid: int, before: tuple[int, str] | None, limit: int) -> list["Place"]:
        """The places with the newest entries behind ``before`` (order and conversation)."""

    async def unread(self, userid: int, above: Mapping[str, int]) -> "Unread":
        """What lies above these seqs."""

    async def sent(self, userid: int, spans: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """How many of a group's messages are the user's: above the first seq, up to the second."""

    async def forget_user(self, userid: int) -> None:
        """Takes the user's places in 1:1 conversations away."""


class Place(NamedTuple):
    """A user's place in a conversation. ``order``: what the inbox is sorted by, the highest first;
    ``fields``: the pointers and settings that are stored."""

    conv: str
    order: int
    end: End
    fields: Document


class Unread(NamedTuple):
    """Per conversation, above a seq: recalled messages of others, and where one is mentioned."""

    recalled: dict[str, int]
    mentioned: set[str]


class SearchStore(Protocol):
    """The index of the search: terms of messages, and of each conversation its mark, the seq up to
    which all of it is indexed."""

    async def marks(self, convs: Collection[str]) -> dict[str, int]: ...

    async def mark(self, marks: Mapping[str, int]) -> None:
        """Moves forward only."""

    async def read(self, places: Sequence[tuple[str, int]]) -> list[Stored]:
        """What the log has there durably, by conversation and seq; recalled ones without text."""

    async def add(self, terms: Sequence[Terms]) -> None:
        """Durably; those that have terms already keep them."""

    async def put(self, terms: Sequence[Terms]) -> None:
        """Durably, in place of those that are there."""

    async def find(
        self, scope: Scope, upto_id: int, but: Sequence[Found], limit: int
    ) -> list[Found]:
        """The newest with ids up to ``upto_id``, by descending id, without ``but``."""

    async def sample(self, count: int) -> list[list[str]]:
        """The grams of so many messages by chance."""


class AccountStore(Protocol):
    """Accounts as documents; ``_id`` is the user id. Unique: mobile, and each of ``names``: the
    username and those that are kept free, which ``former`` lists as ``{name, until}``.

    One that was deleted has ``deleted``, and ``leaving`` while there may be something left of it.
    """

    async def next_id(self) -> int: ...

    async def insert(self, document: Document) -> str | None:
        """None, or the name of the field that is taken."""

    async def by_id(self, userid: int) -> Document | None:
        """A deleted one too; so does :meth:`by_ids`, and no other."""

    async def by_ids(self, userids: Sequence[int]) -> list[Document]: ...

    async def by_name(
        self, field: Literal["username", "mobile"], value: str
    ) -> Document | None: ...

    async def by_prefix(self, prefix: str, limit: int) -> list[Document]: ...

    async def update(
        self, userid: int, changes: Mapping[str, Any], expected: Mapping[str, Any] = {}
    ) -> Literal["", "username", "mobile", "changed"]:
        """Sets fields (``a.b``: within one) and removes those that are to be None.

        Only of an account that is not deleted and where ``expected`` holds (None: no such field).
        Else it is ``changed``; or names the field whose value is taken.
        """

    async def everyone(self) -> list[Document]: ...

    async def used_app_passwords(self, used: Mapping[tuple[int, int], int]) -> None:
        """When those were used, by account and number: moves forward only."""

    async def free_names(self, now_ms: int) -> None:
        """Lets go of former names that were kept until then."""

    async def take_leaver(self, before_ms: int, now_ms: int) -> int | None:
        """A deleted account that was left unfinished before then; takes it up now."""

    async def strip(self, userid: int) -> None:
        """Leaves of a deleted account what no other may have: its id, and names kept free."""

    async def finish_leaving(self, userid: int) -> None:
        """There is nothing left of a deleted account."""

    async def pointer(self, userid: int) -> int:
        """Id of the last message handed to an XMPP client of this account."""

    async def move_pointers(self, pointers: Mapping[int, int]) -> None:
        """Moves forward only."""

    async def forget_pointer(self, userid: int) -> None: ...


class SessionStore(Protocol):
    """Logged-in sessions; ``_id`` is the sid. Expired ones vanish by TTL."""

    async def insert(self, document: Document) -> None: ...

    async def get(self, sid: str) -> Document | None: ...

    async def of_user(self, userid: int, limit: int) -> list[Document]:
        """Those seen last."""

    async def saw(self, seen: Mapping[str, int]) -> None:
        """When each of these was seen: moves forward only."""

    async def rotate(self, sid: str, old_hash: bytes, changes: Mapping[str, Any]) -> bool:
        """Replaces the refresh token if ``old_hash`` is the current one."""

    async def spend(self, ticket: bytes, expires: datetime) -> bool:
        """Marks a ticket as used until ``expires``; False: it was already."""

    async def delete(self, sid: str) -> None: ...

    async def delete_all(self, userid: int, but_sid: str) -> None: ...


class ConnectionStore(Protocol):
    """Connections of all nodes, ``{_id, node, userid, since, resource?, presence?, farewell?,
    state?, memo?, at?}``.

    Unique: user and resource. And the leases of the nodes.
    """

    async def insert(self, documents: Sequence[Document]) -> None:
        """Those that are there already are left alone."""

    async def claim(self, document: Document) -> Document | None:
        """Inserts one with a resource, unless another has it: gives that one."""

    async def set(self, key: str, fields: Mapping[str, Any]) -> None: ...

    async def edit(self, edits: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets fields of several, by key."""

    async def hush(self, keys: Sequence[str]) -> None:
        """Takes away their ``state``."""

    async def remove(self, keys: Sequence[str]) -> None: ...

    async def of_users(self, userids: Sequence[int]) -> list[Document]: ...

    async def of_node(self, node: str) -> list[Document]: ...

    async def nodes(self) -> list[str]:
        """Those that have connections in the book, alive or not."""

    async def renew(self, node: str, lease_s: float) -> bool:
        """False: the lease had run out, or is the first."""

    async def alive(self) -> list[str]:
        """The nodes whose lease is good."""

    async def bury(self, node: str) -> None:
        """Forgets a node and its connections."""


class PresenceStore(Protocol):
    """What contacts were last told of a user: ``{_id: user id, state, memo, at, web, v}``.

    ``web``: the same of the connections that are not XMPP's. ``v`` counts the changes, 0 for one
    that is not there.
    """

    async def of_users(self, userids: Sequence[int]) -> list[Document]: ...

    async def replace(self, documents: Sequence[Document]) -> set[int]:
        """Stores those whose ``v`` is still the present one, each with the next one.

        The users of the others.
        """


class ContactStore(Protocol):
    """Pairs of users, see :mod:`server.contacts`. ``v``: another one after each change."""

    async def get(self, pair: str) -> Document | None: ...

    async def put(self, document: Document) -> bool:
        """Stores a new pair, or a changed one; False: somebody else did since it was read."""

    async def remove(self, document: Document) -> bool:
        """False: somebody else changed it since it was read."""

    async def of_user(self, userid: int) -> list[Document]: ...

    async def watchers(self, userid: int) -> list[int]:
        """Who sees this user's presence; many such questions at once cost few queries."""

    async def count(self, userid: int) -> tuple[int, int]:
        """How many pairs the user has an item in, and how many only the others."""

    async def forget(self, userid: int) -> None:
        """Removes all pairs of this user."""


class PepStore(Protocol):
    """What users publish (:mod:`server.pep`), and private XML. A node's document has its ``node``
    and ``config``, an item's has ``item``, ``xml`` and ``at``."""

    async def node(self, userid: int, node: str) -> Document | None: ...

    async def nodes(self, userid: int) -> list[Document]: ...

    async def create(self, userid: int, node: str, config: Document, most: int) -> bool | None:
        """False: there is one already; None: there are ``most``."""

    async def configure(self, userid: int, node: str, config: Document) -> None: ...

    async def put(self, userid: int, node: str, item: Document, keep: int) -> bool:
        """Stores an item, and keeps the newest ``keep``. False: there is no such node."""

    async def trim(self, userid: int, node: str, keep: int) -> None: ...

    async def items(
        self, userid: int, node: str, ids: Sequence[str] | None, limit: int
    ) -> list[Document]:
        """The newest first; ``ids`` None: any."""

    def last(self, userids: Collection[int], nodes: Collection[str]) -> AsyncIterator[Document]:
        """The documents of these users' nodes, each with its newest item as ``items``."""

    async def retract(self, userid: int, node: str, ids: Sequence[str]) -> int:
        """How many items are gone."""

    async def purge(self, userid: int, node: str) -> None: ...

    async def remove(self, userid: int, node: str) -> bool: ...

    async def private(self, userid: int, name: str) -> str: ...

    async def all_private(self, userid: int) -> list[str]: ...

    async def keep_private(self, userid: int, name: str, xml: str, most: int) -> bool:
        """False: there are ``most`` others."""

    async def forget(self, userid: int) -> None: ...


class BlockStore(Protocol):
    """Who blocks whom. Many questions at once cost few queries."""

    async def of_user(self, userid: int) -> list[int]:
        """Whom this user blocks."""

    async def blockers(self, userid: int) -> list[int]:
        """Who blocks this user."""

    async def add(self, userid: int, other: int, most: int) -> bool:
        """False: the list has ``most`` entries."""

    async def remove(self, userid: int, other: int) -> None: ...

    async def forget(self, userid: int) -> None:
        """Removes the user's list, and the user from all others."""


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

    async def insert(self, group: Document, members: Sequence[Document]) -> bool:
        """The group is there when all its members are. False: another one has its ``slug``."""

    async def get(self, gid: int) -> Document | None: ...

    async def by_slug(self, slug: str) -> int | None:
        """The group whose room has this name."""

    async def update(self, gid: int, changes: Mapping[str, Any]) -> bool:
        """False: there is no such group."""

    async def cast_out(self, gid: int, userid: int, is_out: bool) -> bool:
        """Puts the user on the group's ``outcasts``, or takes off. False: no change."""

    async def members(self, gid: int, userids: Collection[int] | None = None) -> list[Document]:
        """All members, or those of these users who are."""

    async def page(self, gid: int, after: int, limit: int) -> list[Document]:
        """The first members with ids above ``after``, ascending."""

    async def of_user(self, userid: int) -> list[Document]:
        """The user's member documents."""

    async def gids_of(self, userid: int) -> list[int]:
        """The groups that the user is in; many such questions at once cost few queries."""

    async def by_ids(self, gids: Sequence[int]) -> list[Document]: ...

    async def counts(self, gids: Sequence[int]) -> dict[int, int]: ...

    async def add_member(self, member: Document) -> bool:
        """False: was one already. A request to be let in is done with."""

    async def update_member(
        self, gid: int, userid: int, changes: Mapping[str, Any], roles: Sequence[Role]
    ) -> bool:
        """False: is not a member, or has none of these roles."""

    async def hand_over(self, gid: int, old: int, new: int) -> bool:
        """Makes the member ``new`` the owner, unmuted, and ``old`` an admin, both or none.

        False: ``old`` is not the owner, or ``new`` not another member.
        """

    async def remove_member(self, gid: int, userid: int, roles: Sequence[Role]) -> bool:
        """False: is not a member, or has none of these roles."""

    async def delete(self, gid: int) -> None: ...


class InvitationStore(Protocol):
    """Ways into groups: links by their code, and requests (unique: group and user).

    ``expires`` in both is milliseconds since 1970 UTC; behind it they vanish, though not at once.
    """

    async def insert(self, invitation: Document) -> None:
        """``{_id: code, id, gid, by, created, expires}``, ``uses`` where they are counted."""

    async def get(self, code: str, now_ms: int) -> Document | None:
        """The one that can still be used."""

    async def use(self, code: str) -> bool:
        """Counts one use. False: there are none left."""

    async def of_group(self, gid: int, now_ms: int) -> list[Document]:
        """Those that can still be used, oldest first."""

    async def remove(self, gid: int, invitation: int) -> bool:
        """False: there was none."""

    async def add_request(self, request: Document) -> Document:
        """``{_id, gid, userid, text, created, expires}``, or what was asked before."""

    async def get_request(self, gid: int, userid: int) -> Document | None: ...

    async def requests(self, gid: int, after: int, limit: int) -> list[Document]:
        """The first of users with ids above ``after``, ascending."""

    async def count_requests(self, gid: int) -> int: ...

    async def remove_request(self, gid: int, userid: int) -> bool:
        """False: there was none."""

    async def remove_requests_of(self, userid: int) -> None: ...


class UploadStore(Protocol):
    """Slots and files, ``{_id (the key), userid, name, size, type, created, due?, gone?}``.

    ``due``: when the sweep has to look at it, ms; ``gone``: its file is deleted, its name too.
    """

    async def insert(self, document: Document) -> None: ...

    async def usage(self, userid: int, since_ms: int) -> tuple[int, int, int]:
        """Of the user's rows made since then: how many, their bytes, when the oldest was made."""

    async def of_user(self, userid: int) -> list[Document]:
        """Those that are not gone, oldest first."""

    async def give_up(self, userid: int, keys: Sequence[str] | None, due: int) -> list[str]:
        """Marks the user's rows (all: None) as gone; which ones are."""

    async def due(self, now_ms: int, limit: int) -> list[Document]: ...

    async def settle(self, key: str) -> None:
        """Not due any more, unless it is gone by now."""

    async def postpone(self, key: str, due: int) -> None: ...

    async def remove(self, key: str) -> None: ...


class Store(Protocol):
    """The database: its collections, and whether it answers."""

    @property
    def messages(self) -> MessageStore: ...

    @property
    def places(self) -> PlaceStore: ...

    @property
    def search(self) -> SearchStore: ...

    @property
    def accounts(self) -> AccountStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def groups(self) -> GroupStore: ...

    @property
    def invitations(self) -> InvitationStore: ...

    @property
    def changes(self) -> ChangeStore: ...

    @property
    def tails(self) -> ChangeStore: ...

    @property
    def connections(self) -> ConnectionStore: ...

    @property
    def uploads(self) -> UploadStore: ...

    @property
    def presences(self) -> PresenceStore: ...

    @property
    def contacts(self) -> ContactStore: ...

    @property
    def blocks(self) -> BlockStore: ...

    @property
    def pep(self) -> PepStore: ...

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
