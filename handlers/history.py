"""Reading conversations over HTTP."""

from typing import Annotated, Literal

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from handlers.fields import Draft
from server.errors import ChatError
from server.history import Page
from server.inbox import ConversationSet, InboxPage
from server.model import MAX_ID, Id
from server.receipts import Receipt


class InboxQuery(msgspec.Struct):
    """``before``: the ``next`` of an earlier answer."""

    before: str = ""


class ConversationChanges(Input):
    """What is to change of a conversation; what is left out or null stays as it is."""

    chat: Literal[10, 11]
    dstid: Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
    pinned: bool | None = None
    muted: bool | None = None
    archived: bool | None = None
    draft: Draft | None = None


class ReceiptQuery(msgspec.Struct):
    """A conversation; with ``seq``, only those who have read up to there."""

    chat: Literal[10, 11]
    dstid: Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
    seq: Id = 0


class ReceiptList(msgspec.Struct):
    """The others' pointers."""

    receipts: list[Receipt]
    more: bool


class PageQuery(msgspec.Struct):
    """A conversation: ``chat`` 10 with the user ``dstid``, 11 in the group ``dstid``.

    ``before`` and ``after`` are seqs, at most one of them; with neither, the newest messages.
    """

    chat: Literal[10, 11]
    dstid: Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
    before: Id | None = None
    after: Id | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)] = 50


class Conversations(ApiHandler):
    """``/api/conversations``"""

    @endpoint("bad-field")
    async def get(self, query: InboxQuery) -> InboxPage:
        """List one's conversations, the one with the newest message first, 200 at a time."""
        return await self.services.inbox.page(self.identity.userid, query.before)

    @endpoint("no-such-user", "not-a-member", "bad-field", "too-long")
    async def patch(self, body: ConversationChanges) -> ConversationSet:
        """Pin, mute or archive a conversation, or keep a draft; one's other devices hear of it."""
        settings = ("pinned", "muted", "archived", "draft")
        return await self.services.inbox.set(
            self.identity.userid,
            body.chat,
            body.dstid,
            {name: getattr(body, name) for name in settings},
        )


class Receipts(ApiHandler):
    """``/api/receipts``"""

    @endpoint("not-a-member", "not-allowed")
    async def get(self, query: ReceiptQuery) -> ReceiptList:
        """See how far the others have got and read a conversation.

        In groups of up to 200 members (a setting).
        """
        found = await self.services.receipts.of(
            self.identity.userid, query.chat, query.dstid, query.seq
        )
        return ReceiptList(found, more=False)


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
