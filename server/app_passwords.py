"""Passwords for single devices: made by the server, shown once, and good for XMPP only.

An XMPP client keeps one on its disk. It opens nothing but streams, and taking it back ends those
that were opened with it and nothing else.
"""

import re
import secrets

import msgspec

from server.accounts import Accounts
from server.changes import Changes
from server.clients import now_ms
from server.errors import ChatError
from server.last_seen import LastSeen
from server.limits import Window
from server.model import User, clean_text
from server.passwords import Passwords, app_sid, is_app_password
from server.ports import AccountStore, Document
from server.settings import Limits

NAME_CHARS = 64
GROUPS, GROUP_CHARS = 4, 6
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""32, so 120 bits in 24: none that looks like another, all in one case."""

_FORM = re.compile(f"[{LETTERS}]{{{GROUP_CHARS}}}(?:-[{LETTERS}]{{{GROUP_CHARS}}}){{{GROUPS - 1}}}")


class AppPassword(msgspec.Struct):
    """What remains to be seen of one. ``created``, ``used``: milliseconds, 0 for never."""

    id: int
    name: str
    created: int
    used: int


class NewAppPassword(msgspec.Struct):
    """What is shown once."""

    id: int
    name: str
    password: str
    jid: str
    created: int


class AppPasswords:
    """Makes, lists and revokes them, and logs in with them."""

    def __init__(
        self,
        store: AccountStore,
        accounts: Accounts,
        passwords: Passwords,
        last_seen: LastSeen,
        changes: Changes,
        limits: Limits,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._passwords = passwords
        self._last_seen = last_seen
        self._changes = changes
        self._limit = limits.app_passwords
        self._made = Window(limits.app_passwords * limits.rate_scale, 3600)

    async def make(self, userid: int, name: str) -> NewAppPassword:
        """A new one for what the user calls ``name``.

        Raises ``invalid``, ``conflict`` where there are too many, ``slow-down``, ``busy``.
        """
        name = clean_text(name.strip(), "name", NAME_CHARS)
        if not name:
            raise ChatError("invalid", "some fields are wrong", fields={"name": "is empty"})
        wait = self._made.wait_s(str(userid))
        if wait:
            raise ChatError("slow-down", "too many new app passwords", retry_after=wait)
        self._made.count(str(userid))
        password = "-".join(
            "".join(secrets.choice(LETTERS) for _ in range(GROUP_CHARS)) for _ in range(GROUPS)
        )
        document = await self._document(userid)
        if len(document.get("app_passwords", ())) >= self._limit:
            raise ChatError("conflict", f"at most {self._limit} app passwords; revoke one first")
        stored, beside = await self._passwords.hash_app_password(document, password)
        number, now = document.get("app_count", 0) + 1, now_ms()
        outcome = await self._store.update(
            userid,
            {
                f"app_passwords.{number}": {"name": name, "created": now, "used": 0, **stored},
                "app_count": number,
                **beside,
            },
            # Neither another one nor a new password, and so another salt, came between.
            {key: document.get(key) for key in ("app_count", "scram")},
        )
        if outcome:
            raise ChatError("conflict", "the account was changed at the same moment; try again")
        user = self._accounts.remember(document)
        return NewAppPassword(number, name, password, user.jid, now)

    async def all(self, userid: int) -> list[AppPassword]:
        """The oldest first. Raises ``no-such-user``."""
        document = await self._document(userid)
        return [
            AppPassword(
                int(number),
                one["name"],
                one["created"],
                max(one["used"], self._last_seen.of(userid, app_sid(int(number)))),
            )
            for number, one in document.get("app_passwords", {}).items()
        ]

    async def revoke(self, userid: int, number: int) -> None:
        """Ends what was opened with it, on every node. Raises ``not-found``."""
        document = await self._document(userid)
        if str(number) not in document.get("app_passwords", {}):
            raise ChatError("not-found", "there is no such app password")
        await self._store.update(userid, {f"app_passwords.{number}": None})
        await self._changes.add("session-ended", userid=userid, sid=app_sid(number))

    async def log_in(self, localpart: str, password: str, address: str) -> tuple[User, str] | None:
        """The account, and what the login is named; None: it is no app password of this account.

        Raises ``slow-down`` after too many wrong passwords.
        """
        if not _FORM.fullmatch(password):
            return None
        self._accounts.check_login_rate(address, localpart)
        document = await self._accounts.by_localpart(localpart)
        if document is None or document.get("disabled"):
            return None
        for number, stored in document.get("app_passwords", {}).items():
            if is_app_password(stored, password):
                self._accounts.login_succeeded(address, localpart)
                return self._accounts.remember(document), app_sid(int(number))
        return None

    async def is_there(self, userid: int, sid: str) -> bool:
        """Whether what a login was named after has not been revoked since."""
        return any(app_sid(one.id) == sid for one in await self.all(userid))

    async def _document(self, userid: int) -> Document:
        document = await self._store.by_id(userid)
        if document is None or "deleted" in document:
            raise ChatError("no-such-user")
        return document
