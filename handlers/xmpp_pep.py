"""A session's requests to what it publishes, to what others do, and to its private XML."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from handlers.xmpp_relay import unavailable
from server.bookmarks import CURRENT
from server.clients import Pending
from server.errors import ChatError
from server.model import User
from server.pep import OLD_BOOKMARKS, Pep
from stanzas import bookmarks, disco, ns, private, pubsub, replies
from stanzas.pubsub import Request
from stanzas.replies import Origin
from stanzas.xml import Element

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

Answer = Callable[[Request, Origin], Awaitable[None]]
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
        self._own: dict[tuple[str, str, str], Answer] = {
            ("set", pubsub.PUBSUB, "publish"): self._publish,
            ("set", pubsub.PUBSUB, "retract"): self._retract,
            ("set", pubsub.PUBSUB, "create"): self._create,
            ("get", pubsub.OWNER, "configure"): self._form,
            ("set", pubsub.OWNER, "configure"): self._configure,
            ("get", pubsub.OWNER, "default"): self._default,
            ("set", pubsub.OWNER, "purge"): self._purge,
            ("set", pubsub.OWNER, "delete"): self._delete,
        }

    async def handle(self, kind: str, child: Element, asked: Origin) -> None:
        """Something of :data:`FOREIGN`, to one's own account or another."""
        session = self._session
        node, owner = session.node, await self._owner(asked.to)
        if node is None or owner is None:
            raise unavailable()
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
        elif await self._pep.is_seen(self._me, owner.id):
            self._reply(asked, disco.contact_info())
        else:
            raise unavailable()

    async def _nodes(self, owner: User, query: Element, asked: Origin) -> None:
        if query.get("node"):
            items = await self._pep.items(self._me, owner.id, query.get("node"), None, 0)
            listed = disco.items((owner.jid, item.id) for item in items)
        elif await self._pep.is_seen(self._me, owner.id):
            listed = disco.node_items(owner.jid, await self._pep.nodes(self._me, owner.id))
        else:
            raise unavailable()
        self._reply(asked, listed)

    async def _pubsub(self, owner: User, kind: str, child: Element, asked: Origin) -> None:
        request = pubsub.read(child)
        if (kind, child.tag, request.what) == ("get", pubsub.PUBSUB, "items"):
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
            await answer(request, asked)

    async def _items(self, owner: User, request: Request, asked: Origin) -> None:
        if request.node == OLD_BOOKMARKS and owner.id == self._me:
            old = await self._session.services.bookmarks.old(self._me)
            self._reply(asked, pubsub.items(request.node, [(CURRENT, old)]))
            return
        found = await self._pep.items(self._me, owner.id, request.node, request.ids, request.most)
        self._reply(asked, pubsub.items(request.node, ((item.id, item.xml) for item in found)))

    async def _publish(self, request: Request, asked: Origin) -> None:
        item_id = request.ids[0] if request.ids else ""
        if request.node == OLD_BOOKMARKS:
            await self._session.services.bookmarks.keep_old(self._me, request.xml)
            item_id = CURRENT
        else:
            item_id = await self._pep.publish(
                self._me, request.node, item_id, request.xml, request.options
            )
        self._reply(asked, pubsub.published(request.node, item_id))

    async def _retract(self, request: Request, asked: Origin) -> None:
        await self._pep.retract(self._me, request.node, request.ids or (), request.notify)
        self._reply(asked)

    async def _create(self, request: Request, asked: Origin) -> None:
        await self._pep.create(self._me, request.node, request.options or {})
        self._reply(asked, pubsub.created(request.node))

    async def _form(self, request: Request, asked: Origin) -> None:
        config = await self._pep.config(self._me, request.node)
        values = msgspec.structs.asdict(config)
        self._reply(asked, pubsub.configuration("configure", request.node, values))

    async def _default(self, _: Request, asked: Origin) -> None:
        values = msgspec.structs.asdict(self._pep.defaults())
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
        services.router.count(node)
        if is_set:
            if name == bookmarks.STORAGE:
                await services.bookmarks.keep_old(self._me, xml)
            else:
                await self._pep.keep_private(self._me, name, xml)
            self._reply(asked)
        elif name == bookmarks.STORAGE:
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
