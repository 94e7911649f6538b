"""WebSocket frames (RFC 6455 section 5), sans-I/O: client bytes in, messages out, server frames.

:class:`FrameParser` cuts whole frames from what was read by offset, and keeps only what is left.
"""

import codecs
from typing import Final

from handlers.deflate import SHORTEST, compress, decompress

try:
    from tornado.speedups import websocket_mask as unmask
except ImportError:  # Tornado built without its C extension
    from tornado.util import _websocket_mask_python as unmask

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
SHORT: Final = 0x80 | TEXT
COMPRESSED: Final = 0x40
"""RSV1, which RFC 7692 gives its meaning."""

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
NOT_ACCEPTED: Final = 1003
NO_STATUS: Final = 1005
BAD_DATA: Final = 1007
TOO_LARGE: Final = 1009

_ALLOWED_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))

Frame = tuple[int, bytes]
"""What a client said: opcode (TEXT, BINARY, PING, PONG, CLOSE) and payload."""


class ProtocolError(Exception):
    """The client broke the protocol: close with ``code`` (RFC 6455 section 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


_SHORT_TEXT = tuple(bytes((0x80 | TEXT, size)) for size in range(126))


def deflated_frame(payload: bytes) -> bytes:
    """A final, unmasked, compressed text frame; a plain one where that would not be shorter."""
    if len(payload) < SHORTEST:
        return frame(payload)
    bare = frame(compress(payload))
    return bytes((bare[0] | COMPRESSED,)) + bare[1:]


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One final, unmasked frame."""
    size = len(payload)
    if size < 126:
        if opcode == TEXT:
            return _SHORT_TEXT[size] + payload
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; NO_STATUS makes one without a code. The reason is cut to what fits."""
    if code == NO_STATUS:
        return frame(b"", CLOSE)
    return frame(code.to_bytes(2, "big") + reason.encode()[:123], CLOSE)


def close_code(payload: bytes) -> int:
    """The code of a client's close frame, NO_STATUS for none. Raises :class:`ProtocolError`."""
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in _ALLOWED_CLOSE_CODES:
        raise ProtocolError(PROTOCOL_ERROR, "bad close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(BAD_DATA, "close reason is not UTF-8") from None
    return code


class FrameParser:
    """``receive`` bytes, get the messages and control frames that are whole by now.

    What came before a broken frame is still given; then ``error`` says what is wrong, and the
    parser must not be used again. Messages longer than ``max_bytes``, over all their fragments,
    are refused before they are read. ``masked=False`` reads what servers send; ``deflates``:
    messages may be compressed (RFC 7692), the limit is for what they become.
    """

    __slots__ = (
        "_decoder",
        "_deflates",
        "_fragments",
        "_have",
        "_is_compressed",
        "_mask_bit",
        "_max_bytes",
        "_need",
        "_opcode",
        "_rest",
        "error",
    )

    def __init__(self, max_bytes: int, *, masked: bool = True, deflates: bool = False) -> None:
        self.error: ProtocolError | None = None
        self._max_bytes = max_bytes
        self._deflates = deflates
        self._is_compressed = False
        self._mask_bit = 0x80 if masked else 0
        # Of an unfinished frame: joined once, when there is enough to go on.
        self._rest: list[bytes] | None = None
        self._have = self._need = 0
        self._opcode = 0
        self._fragments = bytearray()
        self._decoder: codecs.IncrementalDecoder | None = None

    def receive(self, data: bytes) -> list[Frame]:
        """Takes what was read; see the class."""
        frames: list[Frame] = []
        if self._rest is not None:
            self._rest.append(data)
            self._have += len(data)
            if self._have < self._need:
                return frames
            data = b"".join(self._rest)
            self._rest = None
            self._need = 0
        at, end = 0, len(data)
        try:
            while end - at >= 2:
                first, second = data[at], data[at + 1]
                if first == SHORT and 0x80 <= second < 0xFE and not self._opcode and self._mask_bit:
                    # Most frames are this: a short text in one piece.
                    start = at + 6
                    stop = start + second - 0x80
                    if stop > end:
                        self._need = stop - at
                        break
                    payload = unmask(data[at + 2 : start], data[start:stop])
                    if not payload.isascii():
                        _check_utf8(payload)
                    frames.append((TEXT, payload))
                    at = stop
                    continue
                start, length = self._head(data, at, end)
                if not start:
                    break
                stop = start + length
                if stop > end:
                    self._need = stop - at
                    break
                payload = data[start:stop]
                if self._mask_bit:
                    payload = unmask(data[start - 4 : start], payload)
                at = stop
                opcode, is_final = first & 0x0F, first & 0x80
                if opcode >= CLOSE:
                    frames.append((opcode, payload))
                elif is_final and opcode:
                    if first & COMPRESSED:
                        payload = self._inflate(payload)
                    if opcode == TEXT and not payload.isascii():
                        _check_utf8(payload)
                    frames.append((opcode, payload))
                else:
                    if opcode:
                        self._is_compressed = bool(first & COMPRESSED)
                    self._join(opcode, payload, frames, is_final=bool(is_final))
        except ProtocolError as error:
            self.error = error
            return frames
        if at < end:
            self._rest = [data[at:]]
            self._have = end - at
        return frames

    def _head(self, data: bytes, at: int, end: int) -> tuple[int, int]:
        """Where the payload begins and its length; 0 and 0 when the head is not whole."""
        first, second = data[at], data[at + 1]
        if first & 0x70 and not (
            self._deflates and first & 0x70 == COMPRESSED and first & 0x0F in (TEXT, BINARY)
        ):
            raise ProtocolError(PROTOCOL_ERROR, "reserved bit set")
        if second & 0x80 != self._mask_bit:
            raise ProtocolError(PROTOCOL_ERROR, "frame is not masked")
        opcode, length, start = first & 0x0F, second & 0x7F, at + 2
        if opcode >= CLOSE:
            if opcode > PONG or length > 125 or not first & 0x80:
                raise ProtocolError(PROTOCOL_ERROR, "bad control frame")
        else:
            if opcode > BINARY:
                raise ProtocolError(PROTOCOL_ERROR, "unknown opcode")
            if (opcode == CONTINUATION) != (self._opcode != 0):
                raise ProtocolError(PROTOCOL_ERROR, "fragments out of order")
            if length > 125:
                width = 2 if length == 126 else 8
                start += width
                if start > end:
                    self._need = start - at
                    return 0, 0
                length = int.from_bytes(data[start - width : start], "big")
                if length < (126 if width == 2 else 65536) or length >> 63:
                    raise ProtocolError(PROTOCOL_ERROR, "bad length")
            if len(self._fragments) + length > self._max_bytes:
                raise ProtocolError(TOO_LARGE, "message is too large")
        return start + (4 if self._mask_bit else 0), length

    def _join(self, opcode: int, payload: bytes, frames: list[Frame], *, is_final: bool) -> None:
        """One fragment; the last one makes the message."""
        if opcode:
            self._opcode = opcode
            is_text = opcode == TEXT and not self._is_compressed
            self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, is_final)
            except UnicodeDecodeError:
                raise ProtocolError(BAD_DATA, "text is not UTF-8") from None
        self._fragments += payload
        if is_final:
            whole = bytes(self._fragments)
            if self._is_compressed:
                whole = self._inflate(whole)
                if self._opcode == TEXT:
                    _check_utf8(whole)
            frames.append((self._opcode, whole))
            self._opcode = 0
            self._fragments = bytearray()
            self._decoder = None

    def _inflate(self, data: bytes) -> bytes:
        try:
            payload = decompress(data, self._max_bytes)
        except ValueError:
            raise ProtocolError(BAD_DATA, "not deflated") from None
        if len(payload) > self._max_bytes:
            raise ProtocolError(TOO_LARGE, "message is too large")
        return payload


def _check_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(BAD_DATA, "text is not UTF-8") from None
