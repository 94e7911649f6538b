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


def origin(stanza: Element) -> Origin:
    name = stanza.tag.rpartition("}")[2]
    return Origin(name, stanza.get("id", ""), stanza.get("to", ""))


def head(asked: Origin, kind: str, me: str, xmlns: str) -> str:
    """The attributes of an answer to the full JID ``me``."""
    sender = f" from='{attribute(asked.to)}'" if asked.to else ""
    number = f" id='{attribute(asked.id)}'" if asked.id else ""
    return f"<{asked.name}{xmlns} type='{kind}'{number}{sender} to='{attribute(me)}'"


def result(asked: Origin, me: str, xmlns: str, inside: str = "") -> str:
    return f"{head(asked, 'result', me, xmlns)}>{inside}</{asked.name}>"


def error(asked: Origin, me: str, xmlns: str, problem: ChatError) -> str:
    """A stanza error from the one table of errors."""
    condition = CONDITIONS[problem.slug]
    return error_of(
        asked, me, xmlns, condition.xmpp, condition.xmpp_type, f"{problem.slug}: {problem.detail}"
    )


def error_of(
    asked: Origin, me: str, xmlns: str, condition: str, kind: str, detail: str = ""
) -> str:
    told = f"<text xmlns='{ns.STANZA_ERRORS}'>{text(detail)}</text>" if detail else ""
    return (
        f"{head(asked, 'error', me, xmlns)}><error type='{kind}'>"
        f"<{condition} xmlns='{ns.STANZA_ERRORS}'/>{told}</error></{asked.name}>"
    )
