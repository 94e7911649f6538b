"""Every HTTP call, tried with what ``/api/openapi.json`` says of it and with what it forbids.

Schemathesis makes requests of the document: the examples, the edges of every constraint, methods
that are not there, and values at random, right and wrong ones. The answer has to be one that the
document describes, and whatever breaks its rules has to be refused. The requests are the same each
time; ``TANDEM_FUZZ=1000`` tries so many at random per call, others each time, and takes long.
"""

import asyncio
import copy
import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from handlers.api import Endpoint, endpoints
from handlers.examples import EXAMPLES
from handlers.http import ROUTES
from handlers.openapi import describe
from server import __version__
from tests.support.contacts import ask, befriend, block
from tests.support.groups import call, make_group
from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node

LONGER = "TANDEM_FUZZ" in os.environ
REFUSALS = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429"]
CONFIG = {
    "generation": {
        "deterministic": not LONGER,
        "max-examples": int(os.environ.get("TANDEM_FUZZ", "12")),
        "no-shrink": not LONGER,
        "with-security-parameters": False,  # the check ignored_auth sees to those
    },
    "checks": {
        "negative_data_rejection": {"expected-statuses": REFUSALS},
        # What fits may be refused for what is there: nobody of this id, no room for more (413).
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "403", "404", "409", "413", "429"]
        },
    },
}
CALLS: dict[str, Endpoint] = {
    f"{method.upper()} {path}": endpoint
    for path, handler in ROUTES
    for method, endpoint in endpoints(handler).items()
}
ENDING = {
    "POST /api/logout",
    "POST /api/token",
    "POST /api/me/password",
    "DELETE /api/me",
    "DELETE /api/me/sessions/{sid}",
}
"""After these the account, or its token, is of no use any more."""

Values = dict[str, Any]


def document() -> Values:
    """What the server serves, which the last test makes sure of; tests need it before one runs."""
    described: Values = json.loads(msgspec.json.encode(describe(ROUTES, __version__, EXAMPLES)))
    return described


DOCUMENT = document()


def schema_of_foreseen_answers() -> Any:
    """Without the answer that stands for all that is not foreseen."""
    described = copy.deepcopy(DOCUMENT)
    for operations in described["paths"].values():
        for operation in operations.values():
            del operation["responses"]["default"]
    return schemathesis.openapi.from_dict(described, config=schemathesis.Config.from_dict(CONFIG))


SCHEMA = schema_of_foreseen_answers()


class World:
    """An account and what it has to do with, so that what requests name can be there.

    ``lent``: call, or path of several, → values by their names; a tuple has one in turn.
    """

    def __init__(self, token: str, lent: dict[str, Values]) -> None:
        self.token = token
        self.lent = lent

    @classmethod
    async def of_one(cls, node: Node) -> "World":
        """An account alone."""
        me = await JsonClient.register(node)
        _, listed, _ = await http(node, "GET", "/api/me/sessions", token=me.token)
        return cls(
            me.token,
            {
                "POST /api/token": {"refresh_token": me.refresh_token},
                "POST /api/me/password": {"old": PASSWORD},
                "DELETE /api/me": {"password": PASSWORD},
                "DELETE /api/me/sessions/{sid}": {"sid": listed["sessions"][0]["sid"]},
            },
        )

    @classmethod
    async def of_several(cls, node: Node) -> "World":
        """With a contact, one who asks to be, one it is at odds with, two groups, and more."""
        me, friend, stranger, asker, foe = [await JsonClient.register(node) for _ in range(5)]
        await befriend(me, friend)
        await ask(asker, me)
        await block(foe, me)
        await block(me, foe)
        mine, other = await make_group(me, friend), await make_group(friend)
        await friend.connect()
        await friend.say(me.id, "hello", "hello")
        await friend.say(mine, "hello", "hello", chat=11)
        friend.close()
        for owner, gid in ((me, mine), (friend, other)):
            assert (await call(owner, "PATCH", f"/{gid}", {"join": "request"}))[0] == 200
        assert (await call(stranger, "POST", f"/{mine}/requests", {}))[0] == 201
        _, link = await call(me, "POST", f"/{mine}/invitations", {})
        _, way_in = await call(friend, "POST", f"/{other}/invitations", {})
        for path, body in (
            ("/api/me/app-passwords", {"name": "phone"}),
            ("/api/uploads", {"name": "a.txt", "size": 1, "type": "text/plain"}),
        ):
            assert (await http(node, "POST", path, body, me.token))[0] == 201
        group = {"gid": mine}
        chat = {"chat": (11, 10), "dstid": (mine, friend.id)}
        return cls(
            me.token,
            {
                "POST /api/login": {
                    "username": me.username,
                    "mobile": None,
                    "id": None,
                    "password": PASSWORD,
                },
                "/api/me/app-passwords/{id}": {"id": 1},
                "/api/users": {"q": friend.username[:5]},
                "/api/users/{id}": {"id": friend.id},
                "/api/contacts": {"id": (stranger.id, foe.id)},
                "/api/contacts/{id}": {"id": friend.id},
                "/api/contacts/{id}/accept": {"id": asker.id},
                "/api/blocks/{id}": {"id": stranger.id},
                "/api/groups": {"members": ([friend.id], [foe.id])},
                "/api/groups/{gid}": group,
                "/api/groups/{gid}/members": group | {"id": (stranger.id, foe.id)},
                "/api/groups/{gid}/members/{id}": group | {"id": (friend.id, me.id)},
                "/api/groups/{gid}/invitations": group,
                "/api/groups/{gid}/invitations/{id}": group | {"id": link["id"]},
                "GET /api/groups/{gid}/requests": group,
                "POST /api/groups/{gid}/requests": {"gid": other},
                "/api/groups/{gid}/requests/{id}": group | {"id": stranger.id},
                "/api/groups/{gid}/requests/{id}/accept": group | {"id": stranger.id},
                "/api/join": {"code": way_in["code"]},
                "/api/conversations": chat | {"before": f"1.g{mine}"},
                "/api/messages": chat,
                "/api/receipts": chat,
                "/api/search": chat | {"q": "hello"},
            },
        )

    def lend(self, case: Case) -> None:
        """Puts what is there into every other request.

        Of one that breaks a rule into the path, so that it is refused for the rule.
        """
        label, path, meta = case.operation.label, case.operation.path, case.meta
        assert meta is not None
        endpoint, is_wrong = CALLS[label], meta.generation.mode.is_negative
        number = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode())
        is_other = number % 2 == 0
        for name, values in (self.lent.get(label) or self.lent.get(path, {})).items():
            choices = values if isinstance(values, tuple) else (values,)
            value = choices[number // 2 % len(choices)]
            if name in endpoint.path:
                if (is_other or is_wrong) and not meta.is_negative_at(ParameterLocation.PATH):
                    case.path_parameters[name] = value
            elif is_wrong or not is_other:
                pass
            elif endpoint.query and name in endpoint.query.__struct_fields__:
                case.query[name] = value
            elif isinstance(case.body, dict) and name in endpoint.body.__struct_fields__:
                case.body[name] = value


def heed(case: Case) -> None:
    """Makes a request keep those rules that the document tells only in words."""
    query, body = case.query, case.body if isinstance(case.body, dict) else {}
    match case.operation.label:
        case "POST /api/login":
            names = [name for name in ("username", "mobile", "id") if body.get(name) is not None]
            for name in names[1:]:
                del body[name]
            if not names:
                body["id"] = 10_000
        case "PATCH /api/groups/{gid}/members/{id}" if body.get("role") == "owner":
            case.body = {"role": "owner"}
        case "POST /api/uploads":
            body["name"] += "a"  # the last part of a path must be left over
        case "GET /api/conversations":
            query.pop("before", None)
        case "GET /api/messages" if "before" in query:
            query.pop("after", None)
        case "GET /api/search":
            query["q"] = f"hello {query['q'][:90]}"
            if not query.get("chat"):
                query.pop("dstid", None)


def assert_error_is_told(case: Case, response: schemathesis.Response) -> None:
    """Not only the status has to be foreseen: so has which error it is."""
    operation = DOCUMENT["paths"][case.operation.path][case.operation.method]
    described = operation["responses"].get(str(response.status_code))
    if response.status_code >= 400 and described:
        kind = response.json()["type"]
        assert kind == "about:blank" or f"`{kind}`" in described["description"], kind


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server whose tokens are good for as long as this takes."""
    settings = {"TANDEM_AUTH_ACCESS_TOKEN_S": "86400"}
    running = Node(tmp_path_factory.mktemp("fuzz"), settings).start()
    yield running
    assert running.stop() == 0
    assert running.stray_log_lines() == []


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    """One for each call, so that what one call does is not in the way of another."""
    return {}


@SCHEMA.parametrize()
def test_answer_is_as_the_document_says(case: Case, server: Node, worlds: dict[str, World]) -> None:
    """No fault of the server, nothing undescribed, nothing accepted that is forbidden."""
    label = case.operation.label
    if label not in worlds:
        make = World.of_one if label in ENDING else World.of_several
        worlds[label] = asyncio.run(make(server))
    world = worlds[label]
    assert case.meta is not None
    if case.meta.generation.mode.is_positive:
        heed(case)
    world.lend(case)
    headers = {"Authorization": f"Bearer {world.token}"}
    response = case.call_and_validate(server.url, headers=headers)
    assert_error_is_told(case, response)
    if label in ENDING and response.status_code < 300:
        del worlds[label]


@pytest.mark.gen_test(timeout=30)
async def test_document_is_served(server: Node) -> None:
    """What the other test is made of is what clients get."""
    status, served, _ = await http(server, "GET", "/api/openapi.json")
    assert (status, served) == (200, DOCUMENT)
