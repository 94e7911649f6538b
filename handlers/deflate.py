"""permessage-deflate (RFC 7692), without context takeover in either direction.

Every message is compressed alone, so a message for a thousand connections is compressed once, and
an idle connection keeps no compressor.
"""

import zlib
from typing import Final

EXTENSION: Final = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
"""What the server answers to an offer that it takes."""
SHORTEST: Final = 200
"""Bytes below which compressing costs more than it saves."""

_TAIL: Final = b"\x00\x00\xff\xff"
_WINDOWS: Final = tuple(str(bits) for bits in range(8, 16))
_PARAMETERS: Final = frozenset(
    ("server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits")
)


def is_offered(header: str) -> bool:
    """Whether ``Sec-WebSocket-Extensions`` has an offer to take (RFC 7692 section 7.1).

    Not one that asks for a smaller window of ours: one compression has to serve everybody.
    """
    for offer in header.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        names = [parameter.partition("=")[0].strip() for parameter in parameters]
        once = len(set(names)) == len(names) and _PARAMETERS.issuperset(names)
        if name == "permessage-deflate" and once and all(map(_is_sound, parameters)):
            return True
    return False


def _is_sound(parameter: str) -> bool:
    name, equals, value = (part.strip() for part in parameter.partition("="))
    if name != "client_max_window_bits":
        return not equals
    return not equals or value.strip('"') in _WINDOWS


def compress(payload: bytes) -> bytes:
    """RFC 7692 section 7.2.1."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def decompress(data: bytes, max_bytes: int) -> bytes:
    """At most ``max_bytes`` + 1 of the payload. Raises ``ValueError`` for garbage."""
    try:
        return zlib.decompressobj(wbits=-15).decompress(data + _TAIL, max_bytes + 1)
    except zlib.error as error:
        raise ValueError("not deflated") from error
