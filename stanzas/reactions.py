"""Message reactions (XEP-0444): cmd 16. Several of one user are one text, parted by spaces."""

from stanzas import ns
from stanzas.xml import Element, attribute, text

PROTOCOL = ("XEP-0444", "0.2.1", "complete")

TAG = f"{{{ns.REACTIONS}}}reactions"
_REACTION = f"{{{ns.REACTIONS}}}reaction"


def read(element: Element) -> tuple[str, str]:
    """The id of the message, and all of the sender's reactions to it."""
    given = [(one.text or "").strip() for one in element.iterfind(_REACTION)]
    return element.get("id", ""), " ".join(dict.fromkeys(filter(None, given)))


def write(name: str, content: str) -> str:
    """``name``: the origin-id of the message, else its id attribute."""
    given = "".join(f"<reaction>{text(one)}</reaction>" for one in content.split())
    return (
        f"<reactions xmlns='{ns.REACTIONS}' id='{attribute(name)}'>{given}</reactions>"
        f"<store xmlns='{ns.HINTS}'/>"
    )
