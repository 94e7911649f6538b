"""An XMPP session in rooms: joining and leaving, and what it says there."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.xmpp_room_news import Joined, RoomNews
from handlers.xmpp_room_queries import RoomQueries
from server.clients import Pending, now_ms
from server.deliveries import Stanza
from server.errors import ChatError
from server.model import GROUP, SINGLE, TYPING, Group
from server.rooms import Room
from stanzas import jid, messages, occupants, replies, room_forms, rooms
from stanzas.xml import Element

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

INVITED = 20
"""Invitations in one message."""
_ROOMS_ONLY = frozenset((rooms.USER, occupants.TAG))
_NOT_FOR_ROOMS = frozenset(("error", "headline"))
_SLUG = re.compile(r"(?!\d+$)[\w.~+-]{1,64}")


class SessionRooms(RoomNews):
    """What one session does in rooms."""

    def __init__(self, session: "XmppSession") -> None:
        super().__init__(session)
        self.entering: set[str] = set()
        self.queries = RoomQueries(session, self)

    def owns(self, to: str) -> bool:
        """Whether this is an address of rooms."""
        return self.service in to.lower() and jid.parse(to).domain == self.service

    # Joining and leaving.

    def presence(self, stanza: Element, asked: replies.Origin) -> Pending:
        """Directed to a room: joins, leaves, changes the nick."""
        to, kind = jid.parse(asked.to), stanza.get("type")
        if kind == "error":
            return None
        if kind == "probe":
            return None  # who is here knows already, and nobody else may
        if kind not in (None, "unavailable"):
            self._error(asked, "feature-not-implemented", "cancel")
            return None
        known = self.by_local.get(to.local)
        if kind == "unavailable":
            if known is not None:
                self._leave(known)
            return None
        x = stanza.find(rooms.JOIN)
        if not to.local or not to.resource:
            self._error(asked, "jid-malformed", "modify", "say under which nick")
        elif x is not None:
            return self._come_in(to, x, asked)
        elif known is None:
            self._put_out(asked.to, "join the room first")
        else:
            return self._change_nick(known, to.resource)
        return None

    async def _come_in(self, to: jid.Jid, x: Element, asked: replies.Origin) -> None:
        self.entering.add(to.local)
        try:
            await self._join(to, x, asked)
        finally:
            self.entering.discard(to.local)

    async def _join(self, to: jid.Jid, x: Element, asked: replies.Origin) -> None:
        me, services = self._me, self._services
        services.router.count(self._node)
        wanted = rooms.history_wanted(x, now_ms())
        group, is_new = await services.rooms.find(to.local), False
        if group is None and not to.local.isdigit():
            try:
                group, is_new = await self.make(to.local), True
            except ChatError as error:
                if error.slug != "taken":  # by somebody who was quicker
                    raise
        if group is not None and me not in group.members:
            # Who was just let in asks at once, maybe before this node has heard of it.
            group = await services.groups.look_again(group.id, me)
        if group is not None and me not in group.members and me in group.outcasts:
            self._error(asked, "forbidden", "auth", "you are banned from this room")
            return
        if group is None or me not in group.members:
            code = rooms.password(x)
            group = await self._admitted(group, code) if code else None
            if group is None:
                condition = "not-authorized" if code else "registration-required"
                self._error(asked, condition, "auth", "members only")
                return
        if group.id in self.joined:
            self._forget(self.joined[group.id])
        await self._enter(group, to, wanted, is_new=is_new)

    async def _admitted(self, group: Group | None, code: str) -> Group | None:
        """The group, if the code of a link lets one into it."""
        if group is None:
            return None
        services = self._services
        try:
            await services.invitations.join(code, self._me, group.id)
        except ChatError as error:
            if error.slug == "too-long":
                raise ChatError("too-long", error.detail, xmpp="service-unavailable") from error
            if error.slug != "not-found":
                raise
            return None
        return await services.groups.load(group.id)

    async def make(self, slug: str) -> Group:
        """A new room of this name. Raises ``invalid``, ``slow-down``, ``taken``."""
        if not _SLUG.fullmatch(slug):
            raise ChatError("invalid", "not a name for a room")
        groups = self._services.groups
        view = await groups.create(self._me, slug, (), slug=slug)
        group = await groups.load(view.id)
        if group is None:
            raise ChatError("conflict", "the room is gone again")
        return group

    async def _enter(
        self, group: Group, to: jid.Jid, wanted: rooms.HistoryWanted, *, is_new: bool
    ) -> None:
        gid, me = group.id, self._me
        place = self.joined[gid] = Joined(str(to))
        place.is_new = is_new
        try:
            room = place.room = await self._services.rooms.join(group, self)
            await self._services.rooms.admit(room, me)
            if self.joined.get(gid) is not place or self._session.is_closed:  # left meanwhile
                self.joined.pop(gid, None)
                self._services.rooms.leave(room, self)
                return
            self.by_local[room.local] = place
            self._services.rooms.show(room, self._node.user)  # this node may not know it is online
            if me not in room.occupants:
                raise ChatError("not-a-member", "not a member any more")
            self._introduce(place, to.resource)
            limit = self._services.settings.xmpp.room_history
            if wanted.since_ms is not None:
                limit = self._services.settings.limits.page_messages
            if wanted.stanzas is not None:
                limit = min(wanted.stanzas, self._services.settings.limits.page_messages)
            if limit and wanted.chars != 0:
                await self._tell_past(place, me, limit, wanted)
        except BaseException:
            self._forget(place)
            raise
        self.on_subject(room, 0)
        held, place.held = place.held or [], None
        for data, message in held:
            self.deliver(data, message)

    async def _change_nick(self, place: Joined, nick: str) -> None:
        room, me = place.room, self._me
        self._services.router.count(self._node)
        if room.nicks.get(me) == nick:
            return  # its presence is no other one; show and status are not the room's
        if any(
            other.casefold() == nick.casefold()
            for userid, other in room.nicks.items()
            if userid != me
        ):
            raise ChatError("conflict", "somebody in the room has this name")
        await self._services.groups.update_member(room.gid, me, me, nick=nick)

    def _leave(self, place: Joined) -> None:
        """Membership stays: the history goes on, and one can join again."""
        room, own = place.room, place.room.occupants.get(self._me)
        self._forget(place)
        if own is not None:
            gone = rooms.item(rooms.Place(own.role, jid=own.jid, is_away=True))
            sender = f"{self.address(room)}/{own.nick}"
            number = occupants.write(room.gid, own.userid)
            stanza = rooms.presence(sender, number, gone, (rooms.SELF,), is_here=False)
            self._tell("presence", stanza)

    # Messages of this session.

    def message(self, stanza: Element, asked: replies.Origin) -> Pending:
        """To a room, to somebody in it, or an invitation."""
        to = jid.parse(asked.to)
        if stanza.get("type") in _NOT_FOR_ROOMS:
            return None
        is_for_all = stanza.get("type") == "groupchat"
        if not is_for_all and (invited := rooms.invitations(stanza)):
            return self._invite(to, invited, asked)
        place = self.by_local.get(to.local)
        if place is None:
            self._error(asked, "not-acceptable", "cancel", "join the room first")
        elif is_for_all and to.resource:
            self._error(asked, "bad-request", "modify", "one person gets messages of type chat")
        elif is_for_all:
            return self._say(place, stanza, asked)
        elif to.resource:
            return self._whisper(place, to.resource, stanza, asked)
        elif room_forms.type_of(stanza) == rooms.VOICE_REQUEST:
            self._error(asked, "feature-not-implemented", "cancel", "ask a moderator")
        else:
            self._error(asked, "bad-request", "modify", "a room gets messages of type groupchat")
        return None

    def _say(self, place: Joined, stanza: Element, asked: replies.Origin) -> Pending:
        subject = stanza.find(rooms.SUBJECT)
        if subject is not None and stanza.find(rooms.BODY) is None:
            changes = {"announcement": subject.text or ""}
            return self._set_subject(place.room, changes)
        said = self._read(stanza)
        if said is None:
            return None
        message, router = said.message, self._services.router
        message.dstid = place.room.gid
        if message.cmd == SINGLE:
            message.cmd = GROUP
        else:
            message.chat = GROUP
        if message.cmd == TYPING:
            return router.typing(message, self._node)
        if message.cmd == GROUP and not said.of:
            self._session.in_flight(asked)
            return router.submit(message, self._node, said.xml, asked)
        return self._session.submit_of_another(said, self._node, asked)

    @staticmethod
    def _read(stanza: Element) -> messages.Said | None:
        """Without what only rooms say."""
        for child in list(stanza):
            if child.tag in _ROOMS_ONLY:
                stanza.remove(child)
        return messages.read(stanza)

    async def _set_subject(self, room: Room, changes: dict[str, str]) -> None:
        self._services.router.count(self._node)
        await self._services.groups.update(room.gid, self._me, changes)

    def _whisper(self, place: Joined, nick: str, stanza: Element, asked: replies.Origin) -> Pending:
        """A private message is one to the account: rooms hide nobody's name."""
        userid = place.room.ids.get(nick)
        if userid is None:
            self._error(asked, "item-not-found", "cancel", "there is nobody of this name")
            return None
        said = self._read(stanza)
        if said is None:
            return None
        said.message.dstid = userid
        return self._session.submit(said, asked)

    async def _invite(
        self, to: jid.Jid, invited: Sequence[rooms.Invited], asked: replies.Origin
    ) -> None:
        services, me = self._services, self._me
        if len(invited) > INVITED:
            raise ChatError("too-long", f"at most {INVITED} invitations at once")
        services.router.count(self._node)
        group = await services.rooms.find(to.local)
        if group is None or me not in group.members:
            self._error(asked, "forbidden", "auth", "you are not a member of this room")
            return
        for one in invited:
            services.router.count(self._node)
            address = jid.parse(one.jid)
            user = None
            if address.domain == self._session.domain and address.local:
                user = await services.accounts.find(address.local)
            if user is None:
                raise ChatError("no-such-user", "there is no such account")
            if one.is_declined:
                if user.id not in group.members or group.owner == me:
                    raise ChatError("not-found", "there is no such invitation")
                await services.groups.remove(group.id, me, me)
                if await services.blocks.apart(me, user.id):
                    continue
            elif user.id not in group.members:
                await services.groups.add(group.id, me, user.id, is_invited=True)
            else:
                await services.blocks.look(me, user.id)
            room = f"{group.slug or group.id}@{self.service}"
            told = rooms.invitation(
                room, self._node.user.jid, one.reason, is_declined=one.is_declined
            )
            services.router.notify((user.id,), Stanza(told, "message"))

    def _error(self, asked: replies.Origin, condition: str, kind: str, detail: str = "") -> None:
        session = self._session
        session.transport.tell(
            replies.error_of(asked, session.me, session.xmlns, condition, kind, detail)
        )
