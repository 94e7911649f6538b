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

    async def greeting(self, userid: int) -> tuple[list[int], list[tuple[str, str]]]:
        """Whose presence the user sees; and whose requests wait for an answer: bare JIDs, and what
        came with each.
        """
        pairs = {other_of(pair, userid): pair for pair in await self._store.of_user(userid)}
        blocked = await self._blocks.load(userid)
        asking = [
            other for other, pair in pairs.items() if other in pair["asks"] and other not in blocked
        ]
        users = await self._accounts.users(asking)
        requests = [
            (user.jid, pairs[other].get("notes", {}).get(str(other), ""))
            for other, user in users.items()
        ]
        seen = [other for other, pair in pairs.items() if userid in pair["sees"]]
        if seen:
            apart = {*blocked, *await self._blocks.blockers(userid)}
            seen = [other for other in seen if other not in apart]
        return seen, requests

    async def groups(self, userid: int) -> dict[int, list[str]]:
        """Who is in groups of the user's list, and in which."""
        return {
            other_of(pair, userid): item["groups"]
            for pair in await self._store.of_user(userid)
            if (item := pair["items"].get(str(userid))) and item["groups"]
        }

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
            # Without a version, or all contacts of all contacts would be read: whoever has the
            # old one is sent the list at the next login.
            for former in formers:
                self._notify((other,), RosterItem(former, subscription="remove"))
            if now is not None:
                self._notify((other,), _item(pair, other, now))

    async def push(self, before: Document, now: Document) -> None:
        """Tells whoever of the two has another item now.

        What is told is the item as it is in the version that is told: of two changes at once on
        two nodes, either may be pushed last.
        """
        try:
            users = await self._accounts.users(now["users"])
            for userid in now["users"]:
                other = users.get(other_of(now, userid))
                if other is None:
                    continue
                was, is_now = _item(before, userid, other), _item(now, userid, other)
                had_it, has_it = (str(userid) in pair["items"] for pair in (before, now))
                if had_it == has_it and (not has_it or was == is_now):
                    continue
                items, version = await self.of_user(userid)
                gone = RosterItem(other.jid, subscription="remove")
                item = next((each for each in items if each.jid == other.jid), gone)
                item.version = version
                self._notify((userid,), item)
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
