"""The archive query (XEP-0313) over one's own archive."""

from typing import NamedTuple

from server.errors import ChatError
from stanzas import ns, rsm
from stanzas.delay import delay, moment_ms, stamp
from stanzas.xml import Element, attribute

PROTOCOL = (
    ("XEP-0313", "1.1.3", "complete"),
    ("XEP-0441", "0.2.0", "partial: always is in force, which is what the answer to set says"),
)

DEFAULT_PAGE = 50
_VALUE = f"{{{ns.FORMS}}}value"
_FIELDS = {"FORM_TYPE", "with", "start", "end", "after-id", "before-id", "ids"}


class ArchiveQuery(NamedTuple):
    """What is asked for; ``with_jid`` is empty for everybody, times are milliseconds.

    ``after_id``, ``before_id``: what is asked for, of which ``page`` takes a part.
    """

    queryid: str
    with_jid: str
    start_ms: int | None
    end_ms: int | None
    page: rsm.PageWanted
    after_id: int | None = None
    before_id: int | None = None
    ids: list[int] | None = None
    is_flipped: bool = False


def read(query: Element) -> ArchiveQuery:
    """A ``<query xmlns='urn:xmpp:mam:2'/>``. Raises ``bad-field``, ``no-such-message``."""
    fields: dict[str, str] = {}
    ids: list[int] | None = None
    for field in query.iterfind(f"{{{ns.FORMS}}}x/{{{ns.FORMS}}}field"):
        name = field.get("var", "")
        fields[name] = field.findtext(_VALUE) or ""
        if name == "ids":
            ids = [rsm.entry_id(value.text or "") for value in field.iterfind(_VALUE)]
    if unknown := fields.keys() - _FIELDS:
        told = f"not a field of this archive: {', '.join(sorted(unknown))}"
        raise ChatError("bad-field", told, xmpp="feature-not-implemented")
    if fields.get("FORM_TYPE", ns.ARCHIVE) != ns.ARCHIVE:
        raise ChatError("bad-field", "not a form of this archive")
    return ArchiveQuery(
        query.get("queryid", ""),
        fields.get("with", ""),
        moment_ms(fields["start"]) if fields.get("start") else None,
        moment_ms(fields["end"]) if fields.get("end") else None,
        rsm.read(query, DEFAULT_PAGE),
        rsm.entry_id(fields["after-id"]) if fields.get("after-id") else None,
        rsm.entry_id(fields["before-id"]) if fields.get("before-id") else None,
        ids,
        query.find(f"{{{ns.ARCHIVE}}}flip-page") is not None,
    )


def form() -> str:
    """The fields that a query may have."""
    return (
        f"<query xmlns='{ns.ARCHIVE}'><x xmlns='{ns.FORMS}' type='form'>"
        f"<field type='hidden' var='FORM_TYPE'><value>{ns.ARCHIVE}</value></field>"
        "<field type='jid-single' var='with'/><field type='text-single' var='start'/>"
        "<field type='text-single' var='end'/>"
        "<field type='text-single' var='after-id'/><field type='text-single' var='before-id'/>"
        "<field type='list-multi' var='ids'>"
        "<validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'>"
        "<open/></validate></field></x></query>"
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


def metadata(edges: tuple[tuple[int, int], tuple[int, int]] | None) -> str:
    """The first and the last entry, each with its id and time; None: the archive is empty."""
    told = ""
    if edges is not None:
        for name, (entry_id, ts) in zip(("start", "end"), edges, strict=True):
            told += f"<{name} id='{entry_id}' timestamp='{stamp(ts)}'/>"
    return f"<metadata xmlns='{ns.ARCHIVE}'>{told}</metadata>"


def check_preferences(wanted: Element) -> None:
    """Raises ``bad-field`` for what no server could apply (XEP-0441)."""
    if wanted.get("default") not in ("always", "never", "roster"):
        raise ChatError("bad-field", "default must be always, never or roster")


def preferences() -> str:
    """What is in force for every account, whatever it asks for: all is archived.

    A conversation has one log, which is its other side's and the JSON clients' as well, and from
    which is delivered what a client missed; nobody can take a part of it out by a preference.
    """
    return f"<prefs xmlns='{ns.ARCHIVE}' default='always'><always/><never/></prefs>"
