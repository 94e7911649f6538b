"""What an available presence shows (RFC 6121 section 4.7), in the words of the common model."""

from server.model import State
from stanzas import ns
from stanzas.xml import Element, attribute, text

_SHOW = f"{{{ns.CLIENT}}}show"
_STATUS = f"{{{ns.CLIENT}}}status"
_STATES: dict[str, State] = {"away": "away", "xa": "away", "dnd": "dnd"}


def of_state(sender: str, state: State, memo: str) -> str:
    """What a state is as a presence: the stanza from its ``from`` attribute on."""
    if state == "offline":
        return f" from='{attribute(sender)}' type='unavailable'/>"
    show = "" if state == "online" else f"<show>{state}</show>"
    status = f"<status>{text(memo)}</status>" if memo else ""
    return f" from='{attribute(sender)}'>{show}{status}</presence>"


def shown(stanza: Element, memo_chars: int) -> tuple[State, str]:
    """State, and the first status text as its memo, cut to ``memo_chars``.

    ``<show>chat</show>``, none, and what is not known are ``online``.
    """
    show = (stanza.findtext(_SHOW) or "").strip()
    return _STATES.get(show, "online"), (stanza.findtext(_STATUS) or "").strip()[:memo_chars]
