"""What files are called: the names and types that clients give, and our own keys.

A key is 128 random bits and the file's type, ``0f…9c.image~png``: whoever has a file's address
(any process of ours, a proxy, a static server) knows how to serve it without asking a database.
"""

import re
import secrets
import unicodedata
from urllib.parse import quote, unquote, urlsplit

from server.errors import ChatError

NAME_BYTES = 255
TYPE_CHARS = 127
"""So that a key is a file name, which may have 255 bytes."""
UNKNOWN = "application/octet-stream"

INLINE = frozenset(
    {"image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"}
    | {"audio/aac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/opus", "audio/wav"}
    | {"audio/wave", "audio/webm", "audio/x-wav", "video/mp4", "video/webm", "text/plain"}
)
"""Types that browsers show and that cannot act in them. All others are only downloaded."""

_NAME = r"[a-z0-9][a-z0-9!#$&^_.+-]*"  # RFC 6838 section 4.2, in lower case
_TYPE = re.compile(rf"{_NAME}/{_NAME}")
_KEY = re.compile(rf"[0-9a-f]{{32}}\.({_NAME})~({_NAME})")
_UTF8 = re.compile(r'charset\s*=\s*("utf-?8"|utf-?8)\s*', re.IGNORECASE)
_RUNS = re.compile(r"(?:java|ecma|j|live)script|^text/css$|wasm")
"""Scripts and styles: a page that can be made to ask for one would run it, attachment or not."""
_EDGES = re.compile(r"^[.\s]+|\s+$")
_MISLEADING = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]")
"""Marks that turn or hide what follows: ``cod\u202egnp.exe`` would be read as ``codexe.png``."""


def clean_name(raw: str) -> str:
    """The last part of a path, in NFC, without what misleads, at most 255 bytes of UTF-8.

    A longer one loses from its middle, so that its ending stays. Raises ``invalid`` where
    nothing is left. Cleaning a clean name changes nothing.
    """
    name = _tidy(re.split(r"[/\\]", raw)[-1])
    if len(name.encode()) > NAME_BYTES:
        stem, dot, ending = name.rpartition(".")
        ending = f"{dot}{ending}" if stem and len(ending.encode()) <= 20 else ""
        room = NAME_BYTES - len(ending.encode())
        name = _tidy(name.encode()[:room].decode(errors="ignore")) + ending
    if not name:
        raise ChatError("invalid", "some fields are wrong", fields={"name": "is no file name"})
    return name


def _tidy(name: str) -> str:
    kept = (char for char in name if unicodedata.category(char) not in ("Cc", "Cs"))
    name = unicodedata.normalize("NFC", _MISLEADING.sub("", "".join(kept)))
    return _EDGES.sub("", name)


def clean_type(raw: str) -> str:
    """``type/subtype`` in lower case. Of parameters only ``charset=utf-8`` may be there; it goes.

    Raises ``invalid``.
    """
    kind, semicolon, parameter = raw.partition(";")
    kind = kind.strip().lower()
    if not _TYPE.fullmatch(kind) or len(kind) > TYPE_CHARS:
        wrong = "is not type/subtype, such as image/png"
    elif semicolon and not _UTF8.fullmatch(parameter.strip()):
        wrong = "has a parameter other than charset=utf-8"
    else:
        return kind
    raise ChatError("invalid", "some fields are wrong", fields={"type": wrong})


def new_key(kind: str) -> str:
    """A key for a file of this clean type."""
    return f"{secrets.token_hex(16)}.{kind.replace('/', '~')}"


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None and len(text) <= NAME_BYTES


def served_type(key: str) -> str:
    """The Content-Type to serve a file with."""
    kind = key.partition(".")[2].replace("~", "/")
    if _RUNS.search(kind):
        return UNKNOWN
    return f"{kind}; charset=utf-8" if kind == "text/plain" else kind


def is_inline(key: str) -> bool:
    """Whether browsers may show it, rather than download it."""
    return key.partition(".")[2].replace("~", "/") in INLINE


def disposition(key: str, name: str) -> str:
    """Content-Disposition (RFC 6266), with the name as RFC 8187 where it is not plain ASCII."""
    how = "inline" if is_inline(key) else "attachment"
    plain = re.sub(r'[^ -~]|["%\\]', "_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{how}; filename="{plain}"{extended}'


def key_in(address: str) -> str | None:
    """The key in an address that a file store gave; None where there is none."""
    try:
        parts = urlsplit(address).path.split("/")
    except ValueError:
        return None
    key = unquote(parts[-2]) if len(parts) > 2 else ""
    return key if is_key(key) else None
