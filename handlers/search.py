"""Searching conversations over HTTP."""

from handlers.api import ApiHandler, endpoint
from server.search import Query, Results


class MessageSearch(ApiHandler):
    """``/api/search``"""

    @endpoint("not-a-member", "not-found", "slow-down", "busy")
    async def get(self, query: Query) -> Results:
        """Search the text of one's conversations, newest first.

        ``more``: there are older ones, below the id of the last.
        """
        return await self.services.search.find(self.identity.userid, query)
