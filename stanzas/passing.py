"""A stanza that is passed on as it is, from its ``from`` attribute on."""

from stanzas import ns
from stanzas.xml import Element, attribute, serialise

_FORGERIES = frozenset(
    (
        f"{{{ns.IDS}}}stanza-id",
        f"{{{ns.ARCHIVE}}}result",
        f"{{{ns.CARBONS}}}sent",
        f"{{{ns.CARBONS}}}received",
    )
)
"""What only the server says."""
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def rest(stanza: Element, sender: str) -> str:
    """``<name to='…'`` and this is the stanza, stamped with its sender's JID."""
    name = stanza.tag.rpartition("}")[2]
    parts = [f" from='{attribute(sender)}'"]
    parts += [f" {key}='{attribute(stanza.get(key))}'" for key in ("type", "id") if stanza.get(key)]
    if stanza.get(_LANG):
        parts.append(f" xml:lang='{attribute(stanza.get(_LANG))}'")
    return f"{''.join(parts)}>{inside(stanza)}</{name}>"


def inside(stanza: Element) -> str:
    """What the sender may put into a stanza, serialised."""
    return "".join(serialise(child) for child in stanza if child.tag not in _FORGERIES)
