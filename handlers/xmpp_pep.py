"""A session's requests to what it publishes, to what others do, and to its private XML."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import msgspec

from server.bookmarks import CURRENT
from server.clients import Pending
from server.errors import ChatError
from server.model import User
from server.node_config import BOOKMARKS, OLD_BOOKMARKS, NodeConfig
from server.pep import Pep, unseen
from stanzas import bookmarks, disco, ns, private, pubsub, replies
from stanzas.pubsub import Request
from stanzas.replies import Origin
from stanzas.xml import Element

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

Answer = Callable[["PepQueries", Request, Origin], Awaitable[None]]
INFO, ITEMS = f"{{{ns.DISCO_INFO}}}query", f"{{{ns.DISCO_ITEMS}}}query"
FOREIGN = frozenset(
    (
        ("get", INFO),
        ("get", ITEMS),
        *((k, t) for k in ("get", "set") for t in (pubsub.PUBSUB, pubsub.OWNER)),
    )
)
"""What may be asked of other accounts than one's own."""
_FEATURES = {
    "subscribe": "subscribe",
    "unsubscribe": "subscribe",
    "options": "subscription-options",
    "subscriptions": "retrieve-subscriptions",
    "affiliations": "retrieve-affiliations",
}


class PepQueries:
    """Those of one session."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session

    async def handle(self, kind: str, child: Element, asked: Origin) -> None:
        """Something of :data:`FOREIGN`, to one's own account or another."""
        session = self._session
        node, owner = session.node, await self._owner(asked.to)
        if node is None or owner is None:
            raise unseen()
        if kind == "set" or owner.id != node.userid:
            session.services.router.count(node)
        await self._pep.meet(node.userid, owner.id)
        if child.tag == INFO:
            await self._info(owner, child, asked)
        elif child.tag == ITEMS:
            await self._nodes(owner, child, asked)
        else:
            await self._pubsub(owner, kind, child, asked)

    async def _owner(self, address: str) -> User | None:
        session = self._session
        if not address:
            return session.node.user if session.node else None
        owner, resource = await session.recipient(address)
        return None if resource else owner

    async def _info(self, owner: User, query: Element, asked: Origin) -> None:
        name = query.get("node")
        if name:
            config = await self._pep.look(self._me, owner.id, name)
            self._reply(
                asked, disco.node_info(name, pubsub.meta_data(msgspec.structs.asdict(config)))
            )
        elif owner.id == self._me:
            self._reply(asked, disco.account_info())
        else:
            await self._pep.check_seen(self._me, owner.id)
            self._reply(asked, disco.contact_info())

    async def _nodes(self, owner: User, query: Element, asked: Origin) -> None:
        if query.get("node"):
            items = await self._pep.items(self._me, owner.id, query.get("node"), None, 0)
            listed = disco.items((owner.jid, item.id) for item in items)
        else:
            await self._pep.check_seen(self._me, owner.id)
            listed = disco.node_items(owner.jid, await self._pep.nodes(self._me, owner.id))
        self._reply(asked, listed)

    async def _pubsub(self, owner: User, kind: str, child: Element, asked: Origin) -> None:
        is_reading = kind == "get" and child.find(pubsub.ITEMS) is not None
        if not is_reading:
            await self._pep.check_seen(self._me, owner.id)
        request = pubsub.read(child)
        if is_reading:
            await self._items(owner, request, asked)
            return
        answer = self._own.get((kind, child.tag, request.what))
        if answer is None:
            session = self._session
            feature = _FEATURES.get(request.what, request.what)
            more = pubsub.unsupported(feature) if request.what in _FEATURES else ""
            session.transport.tell(
                replies.error_of(
                    asked,
                    session.me,
                    session.xmlns,
                    *("feature-not-implemented", "cancel", "not served here", more),
                )
            )
        elif owner.id != self._me:
            raise ChatError("not-allowed", "only its owner may")
        else:
            await answer(self, request, asked)

    async def _items(self, owner: User, request: Request, asked: Origin) -> None:
        session = self._session
        if owner.id == self._me and request.node in (BOOKMARKS, OLD_BOOKMARKS):
            session.memberships.has_bookmarks = True
            if request.node == OLD_BOOKMARKS:
                old = await session.services.bookmarks.old(self._me)
                self._reply(asked, pubsub.items(request.node, [(CURRENT, old)]))
                return
            listed = await session.services.bookmarks.items(self._me)
            if request.ids is not None:
                listed = [item for item in listed if item.id in request.ids]
            if listed:
                listed = listed[: request.most or len(listed)]
                self._reply(
                    asked, pubsub.items(request.node, ((item.id, item.xml) for item in listed))
                )
                return
        found = await self._pep.items(self._me, owner.id, request.node, request.ids, request.most)
        self._reply(asked, pubsub.items(request.node, ((item.id, item.xml) for item in found)))

    async def _publish(self, request: Request, asked: Origin) -> None:
        session = self._session
        if session.node is not None:  # whom it may concern are many
            session.services.router.count(session.node, len(request.xml))
        item_id = request.ids[0] if request.ids else ""
        if request.node == OLD_BOOKMARKS:
            await session.services.bookmarks.keep_old(self._me, request.xml)
            item_id = CURRENT
        else:
            item_id = await self._pep.publish(
                self._me, request.node, item_id, request.xml, request.options
            )
        self._reply(asked, pubsub.published(request.node, item_id))

    async def _retract(self, request: Request, asked: Origin) -> None:
        ids = request.ids or ()
        if request.node == BOOKMARKS:
            await self._session.services.bookmarks.retract(self._me, ids, request.notify)
        else:
            await self._pep.retract(self._me, request.node, ids, request.notify)
        self._reply(asked)

    async def _create(self, request: Request, asked: Origin) -> None:
        await self._pep.create(self._me, request.node, request.options or {})
        self._reply(asked, pubsub.created(request.node))

    async def _form(self, request: Request, asked: Origin) -> None:
        config = await self._pep.config(self._me, request.node)
        values = msgspec.structs.asdict(config)
        self._reply(asked, pubsub.configuration("configure", request.node, values))

    async def _default(self, _: Request, asked: Origin) -> None:
        values = msgspec.structs.asdict(NodeConfig())
        self._reply(asked, pubsub.configuration("default", "", values))

    async def _configure(self, request: Request, asked: Origin) -> None:
        if not request.is_cancelled:
            await self._pep.configure(self._me, request.node, request.options or {})
        self._reply(asked)

    async def _purge(self, request: Request, asked: Origin) -> None:
        await self._pep.purge(self._me, request.node)
        self._reply(asked)

    async def _delete(self, request: Request, asked: Origin) -> None:
        await self._pep.delete(self._me, request.node)
        self._reply(asked)

    # Private XML.

    def private_get(self, query: Element, asked: Origin) -> Pending:
        return self._private(*private.read(query), asked, is_set=False)

    def private_set(self, query: Element, asked: Origin) -> Pending:
        return self._private(*private.read(query), asked, is_set=True)

    async def _private(self, name: str, xml: str, asked: Origin, *, is_set: bool) -> None:
        """``xml``: what is to be kept, or what is given where nothing is."""
        session = self._session
        services, node = session.services, session.node
        owner = await self._owner(asked.to)
        if node is None or owner is None or owner.id != self._me:
            raise ChatError("not-allowed", "not yours")
        if is_set:
            services.router.count(node, len(xml))
            if name == bookmarks.STORAGE:
                await services.bookmarks.keep_old(self._me, xml)
            else:
                await self._pep.keep_private(self._me, name, xml)
            self._reply(asked)
        elif name == bookmarks.STORAGE:
            session.memberships.has_bookmarks = True
            self._reply(asked, private.answer(await services.bookmarks.old(self._me)))
        else:
            self._reply(asked, private.answer(await self._pep.private(self._me, name) or xml))

    @property
    def _pep(self) -> Pep:
        return self._session.services.pep

    @property
    def _me(self) -> int:
        return self._session.node.userid if self._session.node else 0

    def _reply(self, asked: Origin, inside: str = "") -> None:
        session = self._session
        session.transport.tell(replies.result(asked, session.me, session.xmlns, inside))

    _own: ClassVar[Mapping[tuple[str, str, str], Answer]] = {
        ("set", pubsub.PUBSUB, "publish"): _publish,
        ("set", pubsub.PUBSUB, "retract"): _retract,
        ("set", pubsub.PUBSUB, "create"): _create,
        ("get", pubsub.OWNER, "configure"): _form,
        ("set", pubsub.OWNER, "configure"): _configure,
        ("get", pubsub.OWNER, "default"): _default,
        ("set", pubsub.OWNER, "purge"): _purge,
        ("set", pubsub.OWNER, "delete"): _delete,
    }
    """The same for all sessions: of these there are many."""
