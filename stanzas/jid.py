"""JIDs (RFC 7622): taken apart by slixmpp, which prepares each part."""

import functools
from typing import NamedTuple

import slixmpp

from server.errors import ChatError

PROTOCOL = ("RFC 7622", "2015-09", "partial: prepared with stringprep profiles, not PRECIS")


class Jid(NamedTuple):
    """``local@domain/resource``; absent parts are empty."""

    local: str
    domain: str
    resource: str = ""

    @property
    def bare(self) -> str:
        return f"{self.local}@{self.domain}" if self.local else self.domain

    def __str__(self) -> str:
        return f"{self.bare}/{self.resource}" if self.resource else self.bare


def parse(text: str) -> Jid:
    """Raises ``bad-field`` for what is no JID."""
    try:
        jid = slixmpp.JID(text)
    except (slixmpp.InvalidJID, UnicodeError) as error:
        raise ChatError("bad-field", "not a JID") from error
    if not jid.domain:
        raise ChatError("bad-field", "not a JID")
    return Jid(jid.local, jid.domain, jid.resource)


@functools.lru_cache(maxsize=20_000)
def as_resource(text: str) -> str:
    """A name as it can be a resource, prepared; empty if it cannot."""
    words = " ".join(text.split())
    try:
        return str(slixmpp.JID(f"a@b/{words}").resource) if words else ""
    except (slixmpp.InvalidJID, UnicodeError):
        return ""


def is_resource(text: str) -> bool:
    """Whether a resource that a client asks for can be one."""
    try:
        return bool(slixmpp.JID(f"a@b/{text}").resource == text) and bool(text)
    except (slixmpp.InvalidJID, UnicodeError):
        return False
