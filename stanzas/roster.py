"""The roster (RFC 6121 section 2): empty until accounts have contacts."""

from stanzas import ns

PROTOCOL = ("RFC 6121", "2011-03", "partial: an empty roster, presence among one's own resources")


def answer() -> str:
    return f"<query xmlns='{ns.ROSTER}'/>"
