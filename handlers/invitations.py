"""Ways into groups over HTTP: invitation links, and requests to be let in."""

from typing import Annotated

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from handlers.fields import RequestText
from handlers.groups import MemberQuery, view_of_member
from server.group_shapes import GroupView, MemberView
from server.invitations import DAY_S, Invitation, JoinRequest


class NewInvitation(Input):
    """``expires_in``: seconds, at most 30 days. ``uses``: how often, 0 for without limit."""

    expires_in: Annotated[int, msgspec.Meta(ge=1, le=30 * DAY_S)] = 7 * DAY_S
    uses: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 0


class InvitationList(msgspec.Struct):
    """The invitations of a group that can still be used."""

    invitations: list[Invitation]
    more: bool


class Code(Input):
    """Of an invitation."""

    code: str


class NewRequest(Input):
    """``text``: for those who decide."""

    text: RequestText = ""


class RequestList(msgspec.Struct):
    """A page of requests by user id; with ``more``, the next one is behind the last id."""

    requests: list[JoinRequest]
    more: bool


class GroupInvitations(ApiHandler):
    """``/api/groups/{gid}/invitations``"""

    @endpoint("not-a-member", "not-allowed")
    async def get(self, gid: int) -> InvitationList:
        """List the invitations that can still be used; owner and admins only."""
        invitations = self.services.invitations
        return InvitationList(await invitations.of_group(gid, self.identity.userid), more=False)

    @endpoint("not-a-member", "not-allowed", "too-long", status=201)
    async def post(self, gid: int, body: NewInvitation) -> Invitation:
        """Make an invitation; owner and admins only. Whoever has its code can join."""
        return await self.services.invitations.make(
            gid, self.identity.userid, body.expires_in, body.uses
        )


class OneInvitation(ApiHandler):
    """``/api/groups/{gid}/invitations/{id}``"""

    @endpoint("not-a-member", "not-allowed")
    async def delete(self, gid: int, id: int) -> None:
        """Revoke an invitation; owner and admins only."""
        await self.services.invitations.revoke(gid, self.identity.userid, id)


class Join(ApiHandler):
    """``/api/join``"""

    @endpoint("not-found", "too-long")
    async def post(self, body: Code) -> GroupView:
        """Join a group by an invitation's code."""
        return await self.services.invitations.join(body.code, self.identity.userid)


class GroupRequests(ApiHandler):
    """``/api/groups/{gid}/requests``"""

    @endpoint("not-a-member", "not-allowed")
    async def get(self, gid: int, query: MemberQuery) -> RequestList:
        """List who asks to be let in; owner and admins only."""
        requests, more = await self.services.invitations.requests(
            gid, self.identity.userid, query.after, query.limit
        )
        return RequestList(requests, more)

    @endpoint("not-a-member", "conflict", "bad-field", "too-long", "slow-down", status=201)
    async def post(self, gid: int, body: NewRequest) -> JoinRequest:
        """Ask to be let into a group that takes requests. Asking again changes nothing."""
        return await self.services.invitations.ask(gid, self.identity.userid, body.text)


class OneRequest(ApiHandler):
    """``/api/groups/{gid}/requests/{id}``"""

    @endpoint("not-a-member", "not-allowed")
    async def delete(self, gid: int, id: int) -> None:
        """Refuse a request, or take one's own back."""
        await self.services.invitations.refuse(gid, self.identity.userid, id)


class AcceptRequest(ApiHandler):
    """``/api/groups/{gid}/requests/{id}/accept``"""

    @endpoint("not-a-member", "not-allowed", "no-such-user", "too-long", status=201)
    async def post(self, gid: int, id: int) -> MemberView:
        """Let somebody in who asked; owner and admins only."""
        await self.services.invitations.accept(gid, self.identity.userid, id)
        return await view_of_member(self, gid, id)
