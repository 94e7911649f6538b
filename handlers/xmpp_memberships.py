"""How a session's client finds the groups that its user is in, also those made on the web: by
bookmarks (XEP-0402), and where it has none by an invitation (XEP-0249)."""

import asyncio
import logging
from collections.abc import Coroutine
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
    """One session's. ``has_bookmarks``: the client has asked for them."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session
        self.has_bookmarks = False
        self._has_offered = False
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, change: GroupChange) -> None:
        """Something happened to a group that the user is or was in."""
        session = self._session
        if session.node is None or not session.attendance.stanza:
            return
        is_own = change.userid == session.node.userid
        if change.event == "created" or (change.event == "joined" and is_own):
            self._soon(self._come(change.dstid))
        elif change.event == "dissolved" or (change.event in _ENDS and is_own):
            self._soon(self._gone(change.dstid))

    async def greet(self) -> None:
        """It is known what the client wants to hear; it may be another now."""
        if not self._has_offered:
            self._has_offered = True
            await self._guarded(self._offer())

    def _soon(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(doing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, doing: Coroutine[None, None, None]) -> None:
        try:
            await doing
        except StorageAway:
            log.info("memberships_not_read")
        except Exception:
            log.exception("memberships_not_told")

    async def _come(self, gid: int) -> None:
        session, services = self._session, self._session.services
        node = session.node
        if node is None:
            return
        for room in await services.groups.rooms_of(node.userid):
            if room.gid == gid and not room.is_hidden:
                address, xml = services.bookmarks.address(room), services.bookmarks.of(room)
                session.interests.take(NodeEvent(node.user.jid, BOOKMARKS, "items", [address], xml))
                await self._tell_old()
        if session.interests.are_known:
            await self._offer()

    async def _gone(self, gid: int) -> None:
        session = self._session
        node = session.node
        if node is None:
            return
        group = await session.services.groups.load(gid)
        local = (group.slug if group else "") or str(gid)
        address = f"{local}@{session.rooms.service}"
        session.interests.take(NodeEvent(node.user.jid, BOOKMARKS, "retract", [address]))
        await self._tell_old()

    async def _tell_old(self) -> None:
        session = self._session
        node = session.node
        if node is not None and session.interests.wants(OLD_BOOKMARKS):
            xml = await session.services.bookmarks.old(node.userid)
            event = NodeEvent(node.user.jid, OLD_BOOKMARKS, "items", [CURRENT], xml)
            session.interests.take(event)

    async def _offer(self) -> None:
        """Once for each group of the user, if the client would not come by itself."""
        session, interests = self._session, self._session.interests
        node = session.node
        has_bookmarks = self.has_bookmarks or any(
            interests.wants(name) for name in (BOOKMARKS, OLD_BOOKMARKS)
        )
        if node is None or has_bookmarks or session.attendance.priority < 0:
            return
        groups = session.services.groups
        for room in await groups.rooms_of(node.userid):
            if room.is_invited or room.local in session.rooms.entering:
                continue
            if session.is_closed:
                return
            if room.gid not in session.rooms.joined:
                await self._invite(room)
            await groups.mark_room(node.userid, room.gid, is_invited=True)

    async def _invite(self, room: OwnRoom) -> None:
        session, services = self._session, self._session.services
        owner = await services.accounts.user(room.owner)
        if owner is None:
            return
        address = services.bookmarks.address(room)
        told = rooms.invitation(address, owner.jid, room.name, is_declined=False)
        session.transport.tell(f"<message{session.xmlns} to='{attribute(session.me)}'{told}")
