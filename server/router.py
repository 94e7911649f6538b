"""The way of a message: :meth:`Router.submit` checks and hands to the writer; what the writer made
durable is acked and published on the bus; what the bus brings is given to the connections here.

Nobody sees a message that the history does not have; nobody gets an ack for one it could lose.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from server.accounts import Accounts
from server.acts import Acts, no_such_message
from server.blocks import Blocks
from server.clients import ClientMap, ClientNode, Codec, Pending, now_ms
from server.deliveries import Delivery, Envelope, Event, Personal
from server.errors import ChatError
from server.groups import Groups, may_speak
from server.limits import SendRate
from server.media import CONTACT_CARD, TEXT, check_media, named_contact
from server.metrics import Metrics
from server.model import (
    EDIT,
    GROUP,
    REACTION,
    RECALL,
    SINGLE,
    TYPING,
    VOID,
    Group,
    Known,
    Message,
    Names,
    User,
    clean_text,
    conversation,
    is_group,
    origin_id,
    partner,
    stanza_id,
)
from server.ports import Bus
from server.settings import Limits
from server.writer import Writer

log = logging.getLogger(__name__)

CID_CHARS = 64
ADDRESS_CHARS = 2048
MEMO_CHARS = 1000
MENTIONS = 200
ONE_SEND_CHARS = 8192
TYPING_STATES = ("composing", "paused")


class Router:
    """One per node. Needs :attr:`writer` before the first submit."""

    writer: Writer
    wrote: tuple[Callable[[str, int], None], ...] = ()
    """They hear of each new entry that this node stored: conversation and seq."""

    def __init__(
        self,
        clients: ClientMap,
        accounts: Accounts,
        groups: Groups,
        blocks: Blocks,
        bus: Bus,
        metrics: Metrics,
        rate: SendRate,
        acts: Acts,
        limits: Limits,
        members_here: Callable[[int], Collection[int]] | None = None,
    ) -> None:
        """``members_here``: those of a group who are connected to this node, where known."""
        self._clients = clients
        self._accounts = accounts
        self._groups = groups
        self._blocks = blocks
        self._bus = bus
        self._metrics = metrics
        self._rate = rate
        self._acts = acts
        self._limits = limits
        self._unanswered = limits.unanswered_sends
        self._members_here = members_here

    def submit(
        self, message: Message, node: ClientNode, xml: str = "", origin: Any = None
    ) -> Pending:
        """Takes a message (cmd 10 or 11) from a connection; the sender is the connection's user.

        Raises :class:`ChatError` when it is refused at once. Returns None, or an awaitable (which
        may raise the same) to be awaited before the connection's next input: that keeps the order.
        Ack or a later error reach the node by its codec.
        """
        self._check(message, node.userid, bool(xml))
        self.count(node, len(xml))
        if message.media == CONTACT_CARD or (message.ref and message.cmd == SINGLE):
            return self._submit_after_lookup(message, node, xml, origin)
        if message.cmd == SINGLE:
            recipient = self._accounts.cached(message.dstid)
            if recipient is None or not self._blocks.check(node.userid, message.dstid):
                return self._submit_after_lookup(message, node, xml, origin)
            self._accept_single(message, node, recipient, xml, origin)
        else:
            group = self._groups.cached(message.dstid)
            if group is None:
                return self._submit_after_lookup(message, node, xml, origin)
            self._accept_group(message, node, group, xml, origin)
        return None

    def count(self, node: ClientNode, chars: int = 0) -> None:
        """Counts something that a connection sent, and slows it down. Raises ``slow-down``.

        ``chars``: how much it is that others may get copies of; much counts as several.
        """
        if delay_s := self._rate.take(node.userid, 1 + chars // ONE_SEND_CHARS):
            node.pipe.pause()
            asyncio.get_running_loop().call_later(delay_s, node.pipe.resume)

    async def _submit_after_lookup(
        self, message: Message, node: ClientNode, xml: str, origin: Any
    ) -> None:
        if message.media == CONTACT_CARD:
            card = named_contact(message)
            if await self._accounts.user(card) is None:
                raise ChatError("no-such-user", f"there is no user {card} to make a card of")
        if message.cmd == SINGLE:
            recipient = await self._accounts.user(message.dstid)
            if recipient is None:
                raise ChatError("no-such-user", f"there is no user {message.dstid}")
            await self._blocks.look(message.userid, message.dstid)
            if message.ref:
                xml = await self._with_answered(message, xml)
            self._accept_single(message, node, recipient, xml, origin)
        else:
            group = await self._groups.load(message.dstid)
            if group is None:
                raise ChatError("not-a-member", "you are not a member of this group")
            self._accept_group(message, node, group, xml, origin)

    async def _with_answered(self, message: Message, xml: str) -> str:
        """Notes by which name XMPP clients know the message that this one answers."""
        conv = conversation(SINGLE, message.userid, message.dstid)
        answered = await self._acts.find(conv, message.ref)
        if answered is None:
            return xml
        return Names.of(xml)._replace(target=origin_id(answered.message, answered.xml)).xml()

    def _check(self, message: Message, userid: int, has_more: bool) -> None:
        """Normalises what the client may set and clears what it may not. Raises ``bad-field`` …

        ``has_more``: it says something beside its fields, and may be without text.
        """
        self._stamp(message, userid)
        message.chat = 0
        if message.media == 0:
            message.media = TEXT
        message.content = clean_text(message.content, "content", self._limits.content_chars)
        if message.url:
            message.url = _web_address(message.url, "url")
        if message.pic:
            message.pic = _web_address(message.pic, "pic")
        if message.memo:
            message.memo = clean_text(message.memo, "memo", MEMO_CHARS)
        if message.at and (message.cmd != GROUP or len(message.at) > MENTIONS):
            raise ChatError("bad-field", f"at names at most {MENTIONS} users, in groups only")
        if message.media != TEXT or not (message.content or has_more):
            check_media(message)

    @staticmethod
    def _stamp(message: Message, userid: int) -> None:
        """What is the server's, and what every entry has. Raises ``bad-field``."""
        if message.userid not in (0, userid):
            raise ChatError("bad-field", "userid must be your own or left out")
        message.userid = userid
        message.id = message.seq = message.ts = message.edited = 0
        message.state = ""
        message.recalled = False
        if message.reactions:
            message.reactions = {}
        if not message.dstid:
            raise ChatError("bad-field", "dstid is missing")
        if message.cid:
            if len(message.cid) > CID_CHARS:
                raise ChatError("bad-field", f"cid has more than {CID_CHARS} characters")
            message.cid = clean_text(message.cid, "cid", CID_CHARS)

    def _accept_single(
        self, message: Message, node: ClientNode, recipient: User, xml: str, origin: Any
    ) -> None:
        userid, dstid = message.userid, message.dstid
        owners = (userid,) if userid == dstid else (userid, dstid)
        conv = conversation(SINGLE, userid, dstid)
        envelope = Envelope(message, conv, node, recipient, None, owners, xml, origin)
        self._enqueue(envelope, node)

    def _accept_group(
        self, message: Message, node: ClientNode, group: Group, xml: str, origin: Any
    ) -> None:
        member = group.members.get(message.userid)
        if member is None:
            raise ChatError("not-a-member", "you are not a member of this group")
        may_speak(group, member, now_ms())
        if 0 in message.at and member.role == "member":
            raise ChatError("not-allowed", "only owner and admins mention everybody")
        conv = conversation(GROUP, message.userid, group.id)
        envelope = Envelope(message, conv, node, None, group, (group.id,), xml, origin)
        self._enqueue(envelope, node)

    async def act(
        self, message: Message, node: ClientNode, xml: str = "", origin: Any = None
    ) -> None:
        """Takes a recall, edit or reaction (cmd 14 to 16). Raises and is awaited as
        :meth:`submit`."""
        userid, dstid = node.userid, message.dstid
        self._stamp(message, userid)
        self._acts.clean(message)
        self.count(node)
        owners: tuple[int, ...]
        if message.chat == SINGLE:
            recipient = await self._accounts.user(dstid)
            if recipient is None:
                raise no_such_message()
            if message.cmd != RECALL:  # which only takes away
                await self._blocks.look(userid, dstid)
            group, floor, is_moderator = None, 0, False
            owners = (userid,) if userid == dstid else (userid, dstid)
        elif message.chat == GROUP:
            recipient, owners = None, (dstid,)
            group, member = await self._groups.member(dstid, userid)
            if message.cmd != RECALL:
                may_speak(group, member, now_ms())
            is_moderator = member.role != "member"
            floor = 0 if group.history == "all" else member.floor
        else:
            raise ChatError("bad-field", "chat must be 10 or 11")
        conv = conversation(message.chat, userid, dstid)
        target = await self._acts.target(message, conv, floor, is_moderator)
        xml = _with_target(message, target, xml)
        self._enqueue(
            Envelope(message, conv, node, recipient, group, owners, xml, origin, target), node
        )

    def _enqueue(self, envelope: Envelope, node: ClientNode) -> None:
        self.writer.submit(envelope)
        self._metrics.accepted += 1
        node.unanswered += 1
        if node.unanswered == self._unanswered:
            node.pipe.pause()

    def _answered(self, envelope: Envelope) -> None:
        if envelope.answered:
            return
        envelope.answered = True
        node = envelope.node
        if node.unanswered == self._unanswered:
            node.pipe.resume()
        node.unanswered -= 1

    def on_stored(self, envelopes: Sequence[Envelope]) -> None:
        """The writer's news, in order: these are durable. Acks them and publishes the new ones."""
        wrote = self.wrote
        for envelope in envelopes:
            node = envelope.node
            self._answered(envelope)
            answer = node.codec.ack(envelope)
            if answer is not None:
                node.send(answer)
            if not envelope.dup:
                for hears in wrote:
                    hears(envelope.conv, envelope.message.seq)
                self._bus.publish(envelope)

    def on_refused(self, envelope: Envelope, error: ChatError) -> None:
        """The writer's news: this one is not stored (or, after long doubt, not known to be)."""
        self._answered(envelope)
        self._metrics.error(error.slug)
        answer = envelope.node.codec.error(envelope, error)
        if answer is not None:
            envelope.node.send(answer)

    def notify(
        self,
        userids: Collection[int],
        body: Any,
        gid: int = 0,
        but: Collection[int] = (),
        name: str = "",
    ) -> None:
        """Publishes a hint for these users and for the members of ``gid`` but ``but``."""
        self.publish(Event(userids, body, gid, but, name=name))

    def publish(self, event: Event) -> None:
        """Gives a hint out on all nodes."""
        self._bus.publish(event)

    def typing(self, hint: Message, node: ClientNode) -> Pending:
        """Passes a cmd 13 on: not stored, not acked, dropped where the reader is slow or blocks.

        Raises and returns as :meth:`submit`.
        """
        if hint.userid not in (0, node.userid):
            raise ChatError("bad-field", "userid must be your own or left out")
        if hint.state not in TYPING_STATES:
            raise ChatError("bad-field", "state must be composing or paused")
        if not hint.dstid:
            raise ChatError("bad-field", "dstid is missing")
        self.count(node)
        passed = Message(
            userid=node.userid, cmd=TYPING, chat=hint.chat, dstid=hint.dstid, state=hint.state
        )
        if hint.chat == SINGLE:
            are_apart = self._blocks.are_apart(node.userid, hint.dstid)
            if are_apart is None:
                return self._type_after_look(passed, node)
            if not are_apart:
                self._bus.publish(Event((hint.dstid,), passed, author=node.user))
        elif hint.chat == GROUP:
            group = self._groups.cached(hint.dstid)
            if group is None:
                return self._type_after_lookup(passed)
            self._type_in_group(passed, group)
        else:
            raise ChatError("bad-field", "chat must be 10 or 11")
        return None

    async def _type_after_look(self, passed: Message, node: ClientNode) -> None:
        if not await self._blocks.apart(passed.userid, passed.dstid):
            self._bus.publish(Event((passed.dstid,), passed, author=node.user))

    async def _type_after_lookup(self, passed: Message) -> None:
        self._type_in_group(passed, await self._groups.load(passed.dstid))

    def _type_in_group(self, passed: Message, group: Group | None) -> None:
        member = None if group is None else group.members.get(passed.userid)
        if group is None or member is None:
            raise ChatError("not-a-member", "you are not a member of this group")
        may_speak(group, member, now_ms())
        self._bus.publish(Event((), passed, group.id, (passed.userid,)))

    def give_out(self, delivery: Delivery | Envelope | Event) -> None:
        """The bus's news: give it to the connections of this node."""
        try:
            if isinstance(delivery, Event):
                self._give_event(delivery)
            elif delivery.message.cmd == VOID:
                self._give_void(delivery)
            elif not is_group(delivery.conv):
                self._give_single(delivery)
            else:
                self._give_group(delivery, self._members(delivery.message.dstid, delivery.group))
        except Exception:
            # One message that cannot be encoded must not take the rest of its batch along.
            log.exception("delivery_failed")

    def give_to(self, userid: int, delivery: Delivery) -> None:
        """Gives a group's message to one member only, who came later than it."""
        if delivery.message.cmd != VOID:
            self._give_group(delivery, (userid,))

    def _members(self, gid: int, group: Group | None) -> Collection[int]:
        """Those of a group whose connections are looked for."""
        if self._members_here is not None:
            return self._members_here(gid)
        # What is in memory knows who came or went; an evicted group is as it was at submit.
        group = self._groups.known(gid) or group
        return () if group is None else group.members

    def _give_single(self, delivery: Delivery | Envelope) -> None:
        clients, message, sender = self._clients, delivery.message, delivery.node
        viewers = [delivery.author]
        if delivery.recipient is not None and message.dstid != message.userid:
            viewers.append(delivery.recipient)
        shared: dict[Codec, bytes | None] = {}
        for viewer in viewers:
            own: dict[Codec, bytes | None] = {}
            for node in clients.of(viewer.id):
                if node is sender:
                    continue
                codec = node.codec
                ready = own if codec.per_user else shared
                if codec not in ready:
                    ready[codec] = codec.message(delivery, viewer)
                data = ready[codec]
                if data is not None:
                    node.deliver(data, message)
                    self._metrics.delivered += 1

    def _give_group(self, delivery: Delivery | Envelope, members: Collection[int]) -> None:
        message, sender = delivery.message, delivery.node
        nodes = self._clients.of_all(members)
        skipped = 0
        known: Codec | None = None
        data: bytes | None = None
        shared: dict[Codec, bytes | None] = {}
        for node in nodes:
            codec = node.codec
            if codec is not known:
                if codec not in shared:
                    shared[codec] = codec.message(delivery, node.user)
                known, data = codec, shared[codec]
            if data is None or (node is sender and not codec.reflects):
                skipped += 1
            else:
                node.deliver(data, message)
        self._metrics.delivered += len(nodes) - skipped

    def _give_void(self, delivery: Delivery | Envelope) -> None:
        """There is nothing at this seq, which each side knows by the other's id."""
        conv, seq = delivery.conv, delivery.message.seq
        if is_group(conv):
            gid = int(conv[1:])
            void = Message(cmd=VOID, chat=GROUP, dstid=gid, seq=seq)
            self._give_event(Event(self._members(gid, None), void))
        else:
            for userid in {int(part) for part in conv.split("-")}:
                void = Message(cmd=VOID, chat=SINGLE, dstid=partner(conv, userid), seq=seq)
                self._give_event(Event((userid,), void))

    def _give_event(self, event: Event) -> None:
        known: Codec | None = None
        data: bytes | None = None
        ready: dict[Codec, bytes | None] = {}
        nodes = self._clients.of_all(event.userids)
        if event.gid:
            members = self._clients.of_all(self._members(event.gid, None))
            but = frozenset(event.but)
            nodes += [node for node in members if node.userid not in but] if but else members
        if isinstance(event.body, Personal):
            for node in nodes:
                if node is not event.sender:
                    node.take(event.body)
            return
        for node in nodes:
            codec = node.codec
            if codec is not known:
                if codec not in ready:
                    ready[codec] = codec.event(event)
                known, data = codec, ready[codec]
            if data is not None and not node.pipe.is_slow and node is not event.sender:
                node.hint(data)


def _with_target(message: Message, target: Known, xml: str) -> str:
    """Notes by which name XMPP clients know what is acted on: in rooms mostly by the room's own."""
    names = Names.of(xml)
    if message.chat == GROUP and message.cmd != EDIT:
        names = names._replace(target=str(target.message.id))
        if message.cmd == RECALL and target.message.userid != message.userid:
            names = names._replace(whose=str(target.message.userid))
    else:
        name = origin_id if message.cmd == REACTION else stanza_id
        names = names._replace(target=name(target.message, target.xml))
    return names.xml()


def _web_address(address: str, field: str) -> str:
    if not address.startswith(("http://", "https://")):
        raise ChatError("bad-field", f"{field} must be an http or https address")
    return clean_text(address, field, ADDRESS_CHARS)
