"""Who was banned from a group: no link, request or room's door lets them in again."""

from server.errors import ChatError
from server.groups import RANKS, Groups

MOST = 1000
"""Of one group."""


class Outcasts:
    """Owner and admins ban those of lower rank and whom they like outside; adding somebody to the
    group takes the ban back too."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    async def of_group(self, gid: int, actor: int) -> list[int]:
        """Raises ``not-a-member``, ``not-allowed``."""
        group, _ = await self._groups.manager(gid, actor)
        return sorted(group.outcasts)

    async def ban(self, gid: int, actor: int, userid: int, why: str = "") -> None:
        """Also ends the membership. Raises ``not-a-member``, ``not-allowed``, ``conflict`` …"""
        group, acting = await self._groups.manager(gid, actor)
        if actor == userid:
            raise ChatError("conflict", "one does not ban oneself")
        target = group.members.get(userid)
        if target is not None and RANKS.index(target.role) >= RANKS.index(acting.role):
            raise ChatError("not-allowed", "one bans members of lower rank only")
        if len(group.outcasts) >= MOST:
            raise ChatError("too-long", f"at most {MOST} users are banned from a group")
        # First, so that there is no moment to come back in.
        await self._groups.cast_out(group, userid, is_out=True)
        if target is not None:
            await self._groups.remove(gid, actor, userid, how="banned", why=why)

    async def pardon(self, gid: int, actor: int, userid: int) -> None:
        """Again is no change. Raises ``not-a-member``, ``not-allowed``."""
        group, _ = await self._groups.manager(gid, actor)
        await self._groups.cast_out(group, userid, is_out=False)
