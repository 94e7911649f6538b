"""What can go wrong for a peer, and the one table of how each protocol says it.

A part that finds a mistake raises :class:`ChatError` with the slug; the edge that carries the
connection turns it into its own words: JSON ``{"cmd":2,"code":…,"reason":slug}``, HTTP
``application/problem+json``, an XMPP stanza error (RFC 6120 section 8.3). Ends of connections
are :class:`Close` members: a WebSocket close code and an XMPP stream error (RFC 6120 section 4.9).
"""

import enum
from collections.abc import Mapping
from typing import Literal, NamedTuple

Slug = Literal[
    "bad-json",
    "bad-field",
    "unknown-cmd",
    "not-logged-in",
    "not-allowed",
    "blocked",
    "not-a-member",
    "muted",
    "registration-closed",
    "not-found",
    "no-such-user",
    "no-such-group",
    "no-such-message",
    "taken",
    "too-late",
    "cid-reused",
    "conflict",
    "too-long",
    "invalid",
    "slow-down",
    "storage-away",
    "busy",
    "stopping",
    "internal-error",
]


class Condition(NamedTuple):
    """One row: the JSON code and HTTP status, and the XMPP stanza error with its type."""

    status: int
    title: str
    xmpp: str
    xmpp_type: Literal["auth", "cancel", "continue", "modify", "wait"]


CONDITIONS: Mapping[Slug, Condition] = {
    "bad-json": Condition(400, "Malformed JSON", "bad-request", "modify"),
    "bad-field": Condition(400, "A field is wrong", "bad-request", "modify"),
    "unknown-cmd": Condition(400, "Unknown cmd", "feature-not-implemented", "cancel"),
    "not-logged-in": Condition(401, "Not logged in", "not-authorized", "auth"),
    "not-allowed": Condition(403, "Not allowed", "forbidden", "auth"),
    "blocked": Condition(403, "Blocked", "not-acceptable", "cancel"),
    "not-a-member": Condition(403, "Not a member", "forbidden", "auth"),
    "muted": Condition(403, "Muted", "forbidden", "auth"),
    "registration-closed": Condition(403, "Registration is closed", "not-allowed", "cancel"),
    "not-found": Condition(404, "Not found", "item-not-found", "cancel"),
    "no-such-user": Condition(404, "No such user", "item-not-found", "cancel"),
    "no-such-group": Condition(404, "No such group", "item-not-found", "cancel"),
    "no-such-message": Condition(404, "No such message", "item-not-found", "cancel"),
    "taken": Condition(409, "Already taken", "conflict", "cancel"),
    "too-late": Condition(409, "Too late", "not-allowed", "cancel"),
    "cid-reused": Condition(409, "cid reused for other content", "conflict", "cancel"),
    "conflict": Condition(409, "Conflict", "conflict", "cancel"),
    "too-long": Condition(413, "Too long", "policy-violation", "modify"),
    "invalid": Condition(422, "Invalid fields", "bad-request", "modify"),
    "slow-down": Condition(429, "Slow down", "policy-violation", "wait"),
    "storage-away": Condition(503, "Storage is away", "internal-server-error", "wait"),
    "busy": Condition(503, "Too busy", "resource-constraint", "wait"),
    "stopping": Condition(503, "The server is stopping", "service-unavailable", "wait"),
    "internal-error": Condition(500, "Internal error", "internal-server-error", "cancel"),
}


_TYPES: Mapping[str, Literal["auth", "cancel", "modify"]] = {
    "service-unavailable": "cancel",
    "remote-server-not-found": "cancel",
    "item-not-found": "cancel",
    "not-allowed": "cancel",
    "not-acceptable": "modify",
    "bad-request": "modify",
    "jid-malformed": "modify",
    "forbidden": "auth",
}
"""The types of the conditions that a refusal may name itself."""


class ChatError(Exception):
    """The peer's mistake or our refusal, to be told to the peer; never a bug of ours.

    ``detail`` is for people; ``retry_after`` seconds; ``fields`` maps a field to what is wrong;
    ``xmpp``: the stanza error where that is not the table's.
    """

    def __init__(
        self,
        slug: Slug,
        detail: str = "",
        *,
        retry_after: float | None = None,
        fields: Mapping[str, str] | None = None,
        xmpp: str = "",
    ) -> None:
        self.condition = CONDITIONS[slug]
        if xmpp:
            self.condition = self.condition._replace(xmpp=xmpp, xmpp_type=_TYPES[xmpp])
        self.slug: Slug = slug
        self.detail = detail or self.condition.title
        self.retry_after = retry_after
        self.fields = fields
        super().__init__(f"{slug}: {self.detail}")

    @property
    def status(self) -> int:
        """The JSON code and HTTP status."""
        return self.condition.status


class StorageAway(Exception):
    """The database did not answer in time.

    ``maybe_done``: the operation was handed over and may yet take effect; without it, nothing
    was sent. Becomes 503 ``storage-away`` wherever it reaches a peer.
    """

    def __init__(self, reason: str, *, maybe_done: bool = True) -> None:
        super().__init__(reason)
        self.maybe_done = maybe_done


class Close(enum.Enum):
    """Why the server ends a connection: WebSocket close code, its reason, XMPP stream error."""

    RESTART = (1012, "restart", "system-shutdown")
    INTERNAL = (1011, "internal-error", "internal-server-error")
    BAD_FRAMES = (4400, "too many bad frames", "policy-violation")
    SESSION_ENDED = (4401, "session ended", "not-authorized")
    DISABLED = (4403, "account disabled", "not-authorized")
    SILENT = (4408, "silent", "connection-timeout")
    REPLACED = (4409, "gave way to a newer connection", "conflict")
    SLOW_READER = (4413, "too slow a reader", "policy-violation")
    OVER_RATE = (4429, "far over the rate", "policy-violation")

    def __init__(self, code: int, reason: str, stream_error: str) -> None:
        self.code = code
        self.reason = reason
        self.stream_error = stream_error
