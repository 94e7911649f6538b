"""An XMPP session in rooms: joining and leaving, messages both ways, what it is told of others."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.xmpp_codec import ForRoom
from handlers.xmpp_room_queries import RoomQueries
from server.clients import Pending, now_ms
from server.deliveries import Event, Stanza
from server.errors import ChatError
from server.group_shapes import Note
from server.model import GROUP, RECEIPT, SINGLE, TYPING, Group, Message, User
from server.rooms import Occupant, Room, Shift
from stanzas import jid, messages, occupants, replies, room_forms, rooms
from stanzas.xml import Element, attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppNode, XmppSession

INVITED = 20
"""Invitations in one message."""
HELD = 1000
"""Messages that come while a client is being told of the past."""
_NOT_FOR_ROOMS = frozenset(("error", "headline"))
_SLUG = re.compile(r"(?!\d+$)[\w.~+-]{1,64}")


class Joined:
    """A room that the session has joined.

    ``held``: what comes while it is told of the past, None afterwards; ``seen``: the seq that the
    past went up to. ``me``: one's own JID there. ``is_new``: made by this session, and not
    configured yet.
    """

    __slots__ = ("held", "is_new", "is_present", "me", "room", "seen")

    def __init__(self, me: str) -> None:
        self.me = me
        self.room: Room
        self.held: list[tuple[ForRoom, Message]] | None = []
        self.seen = 0
        self.is_present = False
        self.is_new = False


class SessionRooms:
    """One session's rooms; it is what :class:`server.rooms.Rooms` tells of them."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self._services = session.services
        self.service = f"conference.{session.domain}"
        self.joined: dict[int, Joined] = {}
        self.by_local: dict[str, Joined] = {}
        self.queries = RoomQueries(session, self)

    def owns(self, to: str) -> bool:
        """Whether this is an address of rooms."""
        return self.service in to and jid.parse(to).domain == self.service

    def address(self, room: Room) -> str:
        """The room's bare JID."""
        return f"{room.local}@{self.service}"

    @property
    def _node(self) -> "XmppNode":
        node = self._session.node
        if node is None:
            raise ChatError("not-logged-in", "no resource is bound")
        return node

    @property
    def _me(self) -> int:
        return self._node.userid

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
            return self._join(to, x, asked)
        elif known is None:
            self._put_out(asked.to, "join the room first")
        else:
            return self._change_nick(known, to.resource)
        return None

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
            if self.joined.get(gid) is not place or self._session.is_closed:  # left meanwhile
                self.joined.pop(gid, None)
                self._services.rooms.leave(room, self)
                return
            self.by_local[room.local] = place
            self._services.rooms.show(room, self._node.user)  # this node may not know it is online
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

    def _introduce(self, place: Joined, nick: str) -> None:
        """The others, and last oneself (XEP-0045 section 7.2.2)."""
        room, me = place.room, self._me
        place.is_present = True
        for occupant in room.occupants.values():
            if occupant.userid != me:
                self._tell("presence", self._presence(room, occupant))
        own = room.occupants.get(me)
        if own is not None:
            codes = [rooms.SELF, rooms.NOT_ANONYMOUS, rooms.LOGGED]
            if place.is_new:
                codes.append(rooms.CREATED)
            if nick != own.nick:
                codes.append(rooms.NICK_GIVEN)
            place.me = f"{self.address(room)}/{own.nick}"
            self._tell("presence", self._presence(room, own, tuple(codes)))

    async def _tell_past(
        self, place: Joined, me: int, limit: int, wanted: rooms.HistoryWanted
    ) -> None:
        room, services = place.room, self._services
        past, place.seen = await services.room_history.recent(me, room.gid, limit, wanted.since_ms)
        authors = await services.accounts.people(entry.message.userid for entry in past)
        told: list[str] = []
        chars = wanted.chars
        for entry in reversed(past):
            stanza = rooms.message(
                entry.message,
                room=self.address(room),
                gid=room.gid,
                nick=self.nick(room, authors.get(entry.message.userid), entry.message.userid),
                xml=entry.xml,
                is_delayed=True,
            )
            if chars is not None:
                chars -= len(stanza)
                if chars < 0:
                    break
            told.append(stanza)
        for stanza in reversed(told):
            self._tell("message", stanza)

    def nick(self, room: Room, author: User | None, userid: int) -> str:
        """An author's name in the room."""
        return self._services.rooms.nick(room, author) if author else str(userid)

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

    def _put_out(self, address: str, why: str) -> None:
        """Tells the client that it is not in a room in which it believes to be."""
        stanza = rooms.presence(
            address,
            "",
            rooms.item(rooms.Place(None), reason=why),
            (rooms.SELF, rooms.KICKED, rooms.TECHNICAL),
            is_here=False,
        )
        self._tell("presence", stanza)

    def _forget(self, place: Joined) -> None:
        for gid, known in list(self.joined.items()):
            if known is place:
                del self.joined[gid]
        room = getattr(place, "room", None)
        if room is not None:
            if self.by_local.get(room.local) is place:
                del self.by_local[room.local]
            self._services.rooms.leave(room, self)

    def leave_all(self) -> None:
        """The session goes; nobody is there to be told."""
        for place in list(self.joined.values()):
            self._forget(place)

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
        said = messages.read(stanza)
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

    async def _set_subject(self, room: Room, changes: dict[str, str]) -> None:
        self._services.router.count(self._node)
        await self._services.groups.update(room.gid, self._me, changes)

    def _whisper(self, place: Joined, nick: str, stanza: Element, asked: replies.Origin) -> Pending:
        """A private message is one to the account: rooms hide nobody's name."""
        userid = place.room.ids.get(nick)
        if userid is None:
            self._error(asked, "item-not-found", "cancel", "there is nobody of this name")
            return None
        for mark in stanza.findall(rooms.USER):
            stanza.remove(mark)
        said = messages.read(stanza)
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
                await services.groups.add(group.id, me, user.id)
            else:
                await services.blocks.look(me, user.id)
            room = f"{group.slug or group.id}@{self.service}"
            told = rooms.invitation(
                room, self._node.user.jid, one.reason, is_declined=one.is_declined
            )
            services.router.notify((user.id,), Stanza(told, "message"))

    # What the session is told.

    def deliver(self, data: ForRoom, message: Message) -> None:
        """A message or act in a group that the user is a member of."""
        about = data.about
        if isinstance(about, Event):
            return
        place = self.joined.get(int(about.conv[1:]))
        if place is None:
            return
        if place.held is not None:
            place.held.append((data, message))
            if len(place.held) > HELD:
                self._put_out(place.me, "too much was said meanwhile")
                self._forget(place)
            return
        if message.seq <= place.seen:
            return  # it was in the past that was told
        room = place.room
        if message.cmd == GROUP:
            self._services.rooms.show(room, about.author)
        if not data.rest:
            nick = self._services.rooms.nick(room, about.author)
            data.rest = rooms.message(
                message, room=self.address(room), gid=room.gid, nick=nick, xml=about.xml
            )
        self._tell("message", data.rest)

    def hint(self, data: ForRoom) -> None:
        """That somebody types, or has read."""
        event = data.about
        if not isinstance(event, Event) or not isinstance(event.body, Message):
            return
        body = event.body
        place = self.joined.get(body.dstid)
        if place is None or place.held is not None:
            return
        room, nick = place.room, place.room.nicks.get(body.userid)
        if nick is None:
            return
        sender = f"{self.address(room)}/{nick}"
        if body.cmd == TYPING:
            self._tell("message", rooms.typing(body.state, sender))
        elif body.cmd == RECEIPT and body.state == "read":
            self._tell("message", rooms.displayed(event.name, sender))

    def on_shifts(self, room: Room, shifts: Sequence[Shift], note: Note) -> None:
        """Somebody came, went, or is another now; see :class:`server.rooms.Looker`."""
        place = self.joined.get(room.gid)
        if place is None or not place.is_present:
            return
        me = self._me
        for before, after in shifts:
            if after is None and before is not None and before.userid == me:
                self._tell_gone(room, before, note)
                self._forget(place)
                return  # the rest is not for who is no member
        # Who goes, and old names, before who may have them now.
        for before, after in shifts:
            if before is not None and after is None:
                self._tell_gone(room, before, note)
            elif before is not None and after is not None and before.nick != after.nick:
                codes = (rooms.SELF,) if after.userid == me else ()
                self._tell_renamed(room, before, after, codes)
        for _, after in shifts:
            if after is not None:
                codes = (rooms.SELF,) if after.userid == me else ()
                self._tell("presence", self._presence(room, after, codes))

    def _tell_gone(self, room: Room, before: Occupant, note: Note) -> None:
        codes = [rooms.SELF] if before.userid == self._me else []
        actor = reason = ""
        if note.who == before.userid and note.how:
            codes.append(rooms.BANNED if note.how == "banned" else rooms.KICKED)
            actor, reason = room.nicks.get(note.by, ""), note.why
        else:
            codes.append(rooms.NO_LONGER_MEMBER)
        standing = rooms.Place(None, jid=before.jid, is_outcast=note.how == "banned")
        stanza = rooms.presence(
            f"{self.address(room)}/{before.nick}",
            occupants.write(room.gid, before.userid),
            rooms.item(standing, actor, reason),
            tuple(codes),
            is_here=False,
        )
        self._tell("presence", stanza)

    def _tell_renamed(
        self, room: Room, before: Occupant, after: Occupant, codes: tuple[int, ...]
    ) -> None:
        place = rooms.Place(before.role, before.has_voice, before.jid, after.nick)
        stanza = rooms.presence(
            f"{self.address(room)}/{before.nick}",
            occupants.write(room.gid, before.userid),
            rooms.item(place),
            (rooms.NICK_CHANGED, *codes),
            is_here=False,
        )
        self._tell("presence", stanza)

    def on_subject(self, room: Room, by: int) -> None:
        """It is said after the past, too, and empty where there is none."""
        place = self.joined.get(room.gid)
        if place is not None and place.is_present:
            nick = room.nicks.get(by)
            sender = f"{self.address(room)}/{nick}" if nick else self.address(room)
            self._tell("message", rooms.subject(room.subject, sender))

    def on_configuration(self, room: Room) -> None:
        place = self.joined.get(room.gid)
        if place is not None and place.is_present:
            stanza = rooms.status(self.address(room), rooms.CONFIGURATION_CHANGED)
            self._tell("message", stanza)

    def on_dissolved(self, room: Room, note: Note) -> None:
        place = self.joined.get(room.gid)
        own = room.occupants.get(self._me)
        if place is None:
            return
        self._forget(place)
        if own is None:
            return
        inside = rooms.item(rooms.Place(None)) + rooms.destroyed(note.instead, note.why)
        sender = f"{self.address(room)}/{own.nick}"
        number = occupants.write(room.gid, own.userid)
        stanza = rooms.presence(sender, number, inside, (rooms.SELF,), is_here=False)
        self._tell("presence", stanza)

    def _presence(self, room: Room, occupant: Occupant, codes: tuple[int, ...] = ()) -> str:
        place = rooms.Place(occupant.role, occupant.has_voice, occupant.jid)
        return rooms.presence(
            f"{self.address(room)}/{occupant.nick}",
            occupants.write(room.gid, occupant.userid),
            rooms.item(place),
            codes,
        )

    def _tell(self, name: str, rest: str) -> None:
        session = self._session
        session.transport.tell(f"<{name}{session.xmlns} to='{attribute(session.me)}'{rest}")

    def _error(self, asked: replies.Origin, condition: str, kind: str, detail: str = "") -> None:
        session = self._session
        session.transport.tell(
            replies.error_of(asked, session.me, session.xmlns, condition, kind, detail)
        )
