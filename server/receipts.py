"""How far everybody has got and read a conversation (cmd 12, 23): pointers that move forward.

What comes while one write is under way is written together by the next one; a later pointer takes
the place of an earlier one that waits. Told to others when it is durable.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from server.accounts import Accounts
from server.blocks import Blocks
from server.clients import ClientNode
from server.deliveries import Event
from server.errors import ChatError, StorageAway
from server.groups import Groups
from server.limits import SendRate
from server.model import GROUP, RECEIPT, SINGLE, Message, Tally, conversation, is_group, stanza_id
from server.ports import Document, MessageStore, PlaceStore, Pointer

log = logging.getLogger(__name__)

STATES = ("delivered", "read")
READ_ELSEWHERE = 23
WAITING = 10_000
"""Pointers that wait for a write."""
AGAIN_S = 0.5

Key = tuple[str, int]
Refused = Callable[[ChatError], None]


class Receipt(msgspec.Struct):
    """How far one user has come in a conversation: seqs."""

    userid: int
    delivered: int
    read: int


class _Waiting:
    """``node``: whose pointer is the furthest, and how it hears that it is wrong."""

    __slots__ = ("chat", "delivered", "dstid", "node", "read", "refused")

    def __init__(self, hint: Message, node: ClientNode | None, refused: Refused) -> None:
        self.chat, self.dstid = hint.chat, hint.dstid
        self.delivered = self.read = 0
        self.node, self.refused = node, refused


class Receipts:
    """One per node."""

    def __init__(
        self,
        places: PlaceStore,
        messages: MessageStore,
        groups: Groups,
        accounts: Accounts,
        blocks: Blocks,
        rate: SendRate,
        *,
        publish: Callable[[Event], None],
        group_members: int,
    ) -> None:
        """``group_members``: in larger groups nobody is told of the others' pointers."""
        self._places = places
        self._messages = messages
        self._groups = groups
        self._accounts = accounts
        self._blocks = blocks
        self._rate = rate
        self._publish = publish
        self._group_members = group_members
        self._waiting: dict[Key, _Waiting] = {}
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="receipts")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._waiting:
            try:
                await self._flush(self._waiting)
            except StorageAway:
                log.info("receipts_not_stored count=%d", len(self._waiting))

    def submit(self, hint: Message, node: ClientNode, refused: Refused) -> None:
        """Takes a cmd 12. ``refused`` is called later for what only the database knows.

        Raises ``bad-field``, ``slow-down``, ``storage-away``.
        """
        if hint.userid not in (0, node.userid):
            raise ChatError("bad-field", "userid must be your own or left out")
        if hint.chat not in (SINGLE, GROUP) or not hint.dstid:
            raise ChatError("bad-field", "chat must be 10 or 11, dstid a user or group")
        if hint.state not in STATES:
            raise ChatError("bad-field", "state must be delivered or read")
        if not hint.seq:
            raise ChatError("bad-field", "seq is missing")
        self._rate.take(node.userid)
        key = (conversation(hint.chat, node.userid, hint.dstid), node.userid)
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= WAITING:
                raise ChatError("storage-away", "receipts cannot be stored now")
            waiting = self._waiting[key] = _Waiting(hint, node, refused)
            self._wake.set()
        if hint.state == "read" and hint.seq > waiting.read:
            waiting.read = hint.seq
            waiting.node, waiting.refused = node, refused
        waiting.delivered = max(waiting.delivered, hint.seq)

    def _wait_again(self, batch: dict[Key, _Waiting]) -> None:
        """For the next write. What came meanwhile may be behind, or of the other kind."""
        for key, waiting in batch.items():
            newer = self._waiting.setdefault(key, waiting)
            if newer.read < waiting.read:
                newer.read = waiting.read
                newer.node, newer.refused = waiting.node, waiting.refused
            newer.delivered = max(newer.delivered, waiting.delivered)

    async def of(self, userid: int, chat: int, dstid: int, seq: int = 0) -> list[Receipt]:
        """The others' pointers; with ``seq`` only of those who have read up to there.

        Raises ``bad-field``, ``not-a-member``, and ``not-allowed`` in groups that are too large.
        """
        if chat not in (SINGLE, GROUP) or not dstid:
            raise ChatError("bad-field", "chat must be 10 or 11, dstid a user or group")
        if chat == GROUP:
            group, _ = await self._groups.member(dstid, userid)
            if len(group.members) > self._group_members:
                most = self._group_members
                raise ChatError("not-allowed", f"not in groups of more than {most} members")
        elif dstid != userid and await self._blocks.apart(userid, dstid):
            return []
        places = await self._places.of_conversation(conversation(chat, userid, dstid))
        return [
            Receipt(place["userid"], place.get("delivered", 0), place.get("read", 0))
            for place in places
            if place["userid"] != userid and place.get("read", 0) >= seq
        ]

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, {}
            try:
                await self._flush(batch)
            except StorageAway:
                self._wait_again(batch)
                self._wake.set()
                await asyncio.sleep(AGAIN_S)
            except asyncio.CancelledError:
                self._wait_again(batch)
                raise
            except Exception:
                log.exception("receipts_failed count=%d", len(batch))

    async def _flush(self, batch: dict[Key, _Waiting]) -> None:
        places = await self._places.of(list(batch))
        wanted = {
            (key[0], seq)
            for key, waiting in batch.items()
            if key in places
            for seq in (waiting.read, waiting.delivered)
            if seq
        }
        tallies = await self._messages.tallies(list(wanted))
        moves: list[tuple[Pointer, _Waiting]] = []
        for key, waiting in batch.items():
            try:
                pointer = _moved(key, waiting, places.get(key), tallies)
            except ChatError as error:
                waiting.refused(error)
                continue
            if pointer is not None:
                moves.append((pointer, waiting))
        if moves:
            await self._places.move([pointer for pointer, _ in moves])
            names = await self._names([pointer for pointer, _ in moves])
            for pointer, waiting in moves:
                await self._tell(pointer, waiting, names)

    async def _names(self, pointers: list[Pointer]) -> dict[tuple[str, int], tuple[int, str]]:
        """Whose message is at a pointer, and what XMPP calls it."""
        places = [
            (pointer.conv, seq)
            for pointer in pointers
            for seq in {pointer.read, pointer.delivered} - {0}
        ]
        found = await self._messages.at(places) if places else {}
        return {
            place: (
                entry.message.userid,
                str(entry.message.id)
                if is_group(entry.conv)
                else stanza_id(entry.message, entry.xml),
            )
            for place, entry in found.items()
        }

    async def _tell(
        self,
        pointer: Pointer,
        waiting: _Waiting,
        names: dict[tuple[str, int], tuple[int, str]],
    ) -> None:
        chat, dstid, userid = waiting.chat, waiting.dstid, pointer.userid
        hints = [("delivered", pointer.delivered), ("read", pointer.read)]
        if pointer.read:
            elsewhere = Message(cmd=READ_ELSEWHERE, chat=chat, dstid=dstid, seq=pointer.read)
            self._publish(Event((userid,), elsewhere, sender=waiting.node))
            if pointer.delivered <= pointer.read:
                del hints[0]  # who has read it has got it
        for state, seq in hints:
            hint = Message(cmd=RECEIPT, chat=chat, dstid=dstid, seq=seq, state=state, userid=userid)
            if not seq:
                continue
            if chat == SINGLE:
                if dstid != userid and not await self._blocks.apart(userid, dstid):
                    author, name = names.get((pointer.conv, seq), (0, ""))
                    reader = await self._accounts.user(userid)
                    self._publish(
                        Event((dstid,), hint, author=reader, name=name if author == dstid else "")
                    )
                continue
            group = await self._groups.load(dstid)
            if group is not None and len(group.members) <= self._group_members:
                name = names.get((pointer.conv, seq), (0, ""))[1]
                self._publish(Event((), hint, dstid, (userid,), name=name))


def _moved(
    key: Key,
    waiting: _Waiting,
    place: Document | None,
    tallies: dict[tuple[str, int], Tally],
) -> Pointer | None:
    """What of it is further on than the place; 0 for what is not. None: nothing."""
    conv, userid = key
    if place is None and is_group(conv):
        raise ChatError("not-a-member", "you are not a member of this group")
    if place is None or not all(
        (conv, seq) in tallies for seq in (waiting.read, waiting.delivered) if seq
    ):
        raise ChatError("bad-field", "seq is beyond the conversation's end")
    read = waiting.read if waiting.read > place.get("read", 0) else 0
    delivered = waiting.delivered if waiting.delivered > place.get("delivered", 0) else 0
    if not (read or delivered):
        return None
    return Pointer(conv, userid, read, delivered, tallies.get((conv, read), Tally()))
