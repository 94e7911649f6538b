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
from server.node_config import NodeConfig, check_met, defaults, refusal, set_to
from server.ports import Document, PepStore
from server.settings import Xmpp

log = logging.getLogger(__name__)

NAME_CHARS = 512
PAGE = 500
"""Items that are handed out at once, the newest first, whatever is asked for."""


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
    ``node_bytes``: what a node keeps, so that one answer can have all of it.

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
        node_bytes: int,
        notify: Callable[[Collection[int], Any], None],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._contacts = contacts
        self._blocks = blocks
        self._settings = settings
        self.node_bytes = node_bytes
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
        found = await self._store.node(userid, _named(node))
        config = defaults(node) if found is None else _config(found)
        wanted = set_to(config, options or {}, self._settings.pep_items, knows_all=True)
        if found is not None:
            check_met(config, wanted)
        if not xml and wanted.deliver_payloads and wanted.persist_items:
            raise ChatError("bad-field", "an item has a payload", pubsub="payload-required")
        if found is None:
            await self._create(userid, node, wanted)
        config = wanted
        item_id = item_id or secrets.token_hex(8)
        item = Item(item_id, xml, now_ms())
        if config.persist_items:
            document = {"item": item.id, "xml": item.xml, "at": item.at}
            if not await self._store.put(
                userid, node, document, self._keep(config), self.node_bytes
            ):
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
        config = set_to(defaults(_named(node)), options, self._settings.pep_items)
        if not await self._create(userid, node, config):
            raise ChatError("conflict", "there is such a node already")

    async def config(self, userid: int, node: str) -> NodeConfig:
        """How the node is set."""
        found = await self._store.node(userid, _named(node))
        if found is None:
            raise _no_node()
        return _config(found)

    async def configure(self, userid: int, node: str, options: Mapping[str, Sequence[str]]) -> None:
        """Sets what is named; what is not known is ignored. Raises ``bad-field``."""
        known = await self.config(userid, node)
        config = set_to(known, options, self._settings.pep_items)
        await self._store.configure(userid, node, msgspec.structs.asdict(config))
        if config.persist_items:
            await self._store.trim(userid, node, self._keep(config), self.node_bytes)
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
            if asker == userid or refusal(config, groups) is None
        ]

    async def check_seen(self, asker: int, userid: int) -> None:
        """Raises :func:`unseen` for who does not see the user's presence."""
        if asker != userid and asker not in await self._contacts.watchers(userid):
            raise unseen()

    async def last(self, userid: int, nodes: Collection[str]) -> AsyncIterator[LastItem]:
        """The newest item of each of these nodes, of the user's own and of whose presence the user
        sees; without what is not sent without being asked for.
        """
        seen, _ = await self._contacts.rosters.greeting(userid)
        owners = [userid, *seen]
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
                    if refusal(config, groups) is not None:
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
            if is_sent and refusal(config, groups) is None:
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

    def check_count(self, items: int) -> None:
        """Raises ``too-long`` for more than a node can have."""
        most = self._settings.pep_items
        if items > most:
            raise ChatError("too-long", f"at most {most} items", xmpp="not-acceptable")

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

    async def _reach(self, asker: int, userid: int, node: str) -> NodeConfig:
        if asker == userid:
            return await self.config(userid, node)
        groups = await self._groups_of(asker, userid)
        found = await self._store.node(userid, _named(node))
        if found is None and groups is None:
            raise unseen()
        if found is None:
            raise _no_node()
        config = _config(found)
        refused = refusal(config, groups)
        if refused is not None:
            raise refused
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
        return [each for each in watchers if refusal(config, groups.get(each, ())) is None]

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


def unseen() -> ChatError:
    """What is told of an account that is not there, and of one that one is not to see."""
    return ChatError("not-found", xmpp="service-unavailable")


def _config(document: Document) -> NodeConfig:
    return msgspec.convert(document["config"], NodeConfig)


def _item(document: Document) -> Item:
    return Item(document["item"], document["xml"], document["at"])


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
