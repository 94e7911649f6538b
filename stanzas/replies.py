"""Answers to stanzas: results and errors (RFC 6120 section 8.3), ``to`` and ``from`` swapped."""

from typing import NamedTuple

from server.errors import CONDITIONS, ChatError
from stanzas import ns
from stanzas.xml import Element, attribute, text


class Origin(NamedTuple):
    """What of a client's stanza is needed to answer it; absent attributes are empty."""

    name: str
    id: str
    to: str
    is_answer: bool = False
    """A result or an error, which nothing answers."""


def origin(stanza: Element) -> Origin:
    name = stanza.tag.rpartition("}")[2]
    is_answer = stanza.get("type") in ("result", "error")
    return Origin(name, stanza.get("id", ""), stanza.get("to", ""), is_answer)


def head(asked: Origin, kind: str, me: str, xmlns: str) -> str:
    """The attributes of an answer to the full JID ``me``."""
    sender = f" from='{attribute(asked.to)}'" if asked.to else ""
    number = f" id='{attribute(asked.id)}'" if asked.id else ""
    return f"<{asked.name}{xmlns} type='{kind}'{number}{sender} to='{attribute(me)}'"


def result(asked: Origin, me: str, xmlns: str, inside: str = "") -> str:
    return f"{head(asked, 'result', me, xmlns)}>{inside}</{asked.name}>"


def error(asked: Origin, me: str, xmlns: str, problem: ChatError) -> str:
    """A stanza error from the one table of errors."""
    condition = problem.condition
    # Of who is not there and of who blocks one, the answer is the same to the letter.
    is_told = condition is CONDITIONS[problem.slug] or condition.xmpp != "service-unavailable"
    why = f"{problem.slug}: {problem.detail}" if is_told else ""
    more = f"<blocked xmlns='{ns.BLOCKING_ERRORS}'/>" if problem.slug == "blocked" else ""
    if problem.pubsub:
        more = f"<{problem.pubsub} xmlns='{ns.PUBSUB_ERRORS}'/>"
    return error_of(asked, me, xmlns, condition.xmpp, condition.xmpp_type, why, more)


def error_of(
    asked: Origin,
    me: str,
    xmlns: str,
    condition: str,
    kind: str,
    detail: str = "",
    more: str = "",
) -> str:
    """``more``: an element that says more than the condition (RFC 6120 section 8.3.4)."""
    told = f"<text xmlns='{ns.STANZA_ERRORS}'>{text(detail)}</text>{more}" if detail else more
    return (
        f"{head(asked, 'error', me, xmlns)}><error type='{kind}'>"
        f"<{condition} xmlns='{ns.STANZA_ERRORS}'/>{told}</error></{asked.name}>"
    )
