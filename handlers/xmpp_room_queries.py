"""IQ requests to rooms, and to the address that they are at."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from handlers.xmpp_codec import CLIENT_NAMESPACE
from handlers.xmpp_queries import page_of
from server.clients import Pending
from server.errors import ChatError
from server.groups import RANKS
from server.model import GROUP, MAX_ID, RECALL, Group, Member, Message, Role, User
from server.rooms import Room
from stanzas import archive, disco, jid, moderation, ns, replies, room_admin, room_forms, rooms, rsm
from stanzas.room_admin import Item
from stanzas.xml import Element

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession
    from handlers.xmpp_rooms import SessionRooms

ITEMS = 50
"""Changes of roles and affiliations in one request."""

_ENDS = ("submit", "cancel")
_DISCO = frozenset((f"{{{ns.DISCO_INFO}}}query", f"{{{ns.DISCO_ITEMS}}}query"))
_CHANGES = frozenset((room_admin.ADMIN, room_admin.OWNER))
_RANKED: tuple[Role, ...] = ("owner", "admin", "member")

Answer = Callable[["RoomQueries", jid.Jid, Element, replies.Origin], Pending]


class RoomQueries:
    """One session's requests. To outsiders rooms are not there."""

    def __init__(self, session: "XmppSession", joined: "SessionRooms") -> None:
        self._session = session
        self._services = session.services
        self._joined = joined

    def handle(self, kind: str, child: Element, asked: replies.Origin) -> Pending:
        """Answers one request; what is not in the table is ``service-unavailable``."""
        to = jid.parse(asked.to)
        if child.tag == f"{{{ns.PING}}}ping" and kind == "get":
            return self._ping(to, asked)
        found = self._table.get((kind, child.tag))
        if to.resource and child.tag in _DISCO and to.local not in self._joined.by_local:
            raise ChatError("bad-field", "join the room first")
        if found is None or to.resource:
            self._error(asked, "service-unavailable")
            return None
        if kind == "set" and child.tag in _CHANGES and self._session.node is not None:
            self._services.router.count(self._session.node)
        return found(self, to, child, asked)

    @property
    def _me(self) -> int:
        return self._session.node.userid if self._session.node else 0

    def _reply(self, asked: replies.Origin, inside: str = "") -> None:
        session = self._session
        session.transport.tell(replies.result(asked, session.me, session.xmlns, inside))

    def _error(self, asked: replies.Origin, condition: str, detail: str = "") -> None:
        session = self._session
        session.transport.tell(
            replies.error_of(asked, session.me, session.xmlns, condition, "cancel", detail)
        )

    async def _own(self, to: jid.Jid) -> tuple[Group, Member]:
        """The room, and one's place in it. Raises ``not-found``."""
        group = await self._services.rooms.find(to.local) if to.local else None
        member = group.members.get(self._me) if group else None
        if group is None or member is None:
            raise ChatError("not-found", "there is no such room")
        return group, member

    def _ping(self, to: jid.Jid, asked: replies.Origin) -> Pending:
        """Of one's own name in a room it tells whether one is still in it (XEP-0410)."""
        if not to.local:
            self._reply(asked)
            return None
        place = self._joined.by_local.get(to.local)
        if place is None:
            self._error(asked, "not-acceptable", "you have not joined this room")
        elif to.resource and place.room.nicks.get(self._me) != to.resource:
            known = to.resource in place.room.ids
            self._error(asked, "service-unavailable" if known else "item-not-found")
        else:
            self._reply(asked)
        return None

    async def _info(self, to: jid.Jid, query: Element, asked: replies.Origin) -> None:
        if not to.local and not disco.has_node(query):
            self._reply(asked, disco.rooms_info())
            return
        group, _ = await self._own(to)
        if disco.has_node(query):
            await self._node(group, disco.node(query), asked)
            return
        features = ("muc_moderated" if group.muted_all else "muc_unmoderated",)
        told = room_admin.information(group, self._services.settings.limits.page_messages)
        self._reply(asked, disco.room_info(group.name, features, told))

    async def _node(self, group: Group, node: str, asked: replies.Origin) -> None:
        """What one is called in the room, and which extensions it lets through: all."""
        if node == disco.TRAFFIC:
            self._error(asked, "service-unavailable")
        elif node == disco.OWN_NICK:
            room = await self._services.rooms.look(group)
            self._reply(asked, disco.own_nick(room.nicks.get(self._me, "")))
        else:
            raise ChatError("not-found", "no such node")

    async def _items(self, to: jid.Jid, query: Element, asked: replies.Origin) -> None:
        if disco.has_node(query):
            raise ChatError("not-found", "no such node")
        if not to.local:
            at = self._services.bookmarks.address
            mine = await self._services.groups.rooms_of(self._me)
            self._reply(asked, disco.items((at(own), own.name) for own in mine))
            return
        group, _ = await self._own(to)
        room = await self._services.rooms.look(group)
        address = self._joined.address(room)
        self._reply(
            asked,
            disco.items((f"{address}/{one.nick}", one.nick) for one in room.occupants.values()),
        )

    # The archive.

    async def _archive_form(self, to: jid.Jid, _: Element, asked: replies.Origin) -> None:
        await self._own(to)
        self._reply(asked, archive.form())

    async def _archive(self, to: jid.Jid, child: Element, asked: replies.Origin) -> None:
        query, services, session = archive.read(child), self._services, self._session
        group, _ = await self._own(to)
        if query.with_jid:
            raise ChatError("bad-field", "with is not a field of a room's archive")
        if query.ids is not None:
            page = await services.room_history.named(self._me, group.id, query.ids)
        else:
            page = await services.room_history.page(self._me, group.id, page_of(query))
        room = await services.rooms.look(group)
        address = self._joined.address(room)
        authors = await services.accounts.people(each.message.userid for each in page.entries)
        for each in reversed(page.entries) if query.is_flipped else page.entries:
            message = each.message
            nick = self._joined.nick(room, authors.get(message.userid), message.userid)
            stanza = rooms.message(message, room=address, gid=group.id, nick=nick, xml=each.xml)
            session.transport.tell(
                archive.entry(
                    f"<message{CLIENT_NAMESPACE}{stanza}",
                    to=session.me,
                    queryid=query.queryid,
                    message_id=message.id,
                    ts=message.ts,
                    domain=address,
                    xmlns=session.xmlns,
                    sender=address,
                )
            )
        first = page.entries[0].message.id if page.entries else None
        last = page.entries[-1].message.id if page.entries else None
        told = rsm.answer(first, last, page.first_index, page.total)
        self._reply(asked, archive.fin(page.complete, told))

    async def _archive_edges(self, to: jid.Jid, _: Element, asked: replies.Origin) -> None:
        group, _member = await self._own(to)
        edges = await self._services.room_history.edges(self._me, group.id)
        told = None
        if edges is not None:
            first, last = edges
            told = (first.id, first.ts), (last.id, last.ts)
        self._reply(asked, archive.metadata(told))

    # Roles and affiliations.

    async def _list(self, to: jid.Jid, query: Element, asked: replies.Origin) -> None:
        wanted = room_admin.items(query)[0]
        group, _ = await self._own(to)
        room = await self._services.rooms.look(group)
        if wanted.affiliation == "outcast":
            listed = await self._outcasts(group)
        else:
            listed = await self._members(group, room, wanted)
        self._reply(asked, room_admin.answer(listed))

    async def _outcasts(self, group: Group) -> list[Item]:
        banned = await self._services.outcasts.of_group(group.id, self._me)
        users = await self._services.accounts.users(banned)
        return [Item("outcast", "", user.jid, "") for user in users.values()]

    async def _members(self, group: Group, room: Room, wanted: Item) -> list[Item]:
        users = await self._services.accounts.users(list(group.members))
        listed: list[Item] = []
        for member in group.members.values():
            user = users.get(member.id)
            if user is None or wanted.affiliation not in ("", member.role):
                continue
            occupant = room.occupants.get(member.id)
            role = rooms.room_role(member.role, occupant.has_voice) if occupant else ""
            if wanted.role not in ("", role):
                continue
            listed.append(Item(member.role, role, user.jid, room.nicks.get(member.id, "")))
        return listed

    async def _change(self, to: jid.Jid, query: Element, asked: replies.Origin) -> None:
        changes = room_admin.items(query)
        if len(changes) > ITEMS:
            raise ChatError("too-long", f"at most {ITEMS} changes at once")
        group, _ = await self._own(to)
        for change in changes:
            userid = await self._meant(group, change)
            is_outranked = self._is_outranked(group, userid)
            try:
                if change.role:
                    await self._give_role(group, userid, change)
                else:
                    await self._affiliate(group, userid, change)
            except ChatError as error:
                if error.slug != "not-allowed" or not is_outranked:
                    raise
                raise ChatError("not-allowed", error.detail, xmpp="not-allowed") from error
        self._reply(asked)

    def _is_outranked(self, group: Group, userid: int) -> bool:
        """Whether one is a moderator, but not of this user."""
        mine, theirs = group.members.get(self._me), group.members.get(userid)
        if mine is None or theirs is None or mine.role == "member":
            return False
        return RANKS.index(theirs.role) >= RANKS.index(mine.role)

    async def _meant(self, group: Group, item: Item) -> int:
        """The user that a change is of. Raises ``no-such-user``."""
        if item.nick and not item.jid:
            room = await self._services.rooms.look(group)
            if item.nick in room.ids:
                return room.ids[item.nick]
        elif item.jid:
            address = jid.parse(item.jid)
            user: User | None = None
            if address.domain == self._session.domain and address.local:
                user = await self._services.accounts.find(address.local)
            if user is not None:
                return user.id
        raise ChatError("no-such-user", "there is nobody of this name")

    async def _give_role(self, group: Group, userid: int, item: Item) -> None:
        """Voice is that one is not muted; moderators are the owner and the admins."""
        groups, gid, me = self._services.groups, group.id, self._me
        if item.role == "none":
            if userid == me:
                raise ChatError("conflict", "one does not throw oneself out")
            await groups.remove(gid, me, userid, why=item.reason)
            return
        member = group.members.get(userid)
        if member is None:
            raise ChatError("no-such-user", "not a member of this group")
        if item.role == "moderator":
            if member.role == "member":
                await groups.update_member(gid, me, userid, role="admin")
        elif item.role == "visitor":
            await groups.update_member(gid, me, userid, muted_until=MAX_ID)
        elif member.role != "member":
            await groups.update_member(gid, me, userid, role="member")
        else:
            await groups.update_member(gid, me, userid, muted_until=0)

    async def _affiliate(self, group: Group, userid: int, item: Item) -> None:
        services, gid, me = self._services, group.id, self._me
        groups, member = services.groups, group.members.get(userid)
        if item.affiliation == "outcast":
            await services.outcasts.ban(gid, me, userid, item.reason)
        elif item.affiliation == "none":
            if member is not None:
                await groups.remove(gid, me, userid, why=item.reason)
            else:
                await services.outcasts.pardon(gid, me, userid)
        else:
            if member is None:
                await groups.add(gid, me, userid)
            role = "member" if member is None else member.role
            for wanted in _RANKED:
                if item.affiliation == wanted != role:
                    await groups.update_member(gid, me, userid, role=wanted)

    # Configuration.

    async def _form(self, to: jid.Jid, _: Element, asked: replies.Origin) -> None:
        group, _member = await self._own(to)
        await self._services.groups.manager(group.id, self._me)
        self._reply(asked, room_admin.form(group))

    async def _configure(self, to: jid.Jid, query: Element, asked: replies.Origin) -> None:
        groups = self._services.groups
        destroy, form = room_admin.destroy(query), query.find(room_forms.FORM)
        if destroy is None and (form is None or form.get("type", "submit") not in _ENDS):
            raise ChatError("bad-field", "a form is submitted or cancelled")
        is_submitted = form is not None and form.get("type") != "cancel"
        group = await self._services.rooms.find(to.local) if to.local else None
        if group is None and is_submitted and to.local and not to.local.isdigit():
            group = await self._joined.make(to.local)  # without having joined it
        else:
            group, _ = await self._own(to)
        if destroy is not None:
            await groups.dissolve(group.id, self._me, why=destroy.reason, instead=destroy.instead)
            self._reply(asked)
            return
        place = self._joined.by_local.get(to.local)
        await groups.manager(group.id, self._me)
        if form is None or not is_submitted:
            if place is not None and place.is_new and len(group.members) == 1:
                await groups.dissolve(group.id, self._me)
        else:
            changes = room_admin.configured(form, group)
            if place is not None:
                place.is_new = False
            if changes:
                await groups.update(group.id, self._me, changes)
        self._reply(asked)

    async def _moderate(self, to: jid.Jid, child: Element, asked: replies.Origin) -> None:
        session = self._session
        node = session.node
        group, _ = await self._own(to)
        name = moderation.read(child)
        of = await self._services.acts.named_in_group(RECALL, self._me, group.id, name)
        if of is None or node is None:
            raise ChatError("no-such-message", "there is no such message in this room")
        await self._services.groups.manager(group.id, self._me)
        session.in_flight(asked)
        recall = Message(cmd=RECALL, chat=GROUP, dstid=group.id, ref=of.id)
        await self._services.router.act(recall, node, "", asked)  # answered when it is durable

    _table: ClassVar[Mapping[tuple[str, str], Answer]] = {
        ("get", f"{{{ns.DISCO_INFO}}}query"): _info,
        ("get", f"{{{ns.DISCO_ITEMS}}}query"): _items,
        ("get", f"{{{ns.ARCHIVE}}}query"): _archive_form,
        ("set", f"{{{ns.ARCHIVE}}}query"): _archive,
        ("get", f"{{{ns.ARCHIVE}}}metadata"): _archive_edges,
        ("get", room_admin.ADMIN): _list,
        ("set", room_admin.ADMIN): _change,
        ("get", room_admin.OWNER): _form,
        ("set", room_admin.OWNER): _configure,
        ("set", moderation.TAG): _moderate,
    }
    """The same for all sessions: of these there are many."""
