"""Groups as clients read and write them: cmd 22, what calls give, and the fields they take."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from server.errors import ChatError
from server.model import Role, User, clean_text
from server.ports import Document

NAME_CHARS = 64
TEXTS = {"avatar": 2048, "memo": 1000, "announcement": 2000}
"""Field → most characters."""

GroupEvent = Literal["created", "joined", "left", "removed", "changed", "dissolved"]


Departure = Literal["", "removed", "banned"]


class Note(msgspec.Struct, frozen=True):
    """What rooms tell of a group's change beside what is different: who did it, to whom and why.

    ``instead``: the JID of the room that takes the place of a dissolved one. ``is_subject``: the
    announcement is another; ``is_end``: the group is dissolved.
    """

    by: int = 0
    who: int = 0
    how: Departure = ""
    why: str = ""
    instead: str = ""
    is_subject: bool = False
    is_end: bool = False


class GroupChange(msgspec.Struct):
    """cmd 22: what happened to the group ``dstid``, to or by ``userid``."""

    event: GroupEvent
    dstid: int
    userid: int
    cmd: int = 22


class GroupView(msgspec.Struct):
    """A group as one of its members sees it. ``count``: members."""

    id: int
    name: str
    avatar: str
    memo: str
    owner: int
    role: Role
    count: int
    history: Literal["joined", "all"]
    muted_all: bool
    announcement: str
    join: Literal["invite", "request"]


class MemberView(msgspec.Struct):
    """A member as the others see it. Times are milliseconds since 1970 UTC, 0 for never.

    ``nick``: the member's own name in this group, if there is one.
    """

    id: int
    nickname: str
    nick: str
    role: Role
    muted_until: int
    joined: int


def group_view(group: Document, role: Role, count: int) -> GroupView:
    """A group's document as a member with this role sees it."""
    return GroupView(
        id=group["_id"],
        name=group["name"],
        avatar=group["avatar"],
        memo=group["memo"],
        owner=group["owner"],
        role=role,
        count=count,
        history=group["history"],
        muted_all=group["muted_all"],
        announcement=group.get("announcement", ""),
        join=group.get("join", "invite"),
    )


def member_view(member: Document, user: User | None, now_ms: int) -> MemberView:
    """A member's document as the others see it."""
    until = member.get("muted_until", 0)
    return MemberView(
        id=member["userid"],
        nickname=user.nickname if user else "",
        nick=member.get("nick", ""),
        role=member["role"],
        muted_until=until if until > now_ms else 0,
        joined=member["joined"],
    )


def clean_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is given of a group, for storing. Raises ``invalid``, ``bad-field``, ``too-long``."""
    clean = dict(fields)
    if "name" in clean:
        clean["name"] = clean_text(clean["name"].strip(), "name", NAME_CHARS)
        if not clean["name"]:
            raise ChatError("invalid", "some fields are wrong", fields={"name": "is empty"})
    for field, limit in TEXTS.items():
        if field in clean:
            clean[field] = clean_text(clean[field], field, limit)
    if clean.get("avatar") and not clean["avatar"].startswith(("http://", "https://")):
        raise ChatError("invalid", "some fields are wrong", fields={"avatar": "no web address"})
    return clean
