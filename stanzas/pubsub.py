"""Publishing (XEP-0060), as far as personal eventing (XEP-0163) needs it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from server.errors import ChatError
from stanzas import delay, ns
from stanzas.xml import Element, attribute, serialise, text

PROTOCOL = (
    ("XEP-0163", "1.2.2", "complete"),
    ("XEP-0060", "1.30.0", "partial: no affiliations, no subscriptions but by presence"),
    ("XEP-0222", "1.0", "complete"),
    ("XEP-0223", "1.1.1", "complete"),
)

PUBSUB, OWNER = f"{{{ns.PUBSUB}}}pubsub", f"{{{ns.PUBSUB_OWNER}}}pubsub"
IDS = 500
"""Items named in one request."""
CONFIG = f"{ns.PUBSUB}#node_config"
OPTIONS = f"{ns.PUBSUB}#publish-options"
META = f"{ns.PUBSUB}#meta-data"
FEATURES = tuple(
    f"{ns.PUBSUB}#{name}"
    for name in (
        *("access-open", "access-presence", "access-roster", "access-whitelist", "auto-create"),
        *("auto-subscribe", "config-node", "config-node-max", "create-and-configure"),
        *("create-nodes", "delete-items", "delete-nodes", "filtered-notifications", "item-ids"),
        *(
            "last-published",
            "meta-data",
            "multi-items",
            "persistent-items",
            "presence-notifications",
        ),
        *("publish", "publish-options", "purge-nodes", "retract-items", "retrieve-default"),
        "retrieve-items",
    )
)
_KINDS: Mapping[str, tuple[str, Sequence[str]]] = {
    "access_model": ("list-single", ("open", "presence", "roster", "whitelist")),
    "publish_model": ("list-single", ("publishers",)),
    "send_last_published_item": ("list-single", ("never", "on_sub", "on_sub_and_presence")),
    "notification_type": ("list-single", ("headline",)),
    "roster_groups_allowed": ("list-multi", ()),
}
_PREFIX = "pubsub#"
_FORM, _FIELD, _VALUE = (f"{{{ns.FORMS}}}{name}" for name in ("x", "field", "value"))


class Request(NamedTuple):
    """What is asked of a node. ``what``: the element's name, such as ``publish``.

    ``ids`` None: no items are named. ``options``: of the node's configuration, or what it must be;
    None: there are none. ``xml``: the payload of the one item that is published.
    """

    what: str
    node: str
    ids: list[str] | None = None
    options: dict[str, list[str]] | None = None
    xml: str = ""
    most: int = 0
    notify: bool = False
    is_cancelled: bool = False


def read(pubsub: Element) -> Request:
    """Raises ``bad-field`` with the name that XEP-0060 has for it."""
    if not len(pubsub):
        raise ChatError("bad-field", "nothing is asked for")
    first = pubsub[0]
    what = first.tag.rpartition("}")[2]
    items = [child for child in first if child.tag.rpartition("}")[2] == "item"]
    if len(items) > IDS:
        raise ChatError("too-long", f"at most {IDS} items")
    request = Request(
        what,
        first.get("node", ""),
        [item.get("id", "") for item in items] if items else None,
        notify=first.get("notify") in ("true", "1"),
    )
    if what == "publish":
        return _publish(request, items, pubsub)
    if what == "retract" and (not request.ids or not all(request.ids)):
        raise ChatError("bad-field", "which items?", pubsub="item-required")
    if what == "items" and first.get("max_items") is not None:
        return request._replace(most=_number(first.get("max_items")))
    if what in ("configure", "create"):
        named = first if what == "configure" else pubsub.find(f"{{{ns.PUBSUB}}}configure")
        form = None if named is None else named.find(_FORM)
        cancelled = form is not None and form.get("type") == "cancel"
        options = None if form is None else _options(form, CONFIG)
        return request._replace(options=options, is_cancelled=cancelled)
    return request


def _publish(request: Request, items: list[Element], pubsub: Element) -> Request:
    if len(items) != 1:
        raise ChatError("bad-field", "publish one item", pubsub="item-required")
    if len(items[0]) > 1:
        raise ChatError("bad-field", "an item has one payload", pubsub="invalid-payload")
    xml = serialise(items[0][0]) if len(items[0]) else ""
    named = pubsub.find(f"{{{ns.PUBSUB}}}publish-options")
    form = None if named is None else named.find(_FORM)
    options = None if form is None else _options(form, OPTIONS)
    return request._replace(xml=xml, options=options)


def _number(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 9 and int(value)):
        raise ChatError("bad-field", "max_items is a number from 1")
    return int(value)


def _options(form: Element, form_type: str) -> dict[str, list[str]]:
    found = {
        field.get("var", ""): [value.text or "" for value in field.iterfind(_VALUE)]
        for field in form.iterfind(_FIELD)
    }
    kind = found.pop("FORM_TYPE", [form_type])
    if kind != [form_type]:
        raise ChatError("bad-field", f"FORM_TYPE is {form_type}")
    return {name.removeprefix(_PREFIX): values for name, values in found.items()}


def item(item_id: str, xml: str) -> str:
    return f"<item id='{attribute(item_id)}'>{xml}</item>" if xml else _named("item", item_id)


def items(node: str, listed: Iterable[tuple[str, str]]) -> str:
    """The answer: ids and payloads."""
    inside = "".join(item(*each) for each in listed)
    return f"<pubsub xmlns='{ns.PUBSUB}'><items node='{attribute(node)}'>{inside}</items></pubsub>"


def published(node: str, item_id: str) -> str:
    """The answer to a publish."""
    return (
        f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{attribute(node)}'>"
        f"{_named('item', item_id)}</publish></pubsub>"
    )


def created(node: str) -> str:
    """The answer to a create."""
    return f"<pubsub xmlns='{ns.PUBSUB}'><create node='{attribute(node)}'/></pubsub>"


def configuration(name: str, node: str, values: Mapping[str, Any]) -> str:
    """``name``: ``configure``, or ``default`` of those that are not made yet."""
    named = f" node='{attribute(node)}'" if node else ""
    form = _form("form", CONFIG, values)
    return f"<pubsub xmlns='{ns.PUBSUB_OWNER}'><{name}{named}>{form}</{name}></pubsub>"


def meta_data(values: Mapping[str, Any]) -> str:
    """For disco#info of a node (section 5.4)."""
    return _form("result", META, values)


def _form(kind: str, form_type: str, values: Mapping[str, Any]) -> str:
    parts = [f"<x xmlns='{ns.FORMS}' type='{kind}'><field var='FORM_TYPE' type='hidden'>"]
    parts.append(f"<value>{form_type}</value></field>")
    for name, value in values.items():
        default = "boolean" if isinstance(value, bool) else "text-single"
        field, options = _KINDS.get(name, (default, ()))
        parts.append(f"<field var='{_PREFIX}{name}' type='{field}'>")
        parts += [f"<value>{text(each)}</value>" for each in _values(name, value)]
        parts += [f"<option><value>{each}</value></option>" for each in options]
        parts.append("</field>")
    return "".join((*parts, "</x>"))


def _values(name: str, value: Any) -> Sequence[str]:
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if name == "max_items" and not value:
        return ("max",)
    return value if isinstance(value, list) else (str(value),)


def event(
    node: str, what: str, ids: Sequence[str] = (), xml: str = "", at: int = 0, domain: str = ""
) -> str:
    """What is inside a notification. ``at``: milliseconds, of what has not just happened."""
    name = f"node='{attribute(node)}'"
    if what in ("items", "retract"):
        each = [_named("retract", one) for one in ids] if what == "retract" else [item(ids[0], xml)]
        inside = f"<items {name}>{''.join(each)}</items>"
    else:
        inside = f"<{what} {name}/>"
    late = delay.delay(domain, at) if at else ""
    return f"<event xmlns='{ns.PUBSUB_EVENT}'>{inside}</event>{late}"


def unsupported(what: str) -> str:
    """Says of a ``feature-not-implemented`` which."""
    return f"<unsupported xmlns='{ns.PUBSUB_ERRORS}' feature='{attribute(what)}'/>"


def _named(name: str, item_id: str) -> str:
    return f"<{name} id='{attribute(item_id)}'/>"
