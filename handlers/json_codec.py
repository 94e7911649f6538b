"""The JSON side's words: decoding client frames, and the frames that the server sends.

Frames are msgspec structs decoded in one pass; see ``docs/wire.md`` for the contract.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from handlers.frames import deflated_frame, frame
from server.deliveries import Envelope, Event, Passed
from server.errors import ChatError
from server.model import Id, Message, User

encode = msgspec.json.Encoder().encode


class InboxQuery(msgspec.Struct):
    """cmd 30: what a client asks. ``before``: the ``next`` of an earlier answer."""

    rid: str = ""
    before: str = ""


class Query(msgspec.Struct):
    """cmd 31: what a client asks. ``rid`` comes back in the answer."""

    rid: str = ""
    chat: Id = 0
    dstid: Id = 0
    before: Id | None = None
    after: Id | None = None
    limit: Id = 50


class Reference(msgspec.Struct):
    """What is left of a frame that could not be decoded: which request it was."""

    cid: Any = None
    rid: Any = None


class Ack(msgspec.Struct, omit_defaults=True):
    """cmd 1: the message with this cid is durable."""

    cmd: int
    cid: str
    id: int
    seq: int
    ts: int
    dup: bool = False


class Error(msgspec.Struct, omit_defaults=True):
    """cmd 2: what went wrong; ``retry_after`` seconds."""

    cmd: int
    code: int
    reason: str
    detail: str
    cid: str = ""
    rid: str = ""
    retry_after: float | None = None


_decode_message = msgspec.json.Decoder(Message).decode
_decode_inbox_query = msgspec.json.Decoder(InboxQuery).decode
_decode_query = msgspec.json.Decoder(Query).decode
_decode_reference = msgspec.json.Decoder(Reference).decode
_STRINGS = re.compile(rb'"((?:[^"\\]+|\\.)*)"(\s*:)?', re.DOTALL)


def decode_message(payload: bytes, max_depth: int) -> Message:
    """One client frame. Raises ``bad-json`` or ``bad-field``."""
    try:
        message = _decode_message(payload)
    except msgspec.ValidationError as error:
        _check_depth(payload, max_depth)
        raise ChatError("bad-field", str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ChatError("bad-json", str(error)) from error
    # Encoded again it has each filled field once. Equally many colons (one a key, and those within
    # strings, of which no escape hides any) so mean: no key twice, none unknown, none empty.
    if (
        payload.count(b":") != encode(message).count(b":")
        or not message.cmd
        or b"\\u003" in payload
    ):
        _check_depth(payload, max_depth)
        _check_keys(payload)
    return message


def decode_inbox_query(payload: bytes) -> InboxQuery:
    """The fields of cmd 30. Raises ``bad-field``."""
    try:
        return _decode_inbox_query(payload)
    except msgspec.ValidationError as error:
        raise ChatError("bad-field", str(error)) from error


def decode_query(payload: bytes) -> Query:
    """The fields of cmd 31. Raises ``bad-field``."""
    try:
        return _decode_query(payload)
    except msgspec.ValidationError as error:
        raise ChatError("bad-field", str(error)) from error


def reference(payload: bytes) -> tuple[str, str]:
    """The cid and rid of a frame that is otherwise wrong, each empty if it has none."""
    try:
        found = _decode_reference(payload)
    except (msgspec.DecodeError, RecursionError):
        return "", ""
    cid = found.cid if isinstance(found.cid, str) else ""
    rid = found.rid if isinstance(found.rid, str) else ""
    return cid[:64], rid[:64]


def error_frame(error: ChatError, cid: str = "", rid: str = "") -> bytes:
    """A ready cmd 2."""
    return frame(
        encode(Error(2, error.status, error.slug, error.detail, cid, rid, error.retry_after))
    )


class JsonCodec:
    """See :class:`server.clients.Codec`: one encoding serves every connection that it is of.

    ``ready`` frames what is passed on; answers are too short to be compressed.
    """

    name = "json"
    per_user = reflects = False

    def __init__(self, ready: Callable[[bytes], bytes]) -> None:
        self.ready = ready

    def message(self, passed: Passed, viewer: User) -> bytes | None:
        return self.ready(passed.json())

    def event(self, event: Event) -> bytes | None:
        return self.ready(encode(event.body))

    def ack(self, envelope: Envelope) -> bytes | None:
        message = envelope.message
        if not message.cid:
            return None
        ack = Ack(1, message.cid, message.id, message.seq, message.ts, envelope.dup)
        return frame(encode(ack))

    def error(self, envelope: Envelope, error: ChatError) -> bytes | None:
        return error_frame(error, envelope.message.cid)


PLAIN = JsonCodec(frame)
DEFLATED = JsonCodec(deflated_frame)


def _depth(payload: bytes) -> int:
    depth = deepest = 0
    for byte in _STRINGS.sub(b"", payload):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _check_depth(payload: bytes, max_depth: int) -> None:
    """Raises ``bad-json`` for what is nested too deep."""
    if payload.count(b"[") + payload.count(b"{") > max_depth and _depth(payload) > max_depth:
        raise ChatError("bad-json", f"nested deeper than {max_depth}")


def _check_keys(payload: bytes) -> None:
    """Raises ``bad-json`` if an object has a key twice, ``bad-field`` for a frame without cmd."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ChatError("bad-json", "an object has the same key twice")
        return found

    if "cmd" not in json.loads(payload, object_pairs_hook=check):
        raise ChatError("bad-field", "cmd is missing")
