"""IQ requests to the server and to one's own account, by the child's name in one table."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from handlers.xmpp_codec import CLIENT_NAMESPACE
from handlers.xmpp_pep import FOREIGN, PepQueries
from handlers.xmpp_roster import ContactQueries
from server import __version__
from server.archive import Wanted
from server.clients import Pending, now_ms
from server.errors import ChatError
from server.model import User
from server.ports import Stored
from stanzas import (
    archive,
    blocking,
    carbons,
    disco,
    jid,
    messages,
    ns,
    private,
    pubsub,
    replies,
    rsm,
    time,
    version,
)
from stanzas.replies import Origin
from stanzas.xml import Element

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

Answer = Callable[["Queries", Element, Origin], Pending]


def _contacts(answer: Callable[[ContactQueries, Element, Origin], Pending]) -> Answer:
    return lambda queries, child, asked: answer(queries.session.contacts, child, asked)


def _published(answer: Callable[[PepQueries, Element, Origin], Pending]) -> Answer:
    return lambda queries, child, asked: answer(queries.session.pep, child, asked)


def page_of(query: archive.ArchiveQuery) -> Wanted:
    """The page that a client asks for."""
    part = query.page
    return Wanted(
        start_ms=query.start_ms,
        end_ms=query.end_ms,
        after_id=part.after,
        before_id=part.before,
        limit=part.limit,
        is_last=part.last,
        above_id=query.after_id,
        below_id=query.before_id,
    )


class Queries:
    """One session's requests. What is not in the table is ``service-unavailable``."""

    def __init__(self, session: "XmppSession") -> None:
        self.session = session

    def handle(self, kind: str, child: Element, asked: Origin) -> Pending:
        """Answers one request, at once or when what it returns is awaited."""
        if (kind, child.tag) in FOREIGN and self._is_account(child, asked.to):
            return self.session.pep.handle(kind, child, asked)
        found = self._table.get((kind, child.tag))
        if asked.to and (domain := jid.parse(asked.to).domain) != self.session.domain:
            raise self.session.not_ours(domain)
        if found is None or not self._is_ours(asked.to):
            if (kind, child.tag) == ("set", f"{{{ns.ROSTER}}}query"):
                raise ChatError("not-allowed", "not your roster")
            session = self.session
            session.transport.tell(
                replies.error_of(asked, session.me, session.xmlns, "service-unavailable", "cancel")
            )
            return None
        return found(self, child, asked)

    def _is_ours(self, to: str) -> bool:
        """Whether the server answers for this address: its own, or the account's bare JID."""
        if not to:
            return True
        address = jid.parse(to)
        return not address.resource and (
            str(address) == self.session.domain or self._is_own_account(to)
        )

    def _is_account(self, child: Element, to: str) -> bool:
        """Whether it is for one's own account or another's, and not for the server."""
        if not to:
            return child.tag in (pubsub.PUBSUB, pubsub.OWNER)
        address = jid.parse(to)
        return bool(address.local) and address.domain == self.session.domain

    def _is_own_account(self, to: str) -> bool:
        node = self.session.node
        if not to:
            return True
        address = jid.parse(to)
        own = (node.user.username, str(node.userid)) if node else ()
        return address.domain == self.session.domain and address.local in own and bool(node)

    def _reply(self, asked: Origin, inside: str = "") -> None:
        session = self.session
        session.transport.tell(replies.result(asked, session.me, session.xmlns, inside))

    def _nothing(self, _: Element, asked: Origin) -> Pending:
        self._reply(asked)
        return None

    def _version(self, _: Element, asked: Origin) -> Pending:
        self._reply(asked, version.answer(__version__))
        return None

    def _time(self, _: Element, asked: Origin) -> Pending:
        self._reply(asked, time.answer(now_ms()))
        return None

    def _info(self, query: Element, asked: Origin) -> Pending:
        node = query.get("node", "")
        if node not in ("", disco.SERVER_NODE):
            raise ChatError("not-found", "no such node")
        self._reply(asked, disco.server_info(node))
        return None

    def _items(self, query: Element, asked: Origin) -> Pending:
        if disco.has_node(query):
            raise ChatError("not-found", "no such node")
        self._reply(asked, disco.items([(self.session.rooms.service, "Rooms")]))
        return None

    def _carbons_on(self, _: Element, asked: Origin) -> Pending:
        self.session.carbons = True
        self._reply(asked)
        return None

    def _carbons_off(self, _: Element, asked: Origin) -> Pending:
        self.session.carbons = False
        self._reply(asked)
        return None

    def _archive_form(self, _: Element, asked: Origin) -> Pending:
        self._reply(asked, archive.form())
        return None

    def _archive_preferences(self, _: Element, asked: Origin) -> Pending:
        if not self._is_own_account(asked.to):
            raise ChatError("not-allowed", "not your archive")
        self._reply(asked, archive.preferences())
        return None

    def _set_archive_preferences(self, wanted: Element, asked: Origin) -> Pending:
        archive.check_preferences(wanted)
        return self._archive_preferences(wanted, asked)

    async def _archive_edges(self, _: Element, asked: Origin) -> None:
        node = self.session.node
        if node is None or not self._is_own_account(asked.to):
            raise ChatError("not-allowed", "not your archive")
        edges = await self.session.services.history.archive_edges(node.userid)
        told = None
        if edges is not None:
            first, last = edges
            told = (first.id, first.ts), (last.id, last.ts)
        self._reply(asked, archive.metadata(told))

    def _archive(self, query: Element, asked: Origin) -> Pending:
        if not self._is_own_account(asked.to):
            raise ChatError("not-allowed", "not your archive")
        return self._read_archive(archive.read(query), asked)

    async def _read_archive(self, query: archive.ArchiveQuery, asked: Origin) -> None:
        session = self.session
        node = session.node
        if node is None:
            return
        session.has_queried_archive = True
        services = session.services
        partner: User | None = None
        if query.with_jid:
            address = jid.parse(query.with_jid)
            if address.domain == session.domain and address.local:
                partner = await services.accounts.find(address.local)
            if partner is None:
                self._reply(asked, archive.fin(True, rsm.answer(None, None, 0, 0)))
                return
        if query.ids is not None:
            page = await services.history.archived(
                node.userid, query.ids, partner.id if partner else None
            )
        else:
            page = await services.history.archive(
                node.userid, page_of(query), partner.id if partner else None
            )
        people = await services.accounts.users(
            userid
            for entry in page.entries
            for userid in (entry.message.userid, entry.message.dstid)
        )
        for entry in reversed(page.entries) if query.is_flipped else page.entries:
            session.transport.tell(self._entry(entry, query.queryid, people, node.user.jid))
        first = page.entries[0].message.id if page.entries else None
        last = page.entries[-1].message.id if page.entries else None
        told = rsm.answer(first, last, page.first_index, page.total)
        self._reply(asked, archive.fin(page.complete, told))

    def _entry(self, entry: Stored, queryid: str, people: dict[int, User], owner: str) -> str:
        session, message = self.session, entry.message

        def address(userid: int) -> str:
            user = people.get(userid)
            return user.jid if user else f"{userid}@{session.domain}"

        stanza = messages.from_message(
            message,
            sender=address(message.userid),
            recipient=address(message.dstid),
            archive=owner,
            xml=entry.xml,
            xmlns=CLIENT_NAMESPACE,
        )
        return archive.entry(
            stanza,
            to=session.me,
            queryid=queryid,
            message_id=message.id,
            ts=message.ts,
            domain=session.domain,
            xmlns=session.xmlns,
        )

    _table: ClassVar[Mapping[tuple[str, str], Answer]] = {
        ("set", f"{{{ns.SESSION}}}session"): _nothing,
        ("get", f"{{{ns.PING}}}ping"): _nothing,
        ("get", f"{{{ns.VERSION}}}query"): _version,
        ("get", f"{{{ns.TIME}}}time"): _time,
        ("get", f"{{{ns.ROSTER}}}query"): _contacts(ContactQueries.get),
        ("set", f"{{{ns.ROSTER}}}query"): _contacts(ContactQueries.set),
        ("get", blocking.LIST): _contacts(ContactQueries.blocklist),
        ("set", blocking.BLOCK): _contacts(ContactQueries.block),
        ("set", blocking.UNBLOCK): _contacts(ContactQueries.unblock),
        ("get", f"{{{ns.DISCO_INFO}}}query"): _info,
        ("get", f"{{{ns.DISCO_ITEMS}}}query"): _items,
        ("get", f"{{{ns.ARCHIVE}}}query"): _archive_form,
        ("set", f"{{{ns.ARCHIVE}}}query"): _archive,
        ("get", f"{{{ns.ARCHIVE}}}metadata"): _archive_edges,
        ("get", f"{{{ns.ARCHIVE}}}prefs"): _archive_preferences,
        ("set", f"{{{ns.ARCHIVE}}}prefs"): _set_archive_preferences,
        ("get", private.QUERY): _published(PepQueries.private_get),
        ("set", private.QUERY): _published(PepQueries.private_set),
        ("set", carbons.ENABLE): _carbons_on,
        ("set", carbons.DISABLE): _carbons_off,
    }
    """The same for all sessions: of these there are many."""
