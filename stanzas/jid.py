"""JIDs (RFC 7622): taken apart, and each part prepared with its PRECIS profile.

slixmpp, which prepares with the older stringprep, is left the domain: that is IDNA.
"""

from functools import lru_cache
from typing import NamedTuple

import slixmpp
from precis_i18n import get_profile

from server.errors import ChatError

PROTOCOL = ("RFC 7622", "2015-09", "complete; domains as IDNA 2003 has them")

PART_BYTES = 1023
_NEVER_LOCAL = frozenset("\"&'/:<>@")
_prepare_local = get_profile("UsernameCaseMapped").enforce
_prepare_resource = get_profile("OpaqueString").enforce


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
    found = _parse(text)
    if found is None:
        raise ChatError("bad-field", "not a JID", xmpp="jid-malformed")
    return found


def is_resource(text: str) -> bool:
    """Whether a resource that a client asks for can be one."""
    try:
        return _resource(text) == text
    except UnicodeError:
        return False


@lru_cache(maxsize=10_000)
def _parse(text: str) -> Jid | None:
    if len(text) > 3 * PART_BYTES + 2:
        return None
    bare, has_resource, resource = text.partition("/")
    local, has_local, domain = bare.rpartition("@") if "@" in bare else ("", "", bare)
    try:
        return Jid(
            _local(local) if has_local else "",
            _domain(domain),
            _resource(resource) if has_resource else "",
        )
    except (slixmpp.InvalidJID, UnicodeError):
        return None


def _local(text: str) -> str:
    prepared = _prepare_local(text)
    if _NEVER_LOCAL.intersection(prepared):
        raise UnicodeError("never in a localpart")
    return _checked(prepared)


def _resource(text: str) -> str:
    return _checked(_prepare_resource(text))


def _domain(text: str) -> str:
    jid = slixmpp.JID(text)
    if jid.local or jid.resource or not jid.domain:
        raise UnicodeError("not a domain")
    return _checked(jid.domain)


def _checked(part: str) -> str:
    if not 0 < len(part.encode()) <= PART_BYTES:
        raise UnicodeError("a part has 1 to 1023 bytes")
    return part
