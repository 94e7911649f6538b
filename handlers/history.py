"""Reading conversations over HTTP."""

from typing import Annotated, Literal

import msgspec

from handlers.api import ApiHandler, endpoint
from server.errors import ChatError
from server.history import Conversation, Page
from server.model import MAX_ID, Id


class Inbox(msgspec.Struct):
    """One's conversations, the one with the newest message first."""

    conversations: list[Conversation]
    more: bool


class PageQuery(msgspec.Struct):
    """A conversation: ``chat`` 10 with the user ``dstid``, 11 in the group ``dstid``.

    ``before`` and ``after`` are seqs, at most one of them; with neither, the newest messages.
    """

    chat: Literal[10, 11]
    dstid: Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
    before: Id | None = None
    after: Id | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, description="More than 200 is taken as 200")] = 50


class Conversations(ApiHandler):
    """``/api/conversations``"""

    @endpoint()
    async def get(self) -> Inbox:
        """List one's conversations."""
        conversations, more = await self.services.history.conversations(self.identity.userid)
        return Inbox(conversations, more)


class Messages(ApiHandler):
    """``/api/messages``"""

    @endpoint("not-a-member")
    async def get(self, query: PageQuery) -> Page:
        """Read part of a conversation, always in ascending seq.

        ``more``: there is more behind it in the direction asked for.
        """
        if query.before is not None and query.after is not None:
            wrong = {"before": "not together with after"}
            raise ChatError("invalid", "some fields are wrong", fields=wrong)
        return await self.services.history.read(
            self.identity.userid,
            query.chat,
            query.dstid,
            before=query.before,
            after=query.after,
            limit=query.limit,
        )
