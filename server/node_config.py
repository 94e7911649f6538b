"""How something that users publish is set: who may see it, how much of it is kept (XEP-0060)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from server.errors import ChatError

BOOKMARKS = "urn:xmpp:bookmarks:1"
OLD_BOOKMARKS = "storage:bookmarks"
CHARS = 8192
"""Of all texts of a configuration together."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a node is set, by the names of XEP-0060. ``max_items`` 0: as many as there may be."""

    title: str = ""
    type: str = ""
    access_model: Literal["open", "presence", "roster", "whitelist"] = "presence"
    roster_groups_allowed: list[str] = []
    publish_model: Literal["publishers"] = "publishers"
    persist_items: bool = True
    max_items: int = 1
    send_last_published_item: Literal["never", "on_sub", "on_sub_and_presence"] = (
        "on_sub_and_presence"
    )
    deliver_notifications: bool = True
    deliver_payloads: bool = True
    notify_retract: bool = True
    notify_delete: bool = True
    notification_type: Literal["headline"] = "headline"


_PRIVATE = NodeConfig(access_model="whitelist", max_items=0, send_last_published_item="never")
_FIELDS = frozenset(NodeConfig.__struct_fields__)


def defaults(node: str) -> NodeConfig:
    """What a new node is set to."""
    return _PRIVATE if node in (BOOKMARKS, OLD_BOOKMARKS) else NodeConfig()


def set_to(
    config: NodeConfig,
    options: Mapping[str, Sequence[str]],
    most_items: int,
    *,
    knows_all: bool = False,
) -> NodeConfig:
    """The configuration with these fields as a form has them; those that are not known are ignored,
    or with ``knows_all`` refused.

    Raises ``bad-field``, ``too-long``, and then ``conflict``.
    """
    unknown = set(options) - _FIELDS
    if unknown and knows_all:
        raise _unmet(unknown)
    fields: dict[str, Any] = msgspec.structs.asdict(config)
    for name, values in options.items():
        if name == "roster_groups_allowed":
            fields[name] = sorted(values)
        elif name in _FIELDS:
            fields[name] = values[0] if values else ""
    if fields["max_items"] == "max":
        fields["max_items"] = 0
    try:
        made = msgspec.convert(fields, NodeConfig, strict=False)
    except msgspec.ValidationError as error:
        raise ChatError("bad-field", str(error), xmpp="not-acceptable") from None
    if not 0 <= made.max_items <= most_items:
        wanted = f"max_items: 1 to {most_items}, or max"
        raise ChatError("bad-field", wanted, xmpp="not-acceptable")
    if len(made.title) + len(made.type) + sum(map(len, made.roster_groups_allowed)) > CHARS:
        raise ChatError("too-long", "the configuration is too large", xmpp="not-acceptable")
    return made


def check_met(config: NodeConfig, wanted: NodeConfig) -> None:
    """Raises ``conflict`` where the node is not set as wanted."""
    unmet = {name for name in _FIELDS if getattr(config, name) != getattr(wanted, name)}
    if unmet:
        raise _unmet(unmet)


def refusal(config: NodeConfig, groups: Collection[str] | None) -> ChatError | None:
    """For somebody else who is in these groups of the owner's roster, or no contact at all."""
    if config.access_model == "open":
        return None
    if config.access_model == "whitelist":
        return ChatError(
            "not-allowed", "the node is closed", xmpp="not-allowed", pubsub="closed-node"
        )
    if config.access_model == "roster":
        if groups is not None and set(groups) & set(config.roster_groups_allowed):
            return None
        return _unauthorised("not-in-roster-group")
    return None if groups is not None else _unauthorised("presence-subscription-required")


def _unauthorised(why: str) -> ChatError:
    return ChatError("not-allowed", "not for you", xmpp="not-authorized", pubsub=why)


def _unmet(names: Collection[str]) -> ChatError:
    listed = ", ".join(sorted(names))[:200]
    return ChatError("conflict", f"not as wished: {listed}", pubsub="precondition-not-met")
