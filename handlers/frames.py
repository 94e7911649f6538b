"""WebSocket frames (RFC 6455 section 5), sans-I/O: client bytes in, messages out, server frames.

:class:`FrameParser` never looks at a byte twice: whole frames are cut from the buffer by offset,
and only what is left of a read is kept.
"""

import codecs
from typing import Final

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


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One final, unmasked frame."""
    size = len(payload)
    if size < 126:
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
    """``feed`` bytes, then take frames with ``next`` until it gives None.

    Messages longer than ``max_bytes``, over all their fragments, are refused before they are read.
    ``masked=False`` reads what servers send.
    After a :class:`ProtocolError` the parser must not be used again.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_decoder",
        "_fragments",
        "_have",
        "_later",
        "_mask_bit",
        "_max_bytes",
        "_need",
        "_opcode",
        "_size",
    )

    def __init__(self, max_bytes: int, *, masked: bool = True) -> None:
        self._max_bytes = max_bytes
        self._mask_bit = 0x80 if masked else 0
        self._buffer = b""
        self._at = 0
        # A long frame in many small reads: joined once, when it is whole.
        self._later: list[bytes] = []
        self._have = self._need = 0
        self._opcode = 0
        self._size = 0
        self._fragments: list[bytes] | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> None:
        """Adds what was read."""
        if self._need:
            self._later.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            self._buffer = b"".join(self._later)
            self._later = []
            self._have = self._need = 0
        elif self._at < len(self._buffer):
            self._buffer = self._buffer[self._at :] + data
        else:
            self._buffer = data
        self._at = 0

    def next(self) -> Frame | None:
        """The next whole message or control frame, None when more bytes are needed."""
        while not self._need:
            buffer, at = self._buffer, self._at
            size = len(buffer) - at
            if size < 2:
                return None
            first, second = buffer[at], buffer[at + 1]
            if first & 0x70:
                raise ProtocolError(PROTOCOL_ERROR, "reserved bit set")
            mask_bit = second & 0x80
            if mask_bit != self._mask_bit:
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
                    if size < 2 + width:
                        return None
                    start += width
                    length = int.from_bytes(buffer[start - width : start], "big")
                    if length < (126 if width == 2 else 65536) or length >> 63:
                        raise ProtocolError(PROTOCOL_ERROR, "bad length")
                if self._size + length > self._max_bytes:
                    raise ProtocolError(TOO_LARGE, "message is too large")
            start += 4 if mask_bit else 0
            end = start + length
            if end > len(buffer):
                self._need = end - at
                self._later = [buffer[at:]]
                self._have = size
                self._buffer, self._at = b"", 0
                return None
            payload = buffer[start:end]
            if mask_bit:
                payload = unmask(buffer[start - 4 : start], payload)
            self._at = end
            if opcode >= CLOSE:
                return opcode, payload
            if first & 0x80 and opcode:
                if opcode == TEXT and not payload.isascii():
                    _check_utf8(payload)
                return opcode, payload
            whole = self._join(opcode, payload, final=bool(first & 0x80))
            if whole is not None:
                return whole
        return None

    def _join(self, opcode: int, payload: bytes, *, final: bool) -> Frame | None:
        if opcode:
            self._opcode, self._fragments = opcode, []
            self._decoder = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT else None
        if self._fragments is None:
            raise ProtocolError(PROTOCOL_ERROR, "fragments out of order")
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise ProtocolError(BAD_DATA, "text is not UTF-8") from None
        self._fragments.append(payload)
        self._size += len(payload)
        if not final:
            return None
        whole = self._opcode, b"".join(self._fragments)
        self._opcode = self._size = 0
        self._fragments = self._decoder = None
        return whole


def _check_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(BAD_DATA, "text is not UTF-8") from None
