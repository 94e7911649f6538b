"""Accounts: sign-up, passwords, profiles; cached, so that a message needs no database read."""

import asyncio
import re
from collections.abc import Callable, Iterable

from server.changes import Changes
from server.clients import ClientMap, now_ms
from server.errors import ChatError, Close, StorageAway
from server.limits import LoginGuard, Window
from server.model import MAX_ID, User, clean_text
from server.passwords import HashName, Passwords, ScramVerifier, flaw
from server.ports import AccountStore, Document
from server.settings import Settings

CACHED = 100_000
"""Profiles in memory (about 50 MiB)."""
AGAIN_S = 1.0
"""Until a profile that could not be read is read again."""
FOUND = 20
"""Users that a search answers with."""

_USERNAME = re.compile(r"[a-z][a-z0-9._-]{2,31}", re.ASCII)
_MOBILE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)
NICKNAME_CHARS = 64


def wrong_username(name: str) -> str | None:
    """What is wrong with a username in lower case, or None."""
    if _USERNAME.fullmatch(name):
        return None
    return "3 to 32 of a-z 0-9 . _ - beginning with a letter"


def wrong_mobile(number: str) -> str | None:
    """What is wrong with a mobile number, or None."""
    return None if _MOBILE.fullmatch(number) else "international form: + and 7 to 15 digits"


class Accounts:
    """The accounts of this service. Raises ``storage-away`` errors of its store as they are."""

    def __init__(
        self,
        store: AccountStore,
        passwords: Passwords,
        settings: Settings,
        changes: Changes,
        clients: ClientMap,
    ) -> None:
        self._store = store
        self._clients = clients
        changes.on("user", self._changed)
        changes.on("departed", self._departed)
        self._passwords = passwords
        self._domain = settings.xmpp.domain
        self._registration = settings.auth.registration
        self._guard = LoginGuard(settings.limits)
        scale = settings.limits.rate_scale
        self._registrations = Window(settings.limits.registrations_per_hour * scale, 3600)
        self._cache: dict[int, User] = {}
        self._ids: dict[str, int] = {}
        self._following: set[asyncio.Task[None]] = set()
        self.hears: list[Callable[[int], None]] = []
        """They are told whose profile is another now."""

    async def close(self) -> None:
        for task in self._following:
            task.cancel()
        if self._following:
            await asyncio.wait(self._following)

    async def register(
        self,
        *,
        username: str | None = None,
        mobile: str | None = None,
        password: str,
        nickname: str | None = None,
        address: str,
    ) -> User:
        """Makes an account over the network.

        Raises ``registration-closed``, ``invalid`` (with ``fields``), ``taken``, ``slow-down``.
        """
        if self._registration != "open":
            raise ChatError(
                "registration-closed", "ask the operator of this service for an account"
            )
        wait = self._registrations.wait_s(address)
        if wait:
            raise ChatError(
                "slow-down", "too many registrations from here", retry_after=int(wait) + 1
            )
        user = await self.create(
            username=username, mobile=mobile, password=password, nickname=nickname
        )
        self._registrations.count(address)
        return user

    async def create(
        self,
        *,
        username: str | None = None,
        mobile: str | None = None,
        password: str,
        nickname: str | None = None,
    ) -> User:
        """Makes an account. Raises ``invalid`` (with ``fields``) or ``taken``."""
        wrong: dict[str, str] = {}
        username = username.lower() if username else ""
        if username and (reason := wrong_username(username)):
            wrong["username"] = reason
        if mobile and (reason := wrong_mobile(mobile)):
            wrong["mobile"] = reason
        if reason := flaw(password):
            wrong["password"] = reason
        if nickname:
            try:
                nickname = clean_text(nickname, "nickname", NICKNAME_CHARS)
            except ChatError as error:
                wrong["nickname"] = error.detail
        if wrong:
            raise ChatError("invalid", "some fields are wrong", fields=wrong)
        if username and await self._store.by_name("username", username):
            raise ChatError("taken", "this username is taken", fields={"username": "taken"})
        document: Document = {
            "nickname": nickname or username,
            "created": now_ms(),
            **await self._passwords.hash(password),
        }
        if username:
            document |= {"username": username, "names": [username]}
        if mobile:
            document["mobile"] = mobile
        document["_id"] = await self._store.next_id()
        taken = await self._store.insert(document)
        if taken:
            raise ChatError("taken", f"this {taken} is taken", fields={taken: "taken"})
        return self.remember(document)

    async def log_in(
        self,
        *,
        username: str | None = None,
        mobile: str | None = None,
        userid: int | None = None,
        password: str,
        address: str,
    ) -> User:
        """Checks. Raises ``not-logged-in`` for any wrong pair, ``slow-down``, ``busy``."""
        name = username.lower() if username else mobile or str(userid or "")
        self._guard.check(address, name)
        document = await self._document(username, mobile, userid)
        stored = document.get("password") if document else None
        right = len(password) <= 1024 and await self._passwords.check(stored, password)
        if document is None or not right or document.get("disabled"):
            await asyncio.sleep(self._guard.failed(address, name))
            raise ChatError("not-logged-in", "wrong name or password")
        self._guard.succeeded(address, name)
        if self._passwords.needs_upgrade(document):
            fields = await self._passwords.upgrade(document, password)
            # Not over what was changed meanwhile; then the next login does it.
            as_read = {name: document.get(name) for name in ("password", "app_count")}
            await self._store.update(document["_id"], fields, as_read)
        return self.remember(document)

    async def set_password(self, userid: int, password: str) -> None:
        """Stores a new password, and forgets the app passwords. Raises ``invalid``."""
        if reason := flaw(password):
            raise ChatError("invalid", "this password is not accepted", fields={"password": reason})
        fields = await self._passwords.hash(password)
        await self._store.update(userid, {**fields, "app_passwords": None})

    async def verifier(self, localpart: str, hash_name: HashName) -> ScramVerifier:
        """SCRAM verifier of an account; a stable made-up one where there is none."""
        document = await self.by_localpart(localpart)
        if document is not None and document.get("disabled"):
            document = None
        user = self.remember(document) if document else None
        return self._passwords.verifier(document, user, localpart.lower(), hash_name)

    def check_login_rate(self, address: str, localpart: str) -> None:
        """Raises ``slow-down`` after too many failures."""
        self._guard.check(address, localpart.lower())

    def login_failed(self, address: str, localpart: str) -> float:
        """Counts a failed SASL login; gives the seconds by which to delay the answer."""
        return self._guard.failed(address, localpart.lower())

    def login_succeeded(self, address: str, localpart: str) -> None:
        self._guard.succeeded(address, localpart.lower())

    def cached(self, userid: int) -> User | None:
        """The profile if it is in memory."""
        user = self._cache.get(userid)
        return None if user is None or user.deleted else user

    def cached_id(self, localpart: str) -> int | None:
        """The id of the account that a JID's localpart names, if its profile is in memory."""
        if _DIGITS.fullmatch(localpart):
            userid = int(localpart)
            return userid if self.cached(userid) else None
        return self._ids.get(localpart)

    async def user(self, userid: int) -> User | None:
        """The public profile, or None for no such account."""
        user = self._cache.get(userid)
        if user is None and 0 < userid <= MAX_ID and (found := await self._store.by_id(userid)):
            user = self.remember(found)
        return None if user is None or user.deleted else user

    async def users(self, userids: Iterable[int]) -> dict[int, User]:
        """The public profiles of those that exist."""
        people = await self.people(userids)
        return {userid: user for userid, user in people.items() if not user.deleted}

    async def people(self, userids: Iterable[int]) -> dict[int, User]:
        """The same, and deleted ones too: for what was said and by whom."""
        users: dict[int, User] = {}
        missing: list[int] = []
        for userid in set(userids):
            user = self._cache.get(userid)
            if user is None:
                missing.append(userid)
            else:
                users[userid] = user
        if missing:
            for document in await self._store.by_ids(missing):
                users[document["_id"]] = self.remember(document)
        return users

    async def former_jids(self, userid: int) -> list[str]:
        """Under which bare JIDs an account, or one that is deleted, may still be known."""
        document = await self._store.by_id(userid)
        if document is None:
            return []
        now = "" if "deleted" in document else self._user(document).jid
        names = [*(one["name"] for one in document.get("former") or ()), str(userid)]
        return [jid for name in names if (jid := f"{name}@{self._domain}") != now]

    async def find(self, localpart: str) -> User | None:
        """The account that a JID's localpart names: a username in any case, or an id's digits."""
        if _DIGITS.fullmatch(localpart):
            return await self.user(int(localpart))
        document = await self.by_localpart(localpart)
        return self.remember(document) if document else None

    async def search(self, query: str) -> list[User]:
        """Users by username prefix, exact id or exact mobile."""
        query = query.strip().lower()
        found: dict[int, Document] = {}
        if _DIGITS.fullmatch(query) and (document := await self._living(int(query))):
            found[document["_id"]] = document
        if _MOBILE.fullmatch(query) and (document := await self._store.by_name("mobile", query)):
            found[document["_id"]] = document
        if re.fullmatch(r"[a-z][a-z0-9._-]{0,31}", query, re.ASCII):
            for document in await self._store.by_prefix(query, FOUND):
                found[document["_id"]] = document
        return [self.remember(document) for document in found.values()]

    async def everyone(self) -> list[User]:
        """All accounts, for the operator."""
        return [self.remember(document) for document in await self._store.everyone()]

    async def _document(
        self, username: str | None, mobile: str | None, userid: int | None
    ) -> Document | None:
        if username:
            return await self.by_localpart(username)
        if mobile:
            return await self._store.by_name("mobile", mobile)
        if userid is not None and 0 < userid <= MAX_ID:
            return await self._living(userid)
        return None

    async def _living(self, userid: int) -> Document | None:
        document = await self._store.by_id(userid)
        return None if document is None or "deleted" in document else document

    async def by_localpart(self, localpart: str) -> Document | None:
        """The account as stored, for what else is kept with it."""
        name = localpart.lower()
        if _DIGITS.fullmatch(name):
            return await self._living(int(name))
        if _USERNAME.fullmatch(name):
            return await self._store.by_name("username", name)
        return None

    def _changed(self, userid: int) -> None:
        self._renew(userid)
        for hears in self.hears:
            hears(userid)
        # Again, for whoever had just read the old one and was about to remember it.
        asyncio.get_running_loop().call_later(1.0, self._renew, userid)

    def _renew(self, userid: int) -> None:
        """Forgets a profile, and gives connections the one that is good now."""
        old = self._cache.pop(userid, None)
        if old is not None:
            self._ids.pop(old.username, None)
        if self._clients.of(userid):
            task = asyncio.create_task(self._follow(userid), name="profile")
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def _follow(self, userid: int) -> None:
        while True:
            try:
                user = await self.user(userid)
                break
            except StorageAway:
                await asyncio.sleep(AGAIN_S)
        if user is None:
            return
        for node in self._clients.of(userid):
            if node.resource and node.user.jid != user.jid:
                # The client was told the old address when it was bound, and would go on using it.
                node.end(Close.SESSION_ENDED)
            else:
                node.user = user

    def _departed(self, userid: int) -> None:
        self._changed(userid)
        for node in self._clients.of(userid):
            node.end(Close.DISABLED)

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._cache.clear()
        self._ids.clear()

    def remember(self, document: Document) -> User:
        """The profile of an account that was read."""
        user = self._user(document)
        userid, username = user.id, user.username
        known = self._cache.get(userid)
        if known is None and len(self._cache) >= CACHED:
            known = self._cache.pop(next(iter(self._cache)))
        if known is not None:
            self._ids.pop(known.username, None)
        self._cache[userid] = user
        if username:
            self._ids[username] = userid
        return user

    def _user(self, document: Document) -> User:
        userid = document["_id"]
        if "deleted" in document:
            return User(id=userid, jid=f"{userid}@{self._domain}", deleted=True)
        username = document.get("username", "")
        return User(
            id=userid,
            username=username,
            jid=f"{username or userid}@{self._domain}",
            nickname=document.get("nickname", ""),
            avatar=document.get("avatar", ""),
            sex=document.get("sex", ""),
            memo=document.get("memo", ""),
        )
