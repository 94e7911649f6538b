"""Contacts: who asked whom, who sees whose presence, and own names for others.

It is XMPP's roster (RFC 6121) as well. What two users are to each other is one document, so both
sides change at once::

    {_id: "<lower id>-<higher id>", users: [both], sees: [], asks: [], offers: [], items: {}, since}

``sees``, ``asks`` and ``offers``: see :mod:`server.subscriptions`. ``items``: who has the other in
the own list, user id → ``{name, groups, kept}``; what is ``kept`` stays when the other removes the
contact, as in RFC 6121. ``notes``, if any: what an XMPP client put into its request, user id → XML.
Over JSON only the mutual form is made: both see each other, or one asks.
"""

import copy
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Literal

import msgspec

from server.accounts import Accounts
from server.blocks import Blocks
from server.changes import Changes
from server.clients import now_ms
from server.deliveries import BlockChange, SubscriptionStanza
from server.errors import ChatError, StorageAway
from server.limits import Window
from server.model import OFFLINE, SINGLE, State, User, clean_text, conversation
from server.ports import ContactStore, Document
from server.presence import Presences
from server.roster import Rosters, bond_of, other_of
from server.settings import Limits
from server.subscriptions import Bond, Kind, step

log = logging.getLogger(__name__)

CACHED = 20_000
"""Users of whom is known who sees them; a hundred contacts are about 4 KB."""
NAME_CHARS = 64
NOTE_CHARS = 2000
"""What is longer does not wait with its request."""

ContactEvent = Literal["request", "accepted", "removed"]
ContactState = Literal["both", "requested", "pending"]


class ContactChange(msgspec.Struct):
    """cmd 21: what the user ``userid`` and the one who gets it are to each other now."""

    event: ContactEvent
    userid: int
    cmd: int = 21


class ContactView(msgspec.Struct):
    """A user in one's list. ``memo``: one's own name for them. ``requested``: oneself has asked.

    ``presence`` and ``status``, its memo, are there for ``both`` only.
    """

    id: int
    username: str
    jid: str
    nickname: str
    avatar: str
    sex: str
    memo: str
    state: ContactState
    presence: State | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET


class Contacts:
    """The contacts, and what blocking does to them.

    Methods raise ``no-such-user`` where there is no account, or no such contact. ``met``: is told
    when the second sees the first's presence from now on.
    """

    met: Callable[[int, int], Awaitable[None]]

    def __init__(
        self,
        store: ContactStore,
        accounts: Accounts,
        blocks: Blocks,
        limits: Limits,
        *,
        presence: Presences,
        notify: Callable[[Collection[int], Any], None],
        changes: Changes,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._blocks = blocks
        self._most = limits.contacts
        self._presence = presence
        self._notify = notify
        self._changes = changes
        self.rosters = Rosters(store, accounts, blocks, notify)
        self._asked = Window(limits.contact_requests_per_hour * limits.rate_scale, 3600)
        self._forgotten = 0
        self._watchers: dict[int, tuple[int, ...]] = {}
        changes.on("contacts", self._changed)
        blocks.changed = lambda *userids: self._changed(userids)

    async def of_user(
        self, userid: int, after: int = 0, limit: int = 1000
    ) -> tuple[list[ContactView], bool]:
        """Contacts and requests by id above ``after``, and whether there are more."""
        blocked = await self._blocks.load(userid)
        pairs = {
            other: pair
            for pair in await self._store.of_user(userid)
            if (other := other_of(pair, userid)) > after and _is_shown(pair, userid, blocked)
        }
        page = {other: pairs[other] for other in sorted(pairs)[:limit]}
        return await self._views(userid, page), len(pairs) > limit

    async def get(self, userid: int, other: int) -> ContactView:
        """One of them."""
        pair = await self._shown_pair(userid, other)
        for view in await self._views(userid, {other: pair}):
            return view
        raise ChatError("no-such-user")

    async def request(self, userid: int, other: int, memo: str | None = None) -> None:
        """Asks to become contacts, or agrees with who asked already. Again is no change.

        Raises ``invalid``, ``blocked``, ``too-long``, ``slow-down``.
        """
        name = None if memo is None else clean_text(memo, "memo", NAME_CHARS)
        await self._check(userid, other)

        async def ask(pair: Document) -> ContactEvent | None:
            if userid in pair["sees"] and other in pair["sees"]:
                outcome: ContactEvent | None = None
            elif other in pair["asks"]:
                await self._agree(pair, userid)
                outcome = "accepted"
            else:
                outcome = await self._ask(pair, userid, other)
            item = _item(pair, userid)
            if name is not None:
                item["name"] = name
            return outcome

        outcome = await self._change(userid, other, ask)
        if outcome == "request":
            self._asked.count(str(userid))
            await self._tell_other(userid, other, "request")
        elif outcome == "accepted":
            await self._met(userid, other)

    async def _ask(self, pair: Document, userid: int, other: int) -> ContactEvent | None:
        """Offers both directions, and asks for the one that is not there yet."""
        bond = bond_of(pair)
        if userid not in bond.asks and userid not in bond.sees:
            await self._check_request(userid, other, pair)
        asks = bond.asks | ({userid} - bond.sees)
        _set(pair, bond._replace(asks=asks, offers=bond.offers | {userid}))
        return "request" if asks != bond.asks else None

    async def accept(self, userid: int, other: int) -> None:
        """Agrees with who asked. Again is no change.

        Raises ``invalid``, ``blocked``, ``too-long``.
        """
        not_asked = ChatError("no-such-user", "this user has not asked")
        if await self._accounts.user(other) is None:
            raise not_asked
        await self._check(userid, other)

        async def agree(pair: Document) -> ContactEvent | None:
            if other in pair["asks"]:
                await self._agree(pair, userid)
                return "accepted"
            if not (userid in pair["sees"] and other in pair["sees"]):
                raise not_asked
            return None

        if await self._change(userid, other, agree):
            await self._met(userid, other)

    async def rename(self, userid: int, other: int, memo: str) -> None:
        """Changes one's own name for a contact. Raises ``too-long``, ``bad-field``."""
        name = clean_text(memo, "memo", NAME_CHARS)

        async def name_it(pair: Document) -> None:
            if str(userid) not in pair["items"]:
                raise ChatError("no-such-user", "not a contact of yours")
            pair["items"][str(userid)]["name"] = name

        await self._change(userid, other, name_it)

    async def keep(self, userid: int, other: int, name: str, groups: Collection[str]) -> None:
        """Sets what one's own list has of the other, whatever the two are to each other.

        Raises ``too-long``, ``bad-field``, ``invalid`` for oneself.
        """
        name = clean_text(name, "name", NAME_CHARS)
        await self._check(userid, other, may_be_blocked=True)

        async def keep_it(pair: Document) -> None:
            await self._check_room(userid, pair)
            _item(pair, userid).update(name=name, groups=sorted(groups), kept=True)

        await self._change(userid, other, keep_it)

    async def subscription(self, userid: int, other: int, kind: Kind, note: str = "") -> None:
        """The user sends the other a presence of this kind, with ``note`` in it (RFC 6121
        section 3).

        Raises ``invalid``, ``blocked``, ``too-long``, ``slow-down``.
        """
        await self._check(userid, other)
        before, done = Bond(), step(Bond(), kind, userid, other)

        async def take_step(pair: Document) -> None:
            nonlocal before, done
            before = bond_of(pair)
            done = step(before, kind, userid, other)
            if done.bond == before:
                return
            if userid in done.bond.asks - before.asks:
                await self._check_request(userid, other, pair)
            if kind in ("subscribe", "subscribed"):
                await self._check_room(userid, pair)
                _item(pair, userid)["kept"] = True
            _set(pair, done.bond)
            if note and userid in done.bond.asks and len(note) <= NOTE_CHARS:
                pair.setdefault("notes", {})[str(userid)] = note

        async def tell(_: ContactEvent | None) -> None:
            if done.passed:
                await self._tell_xmpp(userid, other, kind, note)
            if done.answer is not None:
                await self._tell_xmpp(other, userid, done.answer)

        await self._change(userid, other, take_step, tell)
        now = done.bond
        if userid in now.asks - before.asks:
            self._asked.count(str(userid))
        await self._tell_steps(userid, other, before, now)

    async def remove(self, userid: int, other: int) -> None:
        """Ends it for both: a contact, one's own request, or the other's, which is refused."""
        before = Bond()

        async def end(pair: Document) -> None:
            nonlocal before
            blocked = await self._blocks.load(userid)
            if not _is_shown(pair, userid, blocked) and str(userid) not in pair["items"]:
                raise ChatError("no-such-user", "not a contact of yours")
            before = bond_of(pair)
            _set(pair, Bond())
            items = pair["items"]
            items.pop(str(userid), None)
            if not items.get(str(other), {}).get("kept"):
                items.pop(str(other), None)

        async def tell(_: ContactEvent | None) -> None:
            if userid in before.sees | before.asks:
                await self._tell_xmpp(userid, other, "unsubscribe")
            if other in before.sees | before.asks:
                await self._tell_xmpp(userid, other, "unsubscribed")

        await self._change(userid, other, end, tell)
        if before == Bond():
            return
        self._notify((userid,), ContactChange("removed", other))
        await self._tell_other(userid, other, "removed")
        await self._hide_from(userid, other, before.sees)

    async def block(self, userid: int, other: int) -> None:
        """Nothing but groups' messages comes from ``other`` any more, who is not told.

        Raises ``invalid``, ``too-long``. Again is no change.
        """
        await self._check(userid, other, may_be_blocked=True)
        if other in await self._blocks.load(userid):
            return
        sights = await self._sights(userid, other)
        if not await self._blocks.add(userid, other, self._most):
            raise ChatError("too-long", f"at most {self._most} blocked users")
        for shown, viewer in sights:
            await self._presence.hide(shown, viewer)
        await self._tell_block(userid, other, True)

    async def unblock(self, userid: int, other: int) -> None:
        """Takes a :meth:`block` back. Raises ``invalid``. Again is no change."""
        await self._check(userid, other, may_be_blocked=True)
        if other in await self._blocks.read(userid):
            await self._blocks.remove(userid, other)
            await self._tell_block(userid, other, False)
            await self._introduce(userid, other)

    async def watchers(self, userid: int) -> tuple[int, ...]:
        """Who sees this user's presence: contacts without those who block, or are blocked.

        Raises ``StorageAway``.
        """
        known = self._watchers.get(userid)
        if known is None:
            forgotten = self._forgotten
            found = await self._store.watchers(userid)
            if found:
                apart = {*await self._blocks.load(userid), *await self._blocks.blockers(userid)}
                found = [other for other in found if other not in apart]
            known = tuple(found)
            if forgotten == self._forgotten:  # else it may be out of date already
                if len(self._watchers) >= CACHED and userid not in self._watchers:
                    del self._watchers[next(iter(self._watchers))]
                self._watchers[userid] = known
        return known

    async def readdress(self, userid: int) -> None:
        """Tells XMPP contacts that the user's JID is another now, or none."""
        try:
            formers = await self._accounts.former_jids(userid)
            await self._presence.move(userid, formers, await self._accounts.user(userid))
        except StorageAway:
            log.info("presence_not_moved user=%d", userid)
        await self.rosters.readdress(userid)

    async def forget_user(self, userid: int) -> None:
        """The account is deleted: it is nobody's contact any more, and on nobody's list."""
        others = [
            other_of(pair, userid)
            for pair in await self._store.of_user(userid)
            if pair["sees"] or pair["asks"]
        ]
        blockers = set(await self._blocks.blockers(userid))
        await self.readdress(userid)
        await self._store.forget(userid)
        await self._blocks.forget_user(userid)
        if others:
            await self._changes.add("contacts", userids=[userid, *others])
            told = [other for other in others if other not in blockers]
            self._notify(told, ContactChange("removed", userid))

    async def export(self, userid: int) -> dict[str, Any]:
        """All that is kept here of this user, to be handed out."""
        blocked = await self._blocks.load(userid)
        contacts = [
            {
                "id": other_of(pair, userid),
                "state": _state(pair, userid),
                "since": pair["since"],
                **pair["items"].get(str(userid), {}),
            }
            for pair in await self._store.of_user(userid)
            if _is_shown(pair, userid, blocked)
        ]
        return {"contacts": contacts, "blocks": sorted(blocked)}

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._forgotten += 1
        self._watchers.clear()

    def _changed(self, userids: Collection[int]) -> None:
        self._forgotten += 1  # somebody may be loading them
        for userid in userids:
            self._watchers.pop(userid, None)

    async def _check(self, userid: int, other: int, *, may_be_blocked: bool = False) -> None:
        if userid == other:
            raise ChatError("invalid", "some fields are wrong", fields={"id": "is your own"})
        if await self._accounts.user(other) is None:
            raise ChatError("no-such-user", f"there is no user {other}")
        if not may_be_blocked and other in await self._blocks.load(userid):
            raise ChatError("blocked", "you have blocked this user")

    async def _check_request(self, userid: int, other: int, pair: Document) -> None:
        wait = self._asked.wait_s(str(userid))
        if wait:
            raise ChatError("slow-down", "too many requests", retry_after=int(wait) + 1)
        await self._check_room(userid, pair)
        if str(other) not in pair["items"] and (await self._store.count(other))[1] >= self._most:
            raise ChatError("too-long", "this user has too many requests already")

    async def _check_room(self, userid: int, pair: Document) -> None:
        if str(userid) not in pair["items"] and (await self._store.count(userid))[0] >= self._most:
            raise ChatError("too-long", f"at most {self._most} contacts")

    async def _agree(self, pair: Document, userid: int) -> None:
        await self._check_room(userid, pair)
        _set(pair, Bond(sees=frozenset(pair["users"])))
        pair["since"] = now_ms()
        for each in pair["users"]:
            _item(pair, each)

    async def _shown_pair(self, userid: int, other: int) -> Document:
        pair = await self._store.get(conversation(SINGLE, userid, other))
        if pair is None or not _is_shown(pair, userid, await self._blocks.load(userid)):
            raise ChatError("no-such-user", "not a contact of yours")
        return pair

    async def _views(self, userid: int, pairs: Mapping[int, Document]) -> list[ContactView]:
        users = await self._accounts.users(pairs)
        friends = [other for other in await self.watchers(userid) if other in pairs]
        states = await self._presence.of(friends)
        views = []
        for other, pair in pairs.items():
            if other in users:
                view = _view(pair, userid, users[other])
                if view.state == "both":
                    view.presence, view.status, _ = states.get(other, OFFLINE)
                views.append(view)
        return views

    async def _change(
        self,
        userid: int,
        other: int,
        act: Callable[[Document], Awaitable[ContactEvent | None]],
        tell: Callable[[ContactEvent | None], Awaitable[None]] | None = None,
    ) -> ContactEvent | None:
        """Lets ``act`` change what the two are to each other, again if somebody was quicker.

        ``tell`` sends the stanzas that come of it, before the rosters are pushed (RFC 6121 section
        3.1.6); left out, those of what is done over JSON.
        """
        key = conversation(SINGLE, userid, other)
        while True:
            pair = await self._store.get(key) or {
                "_id": key,
                "users": sorted((userid, other)),
                "sees": [],
                "asks": [],
                "offers": [],
                "items": {},
                "since": now_ms(),
            }
            before = copy.deepcopy(pair)
            outcome = await act(pair)
            if pair == before or await self._write(pair):
                if pair["sees"] != before["sees"]:
                    await self._changes.add("contacts", userids=[userid, other])
                try:
                    if tell is not None:
                        await tell(outcome)
                    elif outcome is not None:
                        kind: Kind = "subscribe" if outcome == "request" else "subscribed"
                        await self._tell_xmpp(userid, other, kind)
                finally:
                    await self.rosters.push(before, pair)
                return outcome

    async def _write(self, pair: Document) -> bool:
        """Stores it, or removes what says nothing any more. False: somebody was quicker."""
        if pair["sees"] or pair["asks"] or pair["items"]:
            return await self._store.put(pair)
        return "v" not in pair or await self._store.remove(pair)

    async def _met(self, userid: int, other: int) -> None:
        self._notify((userid,), ContactChange("accepted", other))
        await self._tell_other(userid, other, "accepted")
        await self._introduce(userid, other)

    async def _tell_steps(self, userid: int, other: int, before: Bond, now: Bond) -> None:
        """JSON clients of what a step changed, and both kinds of whose presence they see now."""
        both = {userid, other}
        event: ContactEvent | None = None
        if now.sees >= both > before.sees:
            event = "accepted"
        elif before.sees >= both > now.sees or before.asks - now.asks - now.sees:
            event = "removed"
        if userid in now.asks - before.asks:
            await self._tell_other(userid, other, "request")
        elif event is not None:
            self._notify((userid,), ContactChange(event, other))
            await self._tell_other(userid, other, event)
        for viewer in now.sees - before.sees:
            shown = other if viewer == userid else userid
            if viewer in await self.watchers(shown):
                await self._presence.introduce(shown, viewer)
        await self._hide_from(userid, other, before.sees - now.sees)

    async def _hide_from(self, one: int, other: int, viewers: Collection[int]) -> None:
        for viewer in viewers:
            await self._presence.hide_resources(other if viewer == one else one, viewer)

    async def _tell_xmpp(self, userid: int, other: int, kind: Kind, note: str = "") -> None:
        """As :meth:`_tell_other`, XMPP clients."""
        user = await self._accounts.user(userid)
        if user is not None and userid not in await self._blocks.load(other):
            self._notify((other,), SubscriptionStanza(user.jid, kind, note))
            if kind == "subscribed":
                await self.met(userid, other)

    async def _tell_block(self, userid: int, other: int, blocked: bool) -> None:
        user = await self._accounts.user(other)
        if user is not None:
            self._notify((userid,), BlockChange([user.jid], blocked))

    async def _tell_other(self, userid: int, other: int, event: ContactEvent) -> None:
        """Of what a user did, unless the other has blocked that user."""
        if userid not in await self._blocks.load(other):
            self._notify((other,), ContactChange(event, userid))

    async def _introduce(self, one: int, other: int) -> None:
        for shown, viewer in await self._sights(one, other):
            await self._presence.introduce(shown, viewer)

    async def _sights(self, one: int, other: int) -> list[tuple[int, int]]:
        """Who of the two is seen by whom, now."""
        both_ways = ((one, other), (other, one))
        return [(a, b) for a, b in both_ways if b in await self.watchers(a)]


def _item(pair: Document, userid: int) -> Document:
    item: Document = pair["items"].setdefault(str(userid), {"name": "", "groups": []})
    return item


def _set(pair: Document, bond: Bond) -> None:
    for name, users in bond._asdict().items():
        pair[name] = sorted(users)
    if "notes" in pair:
        asking = map(str, bond.asks)
        pair["notes"] = {user: pair["notes"][user] for user in asking if user in pair["notes"]}


def _state(pair: Document, userid: int) -> ContactState:
    if len(pair["sees"]) == len(pair["users"]):
        return "both"
    return "pending" if other_of(pair, userid) in pair["asks"] else "requested"


def _is_shown(pair: Document, userid: int, blocked: Collection[int]) -> bool:
    """Requests of blocked users are not, until they are unblocked; nor names alone."""
    if not pair["sees"] and not pair["asks"]:
        return False
    return _state(pair, userid) != "pending" or other_of(pair, userid) not in blocked


def _view(pair: Document, userid: int, user: User) -> ContactView:
    return ContactView(
        id=user.id,
        username=user.username,
        jid=user.jid,
        nickname=user.nickname,
        avatar=user.avatar,
        sex=user.sex,
        memo=pair["items"].get(str(userid), {}).get("name", ""),
        state=_state(pair, userid),
    )
