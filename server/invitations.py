"""Ways into a group beside being added: invitation links, and requests where the group takes them.

Both lapse by themselves, and so need no tidying up when their group is dissolved.
"""

import re
import secrets
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from server.accounts import Accounts
from server.clients import now_ms
from server.errors import ChatError
from server.group_shapes import GroupChange, GroupView
from server.groups import Groups
from server.limits import Window
from server.model import Group, User, clean_text
from server.ports import Document, InvitationStore
from server.settings import Limits

DAY_S = 24 * 3600
LINKS = 100
"""Of one group that can be used at the same time."""
REQUESTS = 1000
"""Of one group that wait for an answer, for at most :data:`REQUEST_DAYS`."""
REQUEST_DAYS = 30
REQUESTS_PER_HOUR = 30
"""Of one user."""
TEXT_CHARS = 500

_CODE = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


class Invitation(msgspec.Struct):
    """A link's code, which whoever has it joins with.

    ``uses``: how often it still can be used, 0 for without limit. ``by``: who made it. Times are
    milliseconds since 1970 UTC.
    """

    id: int
    code: str
    by: int
    created: int
    expires: int
    uses: int


class JoinRequest(msgspec.Struct):
    """The user ``id`` asks to be let in. ``created``: milliseconds since 1970 UTC."""

    id: int
    nickname: str
    text: str
    created: int


class Invitations:
    """Links are made, and requests answered, by owner and admins: others get ``not-allowed``."""

    def __init__(
        self,
        store: InvitationStore,
        groups: Groups,
        accounts: Accounts,
        limits: Limits,
        notify: Callable[[Collection[int], Any, int, Collection[int]], None],
    ) -> None:
        self._store = store
        self._groups = groups
        self._accounts = accounts
        self._notify = notify
        self._asked = Window(REQUESTS_PER_HOUR * limits.rate_scale, 3600)

    async def make(self, gid: int, actor: int, expires_in: int, uses: int) -> Invitation:
        """A new link. ``expires_in``: seconds; ``uses``: 0 for without limit.

        Raises ``not-a-member``, ``not-allowed``, ``too-long``.
        """
        await self._groups.manager(gid, actor)
        now = now_ms()
        if len(await self._store.of_group(gid, now)) >= LINKS:
            raise ChatError("too-long", f"at most {LINKS} invitations; delete one first")
        invitation: Document = {
            "_id": secrets.token_urlsafe(16),
            "id": secrets.randbits(48),
            "gid": gid,
            "by": actor,
            "created": now,
            "expires": now + expires_in * 1000,
        }
        if uses:
            invitation["uses"] = uses
        await self._store.insert(invitation)
        return _invitation(invitation)

    async def of_group(self, gid: int, actor: int) -> list[Invitation]:
        """The links that can still be used. Raises ``not-a-member``, ``not-allowed``."""
        await self._groups.manager(gid, actor)
        return [_invitation(found) for found in await self._store.of_group(gid, now_ms())]

    async def revoke(self, gid: int, actor: int, invitation: int) -> None:
        """Raises ``not-a-member``, ``not-allowed``, ``not-found``."""
        await self._groups.manager(gid, actor)
        if not await self._store.remove(gid, invitation):
            raise ChatError("not-found", "there is no such invitation")

    async def join(self, code: str, userid: int, gid: int = 0) -> GroupView:
        """Joins by a link, into ``gid`` only if that is given; for a member nothing is used up.

        Raises ``not-found`` for whatever is wrong with the code, and ``too-long``.
        """
        found = await self._store.get(code, now_ms()) if _CODE.fullmatch(code) else None
        group = await self._groups.load(found["gid"]) if found else None
        if found is None or group is None or gid not in (0, group.id):
            raise _no_such_code()
        if userid in group.outcasts:
            raise ChatError("not-allowed", "you cannot come into this group")
        if userid not in group.members:
            self._groups.check_room(group)
            if "uses" in found and not await self._store.use(code):
                raise _no_such_code()
            await self._groups.admit(group, userid)
        return await self._groups.get(group.id, userid)

    async def ask(self, gid: int, userid: int, text: str) -> JoinRequest:
        """Asks to be let in; who has asked already gets that request.

        Raises ``not-a-member`` where the group takes no requests or does not exist, ``conflict``
        for a member, ``too-long``, ``slow-down``.
        """
        text = clean_text(text, "text", TEXT_CHARS)
        group = await self._groups.load(gid)
        if group is not None and userid in group.members:
            raise ChatError("conflict", "you are a member already")
        if group is None or group.join != "request" or userid in group.outcasts:
            raise ChatError("not-a-member", "you are not a member of this group")
        request = await self._store.get_request(gid, userid)
        if request is None:
            request = await self._add_request(group, userid, text)
        return _request(request, await self._accounts.user(userid))

    async def _add_request(self, group: Group, userid: int, text: str) -> Document:
        if wait := self._asked.wait_s(str(userid)):
            raise ChatError("slow-down", "too many requests", retry_after=int(wait) + 1)
        if await self._store.count_requests(group.id) >= REQUESTS:
            raise ChatError("too-long", f"at most {REQUESTS} requests wait for an answer")
        self._asked.count(str(userid))
        now = now_ms()
        request = await self._store.add_request(
            {
                "_id": f"{group.id}:{userid}",
                "gid": group.id,
                "userid": userid,
                "text": text,
                "created": now,
                "expires": now + REQUEST_DAYS * DAY_S * 1000,
            }
        )
        managers = [member.id for member in group.members.values() if member.role != "member"]
        self._notify(managers, GroupChange("changed", group.id, userid), 0, ())
        return request

    async def requests(
        self, gid: int, actor: int, after: int, limit: int
    ) -> tuple[list[JoinRequest], bool]:
        """Requests of users with ids above ``after``, and whether there are more.

        Raises ``not-a-member``, ``not-allowed``.
        """
        await self._groups.manager(gid, actor)
        found = await self._store.requests(gid, after, limit + 1)
        page = found[:limit]
        users = await self._accounts.users(request["userid"] for request in page)
        return [_request(one, users.get(one["userid"])) for one in page], len(found) > limit

    async def accept(self, gid: int, actor: int, userid: int) -> None:
        """Lets the user in.

        Raises ``not-a-member``, ``not-allowed``, ``not-found``, ``no-such-user``, ``too-long``.
        """
        group, _ = await self._groups.manager(gid, actor)
        if await self._store.get_request(gid, userid) is None:
            raise _no_such_request()
        await self._groups.admit(group, userid)

    async def refuse(self, gid: int, actor: int, userid: int) -> None:
        """Owner and admins refuse, or the user asks no more.

        Raises ``not-a-member``, ``not-allowed``, ``not-found``.
        """
        if actor == userid and await self._store.remove_request(gid, userid):
            return
        await self._groups.manager(gid, actor)
        if not await self._store.remove_request(gid, userid):
            raise _no_such_request()

    async def forget_user(self, userid: int) -> None:
        """The user asks no more. Links that the user made go on: they are the groups'."""
        await self._store.remove_requests_of(userid)


def _no_such_code() -> ChatError:
    return ChatError("not-found", "this invitation is not, or no longer, good")


def _no_such_request() -> ChatError:
    return ChatError("not-found", "there is no such request")


def _invitation(document: Document) -> Invitation:
    return Invitation(
        id=document["id"],
        code=document["_id"],
        by=document["by"],
        created=document["created"],
        expires=document["expires"],
        uses=document.get("uses", 0),
    )


def _request(document: Document, user: User | None) -> JoinRequest:
    nickname = user.nickname if user else ""
    return JoinRequest(document["userid"], nickname, document["text"], document["created"])
