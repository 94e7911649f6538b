"""Displayed markers (XEP-0333): cmd 12 with the state ``read``."""

from stanzas import ns
from stanzas.xml import attribute

PROTOCOL = ("XEP-0333", "1.0.0", "complete")

DISPLAYED = f"{{{ns.MARKERS}}}displayed"
MARKABLE = f"<markable xmlns='{ns.MARKERS}'/>"


def write(name: str) -> str:
    """``name``: the id attribute of the last message that was read."""
    return f"<displayed xmlns='{ns.MARKERS}' id='{attribute(name)}'/>"
