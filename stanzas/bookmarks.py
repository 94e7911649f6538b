"""Bookmarks of rooms: one item each (XEP-0402), and all in one element (XEP-0048)."""

from collections.abc import Iterable, Mapping

from server.errors import ChatError
from stanzas import jid, ns
from stanzas.xml import Bounds, Element, attribute, parse_document, serialise, text

PROTOCOL = (
    ("XEP-0402", "1.2.0", "complete"),
    ("XEP-0048", "1.2", "complete: another view of XEP-0402's, also by XEP-0049"),
)

STORAGE = f"{{{ns.OLD_BOOKMARKS}}}storage"
_OLD = f"{{{ns.OLD_BOOKMARKS}}}conference"
_NEW = f"{{{ns.BOOKMARKS}}}conference"
_OWN = Bounds(8_388_608, 255)
"""What was kept is known to be sound."""


def write(name: str, nick: str, autojoin: bool) -> str:
    """A bookmark as XEP-0402 has it; its item's id is the room's address."""
    named = f" name='{attribute(name)}'" if name else ""
    inside = f"<nick>{text(nick)}</nick>" if nick else ""
    join = "true" if autojoin else "false"
    return f"<conference xmlns='{ns.BOOKMARKS}'{named} autojoin='{join}'>{inside}</conference>"


def as_old(bookmarks: Iterable[tuple[str, str]], rest: str) -> str:
    """All of them, by address, and what else is kept in the old element."""
    parts = [f"<storage xmlns='{ns.OLD_BOOKMARKS}'>"]
    for room, xml in sorted(bookmarks):
        new = _parsed(xml)
        if new is None or new.tag != _NEW:
            continue
        named = f" name='{attribute(new.get('name'))}'" if new.get("name") else ""
        join = "true" if new.get("autojoin") in ("true", "1") else "false"
        parts.append(f"<conference jid='{attribute(room)}'{named} autojoin='{join}'>")
        for tag in ("nick", "password"):
            value = new.findtext(f"{{{ns.BOOKMARKS}}}{tag}")
            if value:
                parts.append(f"<{tag}>{text(value)}</{tag}>")
        parts.append("</conference>")
    kept = _parsed(rest) if rest else None
    if kept is not None:
        parts += [serialise(child) for child in kept]
    return "".join((*parts, "</storage>"))


def from_old(storage: str, known: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The bookmarks in an old element by address, and the element with what else is in it.

    ``known``: what there is of them; what the old form cannot say is kept of it. Raises
    ``bad-field``.
    """
    root = _parsed(storage)
    if root is None or root.tag != STORAGE:
        raise ChatError("bad-field", "not a storage of bookmarks")
    found: dict[str, str] = {}
    for old in root.findall(_OLD):
        room = jid.parse(old.get("jid", "")).bare
        found[room] = _new(old, known.get(room, ""))
        root.remove(old)
    return found, serialise(root) if len(root) else ""


def _new(old: Element, known: str) -> str:
    before = _parsed(known) if known else None
    named = f" name='{attribute(old.get('name'))}'" if old.get("name") else ""
    join = "true" if old.get("autojoin") in ("true", "1") else "false"
    parts = [f"<conference xmlns='{ns.BOOKMARKS}'{named} autojoin='{join}'>"]
    for tag in ("nick", "password"):
        value = old.findtext(f"{{{ns.OLD_BOOKMARKS}}}{tag}")
        if value:
            parts.append(f"<{tag}>{text(value)}</{tag}>")
    if before is not None:
        parts += [serialise(each) for each in before.iterfind(f"{{{ns.BOOKMARKS}}}extensions")]
    new = "".join((*parts, "</conference>"))
    # The same, said otherwise, is no change.
    return known if before is not None and _said(before) == _said(_parsed(new)) else new


def _said(new: Element) -> tuple[str, ...]:
    fields = (new.findtext(f"{{{ns.BOOKMARKS}}}{tag}") or "" for tag in ("nick", "password"))
    return (new.get("name", ""), str(new.get("autojoin") in ("true", "1")), *fields)


def _parsed(xml: str) -> Element | None:
    return parse_document(xml.encode(), _OWN) if xml else None
