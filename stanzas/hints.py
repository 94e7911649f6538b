"""What a sender wishes for the processing of a message (XEP-0334)."""

from stanzas import ns
from stanzas.xml import Element

PROTOCOL = ("XEP-0334", "1.0.0", "partial: groups keep all that is said in their rooms")

STORE = f"{{{ns.HINTS}}}store"
NO_COPY = f"{{{ns.HINTS}}}no-copy"
_NOT_KEPT = (f"{{{ns.HINTS}}}no-store", f"{{{ns.HINTS}}}no-permanent-store")


def forbids_keeping(stanza: Element) -> bool:
    """Whether it is for those only who are there. There is no store but the permanent one."""
    return any(child.tag in _NOT_KEPT for child in stanza)
