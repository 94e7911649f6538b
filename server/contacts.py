"""Contacts: who asked whom, who sees whose presence, and own names for others.

It is XMPP's roster (RFC 6121) as well. What two users are to each other is one document, so both
sides change at once::

    {_id: "<lower id>-<higher id>", users: [both], sees: [], asks: [], items: {}, since}

``sees``: who of the two sees the other's presence. ``asks``: who asked to, and waits. ``items``:
who has the other in the own list, user id → ``{name, groups}``. For a user A and the other B, RFC
6121's ``to`` is A in ``sees`` and ``from`` is B in it; "pending out" (``ask``) is A in ``asks``
and "pending in" is B. Over JSON only the mutual form is made: both see each other, or one asks.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Literal

import msgspec

from server.accounts import Accounts
from server.blocks import Blocks
from server.changes import Changes
from server.clients import now_ms
from server.errors import ChatError
from server.limits import Window
from server.model import OFFLINE, SINGLE, State, User, clean_text, conversation
from server.ports import ContactStore, Document
from server.presence import Presences
from server.settings import Limits

CACHED = 20_000
"""Users of whom is known who sees them; a hundred contacts are about 4 KB."""
NAME_CHARS = 64

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

    Methods raise ``no-such-user`` where there is no account, or no such contact.
    """

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
            if (other := _other(pair, userid)) > after and _is_shown(pair, userid, blocked)
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
            elif userid in pair["asks"]:
                outcome = None
            else:
                await self._check_request(userid, other, pair)
                pair["asks"] = [userid]
                outcome = "request"
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

    async def remove(self, userid: int, other: int) -> None:
        """Ends it for both: a contact, one's own request, or the other's, which is refused."""
        while not await self._store.remove(await self._shown_pair(userid, other)):
            pass  # somebody changed it meanwhile
        await self._changes.add("contacts", userids=[userid, other])
        self._notify((userid,), ContactChange("removed", other))
        await self._tell_other(userid, other, "removed")

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

    async def unblock(self, userid: int, other: int) -> None:
        """Takes a :meth:`block` back. Raises ``invalid``. Again is no change."""
        await self._check(userid, other, may_be_blocked=True)
        if other in await self._blocks.load(userid):
            await self._blocks.remove(userid, other)
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

    async def forget_user(self, userid: int) -> None:
        """The account is deleted: it is nobody's contact any more, and on nobody's list."""
        others = [_other(pair, userid) for pair in await self._store.of_user(userid)]
        blockers = set(await self._blocks.blockers(userid))
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
                "id": _other(pair, userid),
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
        pair["sees"], pair["asks"], pair["since"] = list(pair["users"]), [], now_ms()
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
        self, userid: int, other: int, act: Callable[[Document], Awaitable[ContactEvent | None]]
    ) -> ContactEvent | None:
        """Lets ``act`` change what the two are to each other, again if somebody was quicker."""
        key = conversation(SINGLE, userid, other)
        while True:
            pair = await self._store.get(key) or {
                "_id": key,
                "users": sorted((userid, other)),
                "sees": [],
                "asks": [],
                "items": {},
                "since": now_ms(),
            }
            outcome = await act(pair)
            if await self._store.put(pair):
                return outcome

    async def _met(self, userid: int, other: int) -> None:
        await self._changes.add("contacts", userids=[userid, other])
        self._notify((userid,), ContactChange("accepted", other))
        await self._tell_other(userid, other, "accepted")
        await self._introduce(userid, other)

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


def _other(pair: Document, userid: int) -> int:
    low, high = pair["users"]
    return int(low if userid == high else high)


def _item(pair: Document, userid: int) -> Document:
    item: Document = pair["items"].setdefault(str(userid), {"name": "", "groups": []})
    return item


def _state(pair: Document, userid: int) -> ContactState:
    if len(pair["sees"]) == len(pair["users"]):
        return "both"
    return "pending" if _other(pair, userid) in pair["asks"] else "requested"


def _is_shown(pair: Document, userid: int, blocked: Collection[int]) -> bool:
    """Requests of blocked users are not, until they are unblocked."""
    return _state(pair, userid) != "pending" or _other(pair, userid) not in blocked


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
