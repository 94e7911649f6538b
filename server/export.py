"""Everything that the service has of a person, as one JSON document for that person."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from server.app_passwords import AppPassword
from server.clients import now_ms
from server.contacts import ContactState
from server.errors import ChatError
from server.limits import Window
from server.model import Message, Role
from server.ports import MessageStore
from server.profile import Me
from server.settings import Limits
from server.tokens import Session

PIECE_BYTES = 64 * 1024
PAGE = 200

Section = Callable[[int], Awaitable[Any] | AsyncIterator[Any]]
"""One account's part: a value, or a list that is too long to be had at once."""

_encode = msgspec.json.Encoder().encode


class Said(Message, omit_defaults=True, gc=False):
    """An entry of a conversation's log; ``xml``: what only XMPP clients can show of it."""

    xml: str = ""


class ExportedContact(msgspec.Struct):
    """Somebody in one's list, or who asks to be. ``groups``: of the list, as XMPP clients sort it.

    ``name`` and ``groups`` are left out where one has not answered a request.
    """

    id: int
    state: ContactState
    since: int
    name: str | UnsetType = UNSET
    groups: list[str] | UnsetType = UNSET


class ExportedContacts(msgspec.Struct):
    """One's list, and the ids of whom one has blocked."""

    contacts: list[ExportedContact]
    blocks: list[int]


class ExportedGroup(msgspec.Struct):
    """One's place in a group."""

    gid: int
    name: str
    role: Role
    joined: int
    nick: str | UnsetType = UNSET
    muted_until: int | UnsetType = UNSET


class ExportedConversation(msgspec.Struct):
    """What one has set of a conversation, and the seqs up to which one has got and read it."""

    conversation: str
    read: int | UnsetType = UNSET
    delivered: int | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET
    muted: bool | UnsetType = UNSET
    draft: str | UnsetType = UNSET


class ExportedFile(msgspec.Struct):
    """An upload."""

    name: str
    size: int
    type: str
    created: int
    url: str


class ExportedItem(msgspec.Struct):
    """Something published: XML, and when."""

    id: str
    xml: str
    at: int


class ExportedNode(msgspec.Struct):
    """What an XMPP client publishes under a name; ``access``: who may see it (XEP-0060)."""

    node: str
    access: str
    items: list[ExportedItem]


class Exported(msgspec.Struct):
    """The document, as the OpenAPI document describes it; the parts make it themselves.

    ``messages``: of all 1:1 conversations, by id; ``group_messages``: one's own, group by group.
    """

    exported: int
    profile: Me
    sessions: list[Session]
    app_passwords: list[AppPassword]
    contacts: ExportedContacts
    groups: list[ExportedGroup]
    conversations: list[ExportedConversation]
    files: list[ExportedFile]
    published: list[ExportedNode]
    private_xml: list[str]
    messages: list[Said]
    group_messages: list[Said]


class Exports:
    """``sections``: the document's fields, in this order."""

    def __init__(self, sections: Mapping[str, Section], limits: Limits) -> None:
        self._sections = sections
        self._begun = Window(limits.exports_per_hour * limits.rate_scale, 3600)

    def of(self, userid: int) -> AsyncIterator[bytes]:
        """The document in pieces of some 64 KiB. Raises ``slow-down`` at once."""
        wait = self._begun.wait_s(str(userid))
        if wait:
            raise ChatError("slow-down", "too many exports", retry_after=wait)
        self._begun.count(str(userid))
        return _in_pieces(self._write(userid))

    async def _write(self, userid: int) -> AsyncIterator[bytes]:
        yield b'{"exported":%d' % now_ms()
        for name, section in self._sections.items():
            yield b",%s:" % _encode(name)
            found = section(userid)
            if isinstance(found, AsyncIterator):
                between = b"["
                async for each in found:
                    yield between
                    yield _encode(each)
                    between = b","
                yield b"]" if between == b"," else b"[]"
            else:
                yield _encode(await found)
        yield b"}"


async def _in_pieces(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    piece = bytearray()
    async for part in parts:
        piece += part
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


async def messages_of(store: MessageStore, userid: int) -> AsyncIterator[Said]:
    """The 1:1 messages of an account's archive, by id."""
    last: int | None = None
    known: set[tuple[str, int]] = set()
    while True:
        limit = PAGE + len(known)
        page = await store.archive(
            userid,
            conv=None,
            start_ms=None,
            end_ms=None,
            # Entries of different conversations may have the same id: the last one's again.
            after_id=None if last is None else last - 1,
            before_id=None,
            limit=limit,
            backward=False,
        )
        for entry in page:
            if (entry.conv, entry.message.seq) not in known:
                yield Said(**msgspec.structs.asdict(entry.message), xml=entry.xml)
        if len(page) < limit:
            return
        last = page[-1].message.id
        known = {(entry.conv, entry.message.seq) for entry in page if entry.message.id == last}


async def group_messages_of(store: MessageStore, userid: int) -> AsyncIterator[Said]:
    """What an account has said in groups, also in those that it has left.

    Without the others' reactions, which are not shown to who has left.
    """
    last = ("", 0)
    while page := await store.own_in_groups(userid, last, PAGE):
        for entry in page:
            entry.message.reactions = {}
            yield Said(**msgspec.structs.asdict(entry.message), xml=entry.xml)
        last = page[-1].conv, page[-1].message.seq
