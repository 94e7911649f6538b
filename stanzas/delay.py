"""Delayed delivery (XEP-0203) and the date format of XEP-0082."""

from datetime import UTC, datetime

from server.errors import ChatError
from stanzas import ns

PROTOCOL = (
    ("XEP-0203", "2.0", "complete"),
    ("XEP-0160", "1.0.1", "complete; the archive keeps what is handed out"),
)


def stamp(milliseconds: int) -> str:
    """Milliseconds since 1970 UTC as ``2026-01-02T03:04:05.678Z``."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def moment_ms(text: str) -> int:
    """The reverse. Raises ``bad-field``."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ChatError("bad-field", "not a date and time") from error
    if moment.tzinfo is None:
        raise ChatError("bad-field", "a time needs its zone")
    return round(moment.timestamp() * 1000)


def delay(sender: str, milliseconds: int) -> str:
    """``<delay/>``; ``sender`` must be safe in an attribute: our own domain."""
    return f"<delay xmlns='{ns.DELAY}' from='{sender}' stamp='{stamp(milliseconds)}'/>"
