"""Sessions and their tokens: access tokens (JWT, RFC 7519), rotating refresh tokens, tickets.

An access token is good while it has not expired and its session lives. A refresh token is good
once; using it again ends its whole session, since two holders mean that one of them stole it.
"""

import base64
import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import msgspec

from server.changes import Changes
from server.clients import ClientMap, now_ms
from server.errors import ChatError, Close
from server.model import User
from server.ports import SessionStore
from server.settings import Auth

log = logging.getLogger(__name__)

ALGORITHM = "HS256"
ISSUER = "tandem"
AUDIENCE = "tandem-client"
KEY_BYTES = 32
RECHECK_S = 5.0
"""How long a session found alive is taken to be so: what another node ends, ends here by then."""
KEPT = 100_000
"""Sessions remembered at once."""
SEAL_BYTES = 16
LISTED = 1000


class Identity(NamedTuple):
    """Whose token it is, and of which session."""

    userid: int
    sid: str


class Ticket(msgspec.Struct, array_like=True):
    """What a ticket says. ``expires``: seconds since 1970 UTC; ``once``: names it."""

    userid: int
    sid: str
    expires: int
    once: bytes


class TokenPair(NamedTuple):
    """What a login gives. ``expires_in``: seconds that ``token`` is good for."""

    token: str
    refresh_token: str
    expires_in: int
    sid: str


def load_signing_key(auth: Auth, data_dir: Path) -> bytes:
    """The configured key, else the one made at first start under ``data_dir`` with mode 600."""
    if auth.signing_key:
        return base64.b64decode(auth.signing_key)
    path = data_dir / "signing.key"
    try:
        # O_EXCL: of two starting at once, one makes it and the other reads it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return base64.b64decode(path.read_bytes())
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)))
    return base64.b64decode(path.read_bytes())


def fingerprint(key: bytes) -> str:
    """Names a key without telling it; the ``kid`` of its tokens."""
    return hashlib.sha256(b"tandem signing key " + key).hexdigest()[:16]


class Session(msgspec.Struct):
    """A login and what came of it. ``created``, ``seen``: milliseconds since 1970 UTC.

    ``device``: what the client called itself; ``current``: whoever asks is of it.
    """

    sid: str
    device: str
    address: str
    created: int
    seen: int
    current: bool


class Tokens:
    """Issues and checks tokens; ends sessions and closes their connections."""

    def __init__(
        self,
        store: SessionStore,
        clients: ClientMap,
        auth: Auth,
        key: bytes,
        changes: Changes,
        last_seen: Callable[[int, str], int] = lambda userid, sid: 0,
    ) -> None:
        """``last_seen``: of an account's session, what is not in the store yet."""
        self._store = store
        self._last_seen = last_seen
        self._clients = clients
        self._changes = changes
        self._auth = auth
        self._key = key
        self._kid = fingerprint(key)
        self._jwt = jwt.PyJWT({"enforce_minimum_key_length": True})
        self._alive: dict[str, float] = {}
        changes.on("session-ended", self._session_ended)
        changes.on("sessions-ended", self._sessions_ended)

    async def open_session(self, user: User, device: str, address: str) -> TokenPair:
        """Begins a session after a login."""
        sid, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        await self._store.insert(
            {
                "_id": sid,
                "userid": user.id,
                "hash": _hash(secret),
                "device": device[:200],
                "address": address,
                "created": now_ms(),
                "seen": now_ms(),
                "expires": self._expiry(),
            }
        )
        self._saw_alive(sid)
        return self._pair(user.id, sid, secret)

    async def refresh(self, refresh_token: str, address: str) -> tuple[int, TokenPair]:
        """Spends a refresh token. Raises ``not-logged-in``; a spent one ends its session."""
        sid, _, secret = refresh_token.partition(".")
        session = await self._store.get(sid) if sid and secret else None
        if session is None or session["expires"].replace(tzinfo=UTC) < datetime.now(UTC):
            raise ChatError("not-logged-in", "this refresh token is not valid")
        new_secret = secrets.token_urlsafe(32)
        changes = {
            "hash": _hash(new_secret),
            "address": address,
            "seen": now_ms(),
            "expires": self._expiry(),
        }
        userid: int = session["userid"]
        if not await self._store.rotate(sid, _hash(secret), changes):
            log.warning("refresh_token_reused user=%d", userid)
            await self.end_session(Identity(userid, sid))
            raise ChatError("not-logged-in", "this refresh token was used before; log in again")
        self._saw_alive(sid)
        return userid, self._pair(userid, sid, new_secret)

    async def verify(self, token: str) -> Identity:
        """Whose access token this is. Raises ``not-logged-in`` for anything wrong with it."""
        identity = self._decode(token)
        await self.check_alive(identity)
        return identity

    async def check_alive(self, identity: Identity) -> None:
        """Raises ``not-logged-in`` for a session that has ended."""
        seen = self._alive.get(identity.sid)
        if seen is None or time.monotonic() - seen > RECHECK_S:
            session = await self._store.get(identity.sid)
            if session is None or session["userid"] != identity.userid:
                self._alive.pop(identity.sid, None)
                raise ChatError("not-logged-in", "this session has ended")
            self._saw_alive(identity.sid)

    async def handshake(self, userid: int, token: str) -> Identity:
        """A WebSocket's id and its access token or ticket. Raises ``not-logged-in``."""
        identity = await (self.verify(token) if "." in token else self._redeem(token))
        if identity.userid != userid:
            raise ChatError("not-logged-in", "this token is another user's")
        return identity

    def make_ticket(self, identity: Identity) -> str:
        """A stand-in for the token in a WebSocket URL, good once and for ``ticket_s`` seconds.

        Any node can read it, since it says itself whose it is; it has no dot, unlike a token.
        """
        expires = int(time.time()) + self._auth.ticket_s
        body = msgspec.msgpack.encode(Ticket(*identity, expires, secrets.token_bytes(12)))
        return base64.urlsafe_b64encode(self._seal(body) + body).decode().rstrip("=")

    async def _redeem(self, text: str) -> Identity:
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            body = raw[SEAL_BYTES:]
            if not hmac.compare_digest(raw[:SEAL_BYTES], self._seal(body)):
                raise ValueError
            ticket = msgspec.msgpack.decode(body, type=Ticket)
        except ValueError as error:
            raise ChatError("not-logged-in", "this ticket is not valid") from error
        identity = Identity(ticket.userid, ticket.sid)
        # Its mark stays a little longer than any node's clock may take it to be good.
        gone = datetime.fromtimestamp(ticket.expires, UTC) + timedelta(minutes=5)
        if ticket.expires < time.time() or not await self._store.spend(ticket.once, gone):
            raise ChatError("not-logged-in", "this ticket is not valid any more")
        await self.check_alive(identity)
        return identity

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._key, b"tandem ticket " + body, "sha256")[:SEAL_BYTES]

    async def sessions(self, userid: int, own_sid: str = "") -> list[Session]:
        """An account's sessions, the thousand last seen; ``own_sid``: which is the current one."""
        return [
            Session(
                each["_id"],
                each["device"],
                each["address"],
                each["created"],
                max(each["seen"], self._last_seen(userid, each["_id"])),
                each["_id"] == own_sid,
            )
            for each in await self._store.of_user(userid, LISTED)
        ]

    async def end_other(self, userid: int, sid: str) -> None:
        """Ends a session of an account, which may be this very one. Raises ``not-found``."""
        session = await self._store.get(sid)
        if session is None or session["userid"] != userid:
            raise ChatError("not-found", "there is no such session")
        await self.end_session(Identity(userid, sid))

    async def end_session(self, identity: Identity) -> None:
        """Its tokens stop working and its connections close, here at once, elsewhere soon."""
        await self._store.delete(identity.sid)
        await self._changes.add("session-ended", userid=identity.userid, sid=identity.sid)

    async def end_all(self, userid: int, but_sid: str = "") -> None:
        """Ends all sessions of an account (but one), XMPP streams included."""
        await self._store.delete_all(userid, but_sid)
        await self._changes.add("sessions-ended", userid=userid, but_sid=but_sid)

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._alive.clear()

    def _session_ended(self, userid: int, sid: str) -> None:
        self._alive.pop(sid, None)
        for node in self._clients.of(userid):
            if node.sid == sid:
                node.end(Close.SESSION_ENDED)

    def _sessions_ended(self, userid: int, but_sid: str) -> None:
        kept = self._alive.get(but_sid)
        self._alive.clear()
        if kept is not None:
            self._alive[but_sid] = kept
        for node in self._clients.of(userid):
            if not but_sid or node.sid != but_sid:
                node.end(Close.SESSION_ENDED)

    def _pair(self, userid: int, sid: str, secret: str) -> TokenPair:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(userid),
            "sid": sid,
            "jti": secrets.token_urlsafe(12),
            "iat": now,
            "exp": now + self._auth.access_token_s,
        }
        token = self._jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._kid})
        return TokenPair(token, f"{sid}.{secret}", self._auth.access_token_s, sid)

    def _decode(self, token: str) -> Identity:
        try:
            claims: dict[str, Any] = self._jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": ["exp", "iat", "sub", "jti", "sid"], "verify_iat": False},
            )
            userid, sid = int(claims["sub"]), claims["sid"]
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise ChatError("not-logged-in", "this token is not valid") from error
        if not isinstance(sid, str):
            raise ChatError("not-logged-in", "this token is not valid")
        return Identity(userid, sid)

    def _expiry(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._auth.refresh_token_s)

    def _saw_alive(self, sid: str) -> None:
        if len(self._alive) >= KEPT:
            del self._alive[next(iter(self._alive))]
        self._alive[sid] = time.monotonic()


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
