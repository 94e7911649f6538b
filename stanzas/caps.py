"""Entity capabilities (XEP-0115): what a presence says of its client, and the hash of an answer to
service discovery."""

import base64
import hashlib
from typing import NamedTuple

from stanzas import ns
from stanzas.xml import Element, attribute

PROTOCOL = (
    "XEP-0115",
    "1.6.0",
    "complete: of the server, and of clients for what they ask to hear",
)

HASHES = ("sha-1", "sha-224", "sha-256", "sha-384", "sha-512")
NOTIFY = "+notify"
NODES = 200
"""Of how many nodes one client may want to hear."""
_C = f"{{{ns.CAPS}}}c"
_IDENTITY, _FEATURE = f"{{{ns.DISCO_INFO}}}identity", f"{{{ns.DISCO_INFO}}}feature"
_FORM, _FIELD, _VALUE = (f"{{{ns.FORMS}}}{name}" for name in ("x", "field", "value"))
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class Caps(NamedTuple):
    """``hash`` is empty in the legacy form, whose ``ver`` says nothing."""

    hash: str
    node: str
    ver: str


def read(presence: Element) -> Caps | None:
    """What a presence says of its client, if anything."""
    found = presence.find(_C)
    if found is None or not found.get("node") or not found.get("ver"):
        return None
    return Caps(found.get("hash", ""), found.get("node"), found.get("ver"))


def element(node: str, ver: str) -> str:
    """``<c/>`` with a SHA-1."""
    return f"<c xmlns='{ns.CAPS}' hash='sha-1' node='{attribute(node)}' ver='{attribute(ver)}'/>"


def notify(query: Element) -> frozenset[str]:
    """The nodes of which the client with this disco#info wants to hear."""
    wanted = (
        feature.get("var", "").removesuffix(NOTIFY)
        for feature in query.iterfind(_FEATURE)
        if feature.get("var", "").endswith(NOTIFY)
    )
    return frozenset(sorted(set(wanted))[:NODES])


def verification(query: Element, hash_name: str) -> str:
    """The ``ver`` of a disco#info (section 5.1), empty where it has none (section 5.4).

    Also where a separator in a value would give it the hash of something else.
    """
    if hash_name not in HASHES:
        return ""
    identities = [
        "/".join(
            (one.get("category", ""), one.get("type", ""), one.get(_LANG, ""), one.get("name", ""))
        )
        for one in query.iterfind(_IDENTITY)
    ]
    features = [feature.get("var", "") for feature in query.iterfind(_FEATURE)]
    forms = _forms(query)
    if (
        forms is None
        or len(set(identities)) < len(identities)
        or len(set(features)) < len(features)
    ):
        return ""
    parts = [*_sorted(identities), *_sorted(features), *forms]
    if any("<" in part for part in parts):
        return ""
    whole = "".join(f"{part}<" for part in parts).encode()
    digest = hashlib.new(hash_name.replace("-", ""), whole).digest()
    return base64.b64encode(digest).decode()


def _forms(query: Element) -> list[str] | None:
    """None: two forms of the same type, or one that has two types."""
    found: dict[str, list[str]] = {}
    for form in query.iterfind(_FORM):
        kinds: list[str] = []
        fields: list[list[str]] = []
        for field in form.iterfind(_FIELD):
            values = [value.text or "" for value in field.iterfind(_VALUE)]
            if field.get("var") != "FORM_TYPE":
                fields.append([field.get("var", ""), *_sorted(values)])
            elif field.get("type") == "hidden":
                kinds = values
        if not kinds:
            continue
        if len(set(kinds)) > 1 or kinds[0] in found:
            return None
        fields.sort(key=lambda each: each[0].encode())
        found[kinds[0]] = [part for each in fields for part in each]
    return [part for kind in _sorted(found) for part in (kind, *found[kind])]


def _sorted(texts: "list[str] | dict[str, list[str]]") -> list[str]:
    """By their bytes (RFC 4790 section 9.3)."""
    return sorted(texts, key=str.encode)
