"""JSON over WebSocket: ``GET /chat?id=<user id>&token=<access token or ticket>``.

``prepare`` refuses with 403 before the upgrade, ``open`` binds the connection into the ClientMap;
from then on :class:`ChatSession` hears the frames.
"""

import logging
from collections.abc import Awaitable

import msgspec
from tornado.web import HTTPError

from handlers.frames import frame
from handlers.json_codec import (
    DEFLATED,
    PLAIN,
    decode_inbox_query,
    decode_message,
    decode_query,
    encode,
    error_frame,
    reference,
)
from handlers.origin import check_origin
from handlers.wire import Wire, WireHandler
from server.clients import ClientNode, Pending, now_ms
from server.errors import ChatError, Close, StorageAway
from server.inbox import Conversation
from server.limits import Patience
from server.model import (
    ACTS,
    GROUP,
    MAX_ID,
    PRESENCE,
    RECEIPT,
    SINGLE,
    TYPING,
    Message,
    User,
)
from server.services import Services
from server.tokens import Identity

log = logging.getLogger(__name__)


class Heartbeat(msgspec.Struct):
    """Answer to cmd 0."""

    ts: int
    cmd: int = 0


class ConversationsAnswer(msgspec.Struct, omit_defaults=True):
    """Answer to cmd 30."""

    cmd: int
    conversations: list[Conversation]
    more: bool
    rid: str = ""
    next: str = ""


class HistoryAnswer(msgspec.Struct, omit_defaults=True):
    """Answer to cmd 31."""

    cmd: int
    chat: int
    dstid: int
    messages: list[Message]
    more: bool
    rid: str = ""


class ChatHandler(WireHandler):
    """The handshake of one connection."""

    identity: Identity
    user: User

    def initialize(self, services: Services) -> None:
        self.services = services
        limits = services.settings.limits
        self.max_message_bytes = limits.frame_bytes
        self.outbox_bytes = limits.outbox_bytes
        self.silence_s = limits.silence_s
        self.compression = services.settings.http.compression

    async def prepare(self) -> None:
        """Raises ``HTTPError``: 403 for origin, id or token, 429 too many, 503 draining."""
        check_origin(self)
        services = self.services
        if services.draining:
            raise HTTPError(503)
        userid, token = self._credentials()
        try:
            services.addresses.check(self.request.remote_ip or "")
            self.identity = await services.tokens.handshake(userid, token)
            user = await services.accounts.user(userid)
            await services.connections.arrive(userid)
        except StorageAway as error:
            raise HTTPError(503) from error
        except ChatError as error:
            raise HTTPError(429 if error.slug == "slow-down" else 403) from error
        if user is None:
            raise HTTPError(403)
        self.user = user

    async def open(self, *args: str, **kwargs: str) -> None:
        """Binds the account's connection, in the turn of the 101: from then on it hears."""
        node = ClientNode(
            self.user,
            DEFLATED if self.wire.deflates else PLAIN,
            self.wire,
            sid=self.identity.sid,
            device=self.request.headers.get("User-Agent", "")[:200],
            address=self.request.remote_ip or "",
        )
        self.session = ChatSession(self.services, node, self.wire)
        try:
            # It may have been ended since the token was looked at.
            await self.services.tokens.check_alive(self.identity)
        except ChatError:
            node.end(Close.SESSION_ENDED)

    def _credentials(self) -> tuple[int, str]:
        """Raises ``HTTPError`` 403 for what is malformed; ``get_argument`` would answer 400."""
        query = self.request.query_arguments
        ids = [value.decode(errors="replace") for value in query.get("id", ())]
        tokens = [value.decode(errors="replace") for value in query.get("token", ())]
        scheme, _, bearer = self.request.headers.get("Authorization", "").partition(" ")
        if not tokens and scheme.lower() == "bearer":
            tokens = [bearer.strip()]
        if len(ids) != 1 or len(tokens) != 1:
            raise HTTPError(403)
        digits = ids[0]
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
            raise HTTPError(403)
        userid = int(digits)
        if not 0 < userid <= MAX_ID:
            raise HTTPError(403)
        return userid, tokens[0]


class ChatSession:
    """What a JSON connection says, turned into calls of the router and the history."""

    __slots__ = (
        "_max_depth",
        "_node",
        "_patience",
        "_ready",
        "_router",
        "_services",
        "_wire",
    )

    def __init__(self, services: Services, node: ClientNode, wire: Wire) -> None:
        self._services = services
        self._router = services.router
        self._node = node
        self._wire = wire
        self._ready = (DEFLATED if wire.deflates else PLAIN).ready
        self._max_depth = services.settings.limits.frame_depth
        self._patience = Patience(services.settings.limits)
        services.connections.bind(node)
        services.presence.show(node, "online")

    def on_message(self, payload: bytes) -> Pending:
        """One text frame. Returns what has to be awaited before the next one."""
        try:
            message = decode_message(payload, self._max_depth)
        except ChatError as error:
            self._refuse(error, *reference(payload))
            return None
        cmd = message.cmd
        if cmd in (SINGLE, GROUP, TYPING, PRESENCE):
            try:
                if cmd == TYPING:
                    pending = self._router.typing(message, self._node)
                elif cmd == PRESENCE:
                    return self._show(message)
                else:
                    pending = self._router.submit(message, self._node)
            except ChatError as error:
                self._refuse(error, message.cid)
                return None
            return None if pending is None else self._submitted(pending, message.cid)
        if cmd == 0:
            self._node.send(frame(encode(Heartbeat(now_ms()))))
            return None
        if cmd in ACTS:
            return self._submitted(self._router.act(message, self._node), message.cid)
        if cmd == RECEIPT:
            try:
                self._services.receipts.submit(message, self._node, self._refuse)
            except ChatError as error:
                self._refuse(error, message.cid)
            return None
        if cmd in (30, 31):
            return self._answer(cmd, payload)
        self._refuse(ChatError("unknown-cmd", f"cmd {cmd} is not for clients"), message.cid)
        return None

    def on_close(self) -> None:
        """The connection is gone."""
        self._services.connections.unbind(self._node)

    def _show(self, message: Message) -> Pending:
        node = self._node
        if message.userid not in (0, node.userid):
            raise ChatError("bad-field", "userid must be your own or left out")
        self._router.count(node)
        self._services.presence.show(node, message.state, message.memo)
        return None

    async def _submitted(self, pending: Awaitable[None], cid: str) -> None:
        try:
            await pending
        except ChatError as error:
            self._refuse(error, cid)
        except StorageAway:
            self._refuse(ChatError("storage-away"), cid)

    async def _answer(self, cmd: int, payload: bytes) -> None:
        rid, userid, services = "", self._node.userid, self._services
        try:
            answer: ConversationsAnswer | HistoryAnswer
            if cmd == 30:
                wanted = decode_inbox_query(payload)
                rid = wanted.rid
                inbox = await services.inbox.page(userid, wanted.before)
                answer = ConversationsAnswer(cmd, inbox.conversations, inbox.more, rid, inbox.next)
            else:
                query = decode_query(payload)
                rid = query.rid
                page = await services.history.read(
                    userid,
                    query.chat,
                    query.dstid,
                    before=query.before,
                    after=query.after,
                    limit=query.limit,
                )
                answer = HistoryAnswer(cmd, query.chat, query.dstid, page.messages, page.more, rid)
        except ChatError as error:
            self._refuse(error, "", rid or reference(payload)[1])
        except StorageAway:
            self._refuse(ChatError("storage-away"), "", rid)
        else:
            self._node.send(self._ready(encode(answer)))

    def _refuse(self, error: ChatError, cid: str = "", rid: str = "") -> None:
        """Tells the client; closes when it has been told too often within a minute."""
        log.debug("frame_refused user=%d slug=%s", self._node.userid, error.slug)
        self._services.metrics.error(error.slug)
        self._node.send(error_frame(error, cid, rid))
        enough = self._patience.lost(error)
        if enough is not None:
            self._node.end(enough)
