"""The archive query (XEP-0313) over one's own archive."""

from typing import NamedTuple

from server.errors import ChatError
from stanzas import ns, rsm
from stanzas.delay import delay, moment_ms
from stanzas.xml import Element, attribute

PROTOCOL = ("XEP-0313", "1.1", "partial: own archive; with, start, end, result sets")

DEFAULT_PAGE = 50


class ArchiveQuery(NamedTuple):
    """What is asked for; ``with_jid`` is empty for everybody, times are milliseconds."""

    queryid: str
    with_jid: str
    start_ms: int | None
    end_ms: int | None
    page: rsm.PageWanted


def read(query: Element) -> ArchiveQuery:
    """A ``<query xmlns='urn:xmpp:mam:2'/>``. Raises ``bad-field``."""
    fields: dict[str, str] = {}
    for field in query.iterfind(f"{{{ns.FORMS}}}x/{{{ns.FORMS}}}field"):
        fields[field.get("var", "")] = field.findtext(f"{{{ns.FORMS}}}value") or ""
    unknown = fields.keys() - {"FORM_TYPE", "with", "start", "end"}
    if unknown or fields.get("FORM_TYPE", ns.ARCHIVE) != ns.ARCHIVE:
        raise ChatError("bad-field", f"not a field of this archive: {', '.join(sorted(unknown))}")
    return ArchiveQuery(
        query.get("queryid", ""),
        fields.get("with", ""),
        moment_ms(fields["start"]) if fields.get("start") else None,
        moment_ms(fields["end"]) if fields.get("end") else None,
        rsm.read(query, DEFAULT_PAGE),
    )


def form() -> str:
    """The fields that a query may have."""
    return (
        f"<query xmlns='{ns.ARCHIVE}'><x xmlns='{ns.FORMS}' type='form'>"
        f"<field type='hidden' var='FORM_TYPE'><value>{ns.ARCHIVE}</value></field>"
        "<field type='jid-single' var='with'/><field type='text-single' var='start'/>"
        "<field type='text-single' var='end'/></x></query>"
    )


def entry(
    stanza: str,
    *,
    to: str,
    queryid: str,
    message_id: int,
    ts: int,
    domain: str,
    xmlns: str,
    sender: str = "",
) -> str:
    """One result, with the archived ``stanza`` inside. ``sender``: of another archive."""
    whose = f" from='{attribute(sender)}'" if sender else ""
    asked = f" queryid='{attribute(queryid)}'" if queryid else ""
    return (
        f"<message{xmlns}{whose} to='{attribute(to)}'><result xmlns='{ns.ARCHIVE}'{asked} "
        f"id='{message_id}'><forwarded xmlns='{ns.FORWARD}'>{delay(domain, ts)}{stanza}"
        "</forwarded></result></message>"
    )


def fin(complete: bool, page: str) -> str:
    """The end of a page."""
    done = " complete='true'" if complete else ""
    return f"<fin xmlns='{ns.ARCHIVE}'{done}>{page}</fin>"
