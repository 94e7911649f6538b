"""Data forms (XEP-0004) as far as rooms need them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from server.errors import ChatError
from stanzas import ns
from stanzas.xml import Element, attribute, text

PROTOCOL = ("XEP-0004", "2.13.2", "partial: the forms that the services here have")

FORM = f"{{{ns.FORMS}}}x"
_FIELD = f"{{{ns.FORMS}}}field"
_VALUE = f"{{{ns.FORMS}}}value"
_TRUE = ("1", "true")
_FALSE = ("0", "false")


class Field(NamedTuple):
    """One field with its values; ``options`` of a list."""

    var: str
    kind: str
    values: Sequence[str]
    label: str = ""
    options: Sequence[str] = ()


def read(form: Element) -> dict[str, str]:
    """The fields of a submitted form: several values are lines of one."""
    return {
        field.get("var", ""): "\n".join(value.text or "" for value in field.iterfind(_VALUE))
        for field in form.iterfind(_FIELD)
    }


def type_of(stanza: Element) -> str:
    """What kind of form a stanza has in it, empty for none."""
    form = stanza.find(FORM)
    return "" if form is None else read(form).get("FORM_TYPE", "")


def flag(value: str, field: str) -> bool:
    """A boolean's value. Raises ``bad-field``."""
    if value not in _TRUE + _FALSE:
        raise ChatError("bad-field", f"{field} is true or false")
    return value in _TRUE


def write(kind: str, form_type: str, fields: Iterable[Field]) -> str:
    """``kind``: ``form`` to be filled in, or ``result``."""
    parts = [f"<x xmlns='{ns.FORMS}' type='{kind}'>"]
    for field in (Field("FORM_TYPE", "hidden", [form_type]), *fields):
        label = f" label='{attribute(field.label)}'" if field.label else ""
        parts.append(f"<field var='{attribute(field.var)}' type='{field.kind}'{label}>")
        parts += [f"<value>{text(value)}</value>" for value in field.values]
        parts += [f"<option><value>{text(one)}</value></option>" for one in field.options]
        parts.append("</field>")
    return "".join((*parts, "</x>"))
