"""Chat state notifications (XEP-0085): cmd 13, which knows two of the five."""

from stanzas import ns

PROTOCOL = ("XEP-0085", "2.1", "partial: composing; all others are paused")

COMPOSING, PAUSED = "composing", "paused"
_PREFIX = f"{{{ns.CHAT_STATES}}}"
_STATES = {
    f"{_PREFIX}composing": COMPOSING,
    f"{_PREFIX}paused": PAUSED,
    f"{_PREFIX}active": PAUSED,
    f"{_PREFIX}inactive": PAUSED,
    f"{_PREFIX}gone": PAUSED,
}


def read(tag: str) -> str:
    """The state that an element says, empty for none."""
    return _STATES.get(tag, "")


def write(state: str) -> str:
    return f"<{state} xmlns='{ns.CHAT_STATES}'/>"
