"""How a session's client finds the groups that its user is in, also those made on the web: by
bookmarks (XEP-0402), and where it has none by an invitation (XEP-0249)."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from server.bookmarks import CURRENT
from server.deliveries import NodeEvent
from server.errors import StorageAway
from server.group_shapes import GroupChange, OwnRoom
from server.node_config import BOOKMARKS, OLD_BOOKMARKS
from stanzas import rooms
from stanzas.xml import attribute

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

log = logging.getLogger(__name__)

_ENDS = frozenset(("left", "removed"))


class Memberships:
    """One session's. ``has_bookmarks``: the client has asked for them.

    Changes are only noted as they come; one task looks how things are then. So what changed twice,
    or was heard of in another order, is told as it is.
    """

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self.has_bookmarks = False
        self._changed: dict[int, str] = {}
        self._offered: set[int] = set()
        self._is_to_offer = False
        self._task: asyncio.Task[None] | None = None

    def take(self, change: GroupChange, slug: str) -> None:
        """Something happened to a group that the user is or was in. ``slug``: of its room, if it
        cannot be looked up."""
        session = self._session
        if session.node is None or not session.attendance.stanza:
            return
        is_own = change.userid == session.node.userid
        has_come = change.event == "created" or (change.event == "joined" and is_own)
        if has_come or change.event == "dissolved" or (change.event in _ENDS and is_own):
            self._changed[change.dstid] = slug
            self._is_to_offer = self._is_to_offer or has_come
            self._look_soon()

    def greet(self) -> None:
        """It is known what the client wants to hear, or it takes messages now."""
        self._is_to_offer = True
        self._look_soon()

    def stop(self) -> None:
        """The session is over."""
        if self._task is not None:
            self._task.cancel()

    def _look_soon(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look(), name="memberships")

    async def _look(self) -> None:
        session = self._session
        try:
            while not session.is_closed and (self._changed or self._may_offer()):
                # All who are in a new group come at once.
                async with session.services.bookmarks.turn:
                    await self._tell()
        except StorageAway:
            log.info("memberships_not_read")  # the next change or presence has another try
        except Exception:
            log.exception("memberships_not_told")

    def _may_offer(self) -> bool:
        session, interests = self._session, self._session.interests
        return (
            self._is_to_offer
            and interests.are_known
            and session.attendance.priority >= 0
            and not self.has_bookmarks
            and not any(interests.wants(name) for name in (BOOKMARKS, OLD_BOOKMARKS))
        )

    async def _tell(self) -> None:
        session = self._session
        node = session.node
        if node is None:
            return
        own = await session.services.groups.rooms_of(node.userid)
        changed, self._changed = self._changed, {}
        if changed:
            await self._tell_changes(changed, {room.gid: room for room in own})
        if self._may_offer():
            self._is_to_offer = False
            try:
                await self._offer(own)
            except StorageAway:
                self._is_to_offer = True
                raise

    async def _tell_changes(self, changed: Mapping[int, str], own: Mapping[int, OwnRoom]) -> None:
        session = self._session
        node, services = session.node, session.services
        if node is None:
            return
        for gid, slug in changed.items():
            room = own.get(gid)
            if room is None:
                group = None if slug else await services.groups.load(gid)
                local = slug or (group.slug if group else "") or str(gid)
                address = f"{local}@{session.rooms.service}"
                event = NodeEvent(node.user.jid, BOOKMARKS, "retract", [address])
            elif room.is_hidden:
                continue
            else:
                address, xml = services.bookmarks.address(room), services.bookmarks.of(room)
                event = NodeEvent(node.user.jid, BOOKMARKS, "items", [address], xml)
            session.interests.take(event)
        if session.interests.wants(OLD_BOOKMARKS):
            xml = await services.bookmarks.old(node.userid)
            session.interests.take(NodeEvent(node.user.jid, OLD_BOOKMARKS, "items", [CURRENT], xml))

    async def _offer(self, own: Sequence[OwnRoom]) -> None:
        """Once for each group of the user, if the client would not come by itself."""
        session = self._session
        node = session.node
        for room in own:
            if room.is_invited or room.is_hidden or room.gid in self._offered:
                continue
            if node is None or session.is_closed:
                return
            if room.local in session.rooms.entering:
                continue
            self._offered.add(room.gid)
            if room.gid not in session.rooms.joined:
                await self._invite(room)
            await session.services.groups.mark_room(node.userid, room.gid, is_invited=True)

    async def _invite(self, room: OwnRoom) -> None:
        session, services = self._session, self._session.services
        owner = await services.accounts.user(room.owner)
        if owner is None:
            return
        address = services.bookmarks.address(room)
        told = rooms.invitation(address, owner.jid, room.name, is_declined=False)
        session.transport.tell(f"<message{session.xmlns} to='{attribute(session.me)}'{told}")
