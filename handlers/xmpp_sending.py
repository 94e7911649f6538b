"""The messages that one session sends: what they say, to whom, and whether they are kept."""

from typing import TYPE_CHECKING

from handlers.xmpp_relay import unavailable
from server.clients import Pending
from server.errors import ChatError
from server.model import RECEIPT, TYPING, WEB, Names
from stanzas import carbons, hints, jid, messages, ns
from stanzas.replies import Origin
from stanzas.xml import Element, XmlError

if TYPE_CHECKING:
    from handlers.xmpp import XmppSession

_NEVER_KEPT = frozenset(("error", "headline", "groupchat"))


class Sending:
    """One session's end of it."""

    def __init__(self, session: "XmppSession") -> None:
        self._session = session

    def handle(self, stanza: Element, asked: Origin) -> Pending:
        """A message that is not for a room."""
        session = self._session
        kind = stanza.get("type") or "normal"
        if kind in _NEVER_KEPT:
            return session.relay.pass_on(stanza, kind, asked)
        messages.check(stanza)
        said = messages.read(stanza)
        if said is None:
            return session.relay.pass_on(stanza, kind, asked)
        if said.message.cmd in (TYPING, RECEIPT):
            return self._hint(said, stanza, kind, asked)
        if ns.HINTS in said.xml or ns.CARBONS in said.xml:  # few have any: it is dear to look
            if hints.forbids_keeping(stanza):
                return session.relay.pass_on(stanza, kind, asked, says_something=True)
            if carbons.is_private(stanza):
                said = _named(said, Names.of(said.xml)._replace(is_private=True))
        if "/" in asked.to:
            return self._to_one(said, kind, asked)
        return self._address(said, asked)

    def _hint(self, said: messages.Said, stanza: Element, kind: str, asked: Origin) -> Pending:
        pending = self._address(said, asked)
        if pending is None:
            self._session.relay.copy_sent(stanza, kind, asked)
            return None
        return self._hint_and_copy(pending, stanza, kind, asked)

    async def _hint_and_copy(
        self, pending: Pending, stanza: Element, kind: str, asked: Origin
    ) -> None:
        if pending is not None:
            await pending
        self._session.relay.copy_sent(stanza, kind, asked)

    def _to_one(self, said: messages.Said, kind: str, asked: Origin) -> Pending:
        """To one resource, if it is there; else a chat message is for the account."""
        session, to = self._session, jid.parse(asked.to)
        if to.domain == session.domain:
            known = session.services.accounts.cached_id(to.local)
            if known is not None and session.relay.has_found(known, to.resource):
                said.message.dstid = known
                names = Names.of(said.xml)._replace(to=to.resource)
                return session.submit(_named(said, names), asked)
        return self._look_for_one(said, kind, asked)

    async def _look_for_one(self, said: messages.Said, kind: str, asked: Origin) -> None:
        session = self._session
        recipient, resource = await session.recipient(asked.to)
        if recipient is not None and resource != WEB:
            if await session.relay.finds(recipient.id, resource):
                said = _named(said, Names.of(said.xml)._replace(to=resource))
            elif kind != "chat":
                raise unavailable()
        pending = self._address(said, asked)
        if pending is not None:
            await pending

    def _address(self, said: messages.Said, asked: Origin) -> Pending:
        session, node = self._session, self._session.node
        if node is None:
            raise XmlError("not-authorized")
        if not asked.to:
            said.message.dstid = node.userid
            return session.submit(said, asked)
        to = jid.parse(asked.to)
        if to.domain != session.domain:
            raise session.not_ours(to.domain)
        if not to.local:
            raise ChatError("not-found", "the server reads no messages")
        known = session.services.accounts.cached_id(to.local)
        if known is None:
            return self._find_and_submit(said, asked, to.local)
        said.message.dstid = known
        return session.submit(said, asked)

    async def _find_and_submit(self, said: messages.Said, asked: Origin, local: str) -> None:
        recipient = await self._session.services.accounts.find(local)
        if recipient is None:
            raise ChatError("no-such-user", "there is no such account")
        said.message.dstid = recipient.id
        pending = self._session.submit(said, asked)
        if pending is not None:
            await pending


def _named(said: messages.Said, names: Names) -> messages.Said:
    return said._replace(xml=names.xml())
