"""Entity time (XEP-0202)."""

from stanzas import ns
from stanzas.delay import stamp

PROTOCOL = ("XEP-0202", "2.0", "complete")


def answer(now_ms: int) -> str:
    return f"<time xmlns='{ns.TIME}'><tzo>+00:00</tzo><utc>{stamp(now_ms)}</utc></time>"
