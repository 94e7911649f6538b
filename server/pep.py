"""What users publish for their contacts and their own devices: XMPP's personal eventing
(XEP-0163), nodes of an account with items in them.

JSON clients have none of it. Items are XML that nobody here looks into.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from server.accounts import Accounts
from server.blocks import Blocks
from server.clients import now_ms
from server.contacts import Contacts
from server.deliveries import NodeEvent
from server.errors import ChatError, StorageAway
from server.model import User
from server.ports import Document, PepStore
from server.settings import Xmpp

log = logging.getLogger(__name__)

NAME_CHARS = 512
PAGE = 500
"""Items that are handed out at once, the newest first, whatever is asked for."""
BOOKMARKS = "urn:xmpp:bookmarks:1"
OLD_BOOKMARKS = "storage:bookmarks"


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
_DEFAULTS = {BOOKMARKS: _PRIVATE, OLD_BOOKMARKS: _PRIVATE}
_FIELDS = frozenset(NodeConfig.__struct_fields__)


class Item(NamedTuple):
    """``xml``: its payload, empty for none; ``at``: when it was published."""

    id: str
    xml: str
    at: int


class LastItem(NamedTuple):
    """The newest item of somebody's node."""

    jid: str
    node: str
    item: Item


class Pep:
    """All users' nodes. ``changed``: is told the owner after a change of the items of a node.

    Methods that change something are for the owner. Names of nodes that do not exist raise
    ``not-found``; ``StorageAway`` is raised by all.
    """

    def __init__(
        self,
        store: PepStore,
        accounts: Accounts,
        contacts: Contacts,
        blocks: Blocks,
        settings: Xmpp,
        notify: Callable[[Collection[int], Any], None],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._contacts = contacts
        self._blocks = blocks
        self._settings = settings
        self._notify = notify
        contacts.met = self._introduce
        self.changed: dict[str, Callable[[int], Awaitable[None]]] = {}

    # The owner's.

    async def publish(
        self,
        userid: int,
        node: str,
        item_id: str,
        xml: str,
        options: Mapping[str, Sequence[str]] | None = None,
        *,
        is_last: bool = True,
    ) -> str:
        """Publishes an item, in the place of one of the same id; gives its id.

        ``options`` are what the node must be set to, or is made with (XEP-0060 section 7.1.5).
        Without ``is_last``, more changes follow, of which :attr:`changed` is to hear once.

        Raises ``conflict`` where it is not, ``too-long``, ``bad-field``.
        """
        self.check_size(xml)
        _check_name(item_id, "an item's id")
        unknown = set(options or ()) - _FIELDS
        if unknown:
            raise _unmet(unknown)
        found = await self._store.node(userid, _named(node))
        if found is None:
            config = self._set_to(_DEFAULTS.get(node, NodeConfig()), options or {})
            await self._create(userid, node, config)
        else:
            config = _config(found)
            wanted = self._set_to(config, options or {})
            if wanted != config:
                raise _unmet({name for name in _FIELDS if _differ(wanted, config, name)})
        if not xml and config.deliver_payloads and config.persist_items:
            raise ChatError("bad-field", "an item has a payload", pubsub="payload-required")
        item_id = item_id or secrets.token_hex(8)
        item = Item(item_id, xml, now_ms())
        if config.persist_items:
            document = {"item": item.id, "xml": item.xml, "at": item.at}
            if not await self._store.put(userid, node, document, self._keep(config)):
                raise _no_node()
        shown = item if config.deliver_payloads else item._replace(xml="")
        await self._tell(userid, node, config, "items", [item_id], shown.xml)
        if is_last:
            await self._after(userid, node)
        return item_id

    async def retract(
        self, userid: int, node: str, ids: Sequence[str], notify: bool, *, is_last: bool = True
    ) -> None:
        """Takes items back. Raises ``not-found`` when none of them is there."""
        config = await self.config(userid, node)
        if not await self._store.retract(userid, node, ids):
            raise ChatError("not-found", "there is no such item")
        if notify or config.notify_retract:
            await self._tell(userid, node, config, "retract", list(ids))
        if is_last:
            await self._after(userid, node)

    async def create(self, userid: int, node: str, options: Mapping[str, Sequence[str]]) -> None:
        """Raises ``conflict``, ``too-long``, ``bad-field``."""
        config = self._set_to(_DEFAULTS.get(_named(node), NodeConfig()), options)
        if not await self._create(userid, node, config):
            raise ChatError("conflict", "there is such a node already")

    async def config(self, userid: int, node: str) -> NodeConfig:
        """How the node is set."""
        found = await self._store.node(userid, _named(node))
        if found is None:
            raise _no_node()
        return _config(found)

    def defaults(self, node: str = "") -> NodeConfig:
        """What a new node is set to."""
        return _DEFAULTS.get(node, NodeConfig())

    async def configure(self, userid: int, node: str, options: Mapping[str, Sequence[str]]) -> None:
        """Sets what is named; what is not known is ignored. Raises ``bad-field``."""
        config = self._set_to(await self.config(userid, node), options)
        await self._store.configure(userid, node, msgspec.structs.asdict(config))
        if config.persist_items:
            await self._store.trim(userid, node, self._keep(config))
        else:
            await self._store.purge(userid, node)

    async def purge(self, userid: int, node: str) -> None:
        """Takes all items back."""
        config = await self.config(userid, node)
        await self._store.purge(userid, node)
        await self._tell(userid, node, config, "purge")
        await self._after(userid, node)

    async def delete(self, userid: int, node: str) -> None:
        """The node and its items are gone."""
        config = await self.config(userid, node)
        await self._store.remove(userid, node)
        if config.notify_delete:
            await self._tell(userid, node, config, "delete")
        await self._after(userid, node)

    async def own(self, userid: int, node: str) -> list[Item]:
        """All items, the newest first; none where there is no such node."""
        found = await self._store.items(userid, node, None, self._settings.pep_items)
        return [_item(each) for each in found]

    # Everybody's.

    async def meet(self, asker: int, userid: int) -> None:
        """Raises what who blocks or is blocked is told."""
        if asker != userid:
            await self._blocks.look(asker, userid)

    async def items(
        self, asker: int, userid: int, node: str, ids: Sequence[str] | None, most: int
    ) -> list[Item]:
        """The newest first. Raises what XEP-0060 section 6.5.9 wants for who may not see them."""
        await self._reach(asker, userid, node)
        if ids is not None and not ids:
            return []
        limit = min(most or PAGE, PAGE)
        found = await self._store.items(userid, node, ids, limit)
        return [_item(each) for each in found]

    async def look(self, asker: int, userid: int, node: str) -> NodeConfig:
        """How a node is set that the asker may see."""
        return await self._reach(asker, userid, node)

    async def nodes(self, asker: int, userid: int) -> list[tuple[str, str]]:
        """Name and title of those that the asker may see."""
        groups = None if asker == userid else await self._groups_of(asker, userid)
        found = [(each["node"], _config(each)) for each in await self._store.nodes(userid)]
        return [
            (node, config.title)
            for node, config in found
            if asker == userid or _refusal(config, groups) is None
        ]

    async def is_seen(self, asker: int, userid: int) -> bool:
        """Whether the asker sees the user's presence, so also that there is an account."""
        return asker == userid or asker in await self._contacts.watchers(userid)

    async def last(self, userid: int, nodes: Collection[str]) -> AsyncIterator[LastItem]:
        """The newest item of each of these nodes, of the user's own and of whose presence the user
        sees; without what is not sent without being asked for.
        """
        owners = [userid, *await self._contacts.rosters.seen(userid)]
        users = await self._accounts.users(owners)
        async for found in self._store.last(owners, nodes):
            owner, config = users.get(found["userid"]), _config(found)
            if owner is None or config.send_last_published_item == "never":
                continue
            if owner.id != userid:
                if config.access_model == "whitelist":
                    continue
                if config.access_model == "roster":
                    groups = await self._groups_of(userid, owner.id)
                    if _refusal(config, groups) is not None:
                        continue
            item = _item(found["items"][0])
            yield LastItem(
                owner.jid, found["node"], item if config.deliver_payloads else item._replace(xml="")
            )

    async def _introduce(self, userid: int, other: int) -> None:
        """The other sees the user's presence from now on."""
        try:
            await self._send_last(userid, other)
        except StorageAway:
            log.info("last_items_not_told user=%d", userid)

    async def _send_last(self, userid: int, other: int) -> None:
        owner = await self._accounts.user(userid)
        names = [each["node"] for each in await self._store.nodes(userid)]
        if owner is None or not names:
            return
        groups = (await self._contacts.rosters.groups(userid)).get(other, ())
        async for found in self._store.last((userid,), names):
            config, item = _config(found), _item(found["items"][0])
            is_sent = config.send_last_published_item != "never"
            if is_sent and _refusal(config, groups) is None:
                xml = item.xml if config.deliver_payloads else ""
                event = NodeEvent(owner.jid, found["node"], "items", [item.id], xml, item.at)
                self._notify((other,), event)

    # Private XML (XEP-0049).

    async def private(self, userid: int, name: str) -> str:
        """The element of this name, empty if there is none."""
        return await self._store.private(userid, name)

    async def keep_private(self, userid: int, name: str, xml: str) -> None:
        """Raises ``too-long``."""
        self.check_size(xml)
        most = self._settings.pep_nodes
        if not await self._store.keep_private(userid, name, xml, most):
            raise ChatError("too-long", f"at most {most} private elements")

    def check_size(self, xml: str) -> None:
        """Raises ``too-long``."""
        most = self._settings.pep_item_bytes
        if len(xml.encode()) > most:
            raise ChatError(
                "too-long", f"at most {most} bytes", xmpp="not-acceptable", pubsub="payload-too-big"
            )

    # The account's end.

    async def forget_user(self, userid: int) -> None:
        await self._store.forget(userid)

    async def export(self, userid: int) -> AsyncIterator[dict[str, Any]]:
        """Each node with its items."""
        for each in await self._store.nodes(userid):
            items = await self.own(userid, each["node"])
            yield {
                "node": each["node"],
                "access": _config(each).access_model,
                "items": [item._asdict() for item in reversed(items)],
            }

    async def export_private(self, userid: int) -> list[str]:
        """The private elements."""
        return [xml for xml in await self._store.all_private(userid) if xml]

    async def _create(self, userid: int, node: str, config: NodeConfig) -> bool:
        most = self._settings.pep_nodes
        made = await self._store.create(userid, node, msgspec.structs.asdict(config), most)
        if made is None:
            raise ChatError("too-long", f"at most {most} nodes", pubsub="max-nodes-exceeded")
        return made

    def _keep(self, config: NodeConfig) -> int:
        return min(config.max_items or self._settings.pep_items, self._settings.pep_items)

    def _set_to(self, config: NodeConfig, options: Mapping[str, Sequence[str]]) -> NodeConfig:
        """Raises ``bad-field``."""
        fields: dict[str, Any] = msgspec.structs.asdict(config)
        for name, values in options.items():
            if name not in _FIELDS:
                continue
            if name == "roster_groups_allowed":
                fields[name] = sorted(values)
            else:
                fields[name] = values[0] if values else ""
            if name == "max_items" and fields[name] == "max":
                fields[name] = 0
        try:
            made = msgspec.convert(fields, NodeConfig, strict=False)
        except msgspec.ValidationError as error:
            raise ChatError("bad-field", str(error), xmpp="not-acceptable") from None
        if not 0 <= made.max_items <= self._settings.pep_items:
            most = self._settings.pep_items
            raise ChatError("bad-field", f"max_items: 1 to {most}, or max", xmpp="not-acceptable")
        if len(made.title) + len(made.type) + sum(map(len, made.roster_groups_allowed)) > 8192:
            raise ChatError("too-long", "the configuration is too large", xmpp="not-acceptable")
        return made

    async def _reach(self, asker: int, userid: int, node: str) -> NodeConfig:
        config = await self.config(userid, node)
        if asker != userid:
            refusal = _refusal(config, await self._groups_of(asker, userid))
            if refusal is not None:
                raise refusal
        return config

    async def _groups_of(self, asker: int, userid: int) -> Collection[str] | None:
        """The groups of the user's roster that the asker is in; None: sees no presence."""
        if asker not in await self._contacts.watchers(userid):
            return None
        return (await self._contacts.rosters.groups(userid)).get(asker, ())

    async def _tell(
        self,
        userid: int,
        node: str,
        config: NodeConfig,
        what: Literal["items", "retract", "purge", "delete"],
        ids: Sequence[str] = (),
        xml: str = "",
    ) -> None:
        """Contacts and own devices hear of it; it is stored, whether they can be found or not."""
        if not config.deliver_notifications:
            return
        try:
            told = {userid}
            if config.access_model != "whitelist":
                told.update(await self._viewers(userid, config))
            owner = await self._accounts.user(userid)
        except StorageAway:
            log.info("event_not_told user=%d", userid)
            return
        if owner is not None:
            self.notify(told, owner, node, what, ids, xml)

    async def _viewers(self, userid: int, config: NodeConfig) -> Collection[int]:
        """Whom of those who see the user's presence a node is for."""
        watchers = await self._contacts.watchers(userid)
        if config.access_model != "roster":
            return watchers
        groups = await self._contacts.rosters.groups(userid)
        return [each for each in watchers if _refusal(config, groups.get(each, ())) is None]

    def notify(
        self,
        told: Collection[int],
        owner: User,
        node: str,
        what: Literal["items", "retract", "purge", "delete"],
        ids: Sequence[str] = (),
        xml: str = "",
    ) -> None:
        """Publishes the hint of a change."""
        self._notify(told, NodeEvent(owner.jid, node, what, list(ids), xml))

    async def _after(self, userid: int, node: str) -> None:
        if node in self.changed:
            await self.changed[node](userid)


def _config(document: Document) -> NodeConfig:
    return msgspec.convert(document["config"], NodeConfig)


def _item(document: Document) -> Item:
    return Item(document["item"], document["xml"], document["at"])


def _differ(one: NodeConfig, other: NodeConfig, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _refusal(config: NodeConfig, groups: Collection[str] | None) -> ChatError | None:
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


def _no_node() -> ChatError:
    return ChatError("not-found", "there is no such node")


def _named(node: str) -> str:
    if not node:
        raise ChatError("bad-field", "which node?", pubsub="nodeid-required")
    _check_name(node, "a node's name")
    return node


def _check_name(name: str, what: str) -> None:
    if len(name) > NAME_CHARS:
        raise ChatError("too-long", f"{what} has at most {NAME_CHARS} characters")
