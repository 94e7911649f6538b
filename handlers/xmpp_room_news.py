"""What an XMPP session is told of the rooms that it has joined."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.xmpp_codec import ForRoom
from server.deliveries import Event
from server.errors import ChatError
from server.group_shapes import GroupChange, Note
from server.model import GROUP, RECEIPT, TYPING, Message, User
from server.rooms import Occupant, Room, Shift
from stanzas import occupants, rooms
from stanzas.xml import attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppNode, XmppSession

HELD = 1000
"""Messages that come while a client is being told of the past."""


class Joined:
    """A room that the session has joined.

    ``held``: what comes while it is told of the past, None afterwards; ``seen``: the seq that the
    past went up to. ``me``: one's own JID there. ``is_new``: made by this session, and not
    configured or talked in yet, so that it can be taken back.
    """

    __slots__ = ("held", "is_new", "is_present", "me", "room", "seen")

    def __init__(self, me: str) -> None:
        self.me = me
        self.room: Room
        self.held: list[tuple[ForRoom, Message]] | None = []
        self.seen = 0
        self.is_present = False
        self.is_new = False


class RoomNews:
    """One session's rooms; it is what :class:`server.rooms.Rooms` tells of them."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self._services = session.services
        self.service = f"conference.{session.domain}"
        self.joined: dict[int, Joined] = {}
        self.by_local: dict[str, Joined] = {}

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
        place.is_new = False
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
        """That somebody types, or has read, or that a group changed."""
        event = data.about
        if not isinstance(event, Event):
            return
        if isinstance(event.body, GroupChange):
            self._session.memberships.take(event.body, event.name)
            return
        if not isinstance(event.body, Message):
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
                if after.userid == me:
                    place.me = f"{self.address(room)}/{after.nick}"
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
        if place is None:
            return
        self._forget(place)
        if place.is_present:
            inside = rooms.item(rooms.Place(None)) + rooms.destroyed(note.instead, note.why)
            number = occupants.write(room.gid, self._me)
            stanza = rooms.presence(place.me, number, inside, (rooms.SELF,), is_here=False)
            self._tell("presence", stanza)
        else:
            self._put_out(place.me, "the room is gone")

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
