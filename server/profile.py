"""One's own profile: reading and changing it, and what becomes of a username that is given up."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from server.accounts import NICKNAME_CHARS, Accounts, wrong_mobile, wrong_username
from server.changes import Changes
from server.clients import now_ms
from server.errors import ChatError
from server.model import clean_text
from server.ports import AccountStore, Document

KEPT_MS = 30 * 24 * 3600 * 1000
"""How long a former username is kept for its owner: what is still sent to the old address does not
reach a stranger."""
FORMER = 3
"""Former usernames kept for one account; else one person could keep all names from the others."""

TEXTS = {"nickname": NICKNAME_CHARS, "avatar": 2048, "sex": 16, "memo": 200}
"""Field → most characters."""


class Me(msgspec.Struct):
    """One's own profile. ``created``: milliseconds since 1970 UTC."""

    id: int
    username: str
    jid: str
    mobile: str
    nickname: str
    avatar: str
    sex: str
    memo: str
    created: int


class Profiles:
    """What an account may change of itself. ``readdress``: is told whose JID is another now."""

    readdress: Callable[[int], Awaitable[None]]

    def __init__(self, store: AccountStore, accounts: Accounts, changes: Changes) -> None:
        self._store = store
        self._accounts = accounts
        self._changes = changes

    async def read(self, userid: int) -> Me:
        """Raises ``no-such-user``."""
        document = await self._document(userid)
        user = self._accounts.remember(document)
        return Me(
            id=user.id,
            username=user.username,
            jid=user.jid,
            mobile=document.get("mobile", ""),
            nickname=user.nickname,
            avatar=user.avatar,
            sex=user.sex,
            memo=user.memo,
            created=document["created"],
        )

    async def change(self, userid: int, wanted: dict[str, str]) -> Me:
        """Changes nickname, avatar, sex, memo, username or mobile; empty ones are removed.

        All or nothing. Raises ``invalid`` and ``taken`` with ``fields``, ``slow-down`` for too many
        usernames, ``conflict`` when somebody else does the same at this moment.
        """
        changes = _checked(wanted)
        if changes:
            expected: Document = {}
            if "username" in changes:
                document = await self._document(userid)
                expected = {name: document.get(name) for name in ("username", "former")}
                changes |= renamed(document, changes["username"])
            outcome = await self._store.update(userid, changes, expected)
            if outcome == "changed":
                raise ChatError("conflict", "the account was changed at the same moment; try again")
            if outcome:
                raise ChatError("taken", f"this {outcome} is taken", fields={outcome: "taken"})
            await self._changes.add("user", userid=userid)
            if "username" in changes:
                await self.readdress(userid)
        return await self.read(userid)

    async def _document(self, userid: int) -> Document:
        document = await self._store.by_id(userid)
        if document is None or "deleted" in document:
            raise ChatError("no-such-user")
        return document


def renamed(document: Document, username: str | None, *, leaves: bool = False) -> Document:
    """The fields by which an account changes to this username, or none, and keeps the present one.

    ``leaves``: it is being deleted. Raises ``slow-down`` when it keeps too many.
    """
    now, present = now_ms(), document.get("username")
    former = [one for one in document.get("former", ()) if one["name"] != username]
    if present and present != username:
        former.append({"name": present, "until": now + KEPT_MS})
    if len(former) > FORMER and not leaves:
        wait_s = max(0, former[0]["until"] - now) / 1000
        raise ChatError(
            "slow-down", f"at most {FORMER} new usernames in 30 days", retry_after=wait_s
        )
    names = [*([username] if username else ()), *(one["name"] for one in former)]
    return {"username": username, "former": former or None, "names": names or None}


def _checked(wanted: dict[str, str]) -> dict[str, Any]:
    """The fields as they are stored, None for those to be removed. Raises ``invalid``."""
    wrong: dict[str, str] = {}
    clean: dict[str, Any] = {}
    for field, value in wanted.items():
        if field in TEXTS:
            try:
                clean[field] = clean_text(value, field, TEXTS[field])
            except ChatError as error:
                wrong[field] = error.detail
            continue
        value = value.lower()
        clean[field] = value or None
        reason = wrong_username(value) if field == "username" else wrong_mobile(value)
        if value and reason:
            wrong[field] = reason
    if clean.get("avatar") and not clean["avatar"].startswith(("http://", "https://")):
        wrong["avatar"] = "an http or https address"
    if wrong:
        raise ChatError("invalid", "some fields are wrong", fields=wrong)
    return clean
