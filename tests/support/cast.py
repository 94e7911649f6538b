"""Everybody that a call can come from, and what the tables of who may what are about.

The people are the same for all rows of a module. What a row names in braces is made for it alone,
since calls change things::

    gid, open   a group; ``open`` takes requests
    owner, peer its owner; another admin
    target, guest, asker   a plain member, nobody in the group, who asked to be let in: each
                caller has an own one, and so has each an own ``link`` and ``code``
    own         the caller
    other       a user who has blocked ``blocked``, and whom ``blocker`` has blocked
    friend      likewise, and a contact of every caller but the stranger
    suitor      likewise, and waits to become a contact of every caller
    none        the id of nobody and nothing
    sid, app    a session and an app password of the caller's
    their_sid, their_app   another user's
    refresh     the refresh token of a session of the caller's
    file        the path of a file that the owner has uploaded
    name        a username that is free
    pw          everybody's password
    ever        as ``muted_until``, for good
    mine, theirs    ids of messages in the group: the caller's, and one of the peer's for each
    wrote, read     the same in the conversation with ``other``: the caller's and the other's
    seq, end    how far the group and the conversation with ``other`` go
"""

import re
import time
from typing import Any

from tests.support.contacts import ask, befriend, block
from tests.support.groups import call, make_group
from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node

CALLERS = ("nobody", "stranger", "blocked", "blocker", "member", "muted", "gone", "admin", "owner")
"""``nobody`` is not logged in. From ``blocked`` on all are members, but ``gone`` was one once.

``blocked`` is blocked by the owner as well.
"""
FOR_GOOD = 2**53 - 1
UNKNOWN = 2**52
"""No user, group, message or anything else has this id."""

SAID = {"mine", "theirs", "wrote", "read", "seq", "end"}
_EACH = len(CALLERS)
_FRESH_S = 600
"""A crowd is made anew after this time: its access tokens end after 15 minutes."""
_crowds: dict[str, tuple[float, list[JsonClient]]] = {}


def names_in(text: str) -> set[str]:
    """What it names in braces."""
    return set(re.findall(r"\{(\w+)\}", text))


async def crowd(node: Node) -> list[JsonClient]:
    """The people: the callers, the peer, and three more for each caller."""
    made, people = _crowds.get(node.url, (0.0, []))
    if not people or time.monotonic() - made > _FRESH_S:
        people = [await JsonClient.register(node) for _ in range(_EACH * 4)]
        await block(people[CALLERS.index("owner") - 1], people[CALLERS.index("blocked") - 1])
        _crowds[node.url] = time.monotonic(), people
    return people


class Cast:
    """``ids``: what is named in braces → its value for each caller."""

    def __init__(self, node: Node, people: list[JsonClient]) -> None:
        self.node = node
        self.callers = dict(zip(CALLERS[1:], people, strict=False))
        self.peer, *rest = people[_EACH - 1 :]
        self.targets, self.guests, self.askers = (rest[_EACH * n :][:_EACH] for n in range(3))
        self.users: dict[str, JsonClient] = {}
        self.gid = 0
        self.tokens = {name: caller.token for name, caller in self.callers.items()}
        own = [self.callers["stranger"], *self.callers.values()]
        self.ids: dict[str, list[Any]] = {
            "own": [caller.id for caller in own],
            "owner": [self.callers["owner"].id] * _EACH,
            "peer": [self.peer.id] * _EACH,
            "target": [user.id for user in self.targets],
            "guest": [user.id for user in self.guests],
            "asker": [user.id for user in self.askers],
            "none": [UNKNOWN] * _EACH,
            "ever": [FOR_GOOD] * _EACH,
            "pw": [PASSWORD] * _EACH,
        }

    @classmethod
    async def of(cls, node: Node, text: str = "", *, online: bool = False) -> "Cast":
        """With all that ``text`` names in braces. ``online``: everybody is connected anew."""
        cast = cls(node, await crowd(node))
        wanted = names_in(text)
        if online:
            for name, caller in cast.callers.items():
                cast.callers[name] = await caller.another_device().connect()
            cast.peer = await cast.peer.another_device().connect()
        if "/logout" in text:
            wanted.add("token")
        if wanted & {"gid", "open", "code"}:
            await cast._make_group(wanted)
        for name in sorted(wanted & {"other", "friend", "suitor"}):
            await cast._make_user(name, wanted, online=online)
        if wanted & {"sid", "refresh", "token", "app", "their_sid", "their_app"}:
            await cast._make_logins(wanted)
        if "file" in wanted:
            await cast._make_file()
        if "name" in wanted:
            cast.ids["name"] = [fresh_name() for _ in CALLERS]
        return cast

    def token(self, name: str) -> str:
        """Of a caller; none of nobody's."""
        return self.tokens.get(name, "")

    def fill(self, value: Any, caller: str, **instead: Any) -> Any:
        """A path or body with the values for this caller in place of their names."""
        if isinstance(value, dict):
            return {field: self.fill(each, caller, **instead) for field, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each, caller, **instead) for each in value]
        if not isinstance(value, str):
            return value
        at = CALLERS.index(caller)
        ids = {name: values[at] for name, values in self.ids.items()} | instead
        if (whole := re.fullmatch(r"\{(\w+)\}", value)) is not None:
            return ids[whole[1]]  # a number stays one
        return value.format(**ids)

    async def _make_group(self, wanted: set[str]) -> None:
        people = self.callers
        owner = people["owner"]
        names = ("blocked", "blocker", "member", "muted", "gone", "admin")
        insiders = [people[name] for name in names]
        gid = self.gid = await make_group(owner, *insiders, self.peer, *self.targets)
        if wanted & SAID:
            said = [await each.say(gid, "x", "mine", chat=11) for each in (*insiders, owner)]
            # The stranger has none and takes somebody else's.
            self.ids["mine"] = [ack["id"] for ack in (said[0], said[0], *said)]
            acks = [await self.peer.say(gid, "x", f"theirs {at}", chat=11) for at in range(_EACH)]
            self.ids["theirs"] = [ack["id"] for ack in acks]
            self.ids["seq"] = [acks[-1]["seq"]] * _EACH
        for admin in (people["admin"], self.peer):
            await call(owner, "PATCH", f"/{gid}/members/{admin.id}", {"role": "admin"})
        muted = f"/{gid}/members/{people['muted'].id}"
        await call(owner, "PATCH", muted, {"muted_until": FOR_GOOD})
        await call(owner, "DELETE", f"/{gid}/members/{people['gone'].id}")
        self.ids["gid"] = self.ids["open"] = [gid] * _EACH
        if "open" in wanted:
            await call(owner, "PATCH", f"/{gid}", {"join": "request"})
        if "asker" in wanted:
            for asker in self.askers:
                assert (await call(asker, "POST", f"/{gid}/requests", {}))[0] == 201
        if wanted & {"link", "code"}:
            links = [(await call(owner, "POST", f"/{gid}/invitations", {}))[1] for _ in CALLERS]
            self.ids["link"] = [link["id"] for link in links]
            self.ids["code"] = [link["code"] for link in links]

    async def _make_user(self, name: str, wanted: set[str], *, online: bool) -> None:
        user = self.users[name] = await JsonClient.register(self.node)
        self.ids[name] = [user.id] * _EACH
        if online:
            await user.connect()
        if wanted & SAID:
            wrote = [await each.say(user.id, "x", name) for each in self.callers.values()]
            read = [await user.say(each.id, "x", name) for each in self.callers.values()]
            self.ids["wrote"] = [0, *(ack["id"] for ack in wrote)]
            self.ids["read"] = [0, *(ack["id"] for ack in read)]
            self.ids["end"] = [0, *(ack["seq"] for ack in read)]
        for as_what, caller in self.callers.items():
            if name == "friend" and as_what != "stranger":
                await befriend(user, caller)
            elif name == "suitor":
                await ask(user, caller)
        await block(user, self.callers["blocked"])
        await block(self.callers["blocker"], user)

    async def _make_logins(self, wanted: set[str]) -> None:
        another = await JsonClient.register(self.node)
        sid = another.refresh_token.partition(".")[0]
        self.ids["sid"] = self.ids["their_sid"] = [sid] * _EACH
        self.ids["app"] = self.ids["their_app"] = [0] * _EACH
        self.ids["refresh"] = [another.refresh_token] * _EACH
        if "their_app" in wanted:
            # Numbers begin with 1 for each account: one that the callers do not come to.
            for _ in range(9):
                _, app = await another.call("POST", "/api/me/app-passwords", {"name": "phone"})
            self.ids["their_app"] = [app["id"]] * _EACH
        for at, (name, caller) in enumerate(self.callers.items(), 1):
            if wanted & {"sid", "refresh", "token"}:
                body = {"id": caller.id, "password": PASSWORD}
                _, login, _ = await http(self.node, "POST", "/api/login", body)
                self.ids["refresh"][at] = login["refresh_token"]
                self.ids["sid"][at] = login["refresh_token"].partition(".")[0]
                if "token" in wanted:
                    self.tokens[name] = login["token"]
            if "app" in wanted:
                _, app = await caller.call("POST", "/api/me/app-passwords", {"name": "phone"})
                self.ids["app"][at] = app["id"]

    async def _make_file(self) -> None:
        body = {"name": "a.txt", "size": 1, "type": "text/plain"}
        _, offer = await self.callers["owner"].call("POST", "/api/uploads", body)
        path = offer["put"].removeprefix(self.node.url)
        headers = {name.replace("-", "_"): value for name, value in offer["headers"].items()}
        assert (await http(self.node, "PUT", path, b"x", **headers))[0] == 201
        self.ids["file"] = [path.partition("?")[0]] * _EACH
