"""Contacts as XMPP's roster has them (RFC 6121 section 2), and telling XMPP clients of a change."""

import hashlib
import logging
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from server.accounts import Accounts
from server.blocks import Blocks
from server.deliveries import RosterItem
from server.errors import StorageAway
from server.model import User
from server.ports import ContactStore, Document
from server.subscriptions import Bond

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class Rosters:
    """Reads pairs as items. What reads raises ``StorageAway``; what tells does not."""

    def __init__(
        self,
        store: ContactStore,
        accounts: Accounts,
        blocks: Blocks,
        notify: Callable[[Collection[int], Any], None],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._blocks = blocks
        self._notify = notify

    async def of_user(self, userid: int) -> tuple[list[RosterItem], str]:
        """All items, and the version of the whole."""
        pairs = [pair for pair in await self._store.of_user(userid) if str(userid) in pair["items"]]
        users = await self._accounts.users(other_of(pair, userid) for pair in pairs)
        items = sorted(
            (
                _item(pair, userid, users[other])
                for pair in pairs
                if (other := other_of(pair, userid)) in users
            ),
            key=lambda item: item.jid,
        )
        return items, hashlib.sha256(_encode(items)).hexdigest()[:20]

    async def asked(self, userid: int) -> list[tuple[str, str]]:
        """Whose requests wait for the user's answer: bare JIDs, and what came with each."""
        blocked = await self._blocks.load(userid)
        asking = {
            other: pair.get("notes", {}).get(str(other), "")
            for pair in await self._store.of_user(userid)
            if (other := other_of(pair, userid)) in pair["asks"] and other not in blocked
        }
        users = await self._accounts.users(asking)
        return [(user.jid, asking[userid]) for userid, user in users.items()]

    async def seen(self, userid: int) -> list[int]:
        """Whose presence the user sees."""
        seen = [
            other_of(pair, userid)
            for pair in await self._store.of_user(userid)
            if userid in pair["sees"]
        ]
        if not seen:
            return []
        apart = {*await self._blocks.load(userid), *await self._blocks.blockers(userid)}
        return [other for other in seen if other not in apart]

    async def readdress(self, userid: int) -> None:
        """Tells who has the user on the list that the JID is another now, or none."""
        try:
            await self._readdress(userid)
        except StorageAway:
            log.info("roster_not_pushed users=[%d]", userid)

    async def _readdress(self, userid: int) -> None:
        formers = await self._accounts.former_jids(userid)
        now = await self._accounts.user(userid)
        for pair in await self._store.of_user(userid):
            other = other_of(pair, userid)
            if str(other) not in pair["items"]:
                continue
            version = (await self.of_user(other))[1]
            for former in formers:
                gone = RosterItem(former, subscription="remove", version=version)
                self._notify((other,), gone)
            if now is not None:
                item = _item(pair, other, now)
                item.version = version
                self._notify((other,), item)

    async def push(self, before: Document, now: Document) -> None:
        """Tells whoever of the two has another item now."""
        try:
            users = await self._accounts.users(now["users"])
            for userid in now["users"]:
                other = users.get(other_of(now, userid))
                if other is None:
                    continue
                was, is_now = _item(before, userid, other), _item(now, userid, other)
                has_it = str(userid) in now["items"]
                if str(userid) in before["items"] and not has_it:
                    is_now = RosterItem(other.jid, subscription="remove")
                elif not has_it or (was == is_now and str(userid) in before["items"]):
                    continue
                is_now.version = (await self.of_user(userid))[1]
                self._notify((userid,), is_now)
        except StorageAway:
            log.info("roster_not_pushed users=%s", now["users"])


def other_of(pair: Document, userid: int) -> int:
    low, high = pair["users"]
    return int(low if userid == high else high)


def bond_of(pair: Document) -> Bond:
    """What a pair's document says of the two. Without ``offers`` it was asked over JSON."""
    offers = pair["offers"] if "offers" in pair else pair["asks"]
    return Bond(frozenset(pair["sees"]), frozenset(pair["asks"]), frozenset(offers))


def _item(pair: Document, userid: int, other: User) -> RosterItem:
    own = pair["items"].get(str(userid), {})
    return RosterItem(
        other.jid,
        own.get("name", ""),
        list(own.get("groups", ())),
        bond_of(pair).of(userid),
        userid in pair["asks"],
    )
