"""The inbox (cmd 30): one's conversations with their last messages, and what one has set of each.

One query reads a user's places with the last entry of each conversation, which carries how many
messages there are: nothing depends on the length of the history.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from server.accounts import Accounts
from server.clients import now_ms
from server.errors import ChatError
from server.groups import Groups
from server.model import (
    GROUP,
    MAX_ID,
    SINGLE,
    Message,
    clean_text,
    conversation,
    first_id_of,
    is_group,
    partner,
)
from server.ports import Document, GroupStore, MessageStore, Place, PlaceStore, Unread
from server.settings import Limits

CONVERSATIONS = 200
"""Conversations that one answer lists."""
CACHED = 100_000
"""Users' own messages that are counted once (about 20 MiB)."""

EXPORTED = ("read", "delivered", "pinned", "muted", "draft")
_CURSOR = re.compile(r"([0-9]{1,16})\.(g[0-9]{1,16}|[0-9]{1,16}-[0-9]{1,16})", re.ASCII)


class Conversation(msgspec.Struct):
    """One line of the inbox. ``unread``: messages of others above the seq ``read``.

    ``archived`` ends with the next message, unless the conversation is ``muted``.
    """

    chat: int
    dstid: int
    name: str
    avatar: str
    seq: int
    read: int
    unread: int
    mentioned: bool
    pinned: bool
    muted: bool
    archived: bool
    draft: str
    last: Message | msgspec.UnsetType = msgspec.UNSET


class ConversationSet(msgspec.Struct):
    """cmd 24: what a user has set of a conversation, to their other connections."""

    chat: int
    dstid: int
    pinned: bool
    muted: bool
    archived: bool
    draft: str
    cmd: int = 24


class InboxPage(msgspec.Struct, omit_defaults=True):
    """Newest first. ``next``: ask for what comes behind it with ``before``."""

    conversations: list[Conversation]
    more: bool
    next: str = ""


class _Sent(NamedTuple):
    """Of a group's entries with ``read`` < seq <= ``upto``, so many are a user's messages."""

    read: int
    upto: int
    own: int


class Inbox:
    """Everybody's conversations."""

    def __init__(
        self,
        places: PlaceStore,
        messages: MessageStore,
        groups: Groups,
        group_store: GroupStore,
        accounts: Accounts,
        limits: Limits,
        notify: Callable[[Collection[int], Any, int, Collection[int]], None],
    ) -> None:
        self._places = places
        self._messages = messages
        self._groups = groups
        self._group_store = group_store
        self._accounts = accounts
        self._content_chars = limits.content_chars
        self._page_bytes = limits.page_bytes
        self._notify = notify
        self._size = msgspec.json.Encoder().encode
        self._sent: dict[tuple[str, int], _Sent] = {}

    async def page(self, userid: int, before: str = "") -> InboxPage:
        """200 conversations and 512 KiB at most, behind ``before``. Raises ``bad-field``."""
        cursor: tuple[int, str] | None = None
        if before:
            parts = _CURSOR.fullmatch(before)
            if parts is None or int(parts[1]) > MAX_ID:
                raise ChatError("bad-field", "before must be the next of an earlier answer")
            cursor = int(parts[1]), parts[2]
        places = await self._places.inbox(userid, cursor, CONVERSATIONS + 1)
        lines = await self._lines(userid, places[:CONVERSATIONS])
        kept, room = 0, self._page_bytes
        for line in lines:
            room -= len(self._size(line))
            if room < 0 and kept:
                break
            kept += 1
        if kept == len(places):
            return InboxPage(lines, False)
        end = places[kept - 1]
        return InboxPage(lines[:kept], True, f"{end.order}.{end.conv}")

    async def set(
        self, userid: int, chat: int, dstid: int, changes: Mapping[str, bool | str | None]
    ) -> ConversationSet:
        """Sets pinned, muted, archived or draft; None leaves one as it is.

        Raises ``no-such-user``, ``not-a-member``, ``too-long``, ``bad-field``.
        """
        if chat == GROUP:
            await self._groups.member(dstid, userid)
        elif await self._accounts.user(dstid) is None:
            raise ChatError("no-such-user", f"there is no user {dstid}")
        conv = conversation(chat, userid, dstid)
        fields: Document = {name: value for name, value in changes.items() if value is not None}
        if "draft" in fields:
            fields["draft"] = clean_text(fields["draft"], "draft", self._content_chars)
        if "archived" in fields:
            end = await self._messages.last(conv)
            # Up to where: what comes behind it brings the conversation back.
            fields["archived"] = (end.seq if end else 0) if fields["archived"] else -1
        if fields and not await self._places.set(conv, userid, fields, first_id_of(now_ms())):
            raise ChatError("not-a-member", "you are not a member of this group")
        place = (await self._places.of([(conv, userid)])).get((conv, userid), {})
        end = await self._messages.last(conv)
        present = ConversationSet(chat, dstid, **_settings(place, end.seq if end else 0))
        if fields:
            self._notify((userid,), present, 0, ())
        return present

    async def export(self, userid: int) -> list[dict[str, Any]]:
        """What is stored of a user in conversations, as JSON values."""
        return [
            {"conversation": place.conv}
            | {name: place.fields[name] for name in EXPORTED if name in place.fields}
            for place in await self._places.inbox(userid, None, MAX_ID)
        ]

    async def forget_user(self, userid: int) -> None:
        """The account is deleted."""
        await self._places.forget_user(userid)

    async def _lines(self, userid: int, places: list[Place]) -> list[Conversation]:
        gids = [int(place.conv[1:]) for place in places if is_group(place.conv)]
        # Looked for only where there is something above the pointer.
        above = [
            place for place in places if place.end.tally.messages > place.fields.get("read_n", 0)
        ]
        lasts, unread, sent, users, groups = await asyncio.gather(
            self._messages.at(
                [(place.conv, place.end.tally.top) for place in places if place.end.tally.top]
            ),
            self._places.unread(userid, {place.conv: _read(place) for place in above}),
            self._own(userid, [place for place in above if is_group(place.conv)]),
            self._accounts.people(
                partner(place.conv, userid) for place in places if not is_group(place.conv)
            ),
            self._group_store.by_ids(gids),
        )
        named = {group["_id"]: group for group in groups}
        lines = []
        for place in places:
            conv, floor = place.conv, 0
            last = lasts.get((conv, place.end.tally.top))
            if is_group(conv):
                chat, dstid = GROUP, int(conv[1:])
                group = named.get(dstid, {})
                name, avatar = group.get("name", ""), group.get("avatar", "")
                floor = 0 if group.get("history") == "all" else place.fields["floor"]
            else:
                chat, dstid = SINGLE, partner(conv, userid)
                user = users.get(dstid)
                name = user.shown_name if user else ""
                avatar = user.avatar if user else ""
            lines.append(
                Conversation(
                    chat=chat,
                    dstid=dstid,
                    name=name or str(dstid),
                    avatar=avatar,
                    seq=place.end.seq,
                    read=_read(place),
                    unread=_count(place, userid, unread, sent),
                    mentioned=conv in unread.mentioned,
                    last=last.message if last and last.message.seq > floor else msgspec.UNSET,
                    **_settings(place.fields, place.end.seq),
                )
            )
        return lines

    async def _own(self, userid: int, places: list[Place]) -> dict[str, int]:
        """How many messages above the pointer are one's own; in 1:1 conversations tallies say it.

        Of what has been counted once nothing changes.
        """
        known, wanted = {}, {}
        for place in places:
            sent = self._sent.get((place.conv, userid))
            if sent is None or sent.read != _read(place) or sent.upto > place.end.seq:
                sent = _Sent(_read(place), _read(place), 0)
            known[place.conv] = sent
            if sent.upto < place.end.seq:
                wanted[place.conv] = (sent.upto, place.end.seq)
        for conv, count in (await self._places.sent(userid, wanted)).items():
            known[conv] = known[conv]._replace(own=known[conv].own + count)
        for conv, (_, upto) in wanted.items():
            if len(self._sent) >= CACHED and (conv, userid) not in self._sent:
                del self._sent[next(iter(self._sent))]
            self._sent[conv, userid] = known[conv]._replace(upto=upto)
        return {conv: sent.own for conv, sent in known.items()}


def _read(place: Place) -> int:
    return int(place.fields.get("read", 0))


def _count(place: Place, userid: int, unread: Unread, sent: dict[str, int]) -> int:
    """Messages of others above the pointer that were not recalled."""
    conv, tally = place.conv, place.end.tally
    messages = tally.messages - int(place.fields.get("read_n", 0))
    if is_group(conv):
        own = sent.get(conv, 0)
    else:
        own = tally.low - int(place.fields.get("read_low", 0))
        if userid != int(conv.partition("-")[0]):
            own = messages - own
    return max(0, messages - own - unread.recalled.get(conv, 0))


def _settings(place: Document, seq: int) -> dict[str, Any]:
    muted = place.get("muted", False)
    archived = place.get("archived", -1)
    return {
        "pinned": place.get("pinned", False),
        "muted": muted,
        "archived": archived >= 0 and (muted or archived >= seq),
        "draft": place.get("draft", ""),
    }
