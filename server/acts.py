"""What is done to messages that were sent: recall, edit, reaction (cmd 14, 15, 16).

Each is an entry of the conversation's log, so that it is synced like a message, and is applied to
the message it names before anybody hears of it: history shows a message in its present state.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from server.clients import now_ms
from server.deliveries import Envelope
from server.errors import ChatError, StorageAway
from server.media import TEXT, check_media
from server.model import (
    CONTENT_FIELDS,
    EDIT,
    GROUP,
    REACTION,
    RECALL,
    RECEIPT,
    SINGLE,
    Known,
    Message,
    clean_text,
    conversation,
    first_id_of,
    has_same_content,
)
from server.ports import Act, MessageStore
from server.settings import Limits

log = logging.getLogger(__name__)

REACTION_CHARS = 64
DIFFERENT = 100
"""Reactions to one message. In a large group they could make it larger than an answer may be."""
NAME_CHARS = 512
DIGEST_BYTES = 16
RECOVER_S = 30.0
RIPE_MS = 10_000
"""Younger ones are most likely being applied right now."""
AT_ONCE = 200

_encode = msgspec.json.Encoder().encode

Hook = Callable[[str, Message, Message], Awaitable[None]]
"""Conversation, the act, and the message as it was before."""


def no_such_message() -> ChatError:
    """The same whether there is no such conversation, or the message is another one's."""
    return ChatError("no-such-message", "there is no such message in this conversation")


class Acts:
    """``before`` and ``after``: what else a recall or edit brings, before and after the history has
    it; again is no change."""

    def __init__(self, messages: MessageStore, limits: Limits, key: bytes) -> None:
        self._messages = messages
        self._content_chars = limits.content_chars
        self._window_s = limits.recall_s
        self._key = key
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Also does what a node that died left undone."""
        self._task = asyncio.create_task(self._recover_for_ever(), name="acts")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def clean(self, message: Message) -> None:
        """Leaves of a client's frame what belongs to it. Raises ``bad-field``, ``too-long``."""
        if not message.ref:
            raise ChatError("bad-field", "ref is missing: the id of the message that is meant")
        message.media = message.amount = 0
        message.pic = message.url = message.memo = ""
        message.at = []
        if message.cmd == RECALL:
            message.content = ""
        elif message.cmd == EDIT:
            message.content = clean_text(message.content, "content", self._content_chars)
        else:
            message.content = clean_text(message.content, "content", REACTION_CHARS)

    async def find(self, conv: str, message_id: int) -> Known | None:
        """The message of this id."""
        return await self._messages.by_id(conv, message_id)

    async def named(self, cmd: int, userid: int, other: int, name: str) -> Message | None:
        """The message of a 1:1 conversation that XMPP clients know under this id.

        Both sides may have given one the same: ``cmd`` says what ``userid`` wants with it, and
        so whose is meant. An edit stands for the message that it is of.
        """
        if not 0 < len(name) <= NAME_CHARS:
            return None
        conv = conversation(SINGLE, userid, other)
        authors = (userid, other) if cmd in (RECALL, EDIT) else (other, userid)
        found = await self._messages.named(conv, authors, name)
        if found is None or found.cmd == SINGLE or cmd == RECEIPT:
            return found
        known = await self._messages.by_id(conv, found.ref) if found.cmd == EDIT else None
        return known.message if known else None

    async def named_in_group(self, cmd: int, userid: int, gid: int, name: str) -> Message | None:
        """The message of a group that XMPP clients mean: by id, an edit by the name that its
        sender gave it."""
        if not 0 < len(name) <= NAME_CHARS:
            return None
        conv = conversation(GROUP, userid, gid)
        if cmd != EDIT and name.isascii() and name.isdigit() and len(name) <= 16:
            found = await self._messages.by_id(conv, int(name))
            if found is not None:
                return found.message
        return await self._messages.named(conv, (userid,), name)

    async def target(self, message: Message, conv: str, floor: int, is_moderator: bool) -> Known:
        """The message that is acted on.

        ``floor``: what is at or below this seq its sender does not see. Raises
        ``no-such-message``, ``not-allowed``, ``too-late``.
        """
        target = await self._messages.by_id(conv, message.ref)
        if target is None or target.message.seq <= floor:
            raise no_such_message()
        try:
            self._check(message, target.message, is_moderator)
        except ChatError:
            # One that was done already is answered as it was then.
            if not message.cid:
                raise
            named = await self._messages.by_cids(conv, message.userid, [message.cid])
            if not named:
                raise
        return target

    def _check(self, message: Message, target: Message, is_moderator: bool) -> None:
        if target.recalled:
            raise ChatError("no-such-message", "this message was recalled")
        if message.cmd == REACTION:
            given = target.reactions
            if message.content and message.content not in given and len(given) >= DIFFERENT:
                raise ChatError(
                    "too-long", f"a message has {DIFFERENT} different reactions at most"
                )
            return
        if message.cmd == EDIT:
            if not (message.content or target.url):
                raise ChatError(
                    "bad-field", "content is missing; to take a message back, recall it"
                )
            if target.media != TEXT:
                check_media(msgspec.structs.replace(target, content=message.content))
        if message.cmd == RECALL and is_moderator:
            return
        if target.userid != message.userid:
            raise ChatError("not-allowed", "this is another user's message")
        if now_ms() - target.ts > 1000 * self._window_s:
            minutes = self._window_s / 60
            raise ChatError("too-late", f"this can be done for {minutes:g} minutes after sending")

    async def apply(self, envelopes: Sequence[Envelope]) -> None:
        """Does what these stored entries say; again is no change.

        An edit that came after its message's recall has no text to tell any more. What cannot be
        done is logged, and tried again every now and then.

        Raises ``StorageAway``, always as something that may have been done.
        """
        acts = [
            self._act(envelope.conv, envelope.message, envelope.target)
            for envelope in envelopes
            if envelope.target is not None
        ]
        try:
            try:
                gone = await self._apply(acts)
            except StorageAway:
                raise
            except Exception:
                # Which one it is shows when each is done alone.
                gone = {each for act in acts for each in await self._apply_alone(act)}
        except StorageAway as away:
            raise StorageAway(str(away)) from away
        for envelope in envelopes:
            message = envelope.message
            if message.cmd == EDIT and (envelope.conv, message.ref) in gone:
                message.content = envelope.xml = ""

    def is_same(self, known: Known, message: Message) -> bool:
        """Whether a repeated cid names the content that was sent with it first."""
        if known.first:
            return hmac.compare_digest(known.first, self._digest(message))
        return has_same_content(known.message, message)

    def _act(self, conv: str, entry: Message, target: Known) -> Act:
        first = target.first or self._digest(target.message)
        return Act(conv, entry, target._replace(first=first))

    async def _apply(self, acts: Sequence[Act]) -> set[tuple[str, int]]:
        changes = [act for act in acts if act.entry.cmd != REACTION]
        for act in changes:
            for hook in self.before:
                await hook(act.conv, act.entry, act.target.message)
        gone = await self._messages.apply(acts, self._digest)
        for act in changes:
            for hook in self.after:
                await hook(act.conv, act.entry, act.target.message)
        return gone

    async def _apply_alone(self, act: Act) -> set[tuple[str, int]]:
        try:
            return await self._apply([act])
        except StorageAway:
            raise
        except Exception:
            log.exception("act_failed conv=%s seq=%d", act.conv, act.entry.seq)
            return set()

    def _digest(self, message: Message) -> bytes:
        """With a key, or a short text that was recalled could be guessed from the database."""
        content = _encode([getattr(message, field) for field in CONTENT_FIELDS])
        return hmac.digest(self._key, b"tandem content " + content, "sha256")[:DIGEST_BYTES]

    async def _recover_for_ever(self) -> None:
        while True:
            try:
                await self._recover_all()
            except StorageAway as away:
                log.info("acts_not_recovered reason=%s", away)
            except Exception:
                log.exception("acts_not_recovered")
            await asyncio.sleep(RECOVER_S)

    async def _recover_all(self) -> None:
        after, before = 0, first_id_of(now_ms() - RIPE_MS)
        while entries := await self._messages.unapplied(after, before, AT_ONCE):
            for conv, message in ((entry.conv, entry.message) for entry in entries):
                target = await self._messages.by_id(conv, message.ref)
                if target is not None:
                    log.info("act_recovering conv=%s seq=%d", conv, message.seq)
                    await self._apply_alone(self._act(conv, message, target))
            # Those that cannot be done are left behind.
            after = entries[-1].message.id
