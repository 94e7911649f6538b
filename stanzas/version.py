"""Software version (XEP-0092)."""

from stanzas import ns
from stanzas.xml import text

PROTOCOL = ("XEP-0092", "1.1", "complete")


def answer(version: str) -> str:
    return (
        f"<query xmlns='{ns.VERSION}'><name>Tandem</name><version>{text(version)}</version></query>"
    )
